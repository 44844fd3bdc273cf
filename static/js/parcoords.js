// Draws a Plotly `parcoords` figure on a plain canvas: no WebGL needed, lines can be pointed at.
// Drag along an axis to keep only the lines that pass there, drag an axis' name to move it.

import { h } from "./dom.js";

const NEAR = 7; // pixels from the pointer to a line
const BRUSH_WIDTH = 14;
const TOP = 44;
const BOTTOM = 22;
const SIDE = 64;

/** "#rrggbb" between two of a colour scale's stops. */
function colourAt(scale, t) {
  const at = Math.min(1, Math.max(0, t));
  const i = Math.max(
    1,
    scale.findIndex(([stop]) => stop >= at),
  );
  const [from, a] = scale[i - 1];
  const [to, b] = scale[i];
  const share = to === from ? 0 : (at - from) / (to - from);
  const part = (hex, k) => Number.parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return `rgb(${[0, 1, 2].map((k) => Math.round(part(a, k) + (part(b, k) - part(a, k)) * share)).join(",")})`;
}

/** Plotly's labels hold <b> and entities; a canvas wants the words. */
const words = (label) => new DOMParser().parseFromString(label, "text/html").body.textContent;

export class ParallelPlot {
  constructor(element, { onTrial }) {
    Object.assign(this, { element, onTrial });
    this.canvas = h("canvas", { role: "img", tabindex: "-1" });
    this.front = h("canvas", { class: "parcoords-front", "aria-hidden": "true" });
    this.tip = h("div", { class: "parcoords-tip", hidden: true });
    element.classList.add("parcoords");
    element.replaceChildren(this.canvas, this.front, this.tip);
    this.order = null; // labels, once the person has moved an axis
    this.brushes = new Map(); // label → [low, high] places
    new ResizeObserver(() => this.draw()).observe(element);
    this.front.addEventListener("pointerdown", (event) => this.down(event));
    this.front.addEventListener("pointermove", (event) => this.moved(event));
    this.front.addEventListener("pointerup", (event) => this.up(event));
    this.front.addEventListener("pointerleave", () => this.drag || this.point(null));
    this.front.addEventListener("dblclick", () => {
      this.brushes.clear();
      this.draw();
    });
  }

  /** Take over a figure; brushes and the order of axes stay. */
  show(figure, theme) {
    const [trace] = figure.data;
    this.theme = theme;
    this.numbers = trace.customdata;
    this.scale = theme.dark ? trace.meta.colorscale_dark : trace.meta.colorscale_light;
    const { color, cmin, cmax } = trace.line;
    this.shades = color.map((c) => (c - cmin) / (cmax - cmin || 1));
    const axes = trace.dimensions.map((d) => ({
      label: words(d.label),
      values: d.values,
      range: d.range,
      ticks: d.tickvals.map((place, i) => [place, words(d.ticktext[i])]),
    }));
    if (this.order) {
      const rank = (axis) => this.order.indexOf(axis.label) + 1 || this.order.length + 1;
      axes.sort((a, b) => rank(a) - rank(b));
    }
    this.axes = axes;
    this.canvas.setAttribute(
      "aria-label",
      `Parallel coordinates of ${this.numbers.length} trials: ${axes.map((a) => a.label).join(", ")}`,
    );
    this.draw();
  }

  x(i) {
    return this.axes.length < 2
      ? this.width / 2
      : this.side + (i * (this.width - 2 * this.side)) / (this.axes.length - 1);
  }

  y(axis, place) {
    const [low, high] = axis.range;
    return (
      this.height - BOTTOM - ((place - low) / (high - low || 1)) * (this.height - TOP - BOTTOM)
    );
  }

  place(axis, y) {
    const [low, high] = axis.range;
    return low + ((this.height - BOTTOM - y) / (this.height - TOP - BOTTOM)) * (high - low);
  }

