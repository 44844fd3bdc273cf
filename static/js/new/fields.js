// Controls of the form. Each has a data-field id, the same that the server gives to problems.

import { h, icon } from "../dom.js";

let serial = 0;

/** Messages begin small where they continue a path; alone they are sentences. */
export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** A label, a control, an optional help line, and room for problems. */
export function field(label, control, { help = "", hidden = false, className = "" } = {}) {
  control.id ||= `f${(serial += 1)}`;
  return h(
    "div",
    { class: `field ${className}` },
    h("label", { class: hidden ? "visually-hidden" : "form-label", for: control.id }, label),
    control,
    help && h("div", { class: "form-help" }, help),
  );
}

/** An input bound to object[key]. */
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

/** A select bound to object[key]. choices: [{value, label, disabled}]; an unknown value is kept. */
export function select(id, object, key, choices, changed, attributes = {}) {
  const value = object[key] ?? "";
  const options = choices.map((c) =>
    h("option", { value: c.value, disabled: c.disabled }, c.label),
  );
  if (!choices.some((c) => c.value === value)) {
    options.unshift(h("option", { value }, value === "" ? "–" : `${value} (unknown)`));
  }
  const element = h("select", { class: "form-select", "data-field": id, ...attributes }, options);
  element.value = value;
  element.addEventListener("change", () => {
    object[key] = element.value;
    changed();
  });
  return element;
}

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

function find(root, id) {
  let rest = id;
  while (rest) {
    const found = root.querySelector(`[data-field="${CSS.escape(rest)}"]`);
    if (found) return found;
    rest = rest.includes(".") ? rest.slice(0, rest.lastIndexOf(".")) : "";
  }
  return null;
}

/** Mark the fields that the problems name, and only those. */
export function showProblems(root, problems) {
  for (const old of root.querySelectorAll(".field-error")) old.remove();
  for (const old of root.querySelectorAll("[aria-invalid]")) {
    old.removeAttribute("aria-invalid");
    old.removeAttribute("aria-describedby");
    old.classList.remove("is-invalid");
  }
  problems.forEach((problem, index) => {
    const control = problem.field && find(root, problem.field);
    if (!control) return;
    const id = `problem-${index}`;
    control.setAttribute("aria-invalid", "true");
    control.setAttribute(
      "aria-describedby",
      [control.getAttribute("aria-describedby"), id].filter(Boolean).join(" "),
    );
    control.classList.add("is-invalid");
    const place =
      control.closest("[data-errors]") ?? control.closest(".field") ?? control.parentElement;
    const slot = place.dataset?.errors ? place.querySelector(place.dataset.errors) : place;
    slot.append(
      h(
        "div",
        { class: "field-error", id },
        icon("x-octagon"),
        h("span", {}, sentence(problem.message), problem.hint && ` ${problem.hint}`),
      ),
    );
  });
}

/** Go to the field a problem names; false where the form has none. */
export function focusField(root, id) {
  const control = id && find(root, id);
  if (!control) return false;
  control.closest("details")?.setAttribute("open", "");
  control.scrollIntoView({ block: "center", behavior: "smooth" });
  control.focus({ preventScroll: true });
  return true;
}
