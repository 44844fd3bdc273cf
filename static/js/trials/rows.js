// The rows of the table of trials: drawn in place, so that focus and selected text stay.

import { h } from "../dom.js";
import { isLost } from "../focus.js";
import { duration, trialSeconds } from "../format.js";
import { Sight } from "../sight.js";
import { actionsCell } from "./cells.js";

const REDRAW = 250; // milliseconds between two drawings of what reports changed

/** @typedef {{ trial: Trial, row: HTMLTableRowElement }} Entry */

export class Rows {
  /**
   * @param {HTMLTableSectionElement} body
   * @param {{
   *   columns: () => import("./columns.js").Column[], mayChange: boolean,
   *   actionsAfter: () => number,
   * }} settings actionsAfter: how many columns stand before the actions
   */
  constructor(body, { columns, mayChange, actionsAfter }) {
    this.body = body;
    this.columns = columns;
    this.actionsAfter = actionsAfter;
    this.mayChange = mayChange;
    /** @type {Map<number, Entry>} */
    this.entries = new Map();
    /** @type {Set<number>} trials whose row is behind its reports */
    this.behind = new Set();
    this.timer = 0;
    this.sight = new Sight(body, () => this.catchUp());
    setInterval(() => this.tick(), 1000);
  }

  get size() {
    return this.entries.size;
  }

  /** @param {number} number */
  get(number) {
    return this.entries.get(number);
  }

  /**
   * @param {Trial} trial
   * @param {HTMLTableRowElement} [row]
   */
  draw(trial, row = h("tr", { "data-testid": "trial-row" })) {
    row.dataset.number = String(trial.number);
    row.dataset.state = trial.state;
    row.classList.toggle("is-excluded", trial.excluded);
    const cells = this.columns().map((column) => column.cell(trial));
    const held = focusIn(row);
    cells.splice(this.actionsAfter(), 0, actionsCell(trial, this.mayChange));
    row.replaceChildren(...cells);
    if (held) focusOn(row, held);
    return row;
  }

  /**
   * A person acted on this row, in a dialog perhaps, under which it was drawn anew: go on there.
   * @param {number} number
   */
  regain(number) {
    const row = this.entries.get(number)?.row;
    if (row && isLost()) focusOn(row, "a");
  }

  /** @param {number | undefined} number */
  redraw(number) {
    const entry = number === undefined ? undefined : this.entries.get(number);
    if (entry) this.draw(entry.trial, entry.row);
  }

  redrawAll() {
    for (const { trial, row } of this.entries.values()) this.draw(trial, row);
  }

  /**
   * These trials in this order, and no others.
   * @param {Trial[]} trials
   */
  show(trials) {
    const before = this.entries;
    this.entries = new Map();
    for (const fresh of trials) {
      // What the socket brought meanwhile is newer than an answer that was under way.
      const known = before.get(fresh.number);
      const trial = known && known.trial.seq > fresh.seq ? known.trial : fresh;
      this.entries.set(trial.number, { trial, row: this.draw(trial, known?.row) });
    }
    const rows = [...this.entries.values()].map((entry) => entry.row);
    const { children } = this.body;
    if (rows.length === children.length && rows.every((row, i) => row === children[i])) return;
    const focused = [...children].find((row) => row.contains(document.activeElement));
    const place = focused ? [...children].indexOf(focused) : -1;
    const held = focused instanceof HTMLElement ? focusIn(focused) : "";
    this.body.replaceChildren(...rows);
    if (!focused) return;
    // A row that left gives its place to the one that stands there now; another page is begun.
    const isOtherPage = ![...this.entries.keys()].some((number) => before.has(number));
    const next = rows[isOtherPage ? 0 : Math.min(place, rows.length - 1)];
    if (focused.isConnected) focusOn(focused, held);
    else if (next) focusOn(next, "a");
  }

