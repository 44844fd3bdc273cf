// The dialog for what people write of an experiment or a trial: name, notes, tags. Nobody's change
// is overwritten unseen.

import { ApiError, api, wordsOf } from "./api.js";
import { all, byId, find, toast } from "./dom.js";
import { RenderedNotes } from "./markdown.js";

/** @typedef {{ notes: string, name?: string, tags?: string[] }} Written */
/** @typedef {"name" | "notes" | "tags"} Field */

/**
 * @param {Field} field
 * @param {string} text as typed
 */
const typed = (field, text) => {
  if (field === "notes") return text;
  if (field === "name") return text.trim();
  return text
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
};

/** @param {string | string[] | undefined} value */
const textOf = (value) => (Array.isArray(value) ? value.join(", ") : (value ?? ""));

export class Notes {
  /** @param {{ url: string, onSaved: (fresh: any) => void }} settings url: of what it is about */
  constructor({ url, onSaved }) {
    this.url = url;
    this.onSaved = onSaved;
    this.dialog = byId("notes-dialog", HTMLDialogElement);
    this.preview = new RenderedNotes(byId("notes-preview"));
    this.previewButton = byId("notes-preview-button", HTMLButtonElement);
    /** @type {Map<Field, HTMLInputElement | HTMLTextAreaElement>} those that this dialog has */
    this.inputs = new Map();
    for (const input of all(this.dialog, "[data-field]")) {
      const field = /** @type {Field} */ (input.dataset.field);
      this.inputs.set(field, /** @type {HTMLInputElement} */ (input));
    }
    /** @type {Written | null} as the person has seen it */
    this.seen = null;
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    this.previewButton.addEventListener("click", () => this.showPreview(this.isWriting));
    byId("notes-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
  }

  get text() {
    return /** @type {HTMLTextAreaElement} */ (this.inputs.get("notes"));
  }

  get isWriting() {
    return this.previewButton.getAttribute("aria-pressed") === "false";
  }

  /** @param {boolean} isWanted instead of the text */
  async showPreview(isWanted) {
    this.previewButton.setAttribute("aria-pressed", String(isWanted));
    this.text.hidden = isWanted;
    this.preview.element.hidden = !isWanted;
    if (!isWanted) return;
    try {
      await this.preview.show(this.text.value);
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
    this.preview.element.hidden = this.isWriting;
  }

  /** @param {Written} seen */
  open(seen) {
    this.seen = seen;
    for (const [field, input] of this.inputs) input.value = textOf(seen[field]);
    this.showErrors([]);
    this.showPreview(false);
    this.dialog.showModal();
  }

  async save() {
    const { seen } = this;
    if (!seen) return;
    /** @type {Record<string, unknown>} */
    const body = {};
    /** @type {Record<string, unknown>} */
    const expected = {};
    for (const [field, input] of this.inputs) {
      const wanted = typed(field, input.value);
      if (textOf(wanted) === textOf(seen[field])) continue;
      body[field] = wanted;
      expected[field] = seen[field];
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
      const isShown = errors.some(({ path }) => this.inputs.has(/** @type {Field} */ (path)));
      if (!isShown) toast(wordsOf(error), "danger");
    }
  }

  async look() {
    try {
      this.seen = await api("GET", this.url);
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
