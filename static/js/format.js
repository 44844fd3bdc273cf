// How numbers, times and states look, the same on every live part of the pages.

import { ago as words } from "./base.js";
import { h, icon } from "./dom.js";

// css class, icon, word; in the order of the segments of the progress bar
export const STATES = {
  SUCCEEDED: ["succeeded", "check-circle", "Succeeded"],
  EARLY_STOPPED: ["early", "early", "Stopped early"],
  FAILED: ["failed", "x-octagon", "Failed"],
  LOST: ["lost", "lost", "Lost"],
  CANCELED: ["canceled", "slash", "Canceled"],
  RUNNING: ["running", "running", "Running"],
  WAITING: ["waiting", "waiting", "Waiting"],
};
const PHASES = {
  PENDING: ["waiting", "waiting", "Pending"],
  RUNNING: ["running", "running", "Running"],
  DONE: ["succeeded", "check-circle", "Done"],
  TIMEOUT: ["early", "clock", "Timed out"],
  ERROR: ["failed", "x-octagon", "Error"],
};
export const FINISHED = new Set(["SUCCEEDED", "FAILED", "EARLY_STOPPED", "CANCELED", "LOST"]);
export const isEnded = (experiment) => ["DONE", "TIMEOUT", "ERROR"].includes(experiment.phase);

/** A number with `digits` significant ones: 0.9876, 1.235e-5, 12346. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) {
    return value
      .toExponential(digits - 1)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e");
  }
  if (size >= 10 ** digits) return String(Math.round(value));
  const text = value.toPrecision(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Any value of a parameter or metric on one line. */
export function plain(value) {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return value;
  if (value && typeof value === "object" && "_name" in value) {
    const { _name: name, ...rest } = value;
    const inner = Object.entries(rest)
      .map(([key, v]) => `${key} ${plain(v)}`)
      .join(", ");
    return inner ? `${plain(name)} (${inner})` : plain(name);
  }
  return value === undefined ? "–" : JSON.stringify(value);
}

/** The value in full, for titles and copying. */
export const full = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Seconds as their two largest units: "1 h 05 m". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days) return `${days} d ${two(hours)} h`;
  if (hours) return `${hours} h ${two(minutes)} m`;
  if (minutes) return `${minutes} m ${two(whole % 60)} s`;
  return `${whole} s`;
}

/** Seconds from a trial's start to its end, or to now while it runs; null before it starts. */
export function trialSeconds(trial, now = Date.now()) {
  if (!trial.started_at) return null;
  const end = trial.finished_at ? Date.parse(trial.finished_at) : now;
  return Math.max(0, (end - Date.parse(trial.started_at)) / 1000);
}

export function stateBadge(state, { stopping = false } = {}) {
  const [css, name, word] = STATES[state] ?? ["waiting", "waiting", state];
  const text = stopping ? "Stopping" : word;
  return h(
    "span",
    { class: `badge-state state-${css}`, dataset: { phase: state } },
    icon(name),
    h("span", {}, text),
  );
}

export function phaseBadge(experiment) {
  let [css, name, word] = PHASES[experiment.phase] ?? ["waiting", "waiting", experiment.phase];
  if (!isEnded(experiment)) {
    if (experiment.finishing) [css, name, word] = ["early", "stop", "Finishing"];
    else if (experiment.suspended) [css, name, word] = ["suspended", "pause", "Suspended"];
  }
  return h(
    "span",
    {
      class: `badge-state state-${css}`,
      dataset: { phase: experiment.phase },
      title: experiment.message,
    },
    icon(name),
    h("span", {}, word),
  );
}

/** "3 min ago" with the date in its title; base.js keeps it fresh. */
export function ago(iso) {
  if (!iso) return "–";
  const date = new Date(iso);
  const element = h("time", { datetime: iso, "data-ago": true, title: date.toLocaleString() });
  element.textContent = words(date);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The stacked bar of trials by state, with the counts beneath. */
export function trialBar(counts, maxTrials) {
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const whole = Math.max(maxTrials, total, 1);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "trial-bar-track");
  svg.setAttribute("viewBox", "0 0 1000 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const words = [];
  const legend = [];
  let x = 0;
  for (const [state, [css, name, word]] of Object.entries(STATES)) {
    const n = counts[state] ?? 0;
    if (!n) continue;
    const rect = document.createElementNS(SVG, "rect");
    const width = (1000 * n) / whole;
    for (const [key, value] of Object.entries({ x, y: 0, width, height: 10, class: `fill-${css}` }))
      rect.setAttribute(key, value);
    svg.append(rect);
    x += width;
    words.push(`${n} ${word}`);
    legend.push(
      h(
        "span",
        { class: `trial-count text-${css}` },
        icon(name),
        h("span", { class: "num" }, n),
        h("span", { class: "legend-word" }, word),
      ),
    );
  }
  svg.setAttribute("aria-label", words.join(", ") || "No trials yet");
  return h("div", { class: "trial-bar" }, svg, h("div", { class: "trial-bar-text" }, legend));
}
