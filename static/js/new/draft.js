// The draft of the new-experiment page: it outlives a reload, in this tab only.

import { parse, stringify } from "../exact.js";

const KEY = `autotune-draft:${globalThis.location?.pathname}${globalThis.location?.search}`;

/**
 * @typedef {{ yaml: string, form: Form | null, base: Form | null, edited: boolean }} Draft
 *   edited: the form holds edits that are not in the text yet
 */

/**
 * @param {Draft} draft
 * @param {string} start the text that the page came with
 */
export function keepDraft(draft, start) {
  try {
    if (draft.yaml === start && !draft.edited) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, stringify(draft));
  } catch {
    // no storage, no draft
  }
}

export function dropDraft() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // nothing was kept
  }
}

/**
 * @param {string} start
 * @returns {Draft | null} null where there is none, or nothing in it but the start
 */
export function readDraft(start) {
  try {
    const draft = parse(sessionStorage.getItem(KEY) ?? "null");
    return draft && (draft.yaml !== start || draft.edited) ? draft : null;
  } catch {
    return null;
  }
}
