// The panel that says what will come of the manifest: problems, warnings, needs, samples.

import { h, icon } from "../dom.js";
import { bytes, number } from "../format.js";
import { gettext, listed, ngettext } from "../language.js";
import { sentence } from "./fields.js";
import { showOption } from "./options.js";

/**
 * @param {Problem} problem
 * @param {"error" | "warning"} kind
 * @param {FormApp} app
 */
function item(problem, kind, app) {
  const open = () => app.jump(problem);
  const where = problem.path.replace(/^spec\./, "");
  return h(
    "li",
    { class: `problem problem-${kind}` },
    h(
      "button",
      { type: "button", onclick: open },
      icon(kind === "error" ? "x-octagon" : "warning"),
      h(
        "span",
        { class: "problem-words" },
        h("span", {}, sentence(problem.message)),
        problem.hint && h("span", { class: "problem-hint" }, problem.hint),
        (where || problem.line) &&
          h(
            "span",
            { class: "problem-where mono" },
            [where, problem.line && gettext("line {n}", { n: problem.line })]
              .filter(Boolean)
              .join(" · "),
          ),
      ),
    ),
  );
}

/**
 * @param {HTMLElement} root
 * @param {Answer} answer
 * @param {FormApp} app
 */
export function drawProblems(root, { problems, warnings }, app) {
  root.replaceChildren(
    ...problems.map((problem) => item(problem, "error", app)),
    ...warnings.map((problem) => item(problem, "warning", app)),
  );
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} note
 */
function tile(label, value, note) {
  return h(
    "div",
    { class: "tile" },
    h("div", { class: "tile-label" }, label),
    h("div", { class: "tile-value num" }, value),
    h("div", { class: "tile-note" }, note),
  );
}

/** @param {Json | undefined} value */
function cell(value) {
  if (value === undefined) return "";
  if (typeof value === "number") return number(value);
  return showOption(value);
}

/**
 * @param {HTMLElement} root
 * @param {Forecast | null} forecast
 */
export function drawForecast(root, forecast) {
  if (!forecast) {
    root.replaceChildren(
      h(
        "p",
        { class: "muted small mb-0" },
        gettext("What would be tried is shown once the manifest has no problems."),
      ),
    );
    return;
  }
  const { n_distinct: distinct, peak, samples, programs } = forecast;
  const needs = [
    ngettext("{n} process", "{n} processes", peak.pods),
    peak.cpu && `${peak.cpu} CPU`,
    peak.gpu && `${peak.gpu} GPU`,
    peak.memory && bytes(peak.memory),
  ].filter(Boolean);
  const most = forecast.max_trials;
  const enough = distinct === null || most === null || distinct >= most;
  const open = !matchMedia("(max-height: 820px)").matches;
  const parts = [
    h(
      "div",
      { class: "tiles" },
      tile(
        gettext("Configurations"),
        distinct === null ? gettext("unlimited") : distinct.toLocaleString("en"),
        most === null
          ? gettext("tried until the time is up")
          : enough
            ? ngettext("for {n} trial", "for {n} trials", most)
            : ngettext("fewer than {n} trial", "fewer than {n} trials", most),
      ),
      tile(
        gettext("At once"),
        ngettext("{n} trial", "{n} trials", forecast.concurrency),
        listed(needs),
      ),
    ),
    programs.length > 0 &&
      h(
        "ul",
        { class: "programs", "data-testid": "programs" },
        programs.map((program) =>
          h("li", {}, icon("terminal"), h("span", {}, program.sentence + gettext("."))),
        ),
      ),
    h(
      "details",
      { class: "samples", open },
      h(
        "summary",
        {},
        ngettext("{n} sample configuration", "{n} sample configurations", samples.length),
      ),
      h(
        "div",
        {
          class: "table-scroll",
          role: "region",
          tabindex: 0,
          "aria-label": gettext("Configurations"),
        },
        samplesTable(samples),
      ),
    ),
  ];
  root.replaceChildren(...parts.filter((part) => part !== false));
}

/** @param {Forecast["samples"]} samples */
function samplesTable(samples) {
  const columns = [...new Set(samples.flatMap((s) => Object.keys(s)))];
  const heads = columns.map((name) => h("th", { scope: "col", class: "mono" }, name));
  const rows = samples.map((s) =>
    h(
      "tr",
      {},
      columns.map((name) => h("td", { class: "mono" }, cell(s[name]))),
    ),
  );
  const head = h("thead", {}, h("tr", {}, heads));
  return h("table", { class: "app-table samples-table" }, head, h("tbody", {}, rows));
}
