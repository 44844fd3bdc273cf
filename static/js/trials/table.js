// The table of trials: sorted, filtered and paged by the server, rows kept fresh in place.

import { ApiError, api, isAbort } from "../api.js";
import { byId, debounce, find, h, hit, icon, toast } from "../dom.js";
import { flatNames } from "../flat.js";
import { gettext } from "../language.js";
import { LOOKS } from "../looks.js";
import { allColumns, drawColumnsMenu, headCell, usualColumns } from "./columns.js";
import { PAGE_SIZE, Query } from "./query.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";

const REFETCH = 1000; // milliseconds between two reads of the page

export class TrialTable {
  /**
   * @param {{
   *   url: string, page: string, space: Record<string, SpaceNode>, metrics: string[],
   *   params: URLSearchParams, first: Page<Trial>, mayChange: boolean,
   *   onAction: (name: string, trial: Trial, button: HTMLButtonElement) => void,
   *   onState: (changes: Record<string, string | null>) => void,
   * }} settings url: of the trials' REST list; page: of the experiment's page, for links; space,
   *   metrics: names to offer as columns; params: of the address; first: what came with the page;
   *   onAction: a row's button; onState: what belongs into the address has changed
   */
  constructor({ url, page, space, metrics, params, first, mayChange, onAction, onState }) {
    this.url = url;
    this.page = page;
    this.onAction = onAction;
    this.onState = onState;
    this.query = new Query(params);
    this.parameters = flatNames(space);
    this.metrics = metrics.filter((name) => name !== "default");
    /** @type {number | undefined} of the best trial */
    this.best = undefined;
    /** @type {Experiment["counts"]} */
    this.counts = {};
    this.count = 0;
    this.timer = 0;
    this.fetchedAt = 0;
    /** @type {AbortController | null} of the read under way */
    this.reading = null;
    this.isWanted = false; // once more, after this read
    this.isLate = false; // once more, when the pointer leaves
    this.head = byId("trial-head", HTMLTableSectionElement);
    this.empty = byId("trials-empty");
    this.pager = byId("pager");
    this.chips = byId("state-chips");
    this.where = byId("where", HTMLInputElement);
    this.rows = new Rows(byId("trial-rows", HTMLTableSectionElement), {
      columns: () => this.shown(),
      mayChange,
    });
    this.scroll = /** @type {HTMLElement} */ (this.rows.body.closest(".table-scroll"));
    this.selection = new Selection({
      body: this.rows.body,
      head: this.head,
      page,
      ticked: params.get("ticked"),
      onChange: (ticked) => onState({ ticked }),
    });
    this.listen();
    this.buildColumns();
    if (this.query.isDefault) this.show(first);
    else this.load();
  }

  listen() {
    this.where.value = this.query.where;
    const apply = () => {
      const text = this.where.value.trim();
      if (text === this.query.where) return;
      this.query.where = text;
      this.changed();
    };
    this.where.addEventListener("input", debounce(apply, 600));
    this.where.addEventListener("search", apply);
    byId("where-form").addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    this.pager.addEventListener("click", (event) => {
      const button = hit(event, "[data-page]");
      if (!button) return;
      this.query.page += button.dataset.page === "next" ? 1 : -1;
      this.changed({ keepPage: true });
      byId("trials").scrollIntoView({ block: "start" });
    });
    this.rows.body.addEventListener("click", (event) => this.clicked(event));
    this.scroll.addEventListener("pointerleave", () => this.isLate && this.refresh());
  }

  /** @param {Event} event */
  clicked(event) {
    const row = hit(event, "tr[data-number]");
    const trial = this.rows.get(Number(row?.dataset.number))?.trial;
    if (!trial) return;
    const button = hit(event, "[data-row-action]");
    if (button instanceof HTMLButtonElement) {
      this.onAction(button.dataset.rowAction ?? "", trial, button);
    } else if (!hit(event, "a, button, input") && !String(window.getSelection())) {
      location.assign(this.linkTo(trial.number));
    }
  }

