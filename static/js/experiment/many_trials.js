// The dialog for many trials of one's own: a table as CSV or a list as JSON, pasted or from a file.

import { ApiError, api, wordsOf } from "../api.js";
import { byId, find, h, toast } from "../dom.js";
import { parse } from "../exact.js";
import { flat, flatNames } from "../flat.js";
import { gettext, ngettext, together } from "../language.js";

const MOST_SHOWN = 12; // problems

/**
 * What was pasted, as REST takes it. Throws where it begins as JSON and is none.
 * @param {string} text
 * @returns {{ trials: unknown } | { csv: string }}
 */
export function bodyOf(text) {
  const given = text.trim();
  if (!/^[[{]/.test(given)) return { csv: given };
  const read = parse(given);
  const list = Array.isArray(read) ? read : (read.trials ?? [read]);
  if (!Array.isArray(list)) return { trials: list };
  return { trials: list.map((one) => one?.parameters ?? one) }; // of an export, or plain
}

/**
 * A table as it may be pasted: every parameter of the space, and a trial's where there is one.
 * @param {Record<string, any>} space
 * @param {Record<string, any>} [parameters]
 */
export function example(space, parameters) {
  const names = flatNames(space);
  const values = parameters && flat(parameters);
  const rows = values ? [names, names.map((name) => values[name] ?? "")] : [names];
  return rows.map((row) => row.map(csvCell).join(",")).join("\n");
}

/** @param {unknown} value */
function csvCell(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export class ManyTrials {
  /**
   * @param {{ url: string, example: string, onAdded: () => void }} settings url: of the trials'
   *   REST list; example: of what can be pasted
   */
  constructor({ url, example, onAdded }) {
    this.url = url;
    this.onAdded = onAdded;
    this.dialog = byId("many-dialog", HTMLDialogElement);
    this.text = byId("many-text", HTMLTextAreaElement);
    this.text.placeholder = example;
    this.file = byId("many-file", HTMLInputElement);
    this.problems = byId("many-problems");
    this.force = byId("many-force", HTMLButtonElement);
    byId("many-open").addEventListener("click", () => this.open());
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    this.text.addEventListener("input", () => this.say([]));
    this.file.addEventListener("change", async () => {
      this.text.value = (await this.file.files?.[0]?.text()) ?? "";
      this.say([]);
    });
    byId("many-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(false);
    });
    this.force.addEventListener("click", () => this.send(true));
  }

  open() {
    byId("custom-dialog", HTMLDialogElement).close();
    this.say([]);
    this.dialog.showModal();
    this.text.focus();
  }

  /** @param {string[]} problems */
  say(problems) {
    const shown = problems.slice(0, MOST_SHOWN).map((words) => h("li", {}, words));
    const more = problems.length - shown.length;
    if (more > 0) shown.push(h("li", {}, gettext("… and {n} more", { n: more })));
    this.problems.replaceChildren(...shown);
    this.problems.hidden = !problems.length;
    this.force.hidden = true;
  }

  /** @param {boolean} force */
  async send(force) {
    let body;
    try {
      body = bodyOf(this.text.value);
    } catch (error) {
      this.say([gettext("This is no JSON: {problem}", { problem: wordsOf(error) })]);
      return;
    }
    try {
      const { count } = await api("POST", `${this.url}many/`, { ...body, force });
      this.dialog.close();
      this.text.value = "";
      this.file.value = "";
      toast(ngettext("{n} trial was added.", "{n} trials were added.", count), "success");
      this.onAdded();
    } catch (error) {
      this.refused(error);
    }
  }

  /** @param {unknown} error */
  refused(error) {
    const errors = error instanceof ApiError ? error.errors : [];
    this.say(errors.length ? errors.map(wordsFor) : [wordsOf(error)]);
    const isAboutValues =
      errors.length > 0 && errors.every(({ path }) => /^(row |trials\[)/.test(path));
    this.force.hidden = !isAboutValues;
  }
}

/** @param {Problem} problem */
const wordsFor = ({ path, message, hint }) =>
  together([path ? `${path}: ${message}` : message, hint]);
