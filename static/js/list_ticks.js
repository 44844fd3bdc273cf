// Ticked experiments of the list: kept in the address through search, order, pages and refreshes,
// and compared on a page of their own.

import { params } from "./address.js";
import { all, byId, hit, toast } from "./dom.js";
import { gettext } from "./language.js";

const KEY = "ticked";
const ticked = new Set(
  (params.get(KEY) ?? "").split(",").filter((id) => /^[a-z0-9]{1,8}$/.test(id)),
);
const bar = byId("list-selection");
const [fewest, most] = [Number(bar.dataset.fewest), Number(bar.dataset.most)];
const compare = byId("list-compare", HTMLAnchorElement);

const text = () => [...ticked].join(",");

function draw() {
  for (const box of all(document, "[data-tick]", HTMLInputElement)) {
    const isTicked = ticked.has(box.dataset.tick ?? "");
    if (box.checked !== isTicked) box.checked = isTicked;
    box.closest("tr")?.classList.toggle("is-ticked", isTicked);
  }
  bar.hidden = ticked.size === 0;
  const words = gettext("{n} selected", { n: ticked.size });
  if (byId("list-selected").textContent !== words) byId("list-selected").textContent = words;
  const isPossible = ticked.size >= fewest && ticked.size <= most;
  if (isPossible) compare.href = `${bar.dataset.compare}?ids=${text()}`;
  else compare.removeAttribute("href");
  compare.classList.toggle("disabled", !isPossible);
  compare.setAttribute("aria-disabled", String(!isPossible));
  byId("list-compare-hint").hidden = isPossible;
}

function changed() {
  const url = new URL(location.href);
  if (ticked.size) url.searchParams.set(KEY, text());
  else url.searchParams.delete(KEY);
  history.replaceState(history.state, "", url); // htmx keeps a mark in the state
  draw();
}

document.addEventListener("change", (event) => {
  const box = hit(event, "[data-tick]");
  if (!(box instanceof HTMLInputElement)) return;
  const id = box.dataset.tick ?? "";
  if (!box.checked) ticked.delete(id);
  else if (ticked.size < most) ticked.add(id);
  else toast(gettext("At most {n} experiments can be compared.", { n: most }), "warning");
  changed();
});

function clear() {
  ticked.clear();
  changed();
}
byId("list-unselect").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !ticked.size || event.defaultPrevented) return;
  if (hit(event, "input:not([type=checkbox]), textarea, select, dialog")) return;
  if (!document.querySelector(".dropdown-menu.show, dialog[open]")) clear();
});

// Whatever leads to another part of the list takes the ticks along.
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters } = /** @type {CustomEvent} */ (event).detail;
  parameters.delete(KEY);
  if (ticked.size) parameters.set(KEY, text());
});
document.addEventListener(
  "click",
  (event) => {
    const link = hit(event, ".list-pager a[href]");
    if (!(link instanceof HTMLAnchorElement)) return;
    const url = new URL(link.href);
    url.searchParams.delete(KEY);
    if (ticked.size) url.searchParams.set(KEY, text());
    link.href = url.href;
  },
  true,
);

// Rows are swapped and refreshed in place: their boxes follow.
new MutationObserver(draw).observe(byId("main"), { childList: true, subtree: true });
draw();
