// On every page: theme menu, relative times, copy buttons, messages that close.

import { toast } from "./dom.js";

// ---- theme
function showTheme() {
  const chosen = document.documentElement.dataset.themeChoice;
  for (const button of document.querySelectorAll("[data-set-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === chosen));
  }
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-set-theme]");
  if (!button) return;
  window.autotuneTheme.set(button.dataset.setTheme);
  showTheme();
});
showTheme();

// ---- relative times: <time datetime="…" data-ago>
const units = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", {
  numeric: "auto",
  style: "short",
});
const MONTH = 2592000; // seconds; what is older is shown as a date
export function ago(date, now = Date.now()) {
  const seconds = (date.getTime() - now) / 1000;
  if (Math.abs(seconds) >= MONTH) {
    return date.toLocaleDateString(document.documentElement.lang || "en", {
      day: "numeric",
      month: "short",
      year: "numeric",
    });
  }
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(Math.trunc(seconds / 5) * 5, "second");
}
export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-ago]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const text = ago(date);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = date.toLocaleString();
  }
}
refreshTimes();
setInterval(() => document.hidden || refreshTimes(), 10000);
document.addEventListener("htmx:afterSwap", (event) => refreshTimes(event.target));

// ---- copy: <button data-copy="text">
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast(button.dataset.copied || "Copied.", "success");
  } catch {
    toast("The browser did not allow copying.", "warning");
  }
});

// ---- server-rendered messages close, and go by themselves
for (const box of document.querySelectorAll("#toasts .app-toast")) {
  box.querySelector(".btn-close").addEventListener("click", () => box.remove());
  if (!box.classList.contains("app-toast-danger")) setTimeout(() => box.remove(), 6000);
}

// ---- "/" goes to the search box, as everywhere
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
});
