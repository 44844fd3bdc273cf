// The cells of a trial's row.

import { h, icon } from "../dom.js";
import { duration, full, isFinished, number, plain, trialSeconds } from "../format.js";
import { gettext } from "../language.js";
import { said } from "../said.js";

/** @type {Record<string, string>} */
export const ORIGIN_WORDS = {
  "start-up": gettext("random start-up"),
  model: gettext("proposed by the model"),
  grid: gettext("from the grid"),
  batch: gettext("from the batch"),
  random: gettext("random"),
  initial: gettext("set by the manifest, to be tried first"),
  custom: gettext("added by hand"),
  retry: gettext("retry of a failed trial"),
  imported: gettext("run elsewhere, and imported"),
  borrowed: gettext("from the best trials of earlier experiments"),
  repeat: gettext("the same parameters again"),
};
/** @type {Record<string, string>} */
const ORIGINS = {
  "start-up": gettext("start-up"),
  model: gettext("model"),
  grid: gettext("grid"),
  batch: gettext("batch"),
  random: gettext("random"),
  initial: gettext("initial"),
  custom: gettext("custom"),
  retry: gettext("retry"),
  imported: gettext("imported"),
  borrowed: gettext("borrowed"),
  repeat: gettext("repeat"),
};

/**
 * Where a trial's parameters came from, in a word; a word of the tuner's own stands as it is.
 * @param {string} origin
 */
export const originLabel = (origin) => ORIGINS[origin] ?? origin;

/** @param {Json | undefined} value */
export function valueCell(value) {
  if (value === undefined) return h("td", { class: "muted" }, "–");
  const isNumber = typeof value === "number";
  return h(
    "td",
    { class: `mono value${isNumber ? " num" : ""}`, title: full(value) },
    h("span", { class: "truncate" }, plain(value)),
  );
}

/**
 * @param {Trial} trial
 * @param {string} href
 * @param {boolean} isBest
 * @param {HTMLElement} box that ticks the row
 */
export function numberCell(trial, href, isBest, box) {
  const link = h("a", { href, class: "trial-number" }, trial.number);
  const mark = h("span", { class: "best-mark", title: gettext("Best trial") }, icon("star"));
  return h("td", { class: "number" }, box, link, isBest && mark);
}

/** @param {Trial} trial */
export function resultCell({ value, latest_value: latest, latest_sequence: sequence }) {
  if (value !== null) return h("td", { class: "num value", title: String(value) }, number(value));
  if (latest === null) return h("td", { class: "num muted" }, "–");
  return h(
    "td",
    {
      class: "num value",
      title: gettext("{value}, report {n}", { value: latest, n: sequence ?? "" }),
    },
    number(latest),
    h("span", { class: "latest" }, gettext("latest")),
  );
}

/** @param {Trial} trial */
export function durationCell(trial) {
  const dataset = trial.state === "RUNNING" ? { ticks: "1" } : {};
  return h("td", { class: "num nowrap", dataset }, duration(trialSeconds(trial)));
}

/** @param {Trial} trial */
export function originCell({ origin, attempt, excluded }) {
  const tag = h("span", { class: "tag", title: ORIGIN_WORDS[origin] }, originLabel(origin));
  const again = { class: "tag", title: gettext("Times it was launched") };
  return h(
    "td",
    {},
    origin ? tag : "–",
    attempt > 1 && h("span", again, gettext("attempt {n}", { n: attempt })),
    excluded && h("span", { class: "tag tag-excluded" }, gettext("excluded")),
  );
}

/** @param {Trial} trial */
export function reasonCell({ reason }) {
  const words = said(reason);
  return h("td", { class: "reason", title: words }, h("span", { class: "truncate" }, words));
}

/**
 * @param {Trial} trial
 * @param {boolean} mayChange
 */
export function actionsCell(trial, mayChange) {
  /**
   * @param {string} name
   * @param {string} iconName
   * @param {string} title
   */
  const button = (name, iconName, title, danger = false) => {
    const props = {
      type: "button",
      class: `btn btn-icon btn-icon-s${danger ? " danger" : ""}`,
      "data-name": title,
      "aria-label": gettext("{action}: trial {n}", { action: title, n: trial.number }),
      "data-row-action": name,
    };
    return h("button", props, icon(iconName));
  };
  const buttons = [];
  if (!isFinished(trial)) {
    if (!trial.stopping) buttons.push(button("kill", "x", gettext("Stop this trial"), true));
  } else {
    if (trial.retriable) buttons.push(button("retry", "refresh", gettext("Try again")));
    if (trial.excluded)
      buttons.push(button("restore", "eye", gettext("Include in the results again")));
    else buttons.push(button("exclude", "eye-off", gettext("Exclude from the results")));
  }
  buttons.push(button("copy", "copy", gettext("New trial from these parameters")));
  return h("td", { class: "row-actions" }, mayChange ? buttons : []);
}
