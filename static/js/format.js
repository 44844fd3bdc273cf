// How numbers, times and states look, the same on every live part of the pages.

import { h, icon, svg } from "./dom.js";
import { stringify } from "./exact.js";
import { gettext, listed } from "./language.js";
import { experimentLook, LOOKS, plainLook } from "./looks.js";
import { said } from "./said.js";
import { moment, ago as words } from "./times.js";

/** @param {{ state: TrialState }} trial */
export const isFinished = (trial) => LOOKS.finished.includes(trial.state);

/** @param {{ phase: Phase }} experiment */
export const isEnded = (experiment) => LOOKS.ended.includes(experiment.phase);

/**
 * A number with `digits` significant ones: 0.987654, 1.23457e-5, 1.23457e21; whole ones are whole,
 * as seeds are copied and sizes compared. The same words as the
 * `number` filter of the pages' templates: one value looks alike everywhere.
 * @param {Json | undefined} value
 */
export function number(value, digits = 6) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isSafeInteger(value)) return String(value + 0); // no -0
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

/**
 * A text in quotes where it could be taken for another value: "1" is not 1, "null" not null.
 * @param {string} text
 */
function unmistakable(text) {
  if (text.trim() === "") return JSON.stringify(text);
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  return JSON.stringify(text);
}

/**
 * Any value of a parameter or metric on one line.
 * @param {Json | undefined} value
 * @returns {string}
 */
export function plain(value) {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return unmistakable(value);
  if (value && typeof value === "object" && "_name" in value) {
    const { _name: name, ...rest } = value;
    const inner = Object.entries(rest)
      .map(([key, v]) => `${key} ${plain(v)}`)
      .join(", ");
    return inner ? `${plain(name)} (${inner})` : plain(name);
  }
  return value === undefined ? "–" : stringify(value);
}

/**
 * The value in full, for titles and copying.
 * @param {Json} value
 */
export const full = (value) => (typeof value === "string" ? value : stringify(value));

/**
 * A size: "1.5 MiB".
 * @param {number} size in bytes
 */
export function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  let n = size;
  for (; n >= 1024 && i < 4; i += 1) n /= 1024;
  return `${Number(n.toPrecision(3))} ${units[i]}`;
}

/**
 * Seconds as their two largest units: "1 h 05 m".
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
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

/**
 * Seconds from a trial's start to its end, or to now while it runs; null before it starts.
 * @param {Trial} trial
 */
export function trialSeconds(trial, now = Date.now()) {
  if (!trial.started_at) return null;
  const end = trial.finished_at ? Date.parse(trial.finished_at) : now;
  return Math.max(0, (end - Date.parse(trial.started_at)) / 1000);
}

/**
 * @param {TrialState} state
 * @param {{ stopping?: boolean }} [options]
 */
export function stateBadge(state, { stopping = false } = {}) {
  const { label, icon: name, tone } = LOOKS.states[state] ?? plainLook(state);
  const text = stopping ? gettext("Stopping") : label;
  return h(
    "span",
    { class: `badge-state state-${tone}`, dataset: { phase: state } },
    icon(name),
    h("span", {}, text),
  );
}

/** @param {Experiment} experiment */
export function phaseBadge(experiment) {
  const { label, icon: name, tone } = experimentLook(experiment);
  return h(
    "span",
    {
      class: `badge-state state-${tone}`,
      dataset: { phase: experiment.phase },
      title: said(experiment.message),
    },
    icon(name),
    h("span", {}, label),
  );
}

/**
 * "3 min ago" with the date in its title; base.js keeps it fresh.
 * @param {string | null} iso
 */
export function ago(iso) {
  if (!iso) return "–";
  const date = new Date(iso);
  const element = h("time", {
    datetime: iso,
    "data-ago": true,
    title: moment(date),
  });
  element.textContent = words(date);
  return element;
}

/**
 * How many have finished, and of how many if there is such a limit; it may be lowered below them.
 * @param {number} n
 * @param {number | null} most
 * @param {string} [between]
 */
export function outOf(n, most, between = " / ") {
  return most === null ? String(n) : `${n}${between}${Math.max(most, n)}`;
}

/**
 * The stacked bar of trials by state, with the counts beneath.
 * @param {Experiment["counts"]} counts
 * @param {number | null} maxTrials
 */
export function trialBar(counts, maxTrials) {
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const whole = Math.max(maxTrials ?? 0, total, 1);
  const segments = [];
  const words = [];
  const legend = [];
  let x = 0;
  for (const state of /** @type {TrialState[]} */ (Object.keys(LOOKS.states))) {
    const { label, icon: name, tone } = LOOKS.states[state];
    const n = counts[state] ?? 0;
    if (!n) continue;
    const width = (1000 * n) / whole;
    segments.push(svg("rect", { x, y: 0, width, height: 10, class: `fill-${tone}` }));
    x += width;
    words.push(`${n} ${label}`);
    legend.push(
      h(
        "span",
        { class: `trial-count text-${tone}` },
        icon(name),
        h("span", { class: "num" }, n),
        h("span", { class: "legend-word" }, label),
      ),
    );
  }
  const track = svg(
    "svg",
    {
      class: "trial-bar-track",
      viewBox: "0 0 1000 10",
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": listed(words) || gettext("No trials yet"),
    },
    ...segments,
  );
  return h("div", { class: "trial-bar" }, track, h("div", { class: "trial-bar-text" }, legend));
}
