// The switches above a chart: axis, metric, log, all values. They offer what makes sense for the
// figure, and stand in the address.

import { params, remember } from "../address.js";
import { all, h } from "../dom.js";

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
    const found = /** @type {Control[]} */ (all(root, "[data-option]"));
    /** @type {Map<string, Control>} */
    this.controls = new Map(found.map((control) => [control.dataset.option ?? "", control]));
    for (const [name, control] of this.controls) this.restore(name, control);
    root.addEventListener("change", () => {
      const chosen = this.options();
      const names = [...this.controls.keys()];
      remember(Object.fromEntries(names.map((name) => [prefix + name, chosen[name] ?? null])));
      onChange(chosen);
    });
  }

  /**
   * As it stands in the address.
   * @param {string} name
   * @param {Control} control
   */
  restore(name, control) {
    const stored = params.get(this.prefix + name);
    if (stored === null) return;
    if (control instanceof HTMLInputElement) {
      control.checked = stored === (control.dataset.on ?? "1");
      return;
    }
    if (name === "metric") setChoices(control, ["default", stored]); // the figure will tell which
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
    const clip = this.controls.get("clip");
    hide("clip", !(meta.clipped || (clip && chosenIn(clip))));
    const metric = this.controls.get("metric");
    if (metric instanceof HTMLSelectElement && meta.metrics) offer(metric, meta.metrics);
  }
}

/** @param {Control} control */
function chosenIn(control) {
  if (control instanceof HTMLInputElement) {
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
  const shown = [...select.options].map((option) => option.value);
  if (names.join("\n") !== shown.join("\n")) {
    setChoices(select, names);
    select.value = chosen;
  }
  select.hidden = names.length < 2;
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 */
const setChoices = (select, names) =>
  select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
