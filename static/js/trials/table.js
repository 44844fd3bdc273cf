// The table of trials: sorted, filtered and paged by the server, rows kept fresh in place.

import { ApiError, api, isAbort } from "../api.js";
import { byId, h, hit, toast } from "../dom.js";
import { flatNames } from "../flat.js";
import { keepingFocus } from "../focus.js";
import { gettext, together } from "../language.js";
import { allColumns, drawColumnsMenu, headCell, usualColumns } from "./columns.js";
import { FilterBar } from "./filter_bar.js";
import { Pager } from "./pager.js";
import { Query } from "./query.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";

const REFETCH = 1000; // milliseconds between two reads of the page
const NARROW = "(max-width: 767.98px)";

export class TrialTable {
  /**
   * @param {{
   *   url: string, page: string, space: Record<string, SpaceNode>, metrics: string[],
   *   params: URLSearchParams, first: Page<Trial>, mayChange: boolean,
   *   onAction: (name: string, trial: Trial, button: HTMLButtonElement) => void,
   *   onState: (changes: Record<string, string | null>) => void,
   *   onSelected: (asked: Record<string, string>) => void,
   * }} settings url: of the trials' REST list; page: of the experiment's page, for links; space,
   *   metrics: names to offer as columns; params: of the address; first: what came with the page;
   *   onAction: a row's button; onState: what belongs into the address has changed; onSelected:
   *   other trials are looked at, as the server is asked for them
   */
  constructor(settings) {
    const { url, page, space, metrics, params, first, mayChange, onAction, onState } = settings;
    this.url = url;
    this.page = page;
    this.onAction = onAction;
    this.onState = onState;
    this.onSelected = settings.onSelected;
    this.query = new Query(params);
    this.parameters = flatNames(space);
    this.metrics = metrics.filter((name) => name !== "default");
    /** @type {Best | null} */
    this.best = null;
    this.count = 0;
    this.timer = 0;
    this.fetchedAt = 0;
    /** @type {AbortController | null} of the read under way */
    this.reading = null;
    this.isWanted = false; // once more, after this read
    this.isLate = false; // once more, when the pointer leaves
    /** @type {Map<number, string>} states of trials that no row shows, as the socket told them */
    this.elsewhere = new Map();
    this.isUntold = false; // the charts do not know yet which trials are looked at
    this.head = byId("trial-head", HTMLTableSectionElement);
    this.empty = byId("trials-empty");
    this.narrow = window.matchMedia(NARROW);
    this.rows = new Rows(byId("trial-rows", HTMLTableSectionElement), {
      columns: () => this.shown(),
      actionsAfter: () => (this.narrow.matches ? 2 : Number.POSITIVE_INFINITY),
      mayChange,
    });
    this.pinned = byId("trial-pinned", HTMLTableSectionElement);
    this.filter = new FilterBar({
      query: this.query,
      space,
      metrics: () => this.metrics,
      onChange: () => this.filtered(),
    });
    this.pager = new Pager({
      query: this.query,
      onPage: () => {
        this.changed({ keepPage: true });
        byId("trials").scrollIntoView({ block: "start" });
      },
      onJump: (number) => this.jump(number),
    });
    this.scroll = /** @type {HTMLElement} */ (this.rows.body.closest(".table-scroll"));
    this.selection = new Selection({
      body: this.rows.body,
      head: this.head,
      page,
      ticked: params.get("ticked"),
      onChange: (ticked) => {
        onState({ ticked });
        this.onSelected(this.selection.asked());
      },
      filter: () => this.query.filter(),
      onKeep: (ticked) => this.keepOnly(ticked),
      onEvery: () => this.filter.set("number >= 0"),
      onClearFilter: () => this.filter.clear(),
    });
    this.listen();
    this.buildColumns();
    if (this.query.isDefault) this.show(first);
    else this.load();
  }

