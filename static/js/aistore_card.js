// The card of the upload to AIStore: how many runs are there, what went wrong, what happens next.

import { h, icon } from "./dom.js";
import { ago } from "./format.js";

// css class, icon, word
const STATES = {
  off: ["waiting", "pause", "Off"],
  waiting: ["running", "running", "Uploading"],
  retrying: ["early", "clock", "Will be tried again"],
  failed: ["failed", "x-octagon", "Stopped"],
  done: ["succeeded", "check-circle", "Up to date"],
};

/** Draw `upload` (an experiment's `aistore`) into the card, if the page has one. */
export function drawAIStore(upload, mayChange) {
  const card = document.getElementById("aistore");
  if (!card || !upload) return;
  const find = (id) => document.getElementById(`aistore-${id}`);
  const { runs, uploaded, state } = upload;
  find("text").replaceChildren(
    h("strong", {}, uploaded),
    ` of ${runs} ${runs === 1 ? "run" : "runs"} uploaded`,
  );
  const [css, name, word] = STATES[state] ?? ["waiting", "info", state];
  find("state").replaceChildren(
    h("span", { class: `aistore-state state-${css}` }, icon(name), word),
  );
  const share = runs ? (100 * uploaded) / runs : state === "done" ? 100 : 0;
  const bar = find("bar");
  bar.firstElementChild.style.width = `${share}%`;
  bar.setAttribute("aria-valuenow", share.toFixed(0));
  bar.classList.toggle("is-running", state === "waiting");
  bar.classList.toggle("is-done", state === "done");
  bar.classList.toggle("is-full", state === "retrying" || state === "failed");
  const error = find("error");
  error.hidden = !upload.error;
  const next =
    upload.next_try_at && state === "retrying" ? [" Next try: ", ago(upload.next_try_at)] : [];
  error.replaceChildren(upload.error, ...next);
  error.classList.toggle("is-failed", state === "failed");
  const link = find("link");
  link.hidden = !upload.url;
  if (upload.url) link.href = upload.url;
  card.querySelector('[data-action="retry-uploads"]').hidden = !(
    mayChange &&
    (state === "failed" || state === "retrying")
  );
}
