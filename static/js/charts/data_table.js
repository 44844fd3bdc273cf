// A chart's numbers in rows and columns, some at a time.

import { api, wordsOf } from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";
import { gettext } from "../language.js";

const AT_ONCE = 200; // rows

/** @typedef {string | number | boolean | null} Cell */
/** @typedef {{ columns: string[], count: number, rows: Cell[][] }} Part */

export class DataTable {
  /**
   * @param {string} caption
   * @param {(query: Record<string, string>) => string} address of a part
   */
  constructor(caption, address) {
    this.address = address;
    this.shown = 0;
    this.head = h("thead");
    this.body = h("tbody");
    this.caption = h("caption", { class: "visually-hidden" }, caption);
    this.table = h("table", { class: "data-table" }, this.caption, this.head, this.body);
    this.scroll = h(
      "div",
      { class: "chart-table-scroll", tabindex: "0", role: "region", "aria-label": caption },
      this.table,
    );
    this.said = h("span", { class: "muted small", role: "status" });
    this.more = h(
      "button",
      { type: "button", class: "btn btn-default btn-sm", hidden: true },
      gettext("More rows"),
    );
    this.more.addEventListener("click", () => this.append());
    this.box = h(
      "div",
      { class: "chart-table", hidden: true, "data-testid": "chart-table" },
      this.scroll,
      h("p", { class: "chart-table-foot" }, this.said, this.more),
    );
  }

  /** Anew, as many rows as were shown. */
  async read() {
    const limit = Math.min(Math.max(this.shown, AT_ONCE), 1000);
    const part = await this.part(0, limit);
    if (!part) return;
    const head = part.columns.map((name) => h("th", { scope: "col" }, name));
    this.head.replaceChildren(h("tr", {}, head));
    this.body.replaceChildren(...part.rows.map(row));
    this.tell(part);
  }

  async append() {
    const part = await this.part(this.body.rows.length, AT_ONCE);
    if (!part) return;
    this.body.append(...part.rows.map(row));
    this.tell(part);
  }

  /**
   * @param {number} offset
   * @param {number} limit
   * @returns {Promise<Part | null>}
   */
  async part(offset, limit) {
    try {
      return await api("GET", this.address({ offset: String(offset), limit: String(limit) }));
    } catch (error) {
      this.said.textContent = wordsOf(error);
      return null;
    }
  }

  /** @param {Part} part */
  tell({ count }) {
    this.shown = this.body.rows.length;
    this.more.hidden = this.shown >= count;
    this.said.textContent = count
      ? gettext("{n} of {all} rows", { n: this.shown, all: count })
      : gettext("There is nothing to show yet.");
  }
}

/** @param {Cell[]} cells */
const row = (cells) => h("tr", {}, cells.map(cell));

/** @param {Cell} value */
function cell(value) {
  if (typeof value !== "number") {
    const words = typeof value === "boolean" ? (value ? gettext("yes") : gettext("no")) : value;
    return h("td", {}, words ?? "–");
  }
  const text = Number.isInteger(value) ? String(value) : number(value);
  return h("td", { class: "num", title: String(value) }, text);
}
