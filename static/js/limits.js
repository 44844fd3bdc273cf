// The limits, edited in place. Nobody's change is overwritten unseen: what was seen is sent along.

import { api } from "./api.js";
import { toast } from "./dom.js";
import { duration } from "./format.js";

const NAMES = ["max_trials", "concurrency", "max_exec_seconds"];
const WORDS = { max_trials: "Trials", concurrency: "At a time", max_exec_seconds: "Seconds" };

export class Limits {
  constructor({ url, mayChange, onSaved }) {
    Object.assign(this, { url, mayChange, onSaved });
    this.form = document.getElementById("limits");
    this.actions = document.getElementById("limit-actions");
    this.note = document.getElementById("limit-note");
    this.inputs = Object.fromEntries(NAMES.map((name) => [name, this.form.elements[name]]));
    this.seen = {}; // the values the person looks at
    this.current = {}; // the newest ones
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
    this.form
      .querySelector('[data-limits="cancel"]')
      .addEventListener("click", () => this.cancel());
  }

  dirty(name) {
    return this.inputs[name].value.trim() !== String(this.seen[name]);
  }

  show(experiment) {
    for (const name of NAMES) {
      const fresh = experiment[name];
      // nothing brings an experiment back from ERROR
      this.inputs[name].disabled = !this.mayChange || experiment.phase === "ERROR";
      this.current[name] = fresh;
      if (
        this.seen[name] === undefined ||
        !this.dirty(name) ||
        this.inputs[name].value.trim() === String(fresh)
      ) {
        if (this.seen[name] === fresh) continue;
        this.seen[name] = fresh;
        this.inputs[name].value = fresh;
        this.mark(name, "");
      } else if (fresh !== this.seen[name]) {
        this.mark(name, `Changed to ${fresh} by somebody else.`);
        this.seen[name] = fresh; // it has been said: the next save is a decision
      }
    }
    this.drawActions();
  }

  drawActions() {
    const changed = NAMES.filter((name) => this.dirty(name));
    this.actions.hidden = changed.length === 0;
    const seconds = Number(this.inputs.max_exec_seconds.value);
    this.note.textContent =
      changed.includes("max_exec_seconds") && seconds >= 60 ? `= ${duration(seconds)}` : "";
  }

  mark(name, message) {
    const box = document.getElementById(`error-${name}`);
    box.hidden = !message;
    box.textContent = message;
    this.inputs[name].classList.toggle("is-invalid", Boolean(message));
  }

  cancel() {
    for (const name of NAMES) {
      this.seen[name] = this.current[name];
      this.inputs[name].value = this.current[name];
      this.mark(name, "");
    }
    this.drawActions();
  }

  async save() {
    const changed = NAMES.filter((name) => this.dirty(name));
    if (!changed.length) return;
    const body = { expected: {} };
    for (const name of changed) {
      this.mark(name, "");
      const text = this.inputs[name].value.trim();
      // What is no whole number goes as it is: the server says what must hold.
      body[name] = /^-?\d{1,15}$/.test(text) ? Number(text) : text;
      body.expected[name] = this.seen[name];
    }
    try {
      const experiment = await api("PATCH", this.url, body);
      for (const name of NAMES) this.seen[name] = undefined;
      this.onSaved(experiment);
      toast(
        `Saved: ${changed.map((name) => `${WORDS[name].toLowerCase()} ${experiment[name]}`).join(", ")}.`,
        "success",
      );
    } catch (error) {
      if (error.status === 409) await this.conflict(error);
      else if (error.status === 400) this.refused(error, changed);
      else toast(error.message, "danger");
    }
  }

  async conflict(error) {
    try {
      this.onSaved(await api("GET", this.url)); // marks each field that somebody else changed
    } catch {
      // the message below says enough
    }
    const marked = NAMES.some((name) => !document.getElementById(`error-${name}`).hidden);
    if (!marked) toast(error.message, "warning");
  }

  refused(error, changed) {
    for (const { path, message, hint } of error.errors) {
      const name = NAMES.find((n) => path === n || path.endsWith(`.${n}`)) ?? changed[0];
      this.mark(name, [message, hint].filter(Boolean).join(" "));
    }
  }
}
