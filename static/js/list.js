// The list: rows open on click, menus act through REST, and everything refreshes itself while the
// page is looked at, cell by cell, so that focus, open menus and selected text stay.

import { api, wordsOf } from "./api.js";
import { all, byId, confirmAction, find, h, hit, toast } from "./dom.js";
import { gettext } from "./language.js";
import { refreshTimes } from "./times.js";

const INTERVAL = 3000; // milliseconds
const results = () => byId("list-results");
let isRefreshing = false;
let epoch = 0; // raised by every swap of htmx, so that a refresh asked before it is not shown after

/** @type {WeakMap<Element, string>} what the server last said is in a cell */
const shown = new WeakMap();

/**
 * Whether somebody is at work in there.
 * @param {Element} cell
 */
function isBusy(cell) {
  const selection = getSelection();
  return (
    cell.contains(document.activeElement) ||
    cell.querySelector(".show") !== null ||
    (selection !== null && !selection.isCollapsed && selection.containsNode(cell, true))
  );
}

/**
 * @param {HTMLTableRowElement} row
 * @param {HTMLTableRowElement} fresh
 */
function mergeRow(row, fresh) {
  for (const cell of fresh.cells) {
    const old = find(row, `[data-cell="${cell.dataset.cell}"]`);
    const html = cell.innerHTML;
    if (shown.get(old) === html || isBusy(old)) continue;
    old.replaceChildren(...cell.childNodes);
    shown.set(old, html);
  }
}

/** @param {HTMLElement} fresh */
function merge(fresh) {
  const page = results();
  const body = page.querySelector("tbody");
  const freshBody = fresh.querySelector("tbody");
  if (!body !== !freshBody) {
    page.replaceWith(fresh);
    return;
  }
  updateTabs(page, fresh);
  if (!body || !freshBody || page.querySelector(".dropdown-menu.show")) return;
  mergeRows(body, freshBody);
  refreshTimes(page);
}

/**
 * @param {HTMLTableSectionElement} body
 * @param {HTMLTableSectionElement} fresh
 */
function mergeRows(body, fresh) {
  const known = new Map([...body.rows].map((row) => [row.id, row]));
  const rows = [...fresh.rows].map((row) => ({ row, old: known.get(row.id) }));
  const isSame = rows.length === body.rows.length && rows.every((r, i) => r.old === body.rows[i]);
  if (!isSame && isBusy(body)) return;
  for (const { row, old } of rows) if (old) mergeRow(old, row);
  if (!isSame) body.replaceChildren(...rows.map(({ row, old }) => old ?? row));
}

/**
 * @param {Element} page
 * @param {Element} fresh
 */
function updateTabs(page, fresh) {
  const counts = all(fresh, '[data-part="tabs"] .num');
  all(page, '[data-part="tabs"] .num').forEach((element, i) => {
    const text = counts[i]?.textContent;
    if (text && element.textContent !== text) element.textContent = text;
  });
}

async function refresh() {
  if (isRefreshing || document.hidden || document.querySelector("dialog[open]")) return;
  isRefreshing = true;
  const asked = epoch;
  try {
    const url = results().dataset.url ?? "";
    const response = await fetch(url, { headers: { "HX-Request": "true" } });
    if (response.redirected) {
      location.reload(); // signed out meanwhile
      return;
    }
    if (!response.ok || asked !== epoch) return;
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = parsed.getElementById("list-results");
    if (fresh && asked === epoch) {
      merge(document.adoptNode(fresh));
      window.htmx?.process(results());
    }
  } catch {
    // the server is away for a moment; the next turn asks again
  } finally {
    isRefreshing = false;
  }
}
setInterval(refresh, INTERVAL);
document.addEventListener("visibilitychange", refresh);

// The hidden fields of phase and tags belong to the form, the tabs to the results: keep them together.
document.addEventListener("htmx:afterSwap", () => {
  epoch += 1;
  const phase = document.getElementById("list-phase");
  if (phase instanceof HTMLInputElement) phase.value = results().dataset.phase ?? "";
  const tags = all(results(), "[data-tag]").map(({ dataset }) => dataset.tag);
  byId("list-tags").replaceChildren(
    ...tags.map((value) => h("input", { type: "hidden", name: "tag", value })),
  );
});
/** @param {Event} event */
const detailOf = (event) => /** @type {CustomEvent} */ (event).detail;
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters } = detailOf(event); // short addresses: what is the default is left out
  for (const [name, usual] of Object.entries({ q: "", phase: "", order: "newest" })) {
    if (parameters.get(name) === usual) parameters.delete(name);
  }
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const detail = detailOf(event);
  if (detail.xhr.responseURL.includes("/sign-in/")) {
    detail.shouldSwap = false;
    location.reload();
  }
});

document.addEventListener("click", async (event) => {
  const action = hit(event, "[data-suspend], [data-delete]");
  if (action) {
    await act(action);
    return;
  }
  const row = hit(event, "tr[data-href]");
  if (!row?.dataset.href || hit(event, "a, button, input, .col-tick, .dropdown-menu")) return;
  if (!getSelection()?.isCollapsed) return;
  if (event.ctrlKey || event.metaKey) window.open(row.dataset.href);
  else location.assign(row.dataset.href);
});

/** @param {HTMLElement} button */
async function act({ dataset }) {
  const url = dataset.url ?? "";
  try {
    if (dataset.suspend) await api("PATCH", url, { suspended: dataset.suspend === "true" });
    else if (!(await remove(url, dataset.name ?? ""))) return;
  } catch (error) {
    toast(wordsOf(error), "danger");
  }
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  await refresh();
}

/**
 * @param {string} url
 * @param {string} name
 */
async function remove(url, name) {
  const agreed = await confirmAction({
    title: gettext("Delete “{name}”?", { name }),
    text: gettext("Its running trials are stopped, and its results and logs are removed for good."),
    action: gettext("Delete"),
    danger: true,
  });
  if (!agreed) return false;
  await api("DELETE", url);
  toast(gettext("“{name}” was deleted.", { name }), "success");
  return true;
}
