// The limits, edited in place. Nobody's change is overwritten unseen: what was seen is sent along.

import { ApiError, api, wordsOf } from "../api.js";
import { byId, find, toast } from "../dom.js";
import { duration } from "../format.js";
import { gettext, listed, together } from "../language.js";

/** @typedef {"max_trials" | "concurrency" | "max_exec_seconds"} Limit */

/** @type {Limit[]} */
const NAMES = ["max_trials", "concurrency", "max_exec_seconds"];
/** @type {Record<Limit, string>} */
const WORDS = {
  max_trials: gettext("Trials"),
  concurrency: gettext("At a time"),
  max_exec_seconds: gettext("Seconds"),
};

/** @param {number | null | undefined} value */
const shown = (value) => (value === null || value === undefined ? "" : String(value));

export class Limits {
  /**
   * @param {{ url: string, mayChange: boolean, onSaved: (experiment: Experiment) => void }} settings
   */
  constructor({ url, mayChange, onSaved }) {
    this.url = url;
    this.mayChange = mayChange;
    this.onSaved = onSaved;
    this.form = byId("limits", HTMLFormElement);
    this.actions = byId("limit-actions");
    this.note = byId("limit-note");
    const input = (/** @type {Limit} */ name) =>
      find(this.form, `[name="${name}"]`, HTMLInputElement);
    /** @type {Record<Limit, HTMLInputElement>} */
    this.inputs = {
      max_trials: input("max_trials"),
      concurrency: input("concurrency"),
      max_exec_seconds: input("max_exec_seconds"),
    };
    /** @type {Partial<Record<Limit, number | null>>} the values the person looks at */
    this.seen = {};
    /** @type {Partial<Record<Limit, number | null>>} the newest ones */
    this.current = {};
    for (const name of NAMES) {
      this.inputs[name].addEventListener("input", () => {
        this.mark(name, "");
        this.drawActions();
      });
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.form.addEventListener("keydown", (event) => event.key === "Escape" && this.cancel());
    find(this.form, '[data-limits="cancel"]').addEventListener("click", () => this.cancel());
  }

  /** @param {Limit} name */
  typed(name) {
    return this.inputs[name].value.trim();
  }

  /**
   * Emptied, and not merely full of what is no number.
   * @param {Limit} name
   */
  isTakenAway(name) {
    const { value, validity } = this.inputs[name];
    return name !== "concurrency" && !value && !validity.badInput;
  }

  /** @param {Limit} name */
  isDirty(name) {
    return this.typed(name) !== shown(this.seen[name]);
  }

  /** @param {Experiment} experiment */
  show(experiment) {
    for (const name of NAMES) {
      const fresh = experiment[name];
      // nothing brings an experiment back from ERROR
      this.inputs[name].disabled = !this.mayChange || experiment.phase === "ERROR";
      this.current[name] = fresh;
      const isUntouched = this.seen[name] === undefined || !this.isDirty(name);
      if (isUntouched || this.typed(name) === shown(fresh)) {
        if (this.seen[name] !== fresh) this.put(name, fresh);
      } else if (fresh !== this.seen[name]) {
        const value = shown(fresh) || gettext("no limit");
        this.mark(name, gettext("Changed to {value} by somebody else.", { value }));
        this.seen[name] = fresh; // it has been said: the next save is a decision
      }
    }
    this.drawActions();
  }

  /**
   * @param {Limit} name
   * @param {number | null | undefined} value
   */
  put(name, value) {
    this.seen[name] = value;
    this.inputs[name].value = shown(value);
    this.mark(name, "");
  }

  drawActions() {
    this.actions.hidden = !NAMES.some((name) => this.isDirty(name));
    const seconds = Number(this.typed("max_exec_seconds"));
    const isLong = this.isDirty("max_exec_seconds") && seconds >= 60;
    this.note.textContent = isLong ? `= ${duration(seconds)}` : "";
  }

  /**
   * @param {Limit} name
   * @param {string} message
   */
  mark(name, message) {
    const box = byId(`error-${name}`);
    box.hidden = !message;
    box.textContent = message;
    this.inputs[name].classList.toggle("is-invalid", Boolean(message));
  }

  cancel() {
    for (const name of NAMES) this.put(name, this.current[name]);
    this.drawActions();
  }

  async save() {
    const changed = NAMES.filter((name) => this.isDirty(name));
    if (!changed.length) return;
    /** @type {Record<string, unknown>} */
    const body = {};
    /** @type {Record<string, number | null | undefined>} */
    const expected = {};
    for (const name of changed) {
      this.mark(name, "");
      const text = this.typed(name);
      // What is no whole number goes as it is: the server says what must hold.
      body[name] = /^-?\d{1,15}$/.test(text) ? Number(text) : this.isTakenAway(name) ? null : text;
      expected[name] = this.seen[name];
    }
    try {
      const experiment = await api("PATCH", this.url, { ...body, expected });
      this.seen = {};
      this.onSaved(experiment);
      const words = changed.map(
        (name) => `${WORDS[name].toLowerCase()} ${shown(experiment[name]) || gettext("no limit")}`,
      );
      toast(gettext("Saved: {changes}.", { changes: listed(words) }), "success");
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 0;
      if (status === 409) await this.conflict(wordsOf(error));
      else if (error instanceof ApiError && status === 400) this.refused(error.errors, changed);
      else toast(wordsOf(error), "danger");
    }
  }

  /** @param {string} message */
  async conflict(message) {
    try {
      this.onSaved(await api("GET", this.url)); // marks each field that somebody else changed
    } catch {
      // the message below says enough
    }
    const isMarked = NAMES.some((name) => !byId(`error-${name}`).hidden);
    if (!isMarked) toast(message, "warning");
  }

  /**
   * @param {Problem[]} errors
   * @param {Limit[]} changed
   */
  refused(errors, changed) {
    for (const { path, message, hint } of errors) {
      const name = NAMES.find((n) => path === n || path.endsWith(`.${n}`)) ?? changed[0];
      this.mark(name, together([message, hint]));
    }
  }
}
