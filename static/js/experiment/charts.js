// The charts of the experiment page, and which of them are looked at: an overview of four, or one.
// A chart out of sight is not asked for.

import { params, remember } from "../address.js";
import { Controls } from "../charts/controls.js";
import { loadPlotly } from "../charts/library.js";
import { ChartPanel } from "../charts/panel.js";
import { all, byId, hit } from "../dom.js";

const PATIENCE = 20_000; // milliseconds; charts of very many trials take half on a slow machine

const narrow = window.matchMedia("(max-width: 767.98px)");
const defaultView = () => (narrow.matches ? "history" : "all");

/**
 * What the server has to know of the page's width: how many small multiples stand in a row.
 * @param {string} kind
 * @returns {Record<string, string>}
 */
const room = (kind) => (kind === "slice" && narrow.matches ? { columns: "2" } : {});

export class Charts {
  /**
   * @param {{ api: string, plotly: string }} urls
   * @param {{
   *   onTrial: (trial: number, click?: MouseEvent) => void,
   *   onBrush: (conditions: string[], trials: number[]) => void,
   * }} listeners onTrial: one was clicked on; onBrush: a part of a chart was chosen
   */
  constructor({ api, plotly }, { onTrial, onBrush }) {
    this.plotly = plotly;
    this.root = byId("charts");
    this.tabs = byId("chart-tabs");
    this.figures = all(this.root, ".chart");
    /** @type {Map<string, ChartPanel>} */
    this.panels = new Map();
    for (const element of this.figures) {
      const kind = element.dataset.kind ?? "";
      const controls = new Controls(element, {
        prefix: `${kind}.`,
        onChange: (options) => panel.setOptions({ ...options, ...room(kind) }),
      });
      const panel = new ChartPanel(element, {
        url: `${api}charts/${kind}/`,
        plotlyUrl: plotly,
        prefix: `${kind}.`,
        options: { ...controls.options(), ...room(kind) },
        onTrial,
        onBrush,
        onFigure: (meta) => controls.adapt(meta),
        reset: () => controls.reset(),
      });
      this.panels.set(kind, panel);
    }
    this.tabs.addEventListener("click", (event) => {
      const view = hit(event, "[data-view]")?.dataset.view;
      if (!view) return;
      remember({ chart: view === defaultView() ? null : view });
      this.show(view);
    });
    this.drag = byId("drag-select");
    this.drag.addEventListener("click", () => this.dragTo(!this.isSelecting));
    this.dragTo(params.get("drag") === "select");
    narrow.addEventListener("change", () => params.has("chart") || this.show(defaultView()));
  }

  get isSelecting() {
    return this.drag.getAttribute("aria-pressed") === "true";
  }

  /** @param {boolean} select what dragging in a chart does: choose trials, else zoom */
  dragTo(select) {
    this.drag.setAttribute("aria-pressed", String(select));
    remember({ drag: select ? "select" : null });
    for (const { plot } of this.panels.values()) plot.setDragMode(select ? "select" : "zoom");
  }

  /** @param {Record<string, string>} asked the trials that are looked at */
  select(asked) {
    for (const panel of this.panels.values()) panel.select(asked);
  }

  /** Show what the address says. */
  start() {
    this.show(params.get("chart") ?? defaultView());
    // The library is read while the server draws; who finds no chart to draw says so when drawing.
    setTimeout(() => loadPlotly(this.plotly).catch(() => {}));
  }

  /** @param {string} view */
  show(view) {
    const chosen = this.panels.has(view) ? view : "all";
    this.root.dataset.view = chosen;
    for (const button of all(this.tabs, "[data-view]")) {
      const isChosen = button.dataset.view === chosen;
      button.setAttribute("aria-pressed", String(isChosen));
      // once the page is laid out: to ask where it is any sooner would hold everything up
      if (isChosen) requestAnimationFrame(() => this.bringIntoView(button));
    }
    for (const element of this.figures) {
      const isOverview = !("alone" in element.dataset);
      element.hidden = chosen === "all" ? !isOverview : element.dataset.kind !== chosen;
    }
    requestAnimationFrame(() => {
      for (const panel of this.panels.values()) if (panel.isVisible) panel.seen();
    });
  }

  /**
   * The row of tabs is wider than a phone; the page itself stays where it is.
   * @param {HTMLElement} tab
   */
  bringIntoView(tab) {
    const row = this.tabs.parentElement;
    if (row) row.scrollLeft = tab.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }

  /** Every chart that is looked at has been answered for, or takes too long. */
  async answered() {
    await new Promise((resolve) => requestAnimationFrame(resolve)); // they are asked for by now
    const shown = [...this.panels.values()].filter((panel) => panel.isVisible);
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE));
    await Promise.race([Promise.all(shown.map((panel) => panel.answered)), patience]);
  }

  /** @param {News} news */
  receive({ metrics = [], events = [] }) {
    for (const panel of this.panels.values()) {
      if (metrics.length) panel.addReports(metrics);
      if (events.length) panel.addEvents(events);
    }
  }

  /** Something has happened, and nobody said what. */
  refresh() {
    for (const panel of this.panels.values()) panel.refresh();
  }
}
