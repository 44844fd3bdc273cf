// A chart of the page: fetches its figure, adds what is reported since, and fetches anew only where
// the server has to decide again how it is drawn.

import { api } from "../api.js";
import { find, h } from "../dom.js";
import { gettext } from "../language.js";
import { Sight } from "../sight.js";
import { addReport, isRedrawnAt } from "./append.js";
import { linesIn, ofBox } from "./brush.js";
import { ChartCard } from "./card.js";
import { loadPlotly } from "./library.js";
import { ParallelPlot } from "./parcoords.js";
import { Plot, turn } from "./plot.js";
import { theme } from "./theme.js";
import { wordsIn } from "./words.js";

const REFETCH = 1200; // milliseconds between two fetches of one figure
const LATER = 15000; // the same, where it is but a little out of date
const UNREAD = 300; // where the server has not read all curves yet
const RETRY = 5000; // after a fetch that failed

export class ChartPanel {
  /**
   * @param {HTMLElement} root has .chart-plot and .chart-empty
   * @param {{
   *   url: string, plotlyUrl: string, options?: Record<string, string>, prefix?: string,
   *   onTrial: (trial: number, click?: MouseEvent) => void, onFigure?: (meta: FigureMeta) => void,
   *   onBrush?: (conditions: string[], trials: number[]) => void, ready?: (figure: Figure) => Figure,
   *   reset?: () => void,
   * }} settings url: of the figure; options: its query; prefix: of its names in the page's address;
   *   onBrush: a part of it was chosen; ready: what makes of the answer the figure that is drawn;
   *   reset: takes back what was chosen, where that cannot be drawn
   */
  constructor(
    root,
    {
      url,
      plotlyUrl,
      options = {},
      prefix = "",
      onTrial,
      onFigure,
      onBrush,
      ready = (f) => f,
      reset,
    },
  ) {
    this.root = root;
    this.ready = ready;
    this.reset = reset;
    this.url = url;
    this.plotlyUrl = plotlyUrl;
    this.options = options;
    this.onTrial = onTrial;
    this.onFigure = onFigure;
    this.onBrush = onBrush;
    /** @type {Record<string, string>} the trials that are looked at, as the server is asked */
    this.selected = {};
    this.element = find(root, ".chart-plot");
    this.empty = find(root, ".chart-empty");
    this.body = this.element.parentElement;
    this.card = new ChartCard(this, prefix);
    this.sight = new Sight(root, () => this.came());
    this.plot = new Plot(this.element, {
      onTrial,
      onBox: (box) => this.brushed(box),
      title: this.card.title,
      isNear: () => this.sight.isNear,
    });
    /** @type {ParallelPlot | null} */
    this.parallel = null;
    /** @type {Figure | null} */
    this.figure = null;
    /** @type {Metric[]} reports that came while a figure was on its way */
    this.meanwhile = [];
    /** @type {number} newest of what came before a figure was asked for: the page may have had the
     *  browser fetch it still earlier */
    this.missed = 0;
    /** @type {AbortController | null} of the fetch under way */
    this.fetching = null;
    /** @type {Promise<void>} its first answer has come, or failed */
    this.answered = new Promise((resolve) => {
      this.hasAnswer = resolve;
    });
    this.timer = 0;
    this.fetchedAt = 0;
    this.due = 0;
    /** @type {number | null} how soon to fetch again after the last time; null: no need to */
    this.pause = REFETCH;
    document.documentElement.addEventListener("autotune:theme", () => this.draw());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.freshen();
    });
  }

  get isVisible() {
    const boxes = [this.element, this.empty, this.card.table.box]; // a table is as good as a plot
    return boxes.some((box) => !box.hidden && box.offsetParent !== null);
  }

  /** @param {Record<string, string>} options */
  setOptions(options) {
    this.options = options;
    this.plot.forgetZoom();
    this.card.freshen();
    this.load();
  }

  /** @param {Record<string, string>} selected */
  select(selected) {
    this.selected = selected;
    if (!this.fetchedAt && !this.fetching) return; // nothing was asked for yet
    this.plot.forgetZoom();
    this.fetching?.abort(); // its answer is about other trials
    this.fetching = null;
    this.fetchedAt = 0;
    this.refresh(0);
  }

  /** @param {Record<string, [Place, Place]>} box */
  brushed(box) {
    const { figure } = this;
    if (!figure) return;
    const found = ofBox(figure.layout.meta, box, (axis) => this.plot.ends(axis));
    const trials = figure.layout.meta.selects ? [] : linesIn(figure.data, box);
    if (found.length || trials.length) this.onBrush?.(found, trials);
    else this.plot.draw();
  }

  // ---- news

  /** @param {Metric[]} metrics */
  addReports(metrics) {
    if (this.fetching) this.meanwhile.push(...metrics);
    else if (!this.figure) this.miss(metrics);
    this.place(metrics);
  }

  /** @param {Metric[]} metrics */
  place(metrics) {
    if (!this.figure) return;
    const { figure } = this;
    const outcomes = new Set(metrics.map((metric) => addReport(figure, metric)));
    if (outcomes.has("anew")) this.refresh();
    else if (outcomes.has("later")) this.refresh(LATER);
    outcomes.delete("ignored");
    if (outcomes.size) this.plot.drawSoon();
  }

  /** @param {HappenedEvent[]} events */
  addEvents(events) {
    const { figure } = this;
    if (!figure && !this.fetching) this.miss(events);
    if (!figure || events.some((event) => isRedrawnAt(figure, event))) this.refresh();
    else if (figure.layout.meta.selected) this.refresh(LATER); // others may be meant by now
  }

  /** @param {{ seq: number }[]} news */
  miss(news) {
    this.missed = Math.max(this.missed, ...news.map(({ seq }) => seq));
  }

  // ---- fetching

  /**
   * Fetch again, `pause` after the last time; charts out of sight wait until they are seen, but
   * for the first time.
   * @param {number} [pause]
   */
  refresh(pause = REFETCH) {
    this.pause = Math.min(this.pause ?? pause, pause);
    this.card.freshen();
    // One fetch at a time: on a slow server, news would abort each answer before it comes.
    if (this.fetching || document.hidden || (this.figure && !this.sight.isNear)) return;
    const rest = this.pause ? this.plot.left : 0; // what comes is drawn at once
    const due = Math.max(Date.now() + rest, this.fetchedAt + this.pause);
    if (this.timer && this.due <= due) return;
    if (!this.isVisible) return; // asked last: the browser has to lay out the page for it
    clearTimeout(this.timer);
    this.due = due;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      if (this.isVisible) this.load(); // else once it is seen again
    }, due - Date.now());
  }

  /** It has come into sight. */
  seen() {
    this.card.freshen();
    this.plot.resize();
    this.freshen();
  }

  /** The page was scrolled to it. */
  came() {
    if (this.pause !== null && this.figure) this.refresh(this.pause);
    this.plot.catchUp();
  }

  freshen() {
    if (this.pause !== null) this.refresh(this.pause);
    else this.draw();
  }

  async load() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.fetching?.abort();
    const abort = new AbortController();
    this.fetching = abort;
    this.meanwhile = []; // what came before is in the answer
    this.pause = null;
    this.fetchedAt = Date.now();
    this.root.classList.toggle("is-loading", !this.figure);
    try {
      const query = new URLSearchParams({ ...this.options, ...this.selected }).toString();
      const url = query ? `${this.url}?${query}` : this.url;
      const figure = this.ready(await api("GET", url, undefined, { signal: abort.signal }));
      if (figure.data.length && figure.data[0].type !== "parcoords") {
        await loadPlotly(this.plotlyUrl);
      }
      await turn();
      if (this.fetching === abort) this.take(figure); // no other options were chosen meanwhile
    } catch (error) {
      if (this.fetching === abort) this.failed(error);
    } finally {
      if (this.fetching === abort) {
        this.fetching = null;
        this.hasAnswer?.();
        this.root.classList.remove("is-loading");
        if (this.pause !== null) this.refresh(this.pause);
      }
    }
  }

  /** @param {Figure} figure */
  take(figure) {
    this.figure = figure;
    this.tell(figure.layout.meta);
    this.onFigure?.(figure.layout.meta);
    this.place(this.meanwhile);
    this.draw();
    const { n_unread, seq } = figure.layout.meta;
    if (n_unread || seq < this.missed) this.refresh(UNREAD);
  }

  /**
   * What stands below the chart, and the room it asks for.
   * @param {FigureMeta} meta
   */
  tell({ note = "", height }) {
    const line = this.root.querySelector(".chart-note");
    if (line) line.textContent = wordsIn(note);
    if (this.body) this.body.style.height = height ? `${height}px` : "";
  }

  /** @param {any} error */
  failed(error) {
    const isFinal = error.status >= 400 && error.status < 500; // asking again would not help
    this.pause = isFinal ? null : RETRY;
    this.fetchedAt = Date.now();
    if (this.reset && this.isRefused(error)) this.refuse(error.message, this.reset);
    else if (!this.figure) this.say(error.message);
  }

  /**
   * Whether the server does not take what was chosen: it came by a link, or a metric has vanished.
   * @param {{ status?: number, errors?: Problem[] }} error
   */
  isRefused({ status, errors = [] }) {
    return status === 400 && errors.some(({ path }) => path in this.options);
  }

  /**
   * What was drawn before is of another choice.
   * @param {string} why
   * @param {() => void} reset
   */
  refuse(why, reset) {
    this.figure = null;
    this.plot.clear();
    this.say(gettext("It cannot be drawn as it was asked for: {why}", { why }));
    const words = gettext("Draw it as usual");
    const props = { type: "button", class: "btn btn-default btn-sm", onclick: reset };
    this.empty.append(h("button", props, words));
  }

  // ---- drawing

  /**
   * What is seen, as an address of data. Throws where nothing is drawn.
   * @param {"png" | "svg"} format
   */
  async image(format) {
    if (!this.element.dataset.drawn || !this.figure || this.element.hidden) {
      throw new Error(gettext("There is nothing to show yet."));
    }
    return this.parallel ? this.parallel.image(format) : this.plot.image(format);
  }

  /** @param {string} text */
  say(text) {
    this.element.hidden = true;
    this.empty.hidden = false;
    this.empty.textContent = text;
  }

  draw() {
    const { figure } = this;
    if (!figure) return;
    const message = figure.layout.meta.empty;
    if (message) {
      this.plot.clear();
      this.say(message);
      return;
    }
    this.empty.hidden = true;
    this.element.hidden = false;
    if (figure.data[0]?.type !== "parcoords") {
      this.plot.show(figure);
    } else if (this.element.offsetParent !== null) {
      this.parallel ??= new ParallelPlot(this.element, {
        onTrial: this.onTrial,
        onBrush: (axis, part, ends) =>
          this.onBrush?.(
            ofBox(this.figure?.layout.meta ?? {}, { [axis]: part }, () => ends),
            [],
          ),
      });
      this.parallel.show(/** @type {any} */ (figure.data[0]), theme(), figure.layout.meta);
      this.element.dataset.drawn = String(Number(this.element.dataset.drawn ?? 0) + 1);
    }
  }
}
