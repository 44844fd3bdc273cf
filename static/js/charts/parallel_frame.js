// Parallel coordinates as numbers: where axes and lines are, which lines are kept, which is near.
// Pure.

export const TOP = 44; // pixels above the axes
export const BOTTOM = 44; // a line of words and the buttons of the axes' menus are there
const SIDE = 64;
const NEAR = 7; // pixels from the pointer to a line

/** @typedef {{ key: string, name?: string, label: string, values: number[], range: Ends, ticks: [number, string][] }} ParallelAxis */

export class Frame {
  constructor() {
    /** @type {ParallelAxis[]} */
    this.axes = [];
    /** @type {number[]} of the trials, worst first */
    this.numbers = [];
    /** @type {number[]} 0 for the worst to 1 for the best */
    this.shades = [];
    /** @type {string[] | null} keys, once the person has moved an axis */
    this.order = null;
    /** @type {Map<string, Ends>} key → places that are kept */
    this.brushes = new Map();
    /** @type {boolean[]} whether a line passes all brushes */
    this.kept = [];
    this.width = 0;
    this.height = 0;
    this.side = SIDE;
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.side = Math.min(SIDE, width * 0.11);
  }

  /**
   * Take over a figure's lines; brushes and the order of axes stay.
   * @param {ParallelAxis[]} axes
   * @param {number[]} numbers
   * @param {number[]} shades
   */
  take(axes, numbers, shades) {
    for (const { key, label } of this.axes) {
      const now = axes.find((axis) => axis.key === key);
      if (now && now.label !== label) this.brushes.delete(key); // on another scale
    }
    this.axes = axes;
    this.numbers = numbers;
    this.shades = shades;
    const { order } = this;
    if (order) {
      const rank = (/** @type {ParallelAxis} */ a) => order.indexOf(a.key) + 1 || order.length + 1;
      axes.sort((a, b) => rank(a) - rank(b));
    }
    this.sift();
  }

  /** Which lines pass all brushes. */
  sift() {
    this.kept = this.numbers.map((_, i) =>
      this.axes.every(({ key, values }) => {
        const brush = this.brushes.get(key);
        return !brush || (values[i] >= brush[0] && values[i] <= brush[1]);
      }),
    );
  }

  /** Pixels between two axes. */
  get room() {
    if (this.axes.length < 2) return this.width;
    return (this.width - 2 * this.side) / (this.axes.length - 1);
  }

  /** @param {number} k */
  x(k) {
    return this.axes.length < 2 ? this.width / 2 : this.side + k * this.room;
  }

  /**
   * @param {ParallelAxis} axis
   * @param {number} place
   */
  y({ range: [low, high] }, place) {
    const share = (place - low) / (high - low || 1);
    return this.height - BOTTOM - share * (this.height - TOP - BOTTOM);
  }

  /**
   * @param {ParallelAxis} axis
   * @param {number} y
   */
  place({ range: [low, high] }, y) {
    const within = Math.min(this.height - BOTTOM, Math.max(TOP, y));
    const share = (this.height - BOTTOM - within) / (this.height - TOP - BOTTOM);
    return low + share * (high - low);
  }

  /**
   * The axis at that place, -1 where there is none.
   * @param {number} x
   * @param {number} reach in pixels
   */
  axisAt(x, reach) {
    return this.axes.findIndex((_, k) => Math.abs(this.x(k) - x) <= reach);
  }

  /**
   * Keep only the lines that pass an axis between two heights.
   * @param {number} k
   * @param {number} from
   * @param {number} to
   */
  brush(k, from, to) {
    const axis = this.axes[k];
    this.keep(k, [this.place(axis, from), this.place(axis, to)]);
  }

  /**
   * The same between two places; null: of this axis all.
   * @param {number} k
   * @param {Ends | null} ends
   */
  keep(k, ends) {
    const { key } = this.axes[k];
    if (ends) this.brushes.set(key, [Math.min(...ends), Math.max(...ends)]);
    else this.brushes.delete(key);
    this.sift();
  }

  /** @param {number} [k] of this axis only */
  clearBrushes(k) {
    if (k === undefined) this.brushes.clear();
    else this.brushes.delete(this.axes[k].key);
    this.sift();
  }

  /**
   * Drag an axis to a place. Returns where it is now.
   * @param {number} from
   * @param {number} x
   */
  moveAxis(from, x) {
    const off = (/** @type {number} */ k) => Math.abs(this.x(k) - x);
    const to = this.axes.reduce((best, _, k) => (off(k) < off(best) ? k : best), 0);
    if (to === from) return from;
    this.axes.splice(to, 0, ...this.axes.splice(from, 1));
    this.order = this.axes.map((axis) => axis.key);
    return to;
  }

  /**
   * The line at that place, the best of several; null where there is none.
   * @param {number} x
   * @param {number} y
   */
  nearest(x, y) {
    const k = this.axes.findIndex((_, i) => i > 0 && x <= this.x(i) && x >= this.x(i - 1));
    if (k < 1) return null;
    const [left, right] = [this.axes[k - 1], this.axes[k]];
    const share = (x - this.x(k - 1)) / this.room;
    let best = null;
    let distance = NEAR;
    for (let i = this.numbers.length - 1; i >= 0; i -= 1) {
      if (!this.kept[i]) continue;
      const from = this.y(left, left.values[i]);
      const to = this.y(right, right.values[i]);
      const off = Math.abs(from + (to - from) * share - y) / Math.hypot(1, (to - from) / this.room);
      if (off < distance) [best, distance] = [i, off];
    }
    return best;
  }

  /**
   * A line's value on an axis, in words.
   * @param {ParallelAxis} axis
   * @param {number} i
   */
  valueText({ label, values, ticks }, i) {
    const place = values[i];
    const tick = ticks.find(([at]) => Math.abs(at - place) < 1e-9);
    if (tick) return tick[1];
    const value = label.endsWith("(log)") ? 10 ** place : place;
    return String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));
  }
}

/**
 * The colour at 0 to 1 of a scale of "#rrggbb" stops.
 * @param {ColourScale} scale
 * @param {number} t
 */
export function colourAt(scale, t) {
  const at = Math.min(1, Math.max(0, t));
  const i = Math.max(
    1,
    scale.findIndex(([stop]) => stop >= at),
  );
  const [from, a] = scale[i - 1];
  const [to, b] = scale[i];
  const share = to === from ? 0 : (at - from) / (to - from);
  const part = (/** @type {string} */ hex, /** @type {number} */ k) =>
    Number.parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mixed = [0, 1, 2].map((k) => Math.round(part(a, k) + (part(b, k) - part(a, k)) * share));
  return `rgb(${mixed.join(",")})`;
}
