// Draws a Plotly `parcoords` figure on a plain canvas: no WebGL needed, lines can be pointed at.
// Drag along an axis to keep only the lines that pass there, drag an axis' name to move it.

import { h } from "../dom.js";
import { gettext, listed } from "../language.js";
import { AxisMenus } from "./axis_menu.js";
import { Frame, TOP } from "./parallel_frame.js";
import { cleared, paint, paintPointed } from "./parallel_paint.js";
import { SvgContext } from "./svg_context.js";
import { wordsIn } from "./words.js";

const BRUSH_WIDTH = 14; // pixels from an axis at which it can be brushed
const NAME_WIDTH = 44; // the same, at which its name can be dragged

export class ParallelPlot {
  /**
   * @param {HTMLElement} element
   * @param {{
   *   onTrial: (trial: number, click?: MouseEvent) => void,
   *   onBrush?: (axis: string, part: Ends, ends: Ends) => void,
   * }} options onBrush: a part of an axis was chosen; what is drawn changes by that
   */
  constructor(element, { onTrial, onBrush }) {
    this.element = element;
    this.onTrial = onTrial;
    this.onBrush = onBrush;
    this.frame = new Frame();
    this.canvas = h("canvas", { role: "img", tabindex: "-1" });
    this.front = h("canvas", { class: "parcoords-front", "aria-hidden": "true" });
    this.tip = h("div", { class: "parcoords-tip", hidden: true });
    this.note = h("div", { class: "parcoords-note", hidden: true });
    /** @type {Theme | null} */
    this.theme = null;
    /** @type {ColourScale} */
    this.scale = [];
    /** @type {{ i: number, from: number, isMove: boolean, isDone: boolean } | null} */
    this.drag = null;
    /** @type {{ i: number, x: number, y: number } | null} line that is pointed at, and where */
    this.pointed = null;
    element.classList.add("parcoords");
    element.replaceChildren(this.canvas, this.front, this.tip, this.note);
    /** @type {FigureMeta} */
    this.meta = { kind: "", seq: 0 };
    this.menus = new AxisMenus(this);
    new ResizeObserver(() => this.draw()).observe(element);
    this.front.addEventListener("pointerdown", (event) => this.pressed(event));
    this.front.addEventListener("pointermove", (event) => this.moved(event));
    this.front.addEventListener("pointerup", (event) => this.released(event));
    this.front.addEventListener("pointerleave", () => this.drag || this.point(null));
    this.front.addEventListener("dblclick", () => {
      this.frame.clearBrushes();
      this.draw();
    });
  }

  /**
   * Take over a figure. Brushes, the order of axes and the line pointed at stay.
   * @param {ParallelTrace} trace
   * @param {Theme} theme
   * @param {FigureMeta} [meta]
   */
  show(trace, theme, meta = { kind: "", seq: 0 }) {
    const { frame } = this;
    const { n_trials: all = 0, n_drawn: drawn = all } = meta;
    this.meta = meta;
    this.theme = theme;
    this.scale = theme.dark ? trace.meta.colorscale_dark : trace.meta.colorscale_light;
    const { color, cmin, cmax } = trace.line;
    const before = this.pointed && frame.numbers[this.pointed.i];
    const shades = color.map((c) => (c - cmin) / (cmax - cmin || 1));
    frame.take(trace.dimensions.map(axisOf), trace.customdata, shades);
    const i = frame.numbers.indexOf(before ?? -1);
    this.pointed = this.pointed && i >= 0 ? { ...this.pointed, i } : null;
    const names = listed(frame.axes.map((axis) => axis.label));
    const words = gettext("Parallel coordinates of {n} trials: {names}", {
      n: frame.numbers.length,
      names,
    });
    this.canvas.setAttribute("aria-label", words);
    this.note.hidden = drawn >= all;
    this.note.textContent = gettext("{drawn} of {all} trials: the best, and some of the others", {
      drawn,
      all,
    });
    this.draw();
  }

  draw() {
    const { element, frame, theme } = this;
    if (!theme || !element.clientWidth) return;
    frame.resize(element.clientWidth, element.clientHeight);
    paint(cleared(this.canvas, frame), frame, this.scale, theme);
    this.menus.draw();
    this.point(this.pointed);
  }

  /**
   * Keep only the lines that pass an axis between two places; null: all of them.
   * @param {number} k
   * @param {Ends | null} ends
   */
  keep(k, ends) {
    this.frame.keep(k, ends);
    this.draw();
  }