  /**
   * A trial changed: draw its row anew. Says what that means for the page of the table.
   * @param {Trial} trial
   * @returns {"unknown" | "same" | "moved on"} moved on: to another state
   */
  update(trial) {
    const entry = this.entries.get(trial.number);
    if (!entry) return "unknown";
    if (trial.seq < entry.trial.seq) return "same";
    const { trial: before, row } = entry;
    entry.trial = trial;
    if (hasOnlyReported(before, trial)) {
      this.drawReportsSoon(trial.number);
      return "same";
    }
    this.draw(trial, row);
    if (before.state === trial.state) return "same";
    flash(row);
    return "moved on";
  }

  /**
   * A report: the trial's latest value and number of reports move on.
   * @param {Metric} metric
   */
  report(metric) {
    const trial = this.entries.get(metric.trial)?.trial;
    if (trial && movesOn(trial, metric)) this.drawReportsSoon(trial.number);
  }

  /** @param {number} number */
  drawReportsSoon(number) {
    this.behind.add(number);
    if (this.sight.isNear) this.timer ||= window.setTimeout(() => this.catchUp(), REDRAW);
  }

  /** Draw what reports have changed, and nothing else of these rows. */
  catchUp() {
    clearTimeout(this.timer);
    this.timer = 0;
    const columns = this.columns();
    for (const number of this.behind) {
      const entry = this.entries.get(number);
      if (!entry) continue; // on another page of the table by now
      columns.forEach((column, i) => {
        if (!column.isReported) return;
        const place = i < this.actionsAfter() ? i : i + 1;
        entry.row.children[place]?.replaceWith(column.cell(entry.trial));
      });
    }
    this.behind.clear();
    this.tick();
  }

  /** Durations of running trials. */
  tick() {
    if (!this.sight.isNear) return;
    for (const cell of this.body.querySelectorAll("td[data-ticks]")) {
      const entry = this.entries.get(Number(cell.parentElement?.dataset.number));
      if (entry) cell.textContent = duration(trialSeconds(entry.trial));
    }
  }
}

/**
 * Bring the trial up to a report of its own. False where the report changes nothing.
 * @param {Trial} trial
 * @param {Metric} metric
 */
export function movesOn(trial, metric) {
  if (metric.kind !== "PERIODICAL" || metric.name !== "default") return false;
  if (metric.seq < trial.seq) return false;
  if (trial.latest_sequence !== null && metric.sequence <= trial.latest_sequence) return false;
  trial.latest_sequence = metric.sequence;
  trial.n_reports = Math.max(trial.n_reports, metric.sequence + 1);
  if (typeof metric.value === "number") trial.latest_value = metric.value;
  return true;
}

/**
 * Whether reports made all the difference between the two.
 * @param {Trial} before
 * @param {Trial} now
 */
export function hasOnlyReported(before, now) {
  const { latest_value, latest_sequence, n_reports, seq } = now;
  const moved = { ...before, latest_value, latest_sequence, n_reports, seq };
  return JSON.stringify(moved) === JSON.stringify({ ...now });
}

/**
 * What of the row has the focus, as a selector that finds it again after a drawing.
 * @param {HTMLElement} row
 */
function focusIn(row) {
  const focused = document.activeElement;
  if (!(focused instanceof HTMLElement) || !row.contains(focused)) return "";
  const { tick, rowAction } = focused.dataset;
  if (tick !== undefined) return "[data-tick]";
  return rowAction ? `[data-row-action="${rowAction}"]` : "a";
}

/**
 * @param {Element} row
 * @param {string} part of it, as `focusIn` tells; where it is gone (a button that no longer makes
 *   sense), the row's link
 */
function focusOn(row, part) {
  const found = row.querySelector(part) ?? row.querySelector("a");
  if (found instanceof HTMLElement) found.focus({ preventScroll: true });
}

/** @param {HTMLElement} row */
function flash(row) {
  row.classList.remove("flash");
  requestAnimationFrame(() => row.classList.add("flash"));
}
