// Charts: figures come from REST as Plotly dicts; the theme, live points and redraws are ours.

import { api } from "./api.js";
import { ParallelPlot } from "./parcoords.js";

const REDRAW = 350; // milliseconds between two redraws of one chart
const REFETCH = 1200; // between two fetches of one figure
const RETRY = 5000; // after a fetch that failed
const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: "hover",
  showSendToCloud: false, // Plotly's own button would upload the chart to its makers
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  doubleClick: "reset+autosize",
};

let plotly;
/** Load Plotly once, after the page itself: it is large and the tables need not wait for it. */
export function loadPlotly(url) {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("The chart library could not be loaded."));
    document.head.append(script);
  });
  return plotly;
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return {
    dark: document.documentElement.dataset.bsTheme === "dark",
    font: token("--font"),
    text: token("--text"),
    muted: token("--muted"),
    grid: token("--border"),
    strong: token("--border-strong"),
    surface: token("--surface"),
    accent: token("--accent"),
  };
}

/** The figure's layout with the page's fonts and colours. */
function themed(original) {
  const { font, text, muted, grid, strong, surface } = theme();
  const layout = { ...original };
  layout.font = { ...layout.font, family: font, color: muted };
  layout.hoverlabel = {
    bgcolor: surface,
    bordercolor: strong,
    align: "left",
    font: { family: font, size: 12, color: text },
  };
  layout.modebar = {
    bgcolor: "rgba(0,0,0,0)",
    color: strong,
    activecolor: muted,
    orientation: "h",
  };
  for (const key of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    layout[key] = {
      gridcolor: grid,
      linecolor: strong,
      tickcolor: strong,
      zerolinecolor: strong,
      ...layout[key],
      tickfont: { size: 11, color: muted },
    };
    if (layout[key].title)
      layout[key].title = { ...layout[key].title, font: { size: 11, color: muted } };
  }
  return layout;
}

export class ChartPanel {
  /** root: element with .chart-plot and .chart-empty; url: of the figure; options: its query. */
  constructor(root, { url, plotlyUrl, options = {}, onTrial = null, onFigure = null }) {
    Object.assign(this, { root, url, plotlyUrl, options, onTrial, onFigure });
    this.plot = root.querySelector(".chart-plot");
    this.empty = root.querySelector(".chart-empty");
    this.figure = null;
    this.revision = 0;
    this.fetchedAt = 0;
    this.drawnAt = 0;
    this.stale = true;
    document.documentElement.addEventListener("autotune:theme", () => this.draw());
  }

  get visible() {
    return (
      this.plot.offsetParent !== null || (!this.empty.hidden && this.empty.offsetParent !== null)
    );
  }

  setOptions(options) {
    this.options = options;
    this.reset = true; // another axis: what was zoomed to means nothing now
    this.load();
  }