  /** @param {number} trial */
  linkTo(trial) {
    return `${this.page}trials/${trial}/`;
  }

  /** The person wants other rows. */
  changed({ keepPage = false } = {}) {
    if (!keepPage) this.query.page = 1;
    this.onState(this.query.forAddress());
    this.load();
  }

  // ---- columns

  buildColumns() {
    this.columns = allColumns(this.parameters, this.metrics, {
      linkTo: (trial) => this.linkTo(trial),
      isBest: (trial) => trial === this.best,
      box: (trial) => this.selection.box(trial),
    });
    this.usual = usualColumns(this.columns);
    const chosen = new Set(this.query.columns ?? this.usual);
    drawColumnsMenu(this.columns, chosen, () => this.choose(chosen));
    this.drawHead();
  }

  /** @param {Set<string>} chosen */
  choose(chosen) {
    const keys = (this.columns ?? []).map((c) => c.key).filter((key) => chosen.has(key));
    this.query.columns = keys.join() === this.usual?.join() ? null : keys;
    this.drawHead();
    this.rows.redrawAll();
    this.onState(this.query.forAddress());
  }

  /**
   * Metrics first seen while the page is open become columns on offer.
   * @param {Trial[]} trials
   */
  learnMetrics(trials) {
    const names = new Set(trials.flatMap((trial) => Object.keys(trial.metrics)));
    names.delete("default");
    for (const known of this.metrics) names.delete(known);
    if (!names.size) return;
    this.metrics.push(...names);
    this.buildColumns();
  }

  shown() {
    const chosen = new Set(this.query.columns ?? this.usual);
    return (this.columns ?? []).filter((column) => column.fixed || chosen.has(column.key));
  }

  drawHead() {
    const cells = this.shown().map((column) =>
      headCell(column, this.query.sorting, () => {
        this.query.sortBy(column.order ?? "", column.num === true);
        this.drawHead();
        this.changed();
      }),
    );
    const actions = h("th", {}, h("span", { class: "visually-hidden" }, gettext("Actions")));
    cells[0]?.prepend(this.selection.headBox());
    this.head.replaceChildren(h("tr", {}, cells, actions));
    this.selection.drawHead();
  }

  // ---- around the rows

  /** @param {Page<Trial>} page */
  show({ count, results }) {
    this.count = count;
    this.learnMetrics(results);
    this.rows.show(results);
    this.selection.draw();
    this.drawEmpty();
    this.drawPager();
  }

  drawEmpty() {
    const isEmpty = this.rows.size === 0;
    this.empty.hidden = !isEmpty;
    this.scroll.hidden = isEmpty;
    if (!isEmpty) return;
    if (!this.query.isFiltered) {
      const words = gettext(
        "No trials yet. They appear here as soon as the tuner proposes the first.",
      );
      this.empty.replaceChildren(h("p", { class: "muted" }, words));
      return;
    }
    const props = { type: "button", class: "btn btn-default btn-sm" };
    const clear = h("button", props, gettext("Clear the filter"));
    clear.addEventListener("click", () => {
      this.query.clearFilter();
      this.where.value = "";
      this.drawChips(this.counts);
      this.changed();
    });
    this.empty.replaceChildren(
      h("p", { class: "muted" }, gettext("No trial fits this filter.")),
      clear,
    );
  }

  drawPager() {
    const { page } = this.query;
    const pages = Math.max(1, Math.ceil(this.count / PAGE_SIZE));
    this.pager.hidden = this.count === 0;
    const from = (page - 1) * PAGE_SIZE + 1;
    const to = Math.min(this.count, from + this.rows.size - 1);
    byId("pager-text").textContent = gettext("{from}–{to} of {n}", { from, to, n: this.count });
    find(this.pager, '[data-page="previous"]', HTMLButtonElement).disabled = page <= 1;
    find(this.pager, '[data-page="next"]', HTMLButtonElement).disabled = page >= pages;
    find(this.pager, ".pager-buttons").hidden = pages <= 1;
  }

