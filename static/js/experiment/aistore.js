// The card of the upload to AIStore: how many runs are there, what went wrong, what happens next.

import { byId, find, h, icon } from "../dom.js";
import { ago } from "../format.js";
import { gettext, ngettext } from "../language.js";
import { LOOKS, plainLook } from "../looks.js";
import { said } from "../said.js";

/**
 * Draw the upload into the card, if the page has one.
 * @param {Upload | null} upload
 * @param {boolean} mayChange
 */
export function drawAIStore(upload, mayChange) {
  const card = document.getElementById("aistore");
  if (!card || !upload) return;
  const { runs, uploaded, state } = upload;
  const isStuck = state === "retrying" || state === "failed";
  const words = ngettext(" of {n} run uploaded", " of {n} runs uploaded", runs);
  byId("aistore-text").replaceChildren(h("strong", {}, uploaded), words);
  const { icon: name, label, tone } = LOOKS.uploads[state] ?? plainLook(state);
  byId("aistore-state").replaceChildren(
    h("span", { class: `aistore-state state-${tone}` }, icon(name), label),
  );
  const share = runs ? (100 * uploaded) / runs : state === "done" ? 100 : 0;
  const bar = byId("aistore-bar");
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${share}%`;
  bar.setAttribute("aria-valuenow", share.toFixed(0));
  bar.classList.toggle("is-running", state === "waiting");
  bar.classList.toggle("is-done", state === "done");
  bar.classList.toggle("is-full", isStuck);
  const error = byId("aistore-error");
  error.hidden = !upload.error;
  const isComing = upload.next_try_at && state === "retrying";
  const next = isComing ? [gettext(" Next try: "), ago(upload.next_try_at)] : [];
  error.replaceChildren(said(upload.error), ...next);
  error.classList.toggle("is-failed", state === "failed");
  const link = byId("aistore-link", HTMLAnchorElement);
  link.hidden = !upload.url;
  if (upload.url) link.href = upload.url;
  find(card, '[data-action="retry-uploads"]').hidden = !(mayChange && isStuck);
}
