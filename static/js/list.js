// The list: rows open on click, menus act through REST, and everything refreshes itself while the
// page is looked at, cell by cell, so that focus, open menus and selected text stay.

import { api } from "./api.js";
import { refreshTimes } from "./base.js";
import { confirmAction, toast } from "./dom.js";

const INTERVAL = 3000; // milliseconds
const results = () => document.getElementById("list-results");
let refreshing = false;
let epoch = 0; // raised by every swap of htmx, so that a refresh asked before it is not shown after

function busy(cell) {
  const selection = getSelection();
  return (
    cell.contains(document.activeElement) ||
    cell.querySelector(".show") ||
    (!selection.isCollapsed && selection.containsNode(cell, true))
  );
}

function mergeRow(row, fresh) {
  for (const cell of fresh.cells) {
    const old = row.querySelector(`[data-cell="${cell.dataset.cell}"]`);
    if (old.dataset.html === undefined) old.dataset.html = "";
    if (old.dataset.html === cell.innerHTML || busy(old)) continue;
    const html = cell.innerHTML;
    old.replaceChildren(...cell.childNodes);
    old.dataset.html = html;
  }
}

function merge(fresh) {
  const page = results();
  const body = page.querySelector("tbody");
  const freshBody = fresh.querySelector("tbody");
  const ids = (root) => [...root.rows].map((row) => row.id).join();
  const tabs = page.querySelector('[data-part="tabs"]');
  if (!body || !freshBody || page.querySelector(".dropdown-menu.show")) {
    if (!body !== !freshBody) page.replaceWith(fresh);
    else updateTabs(tabs, fresh);
    return;
  }
  updateTabs(tabs, fresh);
  if (ids(body) === ids(freshBody)) {
    for (const row of freshBody.rows) mergeRow(document.getElementById(row.id), row);
  } else if (!busy(body)) {
    const known = new Map([...body.rows].map((row) => [row.id, row]));
    body.replaceChildren(
      ...[...freshBody.rows].map((row) => {
        const old = known.get(row.id);
        if (!old) return row;
        mergeRow(old, row);
        return old;
      }),
    );
  }
  refreshTimes(page);
}

function updateTabs(tabs, fresh) {
  const counts = [...fresh.querySelectorAll('[data-part="tabs"] .num')];
  tabs.querySelectorAll(".num").forEach((element, i) => {
    if (counts[i] && element.textContent !== counts[i].textContent) {
      element.textContent = counts[i].textContent;
    }
  });
}

async function refresh() {
  if (refreshing || document.hidden || document.querySelector("dialog[open]")) return;
  refreshing = true;
  const asked = epoch;
  try {
    const response = await fetch(results().dataset.url, { headers: { "HX-Request": "true" } });
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
    refreshing = false;
  }
}
setInterval(refresh, INTERVAL);
document.addEventListener("visibilitychange", refresh);

// The hidden phase field belongs to the form, the tabs to the results: keep them together.
document.addEventListener("htmx:afterSwap", () => {
  epoch += 1;
  const phase = document.getElementById("list-phase");
  if (phase && results()) phase.value = results().dataset.phase;
});
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters } = event.detail; // short addresses: what is the default is left out
  for (const [name, usual] of [
    ["q", ""],
    ["phase", ""],
    ["order", "newest"],
  ]) {
    if (parameters.get(name) === usual) parameters.delete(name);
  }
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.responseURL.includes("/sign-in/")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

document.addEventListener("click", async (event) => {
  const action = event.target.closest("[data-suspend], [data-delete]");
  if (action) {
    await act(action);
    return;
  }
  const row = event.target.closest("tr[data-href]");
  if (!row || event.target.closest("a, button, .dropdown-menu")) return;
  if (!getSelection().isCollapsed) return;
  if (event.ctrlKey || event.metaKey) window.open(row.dataset.href);
  else location.assign(row.dataset.href);
});

async function act(button) {
  try {
    if (button.dataset.suspend) {
      await api("PATCH", button.dataset.url, { suspended: button.dataset.suspend === "true" });
    } else {
      const agreed = await confirmAction({
        title: `Delete “${button.dataset.name}”?`,
        text: "Its running trials are stopped, and its results and logs are removed for good.",
        action: "Delete",
        danger: true,
      });
      if (!agreed) return;
      await api("DELETE", button.dataset.url);
      toast(`“${button.dataset.name}” was deleted.`, "success");
    }
  } catch (error) {
    toast(error.message, "danger");
  }
  document.activeElement?.blur?.();
  await refresh();
}
