// The ticked rows of the table of trials: their boxes, the bar that counts them, the keys. What is
// ticked outlives pages, orders, filters and news; it stands in the address.

import { all, byId, find, h, hit, toast } from "../dom.js";
import { gettext } from "../language.js";
import { MOST_TICKED, Ticks } from "./ticks.js";

export class Selection {
  /**
   * @param {{
   *   body: HTMLElement, head: HTMLElement, page: string, ticked: string | null,
   *   onChange: (ticked: string | null) => void,
   * }} settings body, head: of the table; page: of the experiment; ticked: as in the address
   */
  constructor({ body, head, page, ticked, onChange }) {
    this.body = body;
    this.head = head;
    this.page = page;
    this.onChange = onChange;
    this.ticks = new Ticks(ticked);
    this.total = 0; // trials of the experiment
    /** @type {number | null} where a range of ticks begins */
    this.anchor = null;
    this.bar = byId("selection-bar");
    this.fewest = Number(this.bar.dataset.fewest); // trials that can be compared
    this.most = Number(this.bar.dataset.most);
    this.count = byId("selection-count");
    this.hint = byId("selection-hint");
    this.compare = byId("selection-compare", HTMLAnchorElement);
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
    byId("selection-clear").addEventListener("click", () => this.clear());
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
    if (event.key === "Escape" && this.ticks.size) {
      if (!document.querySelector(".dropdown-menu.show, dialog[open]")) this.clear();
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

  drawBar() {
    const n = this.ticks.size;
    this.bar.hidden = n === 0;
    const m = Math.max(this.total, n);
    this.count.textContent = gettext("{n} of {m} trials selected", { n, m });
    const isPossible = n >= this.fewest && n <= this.most;
    this.compare.classList.toggle("disabled", !isPossible);
    if (isPossible) this.compare.href = `${this.page}compare/?trials=${this.ticks.sorted()}`;
    else this.compare.removeAttribute("href");
    this.compare.setAttribute("aria-disabled", String(!isPossible));
    this.hint.hidden = isPossible;
  }
}
