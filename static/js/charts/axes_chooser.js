// Which parameters the parallel coordinates show: a list to search, the most telling first.

import { h } from "../dom.js";
import { gettext } from "../language.js";
import { wordsIn } from "./words.js";

const MOST_LISTED = 60;

export class AxesChooser {
  /** @param {HTMLInputElement} input hidden; holds the chosen ones as a JSON list, or "" */
  constructor(input) {
    this.input = input;
    /** @type {[name: string, tells: number][]} */
    this.offered = [];
    /** @type {string[]} */
    this.shown = [];
    this.summary = h("summary", {});
    this.search = h("input", {
      type: "search",
      class: "form-control form-control-sm",
      placeholder: gettext("Search parameters"),
      "aria-label": gettext("Search parameters"),
    });
    this.list = h("div", { class: "axes-list" });
    const usual = h(
      "button",
      { type: "button", class: "btn btn-link btn-sm" },
      gettext("The most telling"),
    );
    const menu = h("div", { class: "axes-menu" }, this.search, this.list, usual);
    this.box = h("details", { class: "axes-chooser", hidden: true }, this.summary, menu);
    input.after(this.box);
    this.search.addEventListener("input", () => this.draw());
    this.search.addEventListener("change", (event) => event.stopPropagation());
    usual.addEventListener("click", () => this.choose(null));
    document.addEventListener("pointerdown", (event) => {
      if (event.target instanceof Node && !this.box.contains(event.target)) this.box.open = false;
    });
  }

  /** @param {FigureMeta} meta */
  offer({ axes = [], shown = [] }) {
    this.offered = axes.map(([name, tells]) => [wordsIn(name), tells]);
    this.shown = shown.map(wordsIn);
    this.box.hidden = this.offered.length < 2;
    this.summary.textContent = gettext("{n} of {all} parameters", {
      n: this.shown.length,
      all: this.offered.length,
    });
    this.draw();
  }

  draw() {
    const part = this.search.value.trim().toLowerCase();
    const fits = this.offered.filter(([name]) => name.toLowerCase().includes(part));
    const chosen = new Set(this.shown);
    const rank = (/** @type {string} */ name) => (chosen.has(name) ? 0 : 1);
    fits.sort(([a], [b]) => rank(a) - rank(b));
    const rows = fits.slice(0, MOST_LISTED).map(([name, tells]) => {
      const box = h("input", {
        type: "checkbox",
        class: "form-check-input",
        checked: chosen.has(name),
      });
      box.addEventListener("change", (event) => {
        event.stopPropagation();
        this.choose(box.checked ? [...this.shown, name] : this.shown.filter((n) => n !== name));
      });
      const share = h("span", { class: "num muted" }, `${Math.round(100 * tells)} %`);
      const title = gettext("How much of the value's differences it explains by itself");
      return h("label", { title }, box, h("span", { class: "truncate mono" }, name), share);
    });
    const more = fits.length - rows.length;
    this.list.replaceChildren(...rows);
    if (more > 0)
      this.list.append(h("p", { class: "muted tiny" }, gettext("{n} more: search", { n: more })));
  }

  /** @param {string[] | null} names null: the most telling */
  choose(names) {
    this.input.value = names?.length ? JSON.stringify(names) : "";
    this.input.dispatchEvent(new Event("change", { bubbles: true }));
  }
}
