// The dialog for parameters of one's own: a field for each parameter, errors at their fields.

import { ApiError, api, wordsOf } from "../api.js";
import { all, byId, find, h, toast } from "../dom.js";
import { parse, stringify } from "../exact.js";
import { number } from "../format.js";
import { gettext, together } from "../language.js";

const OTHER = "other:"; // never the text of a JSON value
const [LEAST_ROWS, MOST_ROWS] = [3, 12]; // of a field for a value that is no plain one

/**
 * What may be entered, in words.
 * @param {SpaceNode} node
 */
export function rangeWords({ _type: type, _value: value }) {
  if (!Array.isArray(value)) return type;
  const [a, b, q] = value.map((v) => (typeof v === "number" ? number(v, 6) : v));
  switch (type) {
    case "randint":
      return gettext("whole number from {a} to below {b}", { a, b });
    case "uniform":
    case "loguniform":
      return type === "loguniform"
        ? gettext("{a} to {b}, log scale", { a, b })
        : gettext("{a} to {b}", { a, b });
    case "quniform":
    case "qloguniform":
      return gettext("{a} to {b} in steps of {q}", { a, b, q });
    case "normal":
    case "lognormal":
      return gettext("{type}: mean {a}, deviation {b}", { type, a, b });
    case "qnormal":
    case "qlognormal":
      return gettext("{type}: mean {a}, deviation {b}, steps of {q}", { type, a, b, q });
    default:
      return type;
  }
}

/**
 * The options where they are plain values, so that a list can offer them.
 * @param {SpaceNode | undefined} node
 */
function flatOptions(node) {
  if (node?._type !== "choice" || !Array.isArray(node._value)) return null;
  return node._value.every((v) => v === null || typeof v !== "object") ? node._value : null;
}

/**
 * A text field's meaning: JSON where it is JSON, else the text itself.
 * @param {string} text
 * @returns {Json}
 */
