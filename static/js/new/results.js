// "Start from → Import earlier results": files of other products become finished experiments.

import { ApiError, api, wordsOf } from "../api.js";
import { byId } from "../dom.js";
import { list } from "./imports.js";

export function listenToResults() {
  const dialog = byId("results-dialog", HTMLDialogElement);
  const form = byId("results-form", HTMLFormElement);
  const go = byId("results-go", HTMLButtonElement);
  byId("results").addEventListener("click", () => {
    form.reset();
    tell([]);
    dialog.showModal();
  });
  byId("results-cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const query = new URLSearchParams();
    for (const name of ["study", "mode", "objective", "parameters"]) {
      const value = String(given.get(name) ?? "").trim();
      given.delete(name);
      if (value) query.set(name, value);
    }
    if (!query.has("study")) query.set("all", "true");
    else query.set("study", `"${query.get("study")}"`);
    go.disabled = true;
    try {
      const made = await api("POST", `${form.dataset.url}?${query}`, given);
      const { experiments } = made;
      location.assign(experiments.length === 1 ? experiments[0].url : byList());
    } catch (error) {
      if (error instanceof ApiError && error.errors.length) tell(error.errors);
      else tell([{ path: "", message: wordsOf(error), hint: "" }]);
    } finally {
      go.disabled = false;
    }
  });
}

/** @param {Problem[]} problems */
function tell(problems) {
  const shown = list(problems);
  byId("results-problems").replaceChildren(...(shown ? [shown] : []));
}

/** The page that lists experiments, the newest first. */
function byList() {
  const link = document.querySelector(".breadcrumbs a");
  return link instanceof HTMLAnchorElement ? link.href : "/";
}