  listen() {
    this.head.addEventListener("click", (event) => {
      const asks = hit(event, "[data-asks]")?.dataset.asks;
      if (asks) this.filter.dialog.open(asks);
    });
    this.narrow.addEventListener("change", () => {
      this.drawHead();
      this.rows.redrawAll();
      this.drawPinned();
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

  /** The filter lets other trials through. */
  filtered() {
    this.drawHead();
    this.isUntold = true; // the charts follow once the server has taken the conditions
    this.changed();
    this.selection.fits(null);
  }

  /**
   * A part of a chart was chosen.
   * @param {string[]} conditions
   * @param {number[]} trials whose lines were chosen, where no condition says it
   */
  brushed(conditions, trials) {
    if (trials.length) {
      if (this.selection.ticks.size) this.selection.ticks.clear(); // the chart has only these
      this.selection.set(trials, true);
      return;
    }
    this.selection.keep(); // the chart has only the ticked ones: the part is one of them
    this.filter.narrow(conditions);
  }

  /** @param {string} ticked numbers, as the address has them */
  keepOnly(ticked) {
    this.query.states.clear();
    this.filter.set(`number in (${ticked})`);
  }

  /**
   * Go to the page that a trial is on.
   * @param {number} number
   */
  jump(number) {
    this.jumpTo = number;
    this.load();
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
      isBest: (trial) => trial === this.best?.number,
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

  /** On a phone the value stands beside the number, and then what can be done. */
  shown() {
    const chosen = new Set(this.query.columns ?? this.usual);
    const found = (this.columns ?? []).filter((c) => c.fixed || chosen.has(c.key));
    if (!this.narrow.matches) return found;
    const value = found.findIndex((column) => column.key === "value");
    found.splice(1, 0, ...found.splice(value, 1));
    return found;
  }

  drawHead() {
    const cells = this.shown().map((column) =>
      headCell(
        column,
        this.query.sorting,
        this.filter.isAbout(column.asks ?? column.order ?? ""),
        () => {
          this.query.sortBy(column.order ?? "", column.num === true);
          this.drawHead();
          this.changed();
        },
      ),
    );
    const actions = h("th", {}, h("span", { class: "visually-hidden" }, gettext("Actions")));
    cells[0]?.prepend(this.selection.headBox());
    cells.splice(this.rows.actionsAfter(), 0, actions);
    keepingFocus(this.head, () => this.head.replaceChildren(h("tr", {}, cells)));
    this.selection.drawHead();
  }

  // ---- around the rows

  /** @param {Page<Trial>} page */
  show({ count, results, page }) {
    this.count = count;
    if (page !== undefined && page !== this.query.page) {
      this.query.page = page;
      this.onState(this.query.forAddress());
    }
    this.learnMetrics(results);
    this.rows.show(results);
    this.selection.fits(count);
    this.selection.draw();
    this.drawPinned();
    this.drawEmpty();
    this.pager.draw(count, this.rows.size);
    this.arrive();
  }

  /** The trial that was jumped to. */
  arrive() {
    if (this.jumpTo === undefined) return;
    const row = this.rows.get(this.jumpTo)?.row;
    this.jumpTo = undefined;
    row?.scrollIntoView({ block: "center" });
    row?.querySelector("a")?.focus({ preventScroll: true });
    row?.classList.add("flash");
  }

  /** The best trial stands above the others, on every page, unless it is their first anyway. */
  drawPinned() {
    const first = this.rows.body.firstElementChild;
    const isFirst =
      first instanceof HTMLElement && first.dataset.number === String(this.best?.number);
    const isThere = this.best !== null && "state" in this.best && this.rows.size > 1 && !isFirst;
    this.pinned.hidden = !isThere;
    if (!isThere) return;
    const best = /** @type {Trial} */ (/** @type {unknown} */ (this.best));
    const row = h("tr", { "data-testid": "best-row" });
    const cells = this.shown().map((column) => column.cell(best));
    cells[0]?.querySelector("[data-tick]")?.replaceWith(h("span", { class: "tick-room" }));
    cells.splice(this.rows.actionsAfter(), 0, h("td", { class: "row-actions" }));
    row.replaceChildren(...cells);
    keepingFocus(this.pinned, () => this.pinned.replaceChildren(row));
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
    clear.addEventListener("click", () => this.filter.clear());
    this.empty.replaceChildren(
      h("p", { class: "muted" }, gettext("No trial fits this filter.")),
      clear,
    );
  }

  /** @param {Experiment["counts"]} counts */
  drawChips(counts) {
    this.selection.outOf(Object.values(counts).reduce((a, b) => a + b, 0));
    this.filter.show(counts);
  }

  // ---- news

  /**
   * Rows that changed: in place where they are shown; others make the page read again.
   * @param {Trial[]} trials
   * @param {Best | null} best
   */
  update(trials, best) {
    const before = this.best;
    this.best = best;
    if (best?.number !== before?.number) {
      for (const trial of [before, best]) this.rows.redraw(trial?.number);
      this.drawPinned();
    }
    this.learnMetrics(trials);
    const news = trials.map((trial) => this.told(trial));
    const isElsewhere = news.includes("moved on") && !this.query.isPlain;
    if (isElsewhere || news.includes("unknown")) this.refresh();
  }

  /**
   * A trial of another page that goes on as it was moves no row of the plain table: by its reports
   * alone, hundreds of running ones would have the page read again each second.
   * @param {Trial} trial
   */
  told(trial) {
    const news = this.rows.update(trial);
    if (news !== "unknown") return news;
    const before = this.elsewhere.get(trial.number);
    this.elsewhere.set(trial.number, trial.state);
    return this.query.isPlain && before === trial.state ? "same" : "unknown";
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
      const query = this.query.forServer();
      if (this.jumpTo !== undefined) query.set("at", String(this.jumpTo));
      const url = `${this.url}?${query}`;
      const answer = await api("GET", url, undefined, { signal: abort.signal });
      this.filter.problem("");
      this.show(answer);
      this.tell();
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

  tell() {
    if (!this.isUntold) return;
    this.isUntold = false;
    this.onSelected(this.selection.asked());
  }

  /** @param {ApiError} error */
  failed(error) {
    const about = (/** @type {string} */ path) => error.errors.find((e) => e.path === path);
    const where = about("where");
    const at = about("at");
    this.jumpTo = undefined;
    if (at) {
      this.pager.problem(together([at.message, at.hint]));
    } else if (error.status === 404 && this.query.page > 1) {
      this.changed(); // fewer rows than there were
    } else if (where) {
      this.filter.problem(together([where.message, where.hint]));
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
}
