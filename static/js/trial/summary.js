// What is known of one trial: state, why it ended, result, parameters, the run's facts.

import { copyMenu } from "../copy_menu.js";
import { all, byId, h, icon } from "../dom.js";
import {
  ago,
  duration,
  full,
  isFinished,
  number,
  plain,
  stateBadge,
  trialSeconds,
} from "../format.js";
import { gettext, ngettext } from "../language.js";
import { LOOKS } from "../looks.js";
import { said } from "../said.js";
import { clock } from "../times.js";
import { originLabel } from "../trials/cells.js";

/**
 * A table of names and values.
 * @param {[name: string | Node, value: import("../dom.js").Child][]} rows
 */
function pairs(rows) {
  const lines = rows.map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)),
  );
  return h("table", { class: "kv-table" }, h("tbody", {}, lines));
}

/**
 * @param {Trial} trial
 * @param {{ url: string, isBest: boolean, mayChange: boolean, stop: HappenedEvent | null }} about
 *   url: of the trial in REST; stop: the event by which an assessor stopped it
 */
export function drawTrial(trial, { url, isBest, mayChange, stop }) {
  byId("state").replaceChildren(stateBadge(trial.state, trial));
  const marks = [
    isBest && h("span", { class: "tag tag-accent" }, icon("star"), gettext("best")),
    trial.origin && h("span", { class: "tag" }, originLabel(trial.origin)),
    trial.excluded && h("span", { class: "tag tag-excluded" }, gettext("excluded")),
  ];
  byId("marks").replaceChildren(.../** @type {Node[]} */ (marks.filter(Boolean)));
  drawActions(trial, mayChange);
  drawWhy(trial, stop);
  drawResult(trial);
  byId("parameters").replaceChildren(
    h("table", { class: "kv-table" }, h("tbody", {}, parameterRows(trial.parameters))),
  );
  const copies = byId("copy-parameters");
  if (!copies.firstChild) copies.append(copyMenu(trial.parameters, url)); // they never change
  byId("facts").replaceChildren(pairs(facts(trial)));
}

/**
 * @param {Trial} trial
 * @param {boolean} mayChange
 */
function drawActions(trial, mayChange) {
  const isOver = isFinished(trial);
  const possible = {
    kill: !isOver && !trial.stopping,
    retry: trial.retriable,
    exclude: isOver && !trial.excluded,
    restore: trial.excluded,
  };
  for (const [name, when] of Object.entries(possible)) {
    for (const button of all(document, `#trial-page [data-action="${name}"]`)) {
      button.hidden = !(when && mayChange);
    }
  }
}

/**
 * @param {ParameterValues} parameters
 * @returns {HTMLElement[]}
 */
function parameterRows(parameters, depth = 0) {
  return Object.entries(parameters).flatMap(([name, value]) => {
    const isNested = value !== null && typeof value === "object" && !Array.isArray(value);
    const words = isNested ? plain(value._name ?? "") : plain(value);
    const row = h(
      "tr",
      {},
      h("th", { scope: "row", class: `mono depth-${Math.min(depth, 3)}` }, name),
      h("td", { class: "mono", title: full(value) }, words),
    );
    if (!isNested) return [row];
    const { _name: _, ...inner } = value;
    return [row, ...parameterRows(inner, depth + 1)];
  });
}

/** @param {string | null} iso */
const when = (iso) =>
  iso ? h("span", { class: "num" }, clock(new Date(iso)), " · ", ago(iso)) : "–";

/**
 * @param {Trial} trial
 * @returns {[string, import("../dom.js").Child][]}
 */
function facts(trial) {
  const { created_at, started_at, finished_at, exit_code } = trial;
  /** @type {[string, import("../dom.js").Child][]} */
  const rows = [
    [gettext("Created"), when(created_at)],
    [gettext("Started"), when(started_at)],
  ];
  if (started_at) {
    const waited = (Date.parse(started_at) - Date.parse(created_at)) / 1000;
    rows.push([gettext("Waited"), duration(Math.max(0, waited))]);
  }
  if (finished_at) rows.push([gettext("Ended"), when(finished_at)]);
  const took = duration(trialSeconds(trial));
  rows.push([gettext("Duration"), h("span", { id: "duration", class: "num" }, took)]);
  if (!finished_at && trial.progress !== null) {
    const percent = `${Math.round(100 * trial.progress)} %`;
    rows.push([
      gettext("Progress"),
      h("span", { class: "num", "data-testid": "progress" }, percent),
    ]);
  }
  if (!finished_at && trial.expected_end) {
    const left = h("span", { id: "time-left", class: "num" }, timeLeft(trial));
    rows.push([gettext("Left"), left]);
  }
  rows.push([gettext("Reports"), h("span", { class: "num" }, trial.n_reports)]);
  rows.push([gettext("Attempt"), h("span", { class: "num" }, trial.attempt)]);
  if (exit_code !== null)
    rows.push([gettext("Exit code"), h("span", { class: "mono" }, exit_code)]);
  return rows;
}

/**
 * How long it still takes, as its script says.
 * @param {Trial} trial
 */
