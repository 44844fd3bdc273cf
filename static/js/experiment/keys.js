// The experiment page by keyboard. Never while something is typed, nor behind a dialog.

import { all, byId, find, hit, toast } from "../dom.js";
import { gettext } from "../language.js";

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable], dialog, .show";

/**
 * Whether a key is meant for the page: no field, menu or dialog has it.
 * @param {KeyboardEvent} event
 */
function isForPage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  return !hit(event, TYPING) && !document.querySelector("dialog[open]");
}

/**
 * @param {import("../trials/table.js").TrialTable} table
 * @param {{
 *   mayChange: boolean,
 *   onAction: (name: string, trial: Trial, button: HTMLButtonElement) => void,
 * }} settings
 */
export function listenToKeys(table, { mayChange, onAction }) {
  const { body } = table.rows;
  const help = byId("keys-dialog", HTMLDialogElement);

  const current = () => document.activeElement?.closest("tr[data-number]") ?? null;

  /** @param {number} step to a row below, or above */
  const move = (step) => {
    const rows = all(body, "tr[data-number]");
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = at < 0 ? rows[0] : rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (!next) return;
    find(next, "a.trial-number").focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };

  const exclude = () => {
    const row = current();
    const trial = row instanceof HTMLElement && table.rows.get(Number(row.dataset.number))?.trial;
    if (!trial || !mayChange) return;
    const name = trial.excluded ? "restore" : "exclude";
    const button = row.querySelector(`[data-row-action=${name}]`);
    if (button instanceof HTMLButtonElement) onAction(name, trial, button);
    else toast(gettext("Only a trial that has ended can be excluded."), "warning");
  };

  const compare = () => {
    const link = byId("selection-compare", HTMLAnchorElement);
    if (link.href && !byId("selection-bar").hidden) location.assign(link.href);
    else toast(byId("selection-hint").textContent?.trim() ?? "", "info");
  };

  /** @type {Record<string, () => void>} */
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    n: () => table.pager.turn(1),
    p: () => table.pager.turn(-1),
    c: compare,
    e: exclude,
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || !isForPage(event)) return;
    event.preventDefault();
    act();
  });
  byId("keys-open").addEventListener("click", () => help.showModal());
}