export function parsed(text) {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/**
 * The text that `parsed` reads as this value.
 * @param {Json | undefined} value
 */
export function textOf(value) {
  if (value === undefined) return "";
  return typeof value === "string" && parsed(value) === value ? value : stringify(value);
}

/** @typedef {{ input: HTMLElement, read: () => Json | undefined }} Entry */
/** @typedef {Entry & { element: HTMLElement, error: HTMLElement }} Field */

/**
 * A list of options, and a field for another value.
 * @param {string} name
 * @param {Json[]} options
 * @param {Json | undefined} value
 * @param {Record<string, unknown>} props
 * @returns {Entry}
 */
function choiceEntry(name, options, value, props) {
  const label = gettext("Other value of {name}", { name });
  const other = h("input", { ...props, id: undefined, "aria-label": label, hidden: true });
  const select = h(
    "select",
    { ...props, class: "form-select mono" },
    options.map((v) => h("option", { value: stringify(v) }, textOf(v))),
    h("option", { value: OTHER }, gettext("other value…")),
  );
  const wanted = stringify(value === undefined ? options[0] : value);
  const isKnown = options.some((v) => stringify(v) === wanted);
  select.value = isKnown ? wanted : OTHER;
  other.value = isKnown ? "" : textOf(value);
  other.hidden = isKnown;
  select.addEventListener("change", () => {
    other.hidden = select.value !== OTHER;
    if (!other.hidden) other.focus();
  });
  return {
    input: h("div", { class: "custom-choice" }, select, other),
    read: () => (select.value === OTHER ? parsed(other.value) : parse(select.value)),
  };
}

/**
 * A field of text; of several lines where the value is no plain one.
 * @param {SpaceNode | undefined} node
 * @param {Json | undefined} value
 * @param {Record<string, unknown>} props
 * @returns {Entry}
 */
function textEntry(node, value, props) {
  const isNested = (value !== null && typeof value === "object") || node?._type === "choice";
  const input = isNested
    ? h("textarea", { ...props, rows: LEAST_ROWS })
    : h("input", { ...props, inputmode: "text" });
  const isWritten = isNested && value !== undefined;
  input.value = isWritten ? stringify(value, 2) : textOf(value);
  if (input instanceof HTMLTextAreaElement) {
    input.rows = Math.min(MOST_ROWS, Math.max(LEAST_ROWS, input.value.split("\n").length));
  }
  return {
    input,
    read: () => (input.value.trim() === "" ? undefined : parsed(input.value)),
  };
}

export class CustomTrial {
  /**
   * @param {{ url: string, space: Record<string, SpaceNode>, onAdded: () => void }} settings
   */
  constructor({ url, space, onAdded }) {
    this.url = url;
    this.space = space;
    this.onAdded = onAdded;
    this.dialog = byId("custom-dialog", HTMLDialogElement);
    this.force = byId("custom-force", HTMLButtonElement);
    /** @type {Map<string, Field>} */
    this.fields = new Map();
    byId("custom-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(false);
    });
    this.force.addEventListener("click", () => this.send(true));
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
  }

  /**
   * @param {ParameterValues | undefined} parameters to start from
   * @param {string} source where they are from
   */
  open(parameters, source) {
    const names = new Set([...Object.keys(this.space), ...Object.keys(parameters ?? {})]);
    this.fields = new Map(
      [...names].map((name) => [name, this.field(name, this.space[name], parameters?.[name])]),
    );
    const elements = [...this.fields.values()].map((field) => field.element);
    byId("custom-fields").replaceChildren(...elements);
    byId("custom-source").textContent = source;
    this.problem("");
    this.force.hidden = true;
    this.dialog.showModal();
  }

  /**
   * @param {string} name
   * @param {SpaceNode | undefined} node
   * @param {Json | undefined} value
   * @returns {Field}
   */
  field(name, node, value) {
    const id = `custom-${name}`;
    const error = h("div", { class: "field-error", id: `${id}-error`, hidden: true });
    const props = {
      id,
      class: "form-control mono",
      "aria-describedby": `${id}-error`,
      spellcheck: "false",
      autocomplete: "off",
      name,
    };
    const options = flatOptions(node);
    const { input, read } = options
      ? choiceEntry(name, options, value, props)
      : textEntry(node, value, props);
    input.addEventListener("input", () => this.mark(name, ""));
    const help = node && !options ? h("div", { class: "form-help" }, rangeWords(node)) : null;
    const label = h("label", { class: "form-label mono", for: id }, name);
    const element = h("div", { class: "custom-field" }, label, input, help, error);
    return { element, input, read, error };
  }

  /**
   * @param {string} name
   * @param {string} message
   */
  mark(name, message) {
    const field = this.fields.get(name);
    if (!field) return;
    field.error.hidden = !message;
    field.error.textContent = message;
    for (const control of all(field.element, ".form-control, .form-select")) {
      control.classList.toggle("is-invalid", Boolean(message));
    }
  }

  /** @param {string} message */
  problem(message) {
    const box = byId("custom-error");
    box.hidden = !message;
    box.textContent = message;
  }

  /** @param {boolean} force */
  async send(force) {
    /** @type {ParameterValues} */
    const parameters = {};
    for (const [name, field] of this.fields) {
      this.mark(name, "");
      const value = field.read();
      if (value !== undefined) parameters[name] = value;
    }
    this.problem("");
    try {
      const trial = await api("POST", this.url, { parameters, force });
      this.dialog.close();
      toast(gettext("Trial {n} was added.", { n: trial.number }), "success");
      this.onAdded();
    } catch (error) {
      this.refused(error);
    }
  }

  /** @param {unknown} error */
  refused(error) {
    const errors = error instanceof ApiError ? error.errors : [];
    const rest = errors.length ? [] : [wordsOf(error)];
    for (const { path, message, hint } of errors) {
      const words = together([message, hint]);
      const name = [...this.fields.keys()].find((n) => isWithin(path, `parameters.${n}`));
      if (name) this.mark(name, words);
      else rest.push(path ? `${path}: ${words}` : words);
    }
    this.problem(together(rest));
    this.force.hidden = !(error instanceof ApiError && error.status === 400);
  }
}

/**
 * @param {string} path
 * @param {string} whole
 */
const isWithin = (path, whole) =>
  path === whole || path.startsWith(`${whole}.`) || path.startsWith(`${whole}[`);
