// Which trials are shown, in which order and with which columns; as it stands in the address. Pure.

import { LOOKS } from "../looks.js";

export const PAGE_SIZE = 50;
export const PAGE_SIZES = [25, 50, 100, 200];
const DEFAULT_ORDER = "-number";

export class Query {
  /** @param {URLSearchParams} params */
  constructor(params) {
    this.order = params.get("order") || DEFAULT_ORDER;
    /** @type {Set<string>} */
    this.states = new Set((params.get("state") ?? "").split(",").filter((s) => s in LOOKS.states));
    this.where = params.get("where") ?? "";
    this.page = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
    const size = Number(params.get("size"));
    this.size = PAGE_SIZES.includes(size) ? size : PAGE_SIZE;
    /** @type {string[] | null} keys of the columns; null: the usual ones */
    this.columns = params.get("columns")?.split(",").filter(Boolean) ?? null;
  }

  /**
   * What of this belongs into the address; null removes.
   * @returns {Record<string, string | null>}
   */
  forAddress() {
    return {
      order: this.hasDefaultOrder ? null : this.order,
      state: [...this.states].join(",") || null,
      where: this.where || null,
      page: this.page > 1 ? String(this.page) : null,
      size: this.size === PAGE_SIZE ? null : String(this.size),
      columns: this.columns ? this.columns.join(",") : null,
    };
  }

  /** What the server is asked. */
  forServer() {
    const query = new URLSearchParams({
      order: this.order,
      page: String(this.page),
      page_size: String(this.size),
      ...this.filter(),
    });
    return query;
  }

  /**
   * Which trials are let through, as the server is asked.
   * @returns {Record<string, string>}
   */
  filter() {
    return {
      ...(this.states.size > 0 && { state: [...this.states].join(",") }),
      ...(this.where && { where: this.where }),
    };
  }

  get hasDefaultOrder() {
    return this.order === DEFAULT_ORDER;
  }

  get isFiltered() {
    return this.states.size > 0 || this.where !== "";
  }

  /** As the page comes from the server. */
  get isDefault() {
    return this.hasDefaultOrder && !this.isFiltered && this.page === 1 && this.size === PAGE_SIZE;
  }

  /** Sorted by number and not filtered: a row's own change moves nothing. */
  get isPlain() {
    return /^-?number$/.test(this.order) && !this.isFiltered;
  }

  resetOrder() {
    this.order = DEFAULT_ORDER;
  }

  clearFilter() {
    this.states.clear();
    this.where = "";
  }

  /**
   * The column that is sorted by, and whether downwards.
   * @returns {[field: string, isDown: boolean]}
   */
  get sorting() {
    return this.order.startsWith("-") ? [this.order.slice(1), true] : [this.order, false];
  }

  /**
   * Sort by a column; the other way where it is sorted by already.
   * @param {string} field
   * @param {boolean} isNumber numbers descend at first, words ascend
   */
  sortBy(field, isNumber) {
    const [now, isDown] = this.sorting;
    const descend = now === field ? !isDown : isNumber;
    this.order = descend ? `-${field}` : field;
  }
}
