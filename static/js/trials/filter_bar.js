// The bar that says which trials are looked at: states, conditions, the field that holds them as
// text. What it changes is the query of the table; charts and exports follow.

import { byId, debounce, h, hit, icon } from "../dom.js";
import { gettext } from "../language.js";
import { LOOKS } from "../looks.js";
import { ConditionDialog } from "./condition.js";
import { join, nameOf, narrowed, split } from "./terms.js";

export class FilterBar {
  /**
   * @param {{
   *   query: import("./query.js").Query, space: Record<string, SpaceNode>,
   *   metrics: () => string[], onChange: () => void,
   * }} settings query: changed by the bar; metrics: names of final metrics
   */
  constructor({ query, space, metrics, onChange }) {
    this.query = query;
    this.onChange = onChange;
    /** @type {Experiment["counts"]} */
    this.counts = {};
    this.chips = byId("state-chips");
    this.pills = byId("conditions");
    this.where = byId("where", HTMLInputElement);
    this.dialog = new ConditionDialog(space, { metrics, onMade: (terms) => this.narrow(terms) });
    this.listen();
    this.draw();
  }

  listen() {
    const apply = () => this.set(this.where.value.trim());
    this.where.addEventListener("input", debounce(apply, 600));
    this.where.addEventListener("search", apply);
    byId("where-form").addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    byId("add-condition").addEventListener("click", () => this.dialog.open());
    this.pills.addEventListener("click", (event) => {
      const place = hit(event, "[data-term]")?.dataset.term;
      if (place === undefined) return;
      this.set(join(split(this.query.where).filter((_, i) => i !== Number(place))));
      this.where.focus();
    });
  }

  /** @param {string} where */
  set(where) {
    if (where === this.query.where) return;
    this.query.where = where;
    this.draw();
    this.onChange();
  }

  /**
   * Let through only what these conditions let through, too.
   * @param {string[]} terms
   */
  narrow(terms) {
    this.set(narrowed(this.query.where, terms));
  }

  clear() {
    this.query.clearFilter();
    this.problem("");
    this.draw();
    this.onChange();
  }

  /**
   * Whether a condition is about that name.
   * @param {string} name
   */
  isAbout(name) {
    const names = split(this.query.where).map(nameOf);
    return names.includes(name) || (name === "state" && this.query.states.size > 0);
  }

  /** @param {Experiment["counts"]} counts */
  show(counts) {
    this.counts = counts;
    this.drawChips();
  }

  // ---- drawing

  draw() {
    if (document.activeElement !== this.where) this.where.value = this.query.where;
    const terms = split(this.query.where);
    this.pills.hidden = !terms.length;
    this.pills.replaceChildren(...terms.map((term, place) => pill(term, place)));
    this.drawChips();
  }

  drawChips() {
    const { counts } = this;
    const { states } = this.query;
    const all = /** @type {TrialState[]} */ (Object.keys(LOOKS.states));
    const chips = all
      .filter((state) => counts[state] || states.has(state))
      .map((state) => this.chip(state, counts[state] ?? 0));
    const focused = document.activeElement;
    const state = focused instanceof HTMLElement ? focused.dataset.state : undefined;
    this.chips.replaceChildren(...chips);
    chips.find((chip) => state && chip.dataset.state === state)?.focus();
  }

  /**
   * @param {TrialState} state
   * @param {number} n
   */
  chip(state, n) {
    const { states } = this.query;
    const { icon: name, label, tone } = LOOKS.states[state];
    const props = {
      type: "button",
      class: `chip state-${tone}`,
      "aria-pressed": String(states.has(state)),
      dataset: { state },
    };
    const count = h("span", { class: "chip-count num" }, n);
    const chip = h("button", props, icon(name), h("span", {}, label), count);
    chip.addEventListener("click", () => {
      if (!states.delete(state)) states.add(state);
      this.drawChips();
      this.onChange();
    });
    return chip;
  }

  /**
   * What is wrong with the conditions, in words.
   * @param {string} text
   */
  problem(text) {
    const box = byId("where-error");
    box.hidden = !text;
    box.textContent = text;
    this.where.classList.toggle("is-invalid", Boolean(text));
  }
}

/**
 * @param {string} term
 * @param {number} place
 */
function pill(term, place) {
  const words = gettext("Take away the condition {condition}", { condition: term });
  const remove = h(
    "button",
    { type: "button", title: words, "aria-label": words, dataset: { term: String(place) } },
    icon("x"),
  );
  const short = term.replace(/^(?:param|metric):/, "");
  return h(
    "li",
    { class: "condition mono" },
    h("span", { class: "truncate", title: term }, short),
    remove,
  );
}
