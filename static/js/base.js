// On every page: theme menu, relative times, copy buttons, names of icons, messages that close.

import { all, find, hit, toast } from "./dom.js";
import { gettext } from "./language.js";
import { refreshTimes } from "./times.js";
import "./tips.js";

// ---- theme
function showTheme() {
  const chosen = document.documentElement.dataset.themeChoice;
  for (const button of all(document, "[data-set-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === chosen));
  }
}
document.addEventListener("click", (event) => {
  const button = hit(event, "[data-set-theme]");
  if (!button) return;
  window.autotuneTheme.set(button.dataset.setTheme ?? "system");
  showTheme();
});
showTheme();

// ---- relative times
refreshTimes();
setInterval(() => document.hidden || refreshTimes(), 10000);
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target instanceof Element) refreshTimes(event.target);
});

// ---- copy: <button data-copy="text">
document.addEventListener("click", async (event) => {
  const button = hit(event, "[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? "");
    toast(button.dataset.copied || gettext("Copied."), "success");
  } catch {
    toast(gettext("The browser did not allow copying."), "warning");
  }
});

// ---- server-rendered messages close, and go by themselves
for (const box of all(document, "#toasts .app-toast")) {
  find(box, ".btn-close").addEventListener("click", () => box.remove());
  if (!box.classList.contains("app-toast-danger")) setTimeout(() => box.remove(), 6000);
}

// ---- "/" goes to the search box, as everywhere
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (hit(event, "input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("[data-search]");
  if (!(search instanceof HTMLElement)) return;
  event.preventDefault();
  search.focus();
});