  /**
   * What is seen, as an address of data.
   * @param {"png" | "svg"} format
   */
  image(format) {
    const { frame, scale, theme } = this;
    if (!theme) return "";
    if (format === "svg") {
      const drawing = new SvgContext(frame, theme.surface);
      paint(/** @type {any} */ (drawing), frame, scale, theme);
      return `data:image/svg+xml,${encodeURIComponent(drawing.svg)}`;
    }
    const canvas = h("canvas", { width: frame.width * 2, height: frame.height * 2 });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.scale(2, 2);
    context.fillStyle = theme.surface;
    context.fillRect(0, 0, frame.width, frame.height);
    paint(context, frame, scale, theme);
    return canvas.toDataURL("image/png");
  }

  // ---- pointing, brushing, moving axes

  /**
   * @param {PointerEvent} event
   * @returns {[x: number, y: number]}
   */
  at(event) {
    const box = this.front.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /**
   * The axis under the pointer, -1 where there is none, and whether it is at its name.
   * @param {number} x
   * @param {number} y
   * @returns {[k: number, isName: boolean]}
   */
  axisAt(x, y) {
    const isName = y < TOP - 6;
    return [this.frame.axisAt(x, isName ? NAME_WIDTH : BRUSH_WIDTH), isName];
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    const [x, y] = this.at(event);
    const [i, isMove] = this.axisAt(x, y);
    if (i < 0) return;
    this.front.setPointerCapture(event.pointerId);
    this.drag = { i, from: y, isMove, isDone: false };
    this.point(null);
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const [x, y] = this.at(event);
    if (this.drag) this.dragged(this.drag, x, y);
    else this.hovered(x, y);
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  hovered(x, y) {
    const [k, isName] = this.axisAt(x, y);
    const i = k < 0 ? this.frame.nearest(x, y) : null;
    let cursor = isName ? "grab" : "ns-resize";
    if (k < 0) cursor = i === null ? "default" : "pointer";
    this.front.style.cursor = cursor;
    this.point(i === null ? null : { i, x, y });
  }

  /**
   * @param {NonNullable<ParallelPlot["drag"]>} drag
   * @param {number} x
   * @param {number} y
   */
  dragged(drag, x, y) {
    const { frame } = this;
    if (drag.isMove) {
      const to = frame.moveAxis(drag.i, x);
      if (to === drag.i) return;
      drag.i = to;
    } else {
      if (Math.abs(y - drag.from) <= 3) return;
      frame.brush(drag.i, drag.from, y);
    }
    drag.isDone = true;
    this.draw();
  }

  /** @param {PointerEvent} event */
  released(event) {
    const { drag, frame } = this;
    this.drag = null;
    if (!drag) {
      const i = frame.nearest(...this.at(event));
      if (i !== null) this.onTrial(frame.numbers[i], event);
    } else if (drag.isDone && !drag.isMove) {
      const { name, key, range } = frame.axes[drag.i];
      const part = frame.brushes.get(key);
      if (part) this.onBrush?.(name ?? "", part, range);
      frame.clearBrushes(drag.i);
      this.draw();
    } else if (!drag.isDone && !drag.isMove) {
      frame.clearBrushes(drag.i); // a click on an axis takes its brush away
      this.draw();
    }
  }

  /**
   * Lift one line over the others and say whose it is.
   * @param {ParallelPlot["pointed"]} pointed
   */
  point(pointed) {
    const { frame, theme, tip } = this;
    this.pointed = pointed;
    const context = cleared(this.front, frame);
    tip.hidden = !pointed;
    if (!pointed || !theme) return;
    const { i, x, y } = pointed;
    paintPointed(context, frame, i, theme);
    const rows = frame.axes.map((axis) =>
      h("div", {}, h("span", {}, axis.label), h("b", {}, frame.valueText(axis, i))),
    );
    tip.replaceChildren(h("strong", {}, `#${frame.numbers[i]}`), ...rows);
    const isRight = x > frame.width / 2;
    tip.style.left = isRight ? "" : `${x + 14}px`;
    tip.style.right = isRight ? `${frame.width - x + 14}px` : "";
    tip.style.top = `${Math.max(0, Math.min(y - 20, frame.height - tip.offsetHeight))}px`;
  }
}

/**
 * @param {ParallelTrace["dimensions"][number]} dimension
 * @returns {import("./parallel_frame.js").ParallelAxis}
 */
function axisOf({ label, name, values, range, tickvals, ticktext }) {
  const ticks = tickvals.map(
    (place, i) => /** @type {[number, string]} */ ([place, wordsIn(ticktext[i])]),
  );
  // two labels may be cut to the same; brushes and the order of axes go by the name
  return { key: wordsIn(name ?? label), name, label: wordsIn(label), values, range, ticks };
}