  /** Fetch again soon; charts out of sight wait until they are seen. */
  refresh() {
    this.stale = true;
    // One fetch at a time: on a slow server, news would abort each answer before it comes.
    if (this.timer || this.loading || !this.visible || document.hidden) return;
    const wait = Math.max(0, this.fetchedAt + REFETCH - Date.now());
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.load();
    }, wait);
  }

  seen() {
    if (this.stale) this.refresh();
    else this.draw();
  }

  async load() {
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.stale = false;
    this.loading = true;
    this.fetchedAt = Date.now();
    this.root.classList.toggle("is-loading", !this.figure);
    try {
      const query = new URLSearchParams(this.options).toString();
      const figure = await api("GET", query ? `${this.url}?${query}` : this.url, undefined, {
        signal: abort.signal,
      });
      if (figure.data[0] && figure.data[0].type !== "parcoords") await loadPlotly(this.plotlyUrl);
      if (this.abort !== abort) return; // other options were chosen meanwhile
      this.figure = figure;
      this.replayed(figure);
      this.onFigure?.(figure.layout.meta ?? {});
      this.draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.stale = !(error.status >= 400 && error.status < 500); // asking again would not help
      this.fetchedAt = Date.now() + RETRY - REFETCH;
      if (!this.figure) this.say(error.message);
    } finally {
      if (this.abort === abort) {
        this.loading = false;
        this.root.classList.remove("is-loading");
        if (this.stale) this.refresh();
      }
    }
  }

  say(text) {
    this.plot.hidden = true;
    this.empty.hidden = false;
    this.empty.textContent = text;
  }

  draw() {
    if (!this.figure) return;
    const message = this.figure.layout.meta?.empty;
    if (message) {
      if (this.plot.classList.contains("js-plotly-plot")) window.Plotly.purge(this.plot);
      this.say(message);
      return;
    }
    this.empty.hidden = true;
    this.plot.hidden = false;
    if (this.plot.offsetParent === null) return;
    if (this.figure.data[0]?.type === "parcoords") {
      this.parallel ??= new ParallelPlot(this.plot, { onTrial: (trial) => this.onTrial?.(trial) });
      this.parallel.show(this.figure, theme());
      this.plot.dataset.drawn = String(++this.revision);
      return;
    }
    const { data } = this.figure;
    const layout = themed(this.figure.layout);
    layout.autosize = true;
    layout.datarevision = ++this.revision;
    if (this.reset) {
      this.epoch = (this.epoch ?? 0) + 1;
      this.reset = false;
    }
    if (this.epoch) layout.uirevision = `${layout.uirevision}-${this.epoch}`;
    this.narrow(layout);
    this.drawnAt = Date.now();
    const first = !this.plot.classList.contains("js-plotly-plot");
    window.Plotly.react(this.plot, data, layout, CONFIG);
    this.plot.dataset.drawn = String(this.revision);
    if (first) this.plot.on("plotly_click", (event) => this.clicked(event));
  }

  /** On a phone the plot gets the width that legend and margins would take. */
  narrow(layout) {
    const legend = this.plot.clientWidth > 900 || layout.legend?.orientation === "h";
    if (!legend) {
      // traces are told apart by pointing at them; the list would take a third of the width
      layout.showlegend = false;
    }
    layout.legend = { ...layout.legend, font: { size: 11 } };
    if (this.plot.clientWidth > 560) return;
    layout.margin = {
      ...layout.margin,
      l: Math.min(layout.margin.l, 46),
      r: Math.min(layout.margin.r, 12),
    };
    layout.legend.font = { size: 10 };
  }

  clicked(event) {
    const point = event.points?.[0];
    const trial = point?.data?.meta?.trial ?? point?.customdata;
    if (typeof trial === "number") this.onTrial?.(trial);
  }

  drawSoon() {
    if (this.drawTimer || document.hidden) return;
    const wait = Math.max(0, this.drawnAt + REDRAW - Date.now());
    this.drawTimer = setTimeout(() => {
      this.drawTimer = 0;
      this.draw();
    }, wait);
  }

  /** Add a report to its trial's own curve. False where the figure has none for it. */
  append(metric) {
    if (!this.figure) return false;
    (this.recent ??= []).push(metric);
    if (this.recent.length > 4000) this.recent.splice(0, 2000);
    const added = this.place(metric);
    if (added) this.drawSoon();
    return added;
  }

  /** What came in while the figure was on its way, and is newer than it. */
  replayed(figure) {
    const seq = figure.layout.meta?.seq ?? 0;
    this.recent = (this.recent ?? []).filter((metric) => metric.seq > seq);
    for (const metric of this.recent) this.place(metric);
  }

  place(metric) {
    const meta = this.figure.layout.meta ?? {};
    if (meta.empty || metric.name !== (meta.metric ?? "default") || metric.kind !== "PERIODICAL")
      return false;
    const trace = this.figure.data.find((t) => t.meta?.trial === metric.trial);
    if (!trace) return false;
    const y = typeof metric.value === "number" ? metric.value : null;
    let x = metric.sequence;
    if (meta.x === "step" && metric.step !== null) x = metric.step;
    if (meta.x === "time") return false; // counted from the first report: the server knows
    const last = trace.x.length - 1;
    const at = last >= 0 && trace.x[last] >= x ? trace.x.indexOf(x) : -1;
    if (at >= 0)
      trace.y[at] = y; // a repeated report overwrites
    else if (last >= 0 && trace.x[last] > x) return false;
    else {
      trace.x.push(x);
      trace.y.push(y);
    }
    this.widen(y);
    return true;
  }

  /** Let a new value into view unless it is far off. */
  widen(y) {
    const axis = this.figure.layout.yaxis;
    if (y === null || !axis?.range || (axis.type === "log" && y <= 0)) return;
    const place = axis.type === "log" ? Math.log10(y) : y;
    const [low, high] = axis.range;
    const room = (high - low) * 0.5;
    if (place < low && place > low - room) axis.range = [place - (high - low) * 0.04, high];
    if (place > high && place < high + room) axis.range = [low, place + (high - low) * 0.04];
  }

  /** Move a running trial's point in the history to its newest value. */
  move(metric) {
    const running = this.figure?.data.find((t) => t.uid === "running");
    const at = running?.customdata.indexOf(metric.trial) ?? -1;
    if (at < 0 || typeof metric.value !== "number") return at >= 0;
    running.y[at] = metric.value;
    if (running.hovertext) running.hovertext[at] = String(Number(metric.value.toPrecision(7)));
    this.widen(metric.value);
    this.drawSoon();
    return true;
  }
}
