// Earlier experiments that the tuner is to learn from: those that fit, to be ticked.

import { byId, h } from "../dom.js";
import { number } from "../format.js";
import { gettext, ngettext } from "../language.js";
import { field, text } from "./fields.js";

/** @param {FormApp} app */
export function drawWarmStart({ catalogue, form, changed }) {
  const place = byId("warm-start");
  const chosen = form.warm_start;
  const names = new Set((form.space ?? []).map((row) => row.name));
  const fitting = catalogue.earlier.filter(
    (each) =>
      chosen.experiments.includes(each.id) ||
      (each.mode === form.optimize_mode && each.parameters.some((name) => names.has(name))),
  );
  const known = new Set(fitting.map((each) => each.id));
  const gone = chosen.experiments.filter((id) => !known.has(id));
  const rows = [
    ...fitting.map((each) => row(each.id, each.name, toldOf(each, names))),
    ...gone.map((id) => row(id, id, gettext("not there, or not one with results"))),
  ];
  if (!rows.length) {
    const words = gettext(
      "No earlier experiment with three succeeded trials has this direction and a parameter of this name.",
    );
    place.replaceChildren(h("p", { class: "form-help" }, words));
    return;
  }
  place.replaceChildren(
    h("div", { class: "field warm-start-list" }, rows),
    field(
      gettext("Which of their trials"),
      text("warm_start.trials", chosen, "trials", changed, { placeholder: "all" }),
      { help: gettext("all, or the best of each: top 20") },
    ),
  );
  if (chosen.experiments.length) byId("earlier", HTMLDetailsElement).open = true;

  /**
   * @param {string} id
   * @param {string} name
   * @param {string} told
   */
  function row(id, name, told) {
    const control = `warm-start-${id}`;
    const input = h("input", {
      type: "checkbox",
      class: "form-check-input",
      id: control,
      "data-field": "warm_start.experiments",
      checked: chosen.experiments.includes(id),
    });
    input.addEventListener("change", () => {
      const others = chosen.experiments.filter((each) => each !== id);
      chosen.experiments = input.checked ? [...others, id] : others;
      changed();
    });
    return h(
      "div",
      { class: "form-check" },
      input,
      h(
        "label",
        { class: "form-check-label", for: control },
        name,
        " ",
        h("span", { class: "muted small" }, told),
      ),
    );
  }
}

/**
 * @param {Earlier} earlier
 * @param {Set<string>} names
 */
function toldOf(earlier, names) {
  const shared = earlier.parameters.filter((name) => names.has(name)).length;
  const best =
    earlier.best === null ? "" : `, ${gettext("best {value}", { value: number(earlier.best) })}`;
  return `${earlier.id}: ${ngettext("{n} trial", "{n} trials", earlier.trials)}, ${ngettext("{n} parameter in common", "{n} parameters in common", shared)}${best}`;
}
