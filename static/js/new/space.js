// The rows of the search space.

import { byId, h, icon } from "../dom.js";
import { gettext } from "../language.js";
import { field, iconButton, select, text } from "./fields.js";
import { optionsInput } from "./options.js";
import { freeName, jsonOf, retype, simpleValue } from "./space_values.js";

/** @type {Record<string, string>} */
const NAMES = {
  low: gettext("low"),
  high: gettext("high"),
  q: gettext("step q"),
  mu: gettext("mean mu"),
  sigma: gettext("spread sigma"),
};
const MISSPELT = "qlognoraml"; // in the platform's manual, and taken

/** @typedef {{ row: SpaceRow, index: number, type: ParameterType | undefined }} Place */
/** @typedef {() => void} Redraw draws the rows anew; `edited` also says that the form was edited */

/**
 * @param {HTMLElement} root
 * @param {FormApp} app
 */
export function drawSpace(root, app) {
  const { space } = app.form;
  if (space === null) {
    const words = gettext("The search space cannot be read. Mend it in the manifest.");
    root.replaceChildren(
      h(
        "div",
        { class: "notice notice-warning" },
        icon("warning"),
        h("div", { "data-field": "space", tabindex: "-1" }, words),
      ),
    );
    return;
  }
  const edited = () => {
    drawSpace(root, app);
    app.redrawn();
    app.changed();
  };
  const rows = space.map((_, index) => rowElement(root, app, space, index, edited));
  const none = { class: "muted small mb-0", "data-field": "space", tabindex: "-1" };
  root.replaceChildren(
    rows.length
      ? h("ol", { class: "space-rows" }, rows)
      : h("p", none, gettext("No parameter yet: add what your script should try.")),
  );
}

/**
 * @param {HTMLElement} root
 * @param {FormApp} app
 * @param {SpaceRow[]} space
 * @param {number} index
 * @param {Redraw} edited
 */
function rowElement(root, app, space, index, edited) {
  const row = space[index];
  const name = text(`space.${index}.name`, row, "name", app.changed, {
    class: "form-control mono",
    placeholder: "learning_rate",
    maxlength: 200,
    "data-testid": `row-${index}-name`,
  });
  const type = typeOf(app, row);
  const attributes = {
    class: "space-row",
    "data-row": index,
    "data-testid": "space-row",
    "data-errors": ".space-errors",
  };
  const value = {
    class: "space-value",
    role: "group",
    "aria-label": gettext("Value"),
    "data-field": `space.${index}.value`,
    tabindex: "-1",
  };
  return h(
    "li",
    attributes,
    field(gettext("Name"), name, { hidden: true, className: "space-name" }),
    field(gettext("Type"), typeSelect(root, app, row, index, edited), {
      hidden: true,
      className: "space-type",
    }),
    h("div", value, valueFields({ row, index, type }, app, edited)),
    rowActions(root, space, index, edited),
    h(
      "div",
      { class: "space-foot" },
      h("span", { class: "space-help" }, type?.help ?? ""),
      h("span", { class: "space-preview num", "data-preview": "" }),
    ),
    h("div", { class: "space-errors" }),
  );
}

/**
 * @param {FormApp} app
 * @param {SpaceRow} row
 */
function typeOf({ catalogue }, row) {
  const name = row.type === MISSPELT ? "qlognormal" : row.type;
  return catalogue.types.find((type) => type.name === name);
}

/**
 * @param {HTMLElement} root
 * @param {FormApp} app
 * @param {SpaceRow} row
 * @param {number} index
 * @param {Redraw} edited
 */
function typeSelect(root, app, row, index, edited) {
  const { catalogue, form } = app;
  const tuner = catalogue.tuners.find((t) => t.name === form.tuner.name);
  const isRefused = (/** @type {string} */ type) =>
    Boolean(tuner?.available && !tuner.types.includes(type));
  const choices = catalogue.types.map(({ name }) => ({
    value: name,
    label: isRefused(name) ? `⚠ ${name}` : name,
  }));
  if (row.type === MISSPELT) choices.push({ value: MISSPELT, label: MISSPELT });
  const type = typeOf(app, row);
  const title =
    type && isRefused(type.name)
      ? gettext("{tuner} cannot search {type}.", { tuner: tuner?.name ?? "", type: type.name })
      : type?.help;
  const retyped = () => {
    const fresh = catalogue.types.find((t) => t.name === row.type);
    if (fresh) retype(row, fresh);
    edited();
    focus(root, `[data-field="space.${index}.type"]`);
  };
  const attributes = { "data-testid": `row-${index}-type`, title };
  return select(`space.${index}.type`, row, "type", choices, retyped, attributes);
}

