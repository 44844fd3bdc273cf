// Controls of the form. Each has a data-field id, the same that the server gives to problems.

import { all, h, icon } from "../dom.js";
import { gettext } from "../language.js";

let serial = 0;

const speaksEnglish = globalThis.document?.documentElement.lang.startsWith("en");

/**
 * English messages begin small where they continue a path; alone they are sentences.
 * @param {string} words
 */
export const sentence = (words) =>
  speaksEnglish ? words.charAt(0).toUpperCase() + words.slice(1) : words;

/**
 * A label, a control, an optional help line, and room for problems.
 * @param {string} label
 * @param {HTMLElement} control
 */
export function field(label, control, { help = "", hidden = false, className = "" } = {}) {
  serial += 1;
  control.id ||= `f${serial}`;
  return h(
    "div",
    { class: `field ${className}` },
    h("label", { class: hidden ? "visually-hidden" : "form-label", for: control.id }, label),
    control,
    help && h("div", { class: "form-help" }, help),
  );
}

/**
 * An input bound to object[key].
 * @template {string | number} K
 * @param {string} id
 * @param {Record<K, any>} object
 * @param {K} key
 * @param {() => void} changed
 * @param {Record<string, unknown>} attributes
 */
export function text(id, object, key, changed, attributes = {}) {
  const input = h("input", {
    type: "text",
    class: "form-control",
    "data-field": id,
    autocomplete: "off",
    spellcheck: "false",
    value: object[key] ?? "",
    ...attributes,
  });
  input.addEventListener("input", () => {
    object[key] = input.value;
    changed();
  });
  return input;
}

/**
 * A select bound to object[key]; a value that is no choice is kept.
 * @template {string} K
 * @param {string} id
 * @param {Record<K, any>} object
 * @param {K} key
 * @param {{ value: string, label: string, disabled?: boolean }[]} choices
 * @param {() => void} changed
 * @param {Record<string, unknown>} attributes
 */
export function select(id, object, key, choices, changed, attributes = {}) {
  const value = object[key] ?? "";
  const options = choices.map((c) =>
    h("option", { value: c.value, disabled: c.disabled }, c.label),
  );
  if (!choices.some((c) => c.value === value)) {
    options.unshift(
      h("option", { value }, value === "" ? "–" : gettext("{value} (unknown)", { value })),
    );
  }
  const element = h("select", { class: "form-select", "data-field": id, ...attributes }, options);
  element.value = value;
  element.addEventListener("change", () => {
    object[key] = element.value;
    changed();
  });
  return element;
}

/**
 * @param {string} name
 * @param {string} label
 * @param {() => void} onclick
 */
export function iconButton(name, label, onclick, className = "") {
  const button = h("button", {
    type: "button",
    class: `btn btn-icon btn-icon-s ${className}`,
    "aria-label": label,
    title: label,
    onclick,
  });
  button.append(icon(name));
  return button;
}

/**
 * The control of that id, or of the nearest part of the form around it.
 * @param {HTMLElement} root
 * @param {string} id
 */
function controlOf(root, id) {
  let rest = id;
  while (rest) {
    const found = root.querySelector(`[data-field="${CSS.escape(rest)}"]`);
    if (found instanceof HTMLElement) return found;
    rest = rest.includes(".") ? rest.slice(0, rest.lastIndexOf(".")) : "";
  }
  return null;
}

/**
 * Mark the fields that the problems name, and only those.
 * @param {HTMLElement} root
 * @param {Problem[]} problems
 */
export function showProblems(root, problems) {
  for (const old of all(root, ".field-error")) old.remove();
  for (const old of all(root, "[aria-invalid]")) {
    old.removeAttribute("aria-invalid");
    old.removeAttribute("aria-describedby");
    old.classList.remove("is-invalid");
  }
  problems.forEach((problem, index) => {
    const control = problem.field ? controlOf(root, problem.field) : null;
    if (!control) return;
    const id = `problem-${index}`;
    control.setAttribute("aria-invalid", "true");
    control.setAttribute(
      "aria-describedby",
      [control.getAttribute("aria-describedby"), id].filter(Boolean).join(" "),
    );
    control.classList.add("is-invalid");
    slotFor(control)?.append(
      h(
        "div",
        { class: "field-error", id },
        icon("x-octagon"),
        h("span", {}, sentence(problem.message), problem.hint && ` ${problem.hint}`),
      ),
    );
  });
}

/**
 * Where a control's problems are written.
 * @param {HTMLElement} control
 */
function slotFor(control) {
  const whole = control.closest("[data-errors]");
  if (whole instanceof HTMLElement) return whole.querySelector(whole.dataset.errors ?? "");
  return control.closest(".field") ?? control.parentElement;
}

/**
 * Go to the field a problem names; false where the form has none.
 * @param {HTMLElement} root
 * @param {string} id
 */
export function focusField(root, id) {
  const control = controlOf(root, id);
  if (!control) return false;
  control.closest("details")?.setAttribute("open", "");
  control.scrollIntoView({ block: "center", behavior: "smooth" });
  control.focus({ preventScroll: true });
  return true;
}
