// Building elements without HTML text, so nothing a user wrote is ever parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

/** h("button", {class: "btn", onclick: f, "aria-label": "Add"}, "text", child, …) */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "value") element.value = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** An icon of the sprite named in <body data-icons>. */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

export function debounce(f, milliseconds) {
  let timer = 0;
  const later = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** The data that Django's json_script put into the page. */
export function pageData(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
}

/** A short message at the corner of the page; spoken by screen readers. */
export function toast(message, kind = "info") {
  const names = { info: "info", success: "check-circle", danger: "x-octagon", warning: "warning" };
  const close = h("button", { type: "button", class: "btn-close", "aria-label": "Close" });
  const box = h(
    "div",
    { class: `app-toast app-toast-${kind}` },
    icon(names[kind] ?? "info"),
    h("div", { class: "app-toast-text" }, message),
    close,
  );
  close.addEventListener("click", () => box.remove());
  document.getElementById("toasts").append(box);
  if (kind !== "danger") setTimeout(() => box.remove(), 6000);
}

/** Ask in a dialog; resolves to true where the person agreed. */
export function confirmAction({ title, text = "", action = "OK", danger = false }) {
  const dialog = document.getElementById("confirm-dialog");
  dialog.querySelector("[data-title]").textContent = title;
  dialog.querySelector("[data-text]").textContent = text;
  const button = dialog.querySelector("[data-confirm]");
  button.textContent = action;
  button.className = `btn ${danger ? "btn-danger" : "btn-primary"}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
