// The trials that are looked at: the ticked ones while there are any, else those that the filter
// lets through. Their boxes, and the bar that counts them and takes them on: to compare, to a file.
// What is ticked outlives pages, orders, filters and news; it stands in the address.

import { all, byId, find, h, hit, toast } from "../dom.js";
import { gettext } from "../language.js";
import { MOST_TICKED, Ticks } from "./ticks.js";

export class Selection {
  /**
   * @param {{
   *   body: HTMLElement, head: HTMLElement, page: string, ticked: string | null,
   *   onChange: (ticked: string | null) => void, filter: () => Record<string, string>,
   *   onKeep: (numbers: string) => void, onEvery: () => void, onClearFilter: () => void,
   * }} settings body, head: of the table; page: of the experiment; ticked: as in the address;
   *   filter: as the server is asked; onKeep: let the filter let through these only;
   *   onEvery: have a filter that lets all trials through
   */
  constructor({ body, head, page, ticked, onChange, filter, onKeep, onEvery, onClearFilter }) {
    this.body = body;
    this.head = head;
    this.page = page;
    this.onChange = onChange;
    this.filter = filter;
    this.onKeep = onKeep;
    this.onEvery = onEvery;
    this.onClearFilter = onClearFilter;
    this.ticks = new Ticks(ticked);
    /** @type {number | null} trials that the filter lets through; null: not known yet */
    this.fitting = null;
    this.total = 0; // trials of the experiment
    /** @type {number | null} where a range of ticks begins */
    this.anchor = null;
    this.bar = byId("selection-bar");
    this.fewest = Number(this.bar.dataset.fewest); // trials that can be compared
    this.most = Number(this.bar.dataset.most);
    this.count = byId("selection-count");
    this.hint = byId("selection-hint");
    this.compare = byId("selection-compare", HTMLAnchorElement);
    this.only = byId("selection-only", HTMLButtonElement);
    this.every = byId("selection-every", HTMLButtonElement);
    this.exports = all(this.bar, "[data-export]", HTMLAnchorElement);
    this.listen();
    this.draw();
  }

