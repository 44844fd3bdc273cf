// A report that stands alone: draws the figures that the file holds as the pages draw them, fits
// them to paper, and saves the table of all trials. Nothing is fetched.

import { owned } from "../charts/own.js";
import { ParallelPlot } from "../charts/parcoords.js";
import { plotlyWords } from "../charts/plotly_words.js";
import { dressed, fit, theme, themed } from "../charts/theme.js";
import { all, byId, find } from "../dom.js";

const PAPER = 690; // pixels across, within the margins of A4 and Letter
const CONFIG = {
  ...plotlyWords(),
  responsive: true,
  displaylogo: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
};
const phone = window.matchMedia("(max-width: 700px)");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

const wearTheme = () => {
  document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
};

/** @param {number} number of a trial: show it in the table, where it is there */
function point(number) {
  const row = document.getElementById(`trial-${number}`);
  if (!row) return;
  for (const other of document.querySelectorAll(".is-pointed")) {
    other.classList.remove("is-pointed");
  }
  row.classList.add("is-pointed");
  row.scrollIntoView({ block: "center" });
}

/** One chart of the report. */
class Drawing {
  /**
   * @param {HTMLElement} root
   * @param {Figure} figure
   */
  constructor(root, figure) {
    this.figure = figure;
    this.body = find(root, ".chart-body");
    this.element = /** @type {PlotElement} */ (find(root, ".chart-plot"));
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", find(root, "h3").textContent ?? "");
    /** @type {ParallelPlot | null} */
    this.parallel = null;
    this.isDrawn = false;
  }

  /** @param {number} [width] in pixels; that of the page where it is not given */
  draw(width) {
    const { element } = this;
    const figure = (width === undefined && phone.matches && this.figure.narrow) || this.figure;
    const { height } = figure.layout.meta;
    if (height) this.body.style.height = `${height}px`;
    const look = theme();
    if (figure.data[0]?.type === "parcoords") {
      this.parallel ??= new ParallelPlot(element, { onTrial: point });
      this.parallel.show(/** @type {any} */ (figure.data[0]), look, figure.layout.meta);
      return;
    }
    const layout = themed(figure.layout, look);
    layout.autosize = width === undefined;
    if (width !== undefined) Object.assign(layout, { width, height: this.body.clientHeight - 6 });
    fit(layout, width ?? element.clientWidth);
    const data = figure.data.map((trace) => dressed(trace, look));
    window.Plotly.react(element, data, layout, CONFIG);
    if (this.isDrawn) return;
    this.isDrawn = true;
    element.on("plotly_click", (event) => {
      const found = event.points?.[0];
      const trial = found?.data?.meta?.trial ?? found?.customdata;
      if (typeof trial === "number") point(trial);
    });
  }
}

/** The table of all trials, as the file holds it, saved by the reader. */
function offerCsv() {
  const packed = document.getElementById("csv")?.textContent;
  const button = document.getElementById("save-csv");
  if (!packed || !button || !("DecompressionStream" in window)) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const file = new Blob([await new Response(plain).blob()], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = button.dataset.name ?? "trials.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

async function start() {
  offerCsv();
  if (!document.getElementById("figures")) return;
  /** @type {Figure[]} */
  const figures = JSON.parse(byId("figures").textContent ?? "[]");
  const own = JSON.parse(document.getElementById("own-figures")?.textContent ?? "[]");
  figures.push(...own.map(owned)); // their cards come last
  const drawings = all(document, "figure.chart").map((root, i) => new Drawing(root, figures[i]));
  const drawAll = (/** @type {number} */ width) => {
    for (const drawing of drawings) drawing.draw(width);
  };
  dark.addEventListener("change", () => {
    wearTheme();
    for (const drawing of drawings) drawing.draw();
  });
  phone.addEventListener("change", () => {
    for (const drawing of drawings) drawing.draw();
  });
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.bsTheme = "light";
    drawAll(PAPER);
  });
  window.addEventListener("afterprint", () => {
    wearTheme();
    for (const drawing of drawings) drawing.draw();
  });
  for (const drawing of drawings) {
    drawing.draw();
    await new Promise((resolve) => setTimeout(resolve)); // clicks are answered between
  }
  document.documentElement.dataset.drawn = String(drawings.length);
}

wearTheme();
document.addEventListener("DOMContentLoaded", start);