  size() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.element.clientWidth;
    this.height = this.element.clientHeight;
    this.side = Math.min(SIDE, this.width * 0.11);
    for (const canvas of [this.canvas, this.front]) {
      if (
        canvas.width !== Math.round(this.width * ratio) ||
        canvas.height !== Math.round(this.height * ratio)
      ) {
        canvas.width = Math.round(this.width * ratio);
        canvas.height = Math.round(this.height * ratio);
      }
      const context = canvas.getContext("2d");
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
    }
    return this.canvas.getContext("2d");
  }

  kept(i) {
    for (const axis of this.axes) {
      const brush = this.brushes.get(axis.label);
      if (brush && (axis.values[i] < brush[0] || axis.values[i] > brush[1])) return false;
    }
    return true;
  }

  draw() {
    if (!this.axes || !this.element.clientWidth) return;
    const context = this.size();
    this.keptNow = this.numbers.map((_, i) => this.kept(i));
    const many = this.numbers.length > 200;
    context.lineJoin = "round";
    for (const keep of [false, true]) {
      // worst first, so the best lie on top; what a brush drops is hardly there
      for (let i = 0; i < this.numbers.length; i += 1) {
        if (this.keptNow[i] !== keep) continue;
        context.globalAlpha = keep
          ? many
            ? 0.12 + 0.7 * this.shades[i] ** 3
            : 0.55 + 0.4 * this.shades[i]
          : 0.25;
        context.strokeStyle = keep ? colourAt(this.scale, this.shades[i]) : this.theme.grid;
        context.lineWidth = keep ? (many ? 0.8 : 1.4) + 0.6 * this.shades[i] : 1;
        this.trace(context, i);
      }
    }
    context.globalAlpha = 1;
    this.axes.forEach((axis, i) => this.drawAxis(context, axis, this.x(i)));
    this.point(this.pointed ?? null);
  }

  trace(context, i) {
    context.beginPath();
    this.axes.forEach((axis, k) => context.lineTo(this.x(k), this.y(axis, axis.values[i])));
    context.stroke();
  }

  drawAxis(context, axis, x) {
    const { theme } = this;
    const room =
      this.axes.length < 2 ? this.width : (this.width - 2 * this.side) / (this.axes.length - 1);
    const font = (weight, size) => (context.font = `${weight} ${size}px ${theme.font}`);
    context.strokeStyle = theme.strong;
    context.lineWidth = 1.2;
    context.beginPath();
    context.moveTo(x, TOP);
    context.lineTo(x, this.height - BOTTOM);
    context.stroke();
    const brush = this.brushes.get(axis.label);
    if (brush) {
      const [bottom, top] = brush.map((place) => this.y(axis, place));
      context.fillStyle = theme.accent;
      context.globalAlpha = 0.35;
      context.fillRect(x - 5, top, 10, bottom - top);
      context.globalAlpha = 1;
      context.strokeStyle = theme.accent;
      context.strokeRect(x - 5, top, 10, bottom - top);
    }
    context.textBaseline = "middle";
    const rightmost = this.axes.at(-1) === axis && this.axes.length > 1;
    context.textAlign = rightmost ? "right" : "left";
    font(400, 11);
    let last = Infinity;
    for (const [place, text] of axis.ticks) {
      const y = this.y(axis, place);
      if (last - y < 12) continue; // labels would touch
      last = y;
      context.fillStyle = theme.strong;
      context.fillRect(x - 3, y - 0.5, 6, 1);
      const cut = fitted(context, text, Math.max(34, room * 0.62));
      context.lineWidth = 3.5; // a halo, so that lines do not run through the words
      context.strokeStyle = theme.surface;
      context.strokeText(cut, rightmost ? x - 7 : x + 7, y);
      context.fillStyle = theme.muted;
      context.fillText(cut, rightmost ? x - 7 : x + 7, y);
    }
    context.textAlign = "center";
    font(axis === this.axes[0] ? 600 : 500, 12);
    context.fillStyle = theme.text;
    const edge = Math.min(x, this.width - x) * 2 - 4;
    const staggered = room < 84 && this.axes.indexOf(axis) % 2 === 1;
    context.fillText(
      fitted(context, axis.label, Math.min(edge, Math.max(60, room * (room < 84 ? 1.8 : 0.96)))),
      x,
      staggered ? 12 : 26,
    );
  }

  // ---- pointing, brushing, moving axes

  at(event) {
    const box = this.front.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  axisAt(x, width) {
    if (!this.axes) return -1;
    const i = this.axes.findIndex((_, k) => Math.abs(this.x(k) - x) <= width);
    return i;
  }

  down(event) {
    const [x, y] = this.at(event);
    const i = this.axisAt(x, y < TOP - 6 ? 44 : BRUSH_WIDTH);
    if (i < 0) return;
    this.front.setPointerCapture(event.pointerId);
    this.drag = { i, from: y, x, move: y < TOP - 6, done: false };
    this.point(null);
  }

  moved(event) {
    const [x, y] = this.at(event);
    const { drag } = this;
    if (!drag) {
      const i = this.axisAt(x, y < TOP - 6 ? 44 : BRUSH_WIDTH);
      this.front.style.cursor =
        i < 0
          ? this.nearest(x, y) === null
            ? "default"
            : "pointer"
          : y < TOP - 6
            ? "grab"
            : "ns-resize";
      this.point(i < 0 ? this.nearest(x, y) : null, x, y);
      return;
    }
    if (drag.move) this.moveAxis(drag, x);
    else if (Math.abs(y - drag.from) > 3) {
      drag.done = true;
      const axis = this.axes[drag.i];
      const ends = [drag.from, y].map((p) =>
        this.place(axis, Math.min(this.height - BOTTOM, Math.max(TOP, p))),
      );
      this.brushes.set(axis.label, [Math.min(...ends), Math.max(...ends)]);
      this.draw();
    }
  }

  moveAxis(drag, x) {
    const to = this.axes.reduce(
      (best, _, k) => (Math.abs(this.x(k) - x) < Math.abs(this.x(best) - x) ? k : best),
      0,
    );
    if (to === drag.i) return;
    this.axes.splice(to, 0, ...this.axes.splice(drag.i, 1));
    this.order = this.axes.map((axis) => axis.label);
    drag.i = to;
    drag.done = true;
    this.draw();
  }

  up(event) {
    const { drag } = this;
    this.drag = null;
    const [x, y] = this.at(event);
    if (drag && !drag.done && !drag.move) {
      this.brushes.delete(this.axes[drag.i].label); // a click on an axis takes its brush away
      this.draw();
    } else if (!drag) {
      const i = this.nearest(x, y);
      if (i !== null) this.onTrial(this.numbers[i]);
    }
  }

  /** The line under the pointer, the best of several; null where there is none. */
  nearest(x, y) {
    if (!this.axes || this.axes.length < 2) return null;
    const k = this.axes.findIndex((_, i) => i > 0 && x <= this.x(i) && x >= this.x(i - 1));
    if (k < 1) return null;
    const share = (x - this.x(k - 1)) / (this.x(k) - this.x(k - 1));
    let best = null;
    let distance = NEAR;
    for (let i = this.numbers.length - 1; i >= 0; i -= 1) {
      if (!this.keptNow[i]) continue;
      const from = this.y(this.axes[k - 1], this.axes[k - 1].values[i]);
      const to = this.y(this.axes[k], this.axes[k].values[i]);
      const off =
        Math.abs(from + (to - from) * share - y) /
        Math.hypot(1, (to - from) / (this.x(k) - this.x(k - 1)));
      if (off < distance) [best, distance] = [i, off];
    }
    return best;
  }

  /** Lift one line over the others and say whose it is. */
  point(i, x, y) {
    this.pointed = i;
    const context = this.front.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    this.tip.hidden = i === null;
    if (i === null) return;
    context.lineJoin = "round";
    for (const [width, colour] of [
      [6, this.theme.surface],
      [3, this.theme.accent],
    ]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      this.trace(context, i);
    }
    if (x === undefined) return;
    const rows = this.axes.map((axis) =>
      h("div", {}, h("span", {}, axis.label), h("b", {}, this.valueText(axis, i))),
    );
    this.tip.replaceChildren(h("strong", {}, `#${this.numbers[i]}`), ...rows);
    const right = x > this.width / 2;
    this.tip.style.left = right ? "" : `${x + 14}px`;
    this.tip.style.right = right ? `${this.width - x + 14}px` : "";
    this.tip.style.top = `${Math.max(0, Math.min(y - 20, this.height - this.tip.offsetHeight))}px`;
  }

  valueText(axis, i) {
    const place = axis.values[i];
    const tick = axis.ticks.find(([at]) => Math.abs(at - place) < 1e-9);
    if (tick) return tick[1];
    const value = axis.label.endsWith("(log)") ? 10 ** place : place;
    return String(Number(value.toPrecision(4)));
  }
}

/** The text, cut so that it fits. */
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}
