// The table of a trial's reports, the newest first.

import { byId, h } from "../dom.js";
import { number } from "../format.js";
import { gettext } from "../language.js";
import { clock } from "../times.js";

const MOST_ROWS = 500; // reports shown, the newest
const REDRAW = 400; // milliseconds

/** @typedef {{ step: number | null, time: string, values: Map<string, Reported> }} Report */

export class Reports {
  constructor() {
    /** @type {Map<number, Report>} by sequence */
    this.reports = new Map();
    /** @type {Set<string>} of the metrics */
    this.names = new Set();
    this.timer = 0;
  }

  /** @param {Metric[]} metrics */
  add(metrics) {
    for (const { kind, name, sequence, step, time, value } of metrics) {
      if (kind !== "PERIODICAL") continue;
      this.names.add(name);
      const values = this.reports.get(sequence)?.values ?? new Map();
      this.reports.set(sequence, { step, time, values: values.set(name, value) });
    }
  }

  drawSoon() {
    this.timer ||= window.setTimeout(() => this.draw(), REDRAW);
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    const names = [...this.names].sort(byName);
    const sequences = [...this.reports.keys()].sort((a, b) => b - a);
    const table = byId("metrics-table", HTMLTableElement);
    table.tHead?.replaceChildren(
      h(
        "tr",
        {},
        h("th", { class: "num" }, gettext("Report")),
        h("th", { class: "num" }, gettext("Step")),
        names.map((name) => h("th", { class: "num mono" }, name)),
        h("th", {}, gettext("Time")),
      ),
    );
    const rows = sequences.slice(0, MOST_ROWS).map((sequence) => this.row(sequence, names));
    table.tBodies[0].replaceChildren(...rows);
    const n = sequences.length;
    byId("metrics-count").textContent =
      n > MOST_ROWS ? gettext("newest {most} of {n}", { most: MOST_ROWS, n }) : String(n);
    /** @type {HTMLElement} */ (table.closest("section")).hidden = n === 0;
  }

  /**
   * @param {number} sequence
   * @param {string[]} names
   */
  row(sequence, names) {
    const { step, time, values } = /** @type {Report} */ (this.reports.get(sequence));
    return h(
      "tr",
      {},
      h("td", { class: "num muted" }, sequence),
      h("td", { class: "num" }, step ?? "–"),
      names.map((name) => valueCell(values.get(name))),
      h("td", { class: "muted nowrap", title: time }, clock(new Date(time))),
    );
  }
}

/** @param {Reported | undefined} value */
function valueCell(value) {
  const isText = typeof value === "string"; // NaN, Infinity
  const title = value === undefined ? "" : String(value);
  return h("td", { class: `num${isText ? " text-failed" : ""}`, title }, number(value));
}

/**
 * The default metric comes first.
 * @param {string} a
 * @param {string} b
 */
const byName = (a, b) => Number(b === "default") - Number(a === "default") || a.localeCompare(b);
