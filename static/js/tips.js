// The name of a button that has only an icon is seen: on pointing at it, and on coming to it by
// keyboard. One box for the whole page, beside nothing that scrolls or clips.

import { h, hit } from "./dom.js";

const ICONS = ".btn-icon, .segmented-icons button";
const WAIT = 250; // milliseconds of pointing
const GAP = 6; // pixels

const tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
/** @type {ReturnType<typeof setTimeout> | undefined} */
let soon;

/** @param {HTMLElement} button */
function nameOf(button) {
  if (button.title) {
    button.dataset.name = button.title; // else the browser would show it a second time
    if (!button.hasAttribute("aria-label")) button.setAttribute("aria-label", button.title);
    button.removeAttribute("title");
  }
  return button.dataset.name || button.getAttribute("aria-label") || "";
}

/** @param {HTMLElement} button */
function show(button) {
  const name = nameOf(button);
  if (!name || button.textContent?.trim() || !button.isConnected) return;
  tip.textContent = name;
  tip.hidden = false;
  (button.closest("dialog") ?? document.body).append(tip);
  const at = button.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const left = at.left + at.width / 2 - width / 2;
  const above = at.top - height - GAP;
  tip.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`;
  tip.style.top = `${above > 0 ? above : at.bottom + GAP}px`;
}

function hide() {
  clearTimeout(soon);
  tip.hidden = true;
}

document.addEventListener("pointerover", (event) => {
  const button = hit(event, ICONS);
  hide();
  if (!button) return;
  nameOf(button);
  soon = setTimeout(() => show(button), WAIT);
});
document.addEventListener("focusin", (event) => {
  hide();
  const button = hit(event, ICONS);
  if (button?.matches(":focus-visible")) show(button);
});
document.addEventListener("focusout", hide);
document.addEventListener("pointerdown", hide);
document.addEventListener("scroll", hide, { capture: true, passive: true });