/**
 * @param {HTMLElement} root
 * @param {SpaceRow[]} space
 * @param {number} index
 * @param {Redraw} edited
 */
function rowActions(root, space, index, edited) {
  const move = (/** @type {number} */ by) => {
    const [taken] = space.splice(index, 1);
    space.splice(index + by, 0, taken);
    edited();
    focus(root, `[data-row="${index + by}"] [data-move="${by}"]`);
  };
  const up = iconButton("up", gettext("Move up"), () => move(-1));
  const down = iconButton("down", gettext("Move down"), () => move(1));
  up.dataset.move = "-1";
  down.dataset.move = "1";
  up.disabled = index === 0;
  down.disabled = index === space.length - 1;
  const duplicate = () => {
    const row = space[index];
    space.splice(index + 1, 0, { ...structuredClone(row), name: freeName(space, row.name) });
    edited();
    const name = root.querySelector(`[data-field="space.${index + 1}.name"]`);
    if (name instanceof HTMLInputElement) name.select();
  };
  const remove = () => {
    space.splice(index, 1);
    edited();
    const isFocused = focus(root, `[data-field="space.${Math.max(0, index - 1)}.name"]`);
    if (!isFocused) byId("add-row").focus();
  };
  return h(
    "div",
    { class: "space-actions" },
    up,
    down,
    iconButton("copy", gettext("Duplicate"), duplicate),
    iconButton("trash", gettext("Remove"), remove, "danger"),
  );
}

/**
 * @param {HTMLElement} root
 * @param {string} selector
 */
function focus(root, selector) {
  const element = root.querySelector(selector);
  if (!(element instanceof HTMLElement)) return false;
  element.focus();
  return true;
}

/**
 * @param {Place} place
 * @param {FormApp} app
 * @param {Redraw} edited
 */
function valueFields({ row, index, type }, app, edited) {
  if (row.json !== null || !type) return jsonFields({ row, index, type }, app, edited);
  const id = `space.${index}`;
  if (type.options) {
    const asJson = iconButton("braces", gettext("Edit as JSON (nested choices)"), () => {
      row.json = jsonOf(row, type);
      edited();
    });
    const list = optionsInput(`${id}.options`, row, app.changed, row.name || gettext("Row"));
    return h("div", { class: "space-options" }, list, asJson);
  }
  const numbers = type.arguments.map((name, i) => {
    const attributes = {
      inputmode: "decimal",
      placeholder: name,
      class: "form-control num",
      "data-testid": `row-${index}-${name}`,
    };
    const input = text(`${id}.value.${i}`, row.values, i, app.changed, attributes);
    return field(NAMES[name], input, { className: "field-inline" });
  });
  return h("div", { class: "space-numbers" }, numbers);
}

/**
 * @param {Place} place
 * @param {FormApp} app
 * @param {Redraw} edited
 */
function jsonFields({ row, index, type }, app, edited) {
  const area = h("textarea", {
    class: "form-control mono",
    rows: Math.min(8, Math.max(2, (row.json ?? "").split("\n").length)),
    "data-field": `space.${index}.json`,
    spellcheck: "false",
    value: row.json ?? "",
    "aria-label": gettext("{name}: value as JSON", { name: row.name || gettext("Row") }),
  });
  area.addEventListener("input", () => {
    row.json = area.value;
    app.changed();
  });
  const isPlain = type && (type.options || type.arguments.length);
  const simple = isPlain ? simpleValue(row.json, type) : null;
  if (!simple) return h("div", { class: "space-json" }, area);
  const onclick = () => {
    Object.assign(row, simple, { json: null });
    edited();
  };
  const back = h(
    "button",
    { type: "button", class: "btn btn-quiet btn-sm", onclick },
    type?.options ? gettext("Edit as list") : gettext("Edit as fields"),
  );
  return h("div", { class: "space-json" }, area, back);
}

/**
 * @param {FormApp} app
 * @param {HTMLElement} root
 */
export function addRow(app, root) {
  const { space } = app.form;
  if (!space) return;
  space.push({ name: "", type: "uniform", values: ["", ""], options: [], json: null });
  drawSpace(root, app);
  app.redrawn();
  app.changed();
  focus(root, `[data-field="space.${space.length - 1}.name"]`);
}

/**
 * A few values each row would give, as the server drew them.
 * @param {HTMLElement} root
 * @param {Form} form
 * @param {Answer["previews"]} previews
 */
export function showPreviews(root, form, previews) {
  (form.space ?? []).forEach((row, index) => {
    const place = root.querySelector(`[data-row="${index}"] [data-preview]`);
    const values = previews[row.name];
    if (place)
      place.textContent = values ? gettext("e.g. {values}", { values: values.join(" · ") }) : "";
  });
}
