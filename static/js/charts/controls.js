// The switches above a chart: axis, metric, log, all values. They offer what makes sense for the
// figure, and stand in the address.

import { params, remember } from "../address.js";
import { all, h } from "../dom.js";
import { gettext } from "../language.js";
import { AxesChooser } from "./axes_chooser.js";
import { wordsIn } from "./words.js";

const MANY_METRICS = 20; // more than these can be searched
const MOST_LISTED = 100;

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */

export class Controls {
  /**
   * @param {HTMLElement} root of the chart
   * @param {{ prefix: string, onChange: (options: Record<string, string>) => void }} settings
   *   prefix: of their names in the address
   */
  constructor(root, { prefix, onChange }) {
    this.root = root;
    this.prefix = prefix;
    this.onChange = onChange;
    const found = /** @type {Control[]} */ (all(root, "[data-option]"));
    /** @type {Map<string, Control>} */
    this.controls = new Map(found.map((control) => [control.dataset.option ?? "", control]));
    for (const [name, control] of this.controls) this.restore(name, control);
    const axes = this.controls.get("axes");
    this.axes = axes instanceof HTMLInputElement ? new AxesChooser(axes) : null;
    root.addEventListener("change", () => this.tell());
  }

  tell() {
    const chosen = this.options();
    const names = [...this.controls.keys()].map((name) => [name, this.prefix + name]);
    remember(Object.fromEntries(names.map(([name, stored]) => [stored, chosen[name] ?? null])));
    this.onChange(chosen);
  }

  /** As if nobody had chosen anything. */
  reset() {
    for (const control of this.controls.values()) {
      if (control instanceof HTMLSelectElement) control.selectedIndex = 0;
      else if (control.type === "hidden") control.value = "";
      else control.checked = false;
    }
    this.tell();
  }

  /**
   * As it stands in the address.
   * @param {string} name
   * @param {Control} control
   */
  restore(name, control) {
    const stored = params.get(this.prefix + name);
    if (stored === null) return;
    if (control instanceof HTMLInputElement && control.type === "hidden") {
      control.value = stored;
      return;
    }
    if (control instanceof HTMLInputElement) {
      control.checked = stored === (control.dataset.on ?? "1");
      return;
    }
    if (name === "metric") setChoices(control, ["default", stored]); // the figure will tell which
    if (!control.options.length) setChoices(control, ["", stored]);
    control.value = stored;
  }

  /** What differs from the usual. */
  options() {
    /** @type {Record<string, string>} */
    const chosen = {};
    for (const [name, control] of this.controls) {
      const value = chosenIn(control);
      if (value) chosen[name] = value;
    }
    return chosen;
  }

  /**
   * Offer only what makes sense: log for positive values, the metrics there are.
   * @param {FigureMeta} meta
   */
  adapt(meta) {
    const hide = (/** @type {string} */ name, /** @type {boolean} */ hidden) => {
      for (const tool of all(this.root, `[data-needs="${name}"]`)) tool.hidden = hidden;
    };
    hide("log", meta.log_possible === false || Boolean(meta.empty));
    hide("rank", Boolean(meta.color || meta.empty));
    const clip = this.controls.get("clip");
    hide("clip", !(meta.clipped || (clip && chosenIn(clip))));
    const metric = this.controls.get("metric");
    if (metric instanceof HTMLSelectElement && meta.metrics) offer(metric, meta.metrics);
    if (meta.axes) this.axes?.offer(meta);
    for (const [name, choices] of Object.entries(meta.choices ?? {})) {
      const control = this.controls.get(name);
      if (control instanceof HTMLSelectElement) offerWords(control, choices);
    }
  }
}

/** @param {Control} control */
function chosenIn(control) {
  if (control instanceof HTMLInputElement) {
    if (control.type === "hidden") return control.value;
    return control.checked ? (control.dataset.on ?? "1") : "";
  }
  const isUsual = control.value === control.options[0]?.value;
  return isUsual ? "" : control.value;
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} metrics
 */
function offer(select, metrics) {
  const names = metrics.length ? [...metrics] : ["default"];
  const chosen = select.value || names[0];
  if (!names.includes(chosen)) names.push(chosen);
  select.hidden = names.length < 2;
  const part = searchField(select, names).trim().toLowerCase();
  const fits = names.filter((name) => name === chosen || name.toLowerCase().includes(part));
  const first = names.slice(0, 1).filter((name) => !fits.includes(name)); // the usual one
  const listed = [...first, ...fits.slice(0, MOST_LISTED)];
  if (!listed.includes(chosen)) listed.push(chosen);
  const shown = [...select.options].map((option) => option.value);
  if (listed.join("\n") === shown.join("\n")) return;
  setChoices(select, listed);
  select.value = chosen;
}

/**
 * What is searched for among many names; the field stands before the list.
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 */
function searchField(select, names) {
  const before = select.previousElementSibling;
  let field = before instanceof HTMLInputElement && before.type === "search" ? before : null;
  if (!field && names.length > MANY_METRICS) {
    field = h("input", {
      type: "search",
      class: "form-control form-control-sm metric-search",
      placeholder: gettext("Search {n} metrics", { n: names.length }),
      "aria-label": gettext("Search metrics"),
    });
    const made = field;
    made.addEventListener("input", () => offer(select, /** @type {any} */ (made).names));
    made.addEventListener("change", (event) => event.stopPropagation());
    select.before(made);
  }
  if (field) Object.assign(field, { names });
  return field?.value ?? "";
}

/**
 * A list that the figure fills, "" first: what is usual.
 * @param {HTMLSelectElement} select
 * @param {[value: string, words: string][]} choices
 */
function offerWords(select, choices) {
  const chosen = select.value;
  const options = choices.map((pair) => pair.map(wordsIn));
  select.replaceChildren(...options.map(([value, words]) => h("option", { value }, words)));
  select.value = options.some(([value]) => value === chosen) ? chosen : "";
  select.title = select.selectedOptions[0]?.textContent ?? ""; // it may be too long for its field
  select.hidden = choices.length < 2;
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 */
const setChoices = (select, names) =>
  select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