  listen() {
    this.body.addEventListener("click", (event) => {
      const box = hit(event, "[data-tick]");
      if (!(box instanceof HTMLInputElement)) return;
      this.clicked(Number(box.dataset.tick), box.checked, /** @type {MouseEvent} */ (event));
    });
    this.head.addEventListener("click", (event) => {
      const box = hit(event, "[data-tick-all]");
      if (box instanceof HTMLInputElement) this.set(this.shown(), box.checked);
    });
    byId("selection-clear").addEventListener("click", () => this.takeBack());
    this.only.addEventListener("click", () => this.keep());
    this.every.addEventListener("click", () => this.selectEvery());
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  /**
   * With shift, all rows from the last ticked one to this.
   * @param {number} number
   * @param {boolean} isOn
   * @param {MouseEvent} event
   */
  clicked(number, isOn, event) {
    const shown = this.shown();
    const from = this.anchor === null ? -1 : shown.indexOf(this.anchor);
    const to = shown.indexOf(number);
    const isRange = event.shiftKey && from >= 0 && to >= 0;
    const [first, last] = from < to ? [from, to] : [to, from];
    this.anchor = number;
    this.set(isRange ? shown.slice(first, last + 1) : [number], isOn);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (hit(event, "input:not([type=checkbox]), textarea, select, [contenteditable], dialog")) {
      return;
    }
    if (event.key === "Escape") {
      if (!document.querySelector(".dropdown-menu.show, dialog[open]")) this.takeBack();
    } else if (event.key === "x") {
      const row = hit(event, "tr[data-number]");
      if (row && this.body.contains(row)) this.toggle(Number(row.dataset.number));
    }
  }

  /** Numbers of the rows that are shown. */
  shown() {
    return all(this.body, "tr[data-number]").map((row) => Number(row.dataset.number));
  }

  /** @param {number} number */
  toggle(number) {
    this.anchor = number;
    this.set([number], !this.ticks.has(number));
  }

  clear() {
    this.ticks.clear();
    this.changed();
  }

  /** What was done last first: the ticks, then the filter. */
  takeBack() {
    if (this.ticks.size) this.clear();
    else if (this.isFiltered) this.onClearFilter();
  }

  get isFiltered() {
    return Object.keys(this.filter()).length > 0;
  }

  /**
   * The trials that are looked at, as the server is asked for them.
   * @returns {Record<string, string>}
   */
  asked() {
    const ticked = this.ticks.forAddress();
    return ticked ? { ticked } : this.filter();
  }

  /** How many trials are looked at; 0 where nobody knows yet. */
  get size() {
    return this.ticks.size || (this.fitting ?? 0);
  }

  /** Make a filter of what is ticked: then the table, too, shows only these. */
  keep() {
    const ticked = this.ticks.forAddress();
    if (!ticked) return;
    this.ticks.clear();
    this.onKeep(ticked);
    this.changed();
  }

  /** The trials of all pages: without ticks those are selected that the filter lets through. */
  selectEvery() {
    const isFiltered = this.isFiltered;
    this.clear();
    if (!isFiltered) this.onEvery();
  }

  /**
   * @param {number[]} numbers
   * @param {boolean} isOn
   */
  set(numbers, isOn) {
    if (!this.ticks.set(numbers, isOn)) {
      toast(gettext("At most {n} trials can be selected.", { n: MOST_TICKED }), "warning");
    }
    this.changed();
  }

  changed() {
    this.onChange(this.ticks.forAddress());
    this.draw();
  }

  // ---- drawing

  /** @param {number} total trials of the experiment */
  outOf(total) {
    this.total = total;
    this.drawBar();
  }

  /** @param {number | null} fitting trials that the filter lets through; null: to be heard */
  fits(fitting) {
    this.fitting = fitting;
    this.drawBar();
  }

  /**
   * The box of a row, as the row is drawn.
   * @param {number} number
   */
  box(number) {
    return h("input", {
      type: "checkbox",
      class: "form-check-input tick",
      checked: this.ticks.has(number),
      "aria-label": gettext("Select trial {n}", { n: number }),
      dataset: { tick: String(number) },
    });
  }

  /** The box that ticks all rows of the page. */
  headBox() {
    const words = gettext("Select all trials of this page");
    const props = { "aria-label": words, title: words, "data-tick-all": true };
    return h("input", { type: "checkbox", class: "form-check-input tick", ...props });
  }

  draw() {
    for (const row of all(this.body, "tr[data-number]")) {
      const isTicked = this.ticks.has(Number(row.dataset.number));
      row.classList.toggle("is-ticked", isTicked);
      find(row, "[data-tick]", HTMLInputElement).checked = isTicked;
    }
    this.drawHead();
    this.drawBar();
  }

  drawHead() {
    const box = this.head.querySelector("[data-tick-all]");
    if (!(box instanceof HTMLInputElement)) return;
    const shown = this.shown();
    const n = shown.filter((number) => this.ticks.has(number)).length;
    box.checked = n > 0 && n === shown.length;
    box.indeterminate = n > 0 && n < shown.length;
  }

  /** Who ticks a whole page of several may well mean all of them. */
  drawEvery() {
    const { fitting, ticks } = this;
    const shown = this.shown();
    const isWhole = shown.length > 0 && shown.every((number) => ticks.has(number));
    this.every.hidden = !isWhole || fitting === null || fitting <= ticks.size;
    this.every.textContent = gettext("All {n}", { n: fitting ?? 0 });
  }

  drawBar() {
    const hasTicks = this.ticks.size > 0;
    this.bar.hidden = !hasTicks && !this.isFiltered;
    if (this.bar.hidden) return;
    const known = hasTicks ? this.ticks.size : this.fitting;
    const n = this.size;
    const m = Math.max(this.total, n);
    this.count.textContent = gettext("{n} of {m} trials selected", { n: known ?? "…", m });
    this.only.hidden = !hasTicks;
    this.drawEvery();
    const isPossible = n >= this.fewest && n <= this.most;
    // so few fit on one page of the table
    const numbers = hasTicks ? this.ticks.sorted() : this.shown().sort((a, b) => a - b);
    this.compare.classList.toggle("disabled", !isPossible);
    if (isPossible) this.compare.href = `${this.page}compare/?trials=${numbers}`;
    else this.compare.removeAttribute("href");
    this.compare.setAttribute("aria-disabled", String(!isPossible));
    this.hint.hidden = isPossible;
    for (const link of this.exports) {
      const query = new URLSearchParams({ format: link.dataset.export ?? "", ...this.asked() });
      link.href = `${this.bar.dataset.exportUrl}?${query}`;
    }
  }
}
