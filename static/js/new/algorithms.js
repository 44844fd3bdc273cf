// Tuner and assessor: a select, what the chosen one does, and its settings.

import { h, icon } from "../dom.js";
import { field, select, text } from "./fields.js";

function settingField(kind, info, args, changed) {
  const id = `${kind}.args.${info.name}`;
  const shown = info.default === null ? "none" : String(info.default);
  const limits = [info.limits && `${info.limits}`, `default ${shown}`].filter(Boolean).join("; ");
  const help = `${info.help} (${limits})`;
  const key = info.name;
  const attributes = { "data-testid": id };
  if (info.choices.length || info.type === "true or false") {
    const values = info.choices.length ? info.choices : ["true", "false"];
    const choices = [{ value: "", label: `Default (${shown})` }, ...values.map((value) => ({ value, label: value }))];
    return field(key, select(id, args, key, choices, changed, attributes), { help });
  }
  return field(key, text(id, args, key, changed, {
    ...attributes, placeholder: shown, inputmode: info.type === "text" ? "text" : "decimal", class: "form-control num",
  }), { help });
}

function unsupported(entry, form) {
  return [...new Set((form.space ?? []).map((row) => row.type).filter((type) => type && !entry.types.includes(type)))];
}

function algorithm(kind, entries, chosen, app, { none, redraw }) {
  const choices = entries.map((entry) => {
    const bad = kind === "tuner" && entry.available ? unsupported(entry, app.form) : [];
    const note = !entry.available ? " (not available yet)" : bad.length ? ` (not for ${bad.join(", ")})` : "";
    return { value: entry.name, label: `${entry.label} · ${entry.name}${note}`, disabled: !entry.available };
  });
  choices.unshift({ value: "", label: none });
  const entry = entries.find((e) => e.name === chosen.name);
  const control = select(`${kind}.name`, chosen, "name", choices, () => {
    const fresh = entries.find((e) => e.name === chosen.name);
    const known = new Set((fresh?.settings ?? []).map((s) => s.name));
    chosen.args = Object.fromEntries(Object.entries(chosen.args ?? {}).filter(([key]) => known.has(key)));
    if (kind === "assessor" && known.has("optimize_mode")) chosen.args.optimize_mode = app.form.optimize_mode;
    redraw();
    app.changed();
    document.querySelector(`[data-field="${kind}.name"]`)?.focus();
  }, { "data-testid": kind });
  const settings = (entry?.settings ?? []).filter((s) => kind !== "tuner" || s.name !== "optimize_mode");
  let below = [];
  if (chosen.args === null) {
    below = [h("div", { class: "notice notice-warning" }, icon("warning"),
      h("div", {}, "The settings (classArgs) cannot be read. Mend them in the manifest."))];
  } else if (settings.length) {
    below = [h("div", { class: "settings-grid" }, settings.map((s) => settingField(kind, s, chosen.args, app.changed)))];
  }
  return h("div", { class: "algorithm" },
    field(kind === "tuner" ? "Tuner" : "Assessor", control, {
      help: entry?.summary ?? (kind === "assessor" ? "Every trial runs to its end." : ""),
    }), below);
}

export function drawAlgorithms(root, app) {
  const { form, catalogue } = app;
  const redraw = () => {
    drawAlgorithms(root, app);
    app.redrawSpace();
    app.redrawn();
  };
  root.replaceChildren(
    algorithm("tuner", catalogue.tuners, form.tuner, app, { none: "Choose a tuner", redraw }),
    algorithm("assessor", catalogue.assessors, form.assessor, app, { none: "None: no early stopping", redraw }),
    h("div", { class: "algorithm" }, field("Advisor", h("select", { class: "form-select", disabled: true },
      h("option", {}, form.advisor || "Not available yet")), {
      help: "Advisors (Hyperband, BOHB) choose parameters and stop trials at once.",
    })));
}

/** The assessor judges in the same direction, unless somebody chose otherwise. */
export function followDirection(form, before) {
  const args = form.assessor?.args;
  if (!form.assessor?.name || !args) return;
  if ((args.optimize_mode || "maximize") === before) args.optimize_mode = form.optimize_mode;
}