  /** @param {Experiment["counts"]} counts */
  drawChips(counts) {
    this.counts = counts;
    this.selection.outOf(Object.values(counts).reduce((a, b) => a + b, 0));
    const { states } = this.query;
    const all = /** @type {TrialState[]} */ (Object.keys(LOOKS.states));
    const chips = all
      .filter((state) => counts[state] || states.has(state))
      .map((state) => this.chip(state, counts[state] ?? 0));
    const focused = document.activeElement;
    const state = focused instanceof HTMLElement ? focused.dataset.state : undefined;
    this.chips.replaceChildren(...chips);
    chips.find((chip) => state && chip.dataset.state === state)?.focus();
  }

  /**
   * @param {TrialState} state
   * @param {number} n
   */
  chip(state, n) {
    const { states } = this.query;
    const { icon: name, label, tone } = LOOKS.states[state];
    const props = {
      type: "button",
      class: `chip state-${tone}`,
      "aria-pressed": String(states.has(state)),
      dataset: { state },
    };
    const count = h("span", { class: "chip-count num" }, n);
    const chip = h("button", props, icon(name), h("span", {}, label), count);
    chip.addEventListener("click", () => {
      if (!states.delete(state)) states.add(state);
      this.drawChips(this.counts);
      this.changed();
    });
    return chip;
  }

  // ---- news

  /**
   * Rows that changed: in place where they are shown; others make the page read again.
   * @param {Trial[]} trials
   * @param {number | undefined} best
   */
  update(trials, best) {
    const before = this.best;
    this.best = best;
    if (best !== before) for (const number of [before, best]) this.rows.redraw(number);
    this.learnMetrics(trials);
    const news = trials.map((trial) => this.rows.update(trial));
    const isElsewhere = news.includes("moved on") && !this.query.isPlain;
    if (isElsewhere || news.includes("unknown")) this.refresh();
  }

  /** @param {Metric} metric */
  report(metric) {
    this.rows.report(metric);
  }

  /** Read the page again soon, but never under the pointer: rows would jump away from a click. */
  refresh() {
    this.isLate = !this.query.isPlain && this.scroll.matches(":hover");
    if (this.isLate) return;
    if (this.reading) {
      this.isWanted = true; // one read at a time: news must not abort each answer before it comes
      return;
    }
    const wait = Math.max(0, this.fetchedAt + REFETCH - Date.now());
    this.timer ||= window.setTimeout(() => this.load(), wait);
  }

  async load() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.fetchedAt = Date.now();
    this.reading?.abort();
    const abort = new AbortController();
    this.reading = abort;
    try {
      const url = `${this.url}?${this.query.forServer()}`;
      const answer = await api("GET", url, undefined, { signal: abort.signal });
      this.problem("");
      this.show(answer);
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof ApiError)) throw error;
      this.failed(error);
    } finally {
      if (this.reading === abort) {
        this.reading = null;
        if (this.isWanted) this.refresh();
        this.isWanted = false;
      }
    }
  }

  /** @param {ApiError} error */
  failed(error) {
    const about = (/** @type {string} */ path) => error.errors.find((e) => e.path === path);
    const where = about("where");
    if (error.status === 404 && this.query.page > 1) {
      this.changed(); // fewer rows than there were
    } else if (where) {
      this.problem([where.message, where.hint].filter(Boolean).join(" "));
    } else if (about("order") && !this.query.hasDefaultOrder) {
      toast(
        gettext("{problem} The newest come first instead.", {
          problem: about("order")?.message ?? "",
        }),
        "danger",
      );
      this.query.resetOrder();
      this.drawHead();
      this.changed();
    } else if (error.status) {
      toast(error.message, "danger");
    }
  }

  /** @param {string} text */
  problem(text) {
    const box = byId("where-error");
    box.hidden = !text;
    box.textContent = text;
    this.where.classList.toggle("is-invalid", Boolean(text));
  }
}
