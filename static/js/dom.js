// Building and finding elements, without HTML text: nothing a user wrote is ever parsed as markup.

import { parse, stringify } from "./exact.js";
import { gettext } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | boolean | null | undefined} Child false, null, undefined: none */

/**
 * h("button", {class: "btn", onclick: f, "aria-label": "Add"}, "text", child, …)
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [props] what is undefined, null or false is left out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "value") /** @type {HTMLInputElement} */ (element).value = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  const shown = children.flat().filter((c) => c !== null && c !== undefined && c !== false);
  element.append(.../** @type {string[]} */ (shown));
  return element;
}

/**
 * An element of an SVG drawing.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * An icon of the sprite named in <body data-icons>.
 * @param {string} name
 */
export function icon(name, className = "") {
  return svg(
    "svg",
    { class: `icon ${className}`.trim(), "aria-hidden": "true" },
    svg("use", { href: `${document.body.dataset.icons}#${name}` }),
  );
}

/**
 * The element of that id, which the page must have.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function byId(id, type) {
  return checked(document.getElementById(id), type, `#${id}`);
}

/**
 * The first element under `root` that fits, which must be there.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} [type]
 * @returns {T}
 */
export function find(root, selector, type) {
  return checked(root.querySelector(selector), type, selector);
}

/**
 * All elements under `root` that fit, of that class.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} [type]
 * @returns {T[]}
 */
export function all(root, selector, type) {
  return [...root.querySelectorAll(selector)].map((element) => checked(element, type, selector));
}

/**
 * @template {HTMLElement} T
 * @param {Element | null} element
 * @param {(new () => T) | undefined} type
 * @param {string} name
 * @returns {T}
 */
function checked(element, type, name) {
  if (element instanceof (type ?? HTMLElement)) return /** @type {T} */ (element);
  throw new Error(`The page has no ${type?.name ?? "element"} ${name}.`);
}

/**
 * What was clicked on, if it is or lies in something that fits.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function hit(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/**
 * A function that draws only when the data differ from the last time, so that focus and selection
 * survive the news.
 * @returns {(name: string, data: unknown, draw: () => void) => void}
 */
export function onChange() {
  /** @type {Record<string, string>} */
  const shown = {};
  return (name, data, draw) => {
    const key = stringify(data);
    if (shown[name] === key) return;
    shown[name] = key;
    draw();
  };
}

/**
 * @template {unknown[]} A
 * @param {(...args: A) => void} f
 * @param {number} milliseconds
 */
export function debounce(f, milliseconds) {
  let timer = 0;
  const later = (/** @type {A} */ ...args) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => f(...args), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/**
 * The data that Django's json_script put into the page.
 * @param {string} id
 * @returns {any}
 */
export function pageData(id) {
  return parse(byId(id).textContent ?? "null");
}

const TOAST_ICONS = {
  info: "info",
  success: "check-circle",
  danger: "x-octagon",
  warning: "warning",
};

/** Where messages are seen and can be closed: the page below an open dialog takes no clicks. */
function toasts() {
  const box = byId("toasts");
  const dialog = all(document, "dialog:modal").at(-1);
  if (dialog && !dialog.contains(box)) {
    dialog.append(box);
    dialog.addEventListener("close", () => document.body.append(box), { once: true });
  }
  return box;
}

/**
 * A short message at the corner of the page; spoken by screen readers.
 * @param {string | Node} message
 * @param {keyof typeof TOAST_ICONS} kind
 * @param {number} [lasts] milliseconds
 * @returns {() => void} takes it away
 */
export function toast(message, kind = "info", lasts = 6000) {
  const close = h("button", { type: "button", class: "btn-close", "aria-label": gettext("Close") });
  const box = h(
    "div",
    { class: `app-toast app-toast-${kind}` },
    icon(TOAST_ICONS[kind]),
    h("div", { class: "app-toast-text" }, message),
    close,
  );
  close.addEventListener("click", () => box.remove());
  toasts().append(box);
  if (kind !== "danger") setTimeout(() => box.remove(), lasts);
  return () => box.remove();
}

/**
 * Ask in a dialog; resolves to true where the person agreed.
 * @param {{ title: string, text?: string, action?: string, danger?: boolean }} question
 * @returns {Promise<boolean>}
 */
export function confirmAction({ title, text = "", action = "OK", danger = false }) {
  const dialog = byId("confirm-dialog", HTMLDialogElement);
  find(dialog, "[data-title]").textContent = title;
  find(dialog, "[data-text]").textContent = text;
  const button = find(dialog, "[data-confirm]");
  button.textContent = action;
  button.className = `btn ${danger ? "btn-danger" : "btn-primary"}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
