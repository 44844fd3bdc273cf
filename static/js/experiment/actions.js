// What a person can do to a whole experiment: the buttons of its page.

import { api, wordsOf } from "../api.js";
import { byId, confirmAction, hit, toast } from "../dom.js";
import { gettext, ngettext } from "../language.js";

/** @typedef {() => Promise<Experiment | null> | null} Action resolves to the changed experiment */

/**
 * @param {HTMLElement} root
 * @param {{
 *   api: string, list: string, current: () => Experiment,
 *   onChanged: (experiment: Experiment) => void, onTrials: () => void,
 *   openCustom: (experiment: Experiment) => void, openNotes: (experiment: Experiment) => void,
 * }} page onTrials: there are other trials now
 */
export function listenToActions(root, page) {
  const url = page.api;
  /** @type {Record<string, Action>} */
  const actions = {
    suspend: () => api("PATCH", url, { suspended: true }),
    resume: () => api("PATCH", url, { suspended: false }),
    continue: () => api("PATCH", url, { suspended: false }), // though failures suspended it
    finish: () => finish(url, page.current()),
    delete: () => remove(url, page.current(), page.list),
    "retry-failed": async () => {
      const { count } = await api("POST", `${url}retry-failed/`);
      toast(ngettext("{n} trial is tried again.", "{n} trials are tried again.", count), "success");
      page.onTrials();
      return null;
    },
    "retry-uploads": () => api("POST", `${url}aistore/retry/`),
    custom: () => {
      page.openCustom(page.current());
      return null;
    },
    notes: () => {
      page.openNotes(page.current());
      return null;
    },
    manifest: () => showManifest(url),
  };
  root.addEventListener("click", async (event) => {
    const button = hit(event, "[data-action]");
    if (!(button instanceof HTMLButtonElement)) return;
    button.disabled = true;
    try {
      const fresh = await actions[button.dataset.action ?? ""]();
      if (fresh?.phase) page.onChanged(fresh);
    } catch (error) {
      toast(wordsOf(error), "danger");
    } finally {
      button.disabled = false;
    }
  });
}

/**
 * @param {string} url
 * @param {Experiment} experiment
 */
async function finish(url, { counts }) {
  const running = (counts.RUNNING ?? 0) + (counts.WAITING ?? 0);
  const agreed = await confirmAction({
    title: gettext("Finish this experiment now?"),
    text: running
      ? ngettext(
          "{n} unfinished trial is stopped; it keeps what it reported.",
          "{n} unfinished trials are stopped; they keep what they reported.",
          running,
        )
      : gettext("No further trials will be started."),
    action: gettext("Finish early"),
  });
  return agreed ? api("POST", `${url}finish/`) : null;
}

/**
 * @param {string} url
 * @param {Experiment} experiment
 * @param {string} list address of the page to go to
 */
async function remove(url, { name, n_trials: n }, list) {
  const agreed = await confirmAction({
    title: gettext("Delete “{name}”?", { name }),
    text: ngettext(
      "Its {n} trial, its reports and logs are removed for good.",
      "Its {n} trials, their reports and logs are removed for good.",
      n,
    ),
    action: gettext("Delete"),
    danger: true,
  });
  if (!agreed) return null;
  await api("DELETE", url);
  location.assign(list);
  return null;
}

/** @param {string} url */
async function showManifest(url) {
  const response = await fetch(`${url}manifest/`, { credentials: "same-origin" });
  if (!response.ok)
    throw new Error(gettext("The server answered {status}.", { status: response.status }));
  const text = await response.text();
  byId("manifest-text").textContent = text;
  byId("manifest-copy").dataset.copy = text;
  byId("manifest-dialog", HTMLDialogElement).showModal();
  return null;
}
