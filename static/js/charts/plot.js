// One figure drawn with Plotly. What a person did to it (zoom, hidden lines, the pointer on a
// point, a drag that is not over) outlives every drawing.

import { gettext } from "../language.js";
import { fileStem } from "./image.js";
import { ChartKeys } from "./keys.js";
import { inPieces, pause } from "./library.js";
import { plotlyWords } from "./plotly_words.js";
import { Rest } from "./rest.js";
import { dressed, fit, theme, themed } from "./theme.js";
import { axesOf, View } from "./view.js";

const AFTER_DRAG = 100; // until Plotly has told where a drag has ended
const RESET_ICON = {
  width: 24,
  height: 24,
  path: "M12 3 3 10.6V21h6.5v-6h5v6H21V10.6zm0 2.6 7 5.9V19h-2.5v-6h-9v6H5v-7.5z",
};

const rest = new Rest();
/** @type {Promise<unknown>} */
let turns = Promise.resolve();
/** Wait until it is one's turn to draw: one chart a task, so that clicks are answered between. */
export function turn() {
  turns = turns.then(() => pause(rest.left(performance.now())));
  return turns;
}

export class Plot {
  /**
   * @param {HTMLElement} element
   * @param {{
   *   onTrial: (trial: number, click?: MouseEvent) => void, title: string,
   *   onBox?: (box: Record<string, [Place, Place]>) => void, isNear: () => boolean,
   * }} options onBox: a box was dragged, by the short names of its axes; isNear: whether anybody
   *   can see it, or is about to
   */
  constructor(element, { onTrial, onBox, title, isNear }) {
    this.element = /** @type {PlotElement} */ (element);
    this.onTrial = onTrial;
    this.onBox = onBox;
    this.title = title;
    this.isNear = isNear;
    this.isBehind = false; // nobody sees it, and its data have changed
    /** @type {"zoom" | "select"} what dragging does */
    this.dragMode = "zoom";
    /** @type {ChartKeys | null} */
    this.keys = null;
    this.view = new View();
    /** @type {Figure | null} */
    this.figure = null;
    this.revision = 0;
    this.keyAt = 0; // the width at which the key was put back above the plot
    this.restsUntil = 0;
    this.timer = 0;
    this.isDrawn = false;
    /** @type {Promise<void> | null} the first drawing, while it is under way */
    this.drawing = null;
    this.isPressed = false;
    // A drawing in the middle of a drag would take the drag away.
    element.addEventListener("pointerdown", () => this.press(), true);
    this.config = {
      ...plotlyWords(),
      responsive: true,
      displaylogo: false,
      displayModeBar: "hover",
      showSendToCloud: false, // Plotly's own button would upload the chart to its makers
      plotlyServerURL: "",
      toImageButtonOptions: { filename: fileStem(element) },
      modeBarButtonsToRemove: [
        ...["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetScale2d"],
      ],
      modeBarButtonsToAdd: [
        {
          name: "reset",
          title: gettext("Reset the axes"),
          icon: RESET_ICON,
          click: () => this.reset(),
        },
      ],
      doubleClick: false, // ours goes back to what the figure says now, not to what it once said
    };
  }

  press() {
    this.isPressed = true;
    const release = () => {
      window.removeEventListener("pointerup", release, true);
      window.removeEventListener("pointercancel", release, true);
      this.isPressed = false;
      if (!this.isLate || this.drawing) return;
      this.restsUntil = performance.now() + AFTER_DRAG;
      this.drawSoon();
    };
    window.addEventListener("pointerup", release, true);
    window.addEventListener("pointercancel", release, true);
  }

  /** @param {Figure} figure */
  show(figure) {
    this.figure = figure;
    this.draw();
  }

  /** @param {"zoom" | "select"} mode */
  setDragMode(mode) {
    this.dragMode = mode;
    this.draw();
  }

  /**
   * The ends of an axis as it is shown now, in the numbers that are drawn.
   * @param {string} name its short name, such as "y2"
   * @returns {[Place, Place] | null}
   */
  ends(name) {
    const axis = /** @type {Axis | undefined} */ (
      this.element.layout?.[`${name[0]}axis${name.slice(1)}`]
    );
    if (!axis?.range) return null;
    const [low, high] = axis.range;
    return axis.type === "log" ? [10 ** low, 10 ** high] : [low, high];
  }

  /** Other axes were chosen: what was zoomed to means nothing now. */
  forgetZoom() {
    this.view.forget();
  }

  /** Back to what the figure shows at first; from there to all there is. */
  reset() {
    if (!this.figure) return;
    if (this.view.isZoomed) this.view.forget();
    else this.view.showAll(this.figure.layout);
    this.draw();
  }

  /** Milliseconds until it should be drawn again. */
  get left() {
    return Math.max(0, this.restsUntil - performance.now());
  }