export function timeLeft({ expected_end: end }) {
  if (!end) return "";
  const seconds = Math.max(0, (Date.parse(end) - Date.now()) / 1000);
  return gettext("about {time}", { time: duration(Math.round(seconds)) });
}

/** @type {Partial<Record<TrialState, string>>} the notice of a trial that did not succeed */
const WHY = {
  FAILED: "notice-danger",
  LOST: "notice-danger",
  EARLY_STOPPED: "notice-warning",
  CANCELED: "",
};

/**
 * Why it ended; with the assessor's numbers where one stopped it.
 * @param {Trial} trial
 * @param {HappenedEvent | null} stop
 */
function drawWhy(trial, stop) {
  const box = byId("why");
  const css = WHY[trial.state];
  const ended = css !== undefined;
  if (stop?.what === "let finish") {
    drawLetFinish(box, trial, stop);
    return;
  }
  const reason = said(trial.reason) || (trial.stopping ? gettext("It is being stopped.") : "");
  box.hidden = !reason && !ended;
  if (box.hidden) return;
  const { label, icon: name } = LOOKS.states[trial.state];
  box.className = `notice detail-message ${css ?? "notice-info"}`;
  const receipt = trial.state === "EARLY_STOPPED" ? stopReceipt(stop?.data ?? {}) : null;
  const words = [h("strong", {}, label), reason ? gettext(": ") + reason : gettext(".")];
  box.replaceChildren(icon(ended ? name : "info"), h("div", {}, words, receipt));
}

/**
 * The assessor would have stopped it; it ran on to see whether that is right.
 * @param {HTMLElement} box
 * @param {Trial} trial
 * @param {HappenedEvent} stop
 */
function drawLetFinish(box, trial, stop) {
  box.hidden = false;
  box.className = "notice detail-message notice-warning";
  const words = h("strong", {}, gettext("Let run on, not stopped"));
  const end = trial.reason && isFinished(trial) ? h("div", {}, said(trial.reason)) : null;
  const receipt = stopReceipt(stop.data ?? {});
  box.replaceChildren(
    icon("scissors"),
    h("div", {}, words, `: ${said(stop.reason)}`, receipt, end),
  );
}

/** @param {Record<string, Json>} data */
function stopReceipt(data) {
  const { step, best_value, median_value, n_completed, threshold_value, forecast_value } = data;
  const { best_case_value, worst_case_value, chance, best_trial } = data;
  /** @type {[string, Json | undefined][]} */
  const known = [
    [gettext("At report"), typeof step === "number" ? step + 1 : undefined],
    [
      typeof best_trial === "number"
        ? gettext("Best so far, #{trial}", { trial: best_trial })
        : gettext("Its best"),
      best_value,
    ],
    [gettext("Median of the others"), median_value],
    [
      gettext("Compared with"),
      n_completed === undefined
        ? undefined
        : ngettext("{n} trial", "{n} trials", Number(n_completed)),
    ],
    [gettext("Had to reach"), threshold_value],
    [gettext("Forecast"), forecast_value],
    [gettext("At best"), best_case_value],
    [gettext("At worst"), worst_case_value],
    [
      gettext("Chance"),
      typeof chance === "number" ? `${(100 * chance).toPrecision(2)} %` : undefined,
    ],
  ];
  const numbers = known.filter(([, value]) => value !== undefined);
  if (!numbers.length) return null;
  const rows = numbers.map(([label, value]) =>
    h(
      "div",
      {},
      h("dt", {}, label),
      h("dd", { class: "num", title: String(value) }, number(value)),
    ),
  );
  return h("dl", { class: "receipt", "data-testid": "stop-receipt" }, rows);
}

/** @param {Trial} trial */
export function drawResult(trial) {
  const isFinal = trial.value !== null;
  const value = isFinal ? trial.value : trial.latest_value;
  const props = {
    class: `best-value num${isFinal ? "" : " muted"}`,
    "data-testid": "trial-value",
    title: value === null ? "" : String(value),
  };
  const head = h("div", { class: "best-head" }, h("span", props, number(value)), valueTag(trial));
  byId("result").replaceChildren(head, otherMetrics(trial));
}

/** @param {Trial} trial */
function valueTag(trial) {
  if (trial.value !== null) {
    return h("span", { class: "tag" }, trial.has_final ? gettext("final") : gettext("last report"));
  }
  if (trial.latest_value !== null) {
    const words = isFinished(trial) ? gettext("last report") : gettext("latest");
    return h("span", { class: "tag" }, words);
  }
  const words = isFinished(trial) ? gettext("nothing reported") : gettext("nothing reported yet");
  return h("span", { class: "muted" }, words);
}

/** @param {Trial} trial */
function otherMetrics(trial) {
  const others = Object.entries(trial.metrics).filter(([name]) => name !== "default");
  if (others.length) {
    return pairs(
      others.map(([name, v]) => [
        h("span", { class: "mono" }, name),
        h("span", { class: "mono", title: full(v) }, plain(v)),
      ]),
    );
  }
  let words = gettext("Final metrics appear here at the end.");
  if (trial.has_final) words = gettext("No other final metrics.");
  else if (isFinished(trial)) words = gettext("It ended without a final report.");
  return h("p", { class: "muted small" }, words);
}
