// Figures that people keep with the experiment: a card each, below the charts. One that is put anew
// is drawn anew.

import { api, wordsOf } from "../api.js";
import { owned } from "../charts/own.js";
import { ChartPanel } from "../charts/panel.js";
import { byId, confirmAction, h, icon, toast } from "../dom.js";
import { gettext } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 1000; // at most so often while figures come in

/** @param {HappenedEvent} event */
const isOfFigures = ({ what }) => what === "figure kept" || what === "figure deleted";

/** @typedef {{ panel: ChartPanel, root: HTMLElement, figure: OwnFigure }} Card */

export class OwnFigures {
  /**
   * @param {{ api: string, plotly: string }} urls
   * @param {{ mayChange: boolean, figures: OwnFigure[] }} page
   */
  constructor(urls, { mayChange, figures }) {
    this.url = `${urls.api}figures/`;
    this.plotly = urls.plotly;
    this.mayChange = mayChange;
    this.section = byId("own-figures");
    this.grid = byId("own-figures-grid");
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    this.soon = steadily(() => this.load(), EVERY_MS, { atOnce: true });
    // asked for once it is scrolled to: the charts above come first
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.seen(target);
    });
    byId("own-figures-how").hidden = !mayChange;
    this.show(figures);
  }

  /** @param {News} news */
  receive({ events = [] }) {
    if (events.some(isOfFigures)) this.soon();
  }

  async load() {
    this.show(await api("GET", this.url));
  }

  /** @param {Element} root */
  seen(root) {
    this.watcher.unobserve(root);
    for (const card of this.cards.values()) if (card.root === root) card.panel.seen();
  }

  /** @param {OwnFigure[]} figures */
  show(figures) {
    this.section.hidden = !figures.length && !this.mayChange;
    const names = new Set(figures.map(({ name }) => name));
    for (const [name, card] of this.cards) {
      if (names.has(name)) continue;
      card.panel.plot.clear();
      card.root.remove();
      this.cards.delete(name);
    }
    const roots = figures.map((figure) => this.card(figure));
    for (const [place, root] of roots.entries()) {
      // moved only where it must be: a chart that is moved loses what one is about to do with it
      if (this.grid.children[place] !== root) {
        this.grid.insertBefore(root, this.grid.children[place] ?? null);
      }
    }
  }

  /**
   * The card of a figure, made where there is none yet.
   * @param {OwnFigure} figure
   */
  card(figure) {
    const known = this.cards.get(figure.name);
    if (known && known.figure.title === figure.title) {
      const isNews = known.figure.changed_at !== figure.changed_at;
      known.figure = figure;
      if (isNews) known.panel.refresh(0);
      return known.root;
    }
    known?.panel.plot.clear();
    known?.root.remove();
    const root = this.build(figure);
    const panel = new ChartPanel(root, {
      url: `${this.url}${encodeURIComponent(figure.name)}/`,
      plotlyUrl: this.plotly,
      prefix: `own.${figure.name}.`,
      onTrial: () => {},
      ready: owned,
    });
    this.cards.set(figure.name, { panel, root, figure });
    this.watcher.observe(root);
    return root;
  }

  /** @param {OwnFigure} figure */
  build(figure) {
    const title = figure.title || figure.name;
    return h(
      "figure",
      {
        class: "app-card chart own-figure",
        "data-chart": figure.name,
        "data-testid": "own-figure",
      },
      h(
        "figcaption",
        { class: "chart-head" },
        h("h3", { title: figure.name }, title),
        this.mayChange &&
          h(
            "button",
            {
              type: "button",
              class: "btn btn-icon btn-icon-s danger own-figure-delete",
              title: gettext("Delete"),
              "aria-label": gettext("Delete {name}", { name: title }),
              onclick: () => this.remove(figure),
            },
            icon("trash"),
          ),
      ),
      h(
        "div",
        { class: "chart-body" },
        h("div", { class: "chart-plot", "data-testid": "own-figure-plot" }),
        h("div", { class: "chart-empty", hidden: true }),
      ),
    );
  }

  /** @param {OwnFigure} figure */
  async remove({ name, title }) {
    const isSure = await confirmAction({
      title: gettext("Delete this figure?"),
      text: title && title !== name ? `${title} (${name})` : name,
      action: gettext("Delete"),
      danger: true,
    });
    if (!isSure) return;
    try {
      await api("DELETE", `${this.url}${encodeURIComponent(name)}/`);
      await this.load();
      byId("own-figures-title").focus();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  }
}
