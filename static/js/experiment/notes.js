// The dialog for an experiment's name and notes. Nobody's change is overwritten unseen.

import { ApiError, api, wordsOf } from "../api.js";
import { all, byId, find, toast } from "../dom.js";

export class Notes {
  /** @param {{ url: string, onSaved: (experiment: Experiment) => void }} settings */
  constructor({ url, onSaved }) {
    this.url = url;
    this.onSaved = onSaved;
    this.dialog = byId("notes-dialog", HTMLDialogElement);
    this.name = byId("notes-name", HTMLInputElement);
    this.text = byId("notes-text", HTMLTextAreaElement);
    /** @type {Experiment | null} as the person has seen it */
    this.experiment = null;
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    byId("notes-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
  }

  /** @param {Experiment} experiment */
  open(experiment) {
    this.experiment = experiment;
    this.name.value = experiment.name;
    this.text.value = experiment.notes;
    this.showErrors([]);
    this.dialog.showModal();
  }

  async save() {
    const seen = this.experiment;
    if (!seen) return;
    const wanted = { name: this.name.value.trim(), notes: this.text.value };
    /** @type {Record<string, unknown>} */
    const body = {};
    /** @type {Record<string, string>} */
    const expected = {};
    for (const key of /** @type {const} */ (["name", "notes"])) {
      if (wanted[key] === seen[key]) continue;
      body[key] = wanted[key];
      expected[key] = seen[key];
    }
    try {
      if (Object.keys(body).length) {
        this.onSaved(await api("PATCH", this.url, { ...body, expected }));
      }
      this.dialog.close();
    } catch (error) {
      const errors = error instanceof ApiError ? error.errors : [];
      this.showErrors(errors);
      // It has been said that somebody else was quicker: the next save is a decision.
      if (error instanceof ApiError && error.status === 409) await this.look();
      const isShown = errors.some(({ path }) => path === "name" || path === "notes");
      if (!isShown) toast(wordsOf(error), "danger");
    }
  }

  async look() {
    try {
      this.experiment = await api("GET", this.url);
    } catch {
      // then the next save is refused once more
    }
  }

  /** @param {Problem[]} errors */
  showErrors(errors) {
    for (const box of all(this.dialog, "[data-error]")) {
      const found = errors.find((e) => e.path === box.dataset.error);
      box.hidden = !found;
      box.textContent = found?.message ?? "";
    }
  }
}
