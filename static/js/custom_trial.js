// The dialog for parameters of one's own: a field for each parameter, errors at their fields.

import { api } from "./api.js";
import { h, toast } from "./dom.js";
import { number } from "./format.js";

const OTHER = "other:"; // never the text of a JSON value

/** What may be entered, in words. */
function rangeWords(node) {
  const value = node._value;
  if (!Array.isArray(value)) return node._type;
  const [a, b, q] = value.map((v) => (typeof v === "number" ? number(v, 6) : v));
  switch (node._type) {
    case "randint":
      return `whole number from ${a} to below ${b}`;
    case "uniform":
    case "loguniform":
      return `${a} to ${b}${node._type === "loguniform" ? ", log scale" : ""}`;
    case "quniform":
    case "qloguniform":
      return `${a} to ${b} in steps of ${q}`;
    case "normal":
    case "lognormal":
      return `${node._type}: mean ${a}, deviation ${b}`;
    case "qnormal":
    case "qlognormal":
      return `${node._type}: mean ${a}, deviation ${b}, steps of ${q}`;
    default:
      return node._type;
  }
}

const isFlatChoice = (node) =>
  node._type === "choice" &&
  Array.isArray(node._value) &&
  node._value.every((v) => v === null || typeof v !== "object");

/** A text field's meaning: JSON where it is JSON, else the text itself. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export class CustomTrial {
  constructor({ url, space, onAdded }) {
    Object.assign(this, { url, space, onAdded });
    this.dialog = document.getElementById("custom-dialog");
    this.force = document.getElementById("custom-force");
    document.getElementById("custom-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(false);
    });
    this.force.addEventListener("click", () => this.send(true));
    this.dialog.querySelector("[data-close]").addEventListener("click", () => this.dialog.close());
  }

  open(parameters, source) {
    const names = [...new Set([...Object.keys(this.space), ...Object.keys(parameters ?? {})])];
    this.fields = new Map(
      names.map((name) => [name, this.field(name, this.space[name], parameters?.[name])]),
    );
    document
      .getElementById("custom-fields")
      .replaceChildren(...[...this.fields.values()].map((f) => f.element));
    document.getElementById("custom-source").textContent = source;
    this.problem("");
    this.force.hidden = true;
    this.dialog.showModal();
  }

  field(name, node, value) {
    const id = `custom-${name}`;
    const error = h("div", { class: "field-error", id: `${id}-error`, hidden: true });
    const help =
      node && !isFlatChoice(node) ? h("div", { class: "form-help" }, rangeWords(node)) : null;
    const props = {
      id,
      class: "form-control mono",
      "aria-describedby": `${id}-error`,
      spellcheck: "false",
      autocomplete: "off",
      name,
    };
    const text =
      value === undefined
        ? ""
        : typeof value === "string" && parsed(value) === value
          ? value
          : JSON.stringify(value);
    let input;
    let read;
    if (node && isFlatChoice(node)) {
      const other = h("input", {
        ...props,
        id: undefined,
        "aria-label": `Other value of ${name}`,
        hidden: true,
      });
      const select = h(
        "select",
        { ...props, class: "form-select mono" },
        node._value.map((v) =>
          h("option", { value: JSON.stringify(v) }, typeof v === "string" ? v : JSON.stringify(v)),
        ),
        h("option", { value: OTHER }, "other value…"),
      );
      const known = node._value.some((v) => JSON.stringify(v) === JSON.stringify(value));
      select.value =
        value === undefined
          ? JSON.stringify(node._value[0])
          : known
            ? JSON.stringify(value)
            : OTHER;
      other.value = known ? "" : text;
      other.hidden = select.value !== OTHER;
      select.addEventListener("change", () => {
        other.hidden = select.value !== OTHER;
        if (!other.hidden) other.focus();
      });
      input = h("div", { class: "custom-choice" }, select, other);
      read = () => (select.value === OTHER ? parsed(other.value) : JSON.parse(select.value));
    } else {
      const nested = (value !== null && typeof value === "object") || node?._type === "choice";
      input = nested
        ? h("textarea", { ...props, rows: 3 })
        : h("input", { ...props, inputmode: "text" });
      input.value = nested && value !== undefined ? JSON.stringify(value, null, 2) : text;
      read = () => (input.value.trim() === "" ? undefined : parsed(input.value));
    }
    input.addEventListener("input", () => this.mark(name, ""));
    const element = h(
      "div",
      { class: "custom-field" },
      h("label", { class: "form-label mono", for: id }, name),
      input,
      help,
      error,
    );
    return { element, read, error, input };
  }

  mark(name, message) {
    const field = this.fields.get(name);
    field.error.hidden = !message;
    field.error.textContent = message;
    for (const control of field.element.querySelectorAll(".form-control, .form-select"))
      control.classList.toggle("is-invalid", Boolean(message));
  }

  problem(message) {
    const box = document.getElementById("custom-error");
    box.hidden = !message;
    box.textContent = message;
  }

  async send(force) {
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
      toast(`Trial ${trial.number} was added.`, "success");
      this.onAdded(trial);
    } catch (error) {
      const rest = [];
      for (const { path, message, hint } of error.errors ?? [
        { path: "", message: error.message },
      ]) {
        const words = [message, hint].filter(Boolean).join(" ");
        const name = [...this.fields.keys()].find(
          (n) =>
            path === `parameters.${n}` ||
            path.startsWith(`parameters.${n}.`) ||
            path.startsWith(`parameters.${n}[`),
        );
        if (name) this.mark(name, words);
        else rest.push(path ? `${path}: ${words}` : words);
      }
      this.problem(rest.join(" "));
      this.force.hidden = error.status !== 400;
    }
  }
}
