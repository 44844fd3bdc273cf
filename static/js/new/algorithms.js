// Tuner, assessor, advisor: a select, what the chosen one does, and its settings.

import { find, h, icon } from "../dom.js";
import { gettext } from "../language.js";
import { field, select, text } from "./fields.js";

/** @typedef {"tuner" | "assessor" | "advisor"} Kind */

const TITLES = {
  tuner: gettext("Tuner"),
  assessor: gettext("Assessor"),
  advisor: gettext("Advisor"),
};
/** @type {Partial<Record<Kind, "tuner" | "advisor">>} */
const RIVALS = { tuner: "advisor", advisor: "tuner" };

/**
 * @param {Kind} kind
 * @param {Setting} info
 * @param {Record<string, string>} args
 * @param {() => void} changed
 */
function settingField(kind, info, args, changed) {
  const id = `${kind}.args.${info.name}`;
  // Without a default the server finds the value, as the words of the setting say.
  const isFound = info.default === null;
  const shown = isFound ? gettext("automatic") : String(info.default);
  const limits = [info.limits, isFound ? "" : gettext("default {value}", { value: shown })]
    .filter(Boolean)
    .join(gettext("; "));
  const help = info.help + (limits && gettext(" ({limits})", { limits }));
  const key = info.name;
  const attributes = { "data-testid": id };
  if (info.choices.length || info.type === "true or false") {
    const values = info.choices.length ? info.choices : ["true", "false"];
    const choices = [
      { value: "", label: gettext("Default ({value})", { value: shown }) },
      ...values.map((value) => ({ value, label: value })),
    ];
    return field(key, select(id, args, key, choices, changed, attributes), { help });
  }
  return field(
    key,
    text(id, args, key, changed, {
      ...attributes,
      placeholder: shown,
      inputmode: info.type === "text" ? "text" : "decimal",
      class: "form-control num",
    }),
    { help },
  );
}

/**
 * Types of the search space that it cannot search.
 * @param {AlgorithmEntry} entry
 * @param {Form} form
 */
function unsupported(entry, form) {
  return [
    ...new Set(
      (form.space ?? [])
        .map((row) => row.type)
        .filter((type) => type && !entry.types.includes(type)),
    ),
  ];
}

/**
 * @param {AlgorithmEntry} entry
 * @param {string[]} bad types that it cannot search
 */
function choiceOf(entry, bad) {
  let note = bad.length ? gettext(" (not for {types})", { types: bad.join(", ") }) : "";
  if (!entry.available) note = gettext(" (not available yet)");
  const isNamed = entry.label.includes(entry.name);
  const label = isNamed ? entry.label : `${entry.name} · ${entry.label}`; // on a phone its end is cut
  return { value: entry.name, label: `${label}${note}`, disabled: !entry.available };
}

/**
 * Say anew at each option which types of the search space it cannot take; the choice stays.
 * @param {HTMLElement} root
 * @param {FormApp} app
 */
export function showFit(root, { form, catalogue }) {
  /** @type {[string, AlgorithmEntry[]][]} */
  const kinds = [
    ["tuner", catalogue.tuners],
    ["advisor", catalogue.advisors],
  ];
  for (const [kind, entries] of kinds) {
    for (const option of root.querySelectorAll(`[data-field="${kind}.name"] option`)) {
      const entry = entries.find(({ name }) => name === option.getAttribute("value"));
      if (entry) option.textContent = choiceOf(entry, unsupported(entry, form)).label;
    }
  }
}

/**
 * @param {Kind} kind
 * @param {AlgorithmEntry[]} entries
 * @param {Chosen} chosen
 * @param {FormApp} app
 * @param {{ none: string, help: string, redraw: () => void }} words
 */
function algorithm(kind, entries, chosen, app, { none, help, redraw }) {
  const choices = [
    { value: "", label: none },
    ...entries.map((entry) =>
      choiceOf(entry, kind === "assessor" ? [] : unsupported(entry, app.form)),
    ),
  ];
  const entry = entries.find((e) => e.name === chosen.name);
  const control = select(
    `${kind}.name`,
    chosen,
    "name",
    choices,
    () => {
      const fresh = entries.find((e) => e.name === chosen.name);
      const known = new Set((fresh?.settings ?? []).map((s) => s.name));
      const args = Object.entries(chosen.args ?? {}).filter(([key]) => known.has(key));
      chosen.args = Object.fromEntries(args);
      if (kind !== "tuner" && known.has("optimize_mode")) {
        chosen.args.optimize_mode = app.form.optimize_mode;
      }
      // One of the two proposes the trials: choosing one lets go of the other.
      const other = RIVALS[kind];
      if (other && chosen.name) app.form[other] = { name: "", args: {} };
      redraw();
      app.changed();
      find(document, `[data-field="${kind}.name"]`).focus();
    },
    { "data-testid": kind },
  );
  control.title = control.selectedOptions[0]?.textContent ?? "";
  // The direction of whoever proposes the trials is a question of its own, above.
  const settings = (entry?.settings ?? []).filter(
    (s) => kind === "assessor" || s.name !== "optimize_mode",
  );
  const { args } = chosen;
  /** @type {HTMLElement[]} */
  let below = [];
  if (args === null) {
    below = [
      h(
        "div",
        { class: "notice notice-warning" },
        icon("warning"),
        h(
          "div",
          {},
          gettext("The settings (classArgs) cannot be read. Mend them in the manifest."),
        ),
      ),
    ];
  } else if (settings.length) {
    below = [
      h(
        "div",
        { class: "settings-grid" },
        settings.map((s) => settingField(kind, s, args, app.changed)),
      ),
    ];
  }
  return h(
    "div",
    { class: "algorithm" },
    field(TITLES[kind], control, {
      help: entry?.summary ?? help,
    }),
    below,
  );
}

/**
 * @param {HTMLElement} root
 * @param {FormApp} app
 */
export function drawAlgorithms(root, app) {
  const { form, catalogue } = app;
  const redraw = () => {
    drawAlgorithms(root, app);
    app.redrawSpace();
    app.redrawn();
  };
  root.replaceChildren(
    algorithm("tuner", catalogue.tuners, form.tuner, app, {
      none: form.advisor.name ? gettext("None: the advisor proposes") : gettext("Choose a tuner"),
      help: "",
      redraw,
    }),
    algorithm("assessor", catalogue.assessors, form.assessor, app, {
      none: gettext("None: no early stopping"),
      help: gettext("Every trial runs to its end."),
      redraw,
    }),
    algorithm("advisor", catalogue.advisors, form.advisor, app, {
      none: gettext("None: the tuner proposes"),
      help: gettext(
        "An advisor stands in for the tuner: it gives each trial a budget (TRIAL_BUDGET, such as epochs) and goes on with the best.",
      ),
      redraw,
    }),
  );
}

/**
 * Assessor and advisor judge in the same direction, unless somebody chose otherwise.
 * @param {Form} form
 * @param {string} before
 */
export function followDirection(form, before) {
  for (const { name, args } of [form.assessor, form.advisor]) {
    if (!name || !args || (args.optimize_mode || "maximize") !== before) continue;
    args.optimize_mode = form.optimize_mode;
  }
}