  /** The figure's data have changed. */
  drawSoon() {
    this.isBehind = !this.isNear();
    if (this.timer || document.hidden || this.isBehind) return;
    const wait = Math.max(this.left, rest.left(performance.now()));
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      const isFree = rest.left(performance.now()) === 0; // else another was drawn meanwhile
      if (isFree && this.isNear()) this.draw();
      else this.drawSoon(); // or once it is seen again
    }, wait);
  }

  /** It is about to be seen again. */
  catchUp() {
    if (this.isBehind) this.drawSoon();
  }

  draw() {
    const { figure, element } = this;
    if (!figure || element.offsetParent === null) return;
    this.isLate = (this.isPressed && this.isDrawn) || this.drawing !== null;
    if (this.isLate) return;
    this.revision += 1;
    const look = theme();
    const layout = themed(this.seen(figure.layout), look);
    layout.autosize = true;
    layout.dragmode = this.dragMode;
    layout.selections = [];
    layout.selectionrevision = this.revision; // what was dragged is a condition by now
    layout.datarevision = this.revision;
    fit(layout, element.clientWidth);
    const began = performance.now();
    this.restsUntil = rest.drew(began, began);
    this.isBehind = false;
    // Copies: Plotly notes in them which traces a person has hidden, and would then take that for
    // the figure's own wish.
    const data = figure.data.map((trace) => dressed(trace, look));
    if (!this.isDrawn) {
      this.drawing = this.begin(data, layout);
      turns = turns.then(() => this.drawing).catch(() => {}); // one that fails holds up no other
      return;
    }
    window.Plotly.react(element, data, layout, this.config);
    this.restsUntil = rest.drew(began, performance.now());
    element.dataset.drawn = String(this.revision);
  }

  /**
   * The first drawing takes long, and nobody can be dragging in it: a piece at a time.
   * @param {Trace[]} data
   * @param {Layout} layout
   */
  async begin(data, layout) {
    const { element } = this;
    const whole = inPieces(element);
    try {
      await window.Plotly.react(element, data, layout, this.config);
    } finally {
      whole();
      this.drawing = null;
    }
    this.isDrawn = true;
    if (!this.figure) {
      this.clear(); // it was taken away meanwhile
      return;
    }
    this.listen();
    element.dataset.drawn = String(this.revision);
    if (this.isLate) this.draw();
  }

  /**
   * The layout with the axes as the person looks at them.
   * @param {Layout} given
   */
  seen(given) {
    const layout = { ...given };
    for (const name of axesOf(given)) {
      // Another revision each time: Plotly is to remember nothing of the axes, `view` does.
      layout[name] = { ...this.view.axis(name, given), uirevision: this.revision };
    }
    return layout;
  }

  /**
   * Around the middle of what is seen, along the horizontal axis.
   * @param {number} factor of its length
   */
  zoom(factor) {
    const { range, type } = this.element.layout.xaxis ?? {};
    if (!range) return;
    const isDate = typeof range[0] === "string" || type === "date";
    const [from, to] = range.map((end) => (isDate ? utc(String(end)) : Number(end)));
    const [middle, half] = [(from + to) / 2, ((to - from) / 2) * factor];
    const ends = [middle - half, middle + half];
    const shown = isDate ? ends.map((end) => new Date(end).toISOString().slice(0, -1)) : ends;
    window.Plotly.relayout(this.element, { "xaxis.range": shown });
  }

  /**
   * The chart as it is seen now, as an address of data.
   * @param {"png" | "svg"} format
   * @returns {Promise<string>}
   */
  async image(format) {
    const { element } = this;
    const { clientWidth: width, clientHeight: height } = element;
    const ground = element.layout.meta?.own_look ? {} : { paper_bgcolor: theme().surface };
    const layout = { ...element.layout, width, height, ...ground };
    const figure = { data: element.data, layout, config: plotlyWords() };
    return window.Plotly.toImage(figure, {
      format,
      width,
      height,
      scale: format === "png" ? 2 : 1,
    });
  }

  listen() {
    const { element } = this;
    this.keys ??= new ChartKeys(element, {
      onTrial: this.onTrial,
      zoom: (factor) => this.zoom(factor),
      reset: () => this.reset(),
      title: this.title,
    });
    element.on("plotly_relayout", (changes) => {
      if (this.figure) this.view.note(changes, element.layout, this.figure.layout);
    });
    element.on("plotly_afterplot", () => {
      const { clientWidth: width } = element;
      if (this.keyAt === width || !isKeyOff(element)) return;
      this.keyAt = width; // once is enough
      this.draw();
    });
    element.on("plotly_selected", (event) => event?.range && this.onBox?.(event.range));
    element.on("plotly_doubleclick", () => this.reset());
    element.on("plotly_click", (event) => {
      const point = event.points?.[0];
      const trial = point?.data?.meta?.trial ?? point?.customdata;
      if (typeof trial === "number") this.onTrial(trial, event.event);
    });
  }

  resize() {
    if (this.isDrawn) window.Plotly.Plots.resize(this.element);
  }

  clear() {
    this.figure = null;
    if (this.drawing) return; // its end clears
    if (this.isDrawn) window.Plotly.purge(this.element);
    this.isDrawn = false;
  }
}

/**
 * Whether the key above the plot lies on it, or hangs in the air: where a chart gets another width,
 * Plotly may place the key by the height that it had before.
 * @param {any} element
 */
function isKeyOff(element) {
  const { legend, _size: size } = element._fullLayout;
  const key = element.querySelector(".legend");
  if (!key || legend?.yanchor !== "bottom" || legend.y !== 1) return false;
  const { bottom } = key.getBoundingClientRect();
  return Math.abs(bottom - element.getBoundingClientRect().top - size.t) > 2;
}

/**
 * Plotly's dates have no zone: they are UTC.
 * @param {string} date as 2026-11-27 14:00:00.5
 */
const utc = (date) => Date.parse(`${date.replace(" ", "T")}${date.length > 10 ? "Z" : ""}`);
