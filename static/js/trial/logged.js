// What the trial's script logged to MLflow: its parameters, tags, nested runs.

import { api } from "../api.js";
import { byId, h } from "../dom.js";
import { gettext, ngettext } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 5000; // at most so often while it runs

export class LoggedCard {
  /**
   * @param {string} url of what was logged, in REST
   * @param {Logged} logged
   */
  constructor(url, logged) {
    this.url = url;
    this.soon = steadily(() => this.load(), EVERY_MS);
    this.draw(logged);
  }

  async load() {
    this.draw(await api("GET", this.url));
  }

  /** @param {Logged} logged */
  draw({ params, tags, runs, files }) {
    const rows = [
      ...rowsOf(params),
      ...rowsOf(tags),
      ...runs.map((run) => row(gettext("Run"), `${run.name} ${run.status}`.trim())),
    ];
    byId("logged").hidden = rows.length + files === 0;
    byId("logged-rows").replaceChildren(h("table", { class: "kv-table" }, h("tbody", {}, rows)));
    const words = ngettext(
      "{n} file was logged, and is not kept: attach() keeps files.",
      "{n} files were logged, and are not kept: attach() keeps files.",
      files,
    );
    byId("logged-files").textContent = files ? words : "";
  }
}

/** @param {Record<string, string>} texts */
const rowsOf = (texts) => Object.entries(texts).map(([name, text]) => row(name, text));

/**
 * @param {string} name
 * @param {string} text
 */
const row = (name, text) =>
  h(
    "tr",
    {},
    h("th", { scope: "row", class: "mono" }, name),
    h("td", { class: "mono", title: text }, text),
  );
