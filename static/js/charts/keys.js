// A chart by keyboard: arrows go from point to point and say what each is, Enter opens its trial,
// + and - zoom, 0 shows all again.

import { h } from "../dom.js";
import { number } from "../format.js";
import { gettext } from "../language.js";

/** @typedef {{ curve: number, point: number, uid?: string }} At */
/** @typedef {Pick<Trace, "x" | "y" | "visible" | "hoverinfo" | "uid">} Line */

/**
 * The next place to go to from `at` for a key; null where the key means nothing or there is none.
 * Pure. Left and right along a line, up and down to the next line, at the nearest x.
 * @param {Line[]} lines
 * @param {At | null} at
 * @param {string} key
 * @returns {At | null}
 */
export function next(lines, at, key) {
  const reachable = lines.map((line) => pointsOf(line));
  const first = reachable.findIndex((points) => points.length);
  if (first < 0 || !STEPS.has(key)) return null;
  if (!at || !reachable[at.curve]?.length) return { curve: first, point: reachable[first][0] };
  const points = reachable[at.curve];
  const place = points.indexOf(at.point);
  if (key === "Home") return { ...at, point: points[0] };
  if (key === "End") return { ...at, point: points[points.length - 1] };
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const to = place + (key === "ArrowRight" ? 1 : -1);
    return { ...at, point: points[Math.min(Math.max(to, 0), points.length - 1)] };
  }
  const step = key === "ArrowDown" ? 1 : -1;
  for (let curve = at.curve + step; curve >= 0 && curve < lines.length; curve += step) {
    if (reachable[curve].length) {
      return { curve, point: nearest(lines[curve], reachable[curve], lines[at.curve].x[at.point]) };
    }
  }
  return at;
}

const STEPS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);

/** @param {Line} line */
function pointsOf({ x, y, visible, hoverinfo }) {
  if (!x || !y || visible === false || visible === "legendonly" || hoverinfo === "skip") return [];
  return [...x.keys()].filter((i) => x[i] !== null && y[i] !== null && y[i] !== undefined);
}

/**
 * @param {Line} line
 * @param {number[]} points
 * @param {unknown} x
 */
function nearest(line, points, x) {
  const place = (/** @type {unknown} */ v) => (typeof v === "number" ? v : Date.parse(String(v)));
  const off = (/** @type {number} */ i) => Math.abs(place(line.x[i]) - place(x));
  return points.reduce((best, i) => (off(i) < off(best) ? i : best), points[0]);
}

/**
 * The same place in what is drawn now: lines come and go while trials run, so a line is known by
 * its uid where it has one. Null where it is gone. Pure.
 * @param {Line[]} lines
 * @param {At | null} at
 * @returns {At | null}
 */
export function placed(lines, at) {
  if (!at?.uid || lines[at.curve]?.uid === at.uid) return at;
  const curve = lines.findIndex(({ uid }) => uid === at.uid);
  return curve < 0 ? null : { ...at, curve };
}

export class ChartKeys {
  /**
   * @param {PlotElement} element
   * @param {{
   *   onTrial: (trial: number) => void, zoom: (factor: number) => void, reset: () => void,
   *   title: string,
   * }} acts
   */
  constructor(element, acts) {
    this.element = element;
    this.acts = acts;
    /** @type {At | null} */
    this.at = null;
    this.voice = h("span", { class: "visually-hidden", role: "status" });
    element.after(this.voice);
    element.tabIndex = 0;
    element.setAttribute("role", "group");
    element.setAttribute("aria-roledescription", gettext("chart"));
    element.setAttribute(
      "aria-label",
      gettext("{title}. Arrows: from point to point; Enter: its trial; + and -: zoom; 0: all.", {
        title: acts.title,
      }),
    );
    element.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.act(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {string} key
   * @returns {boolean} whether it meant anything
   */
  act(key) {
    const { zoom, reset } = this.acts;
    const lines = this.element.data ?? [];
    if (key === "+" || key === "=") zoom(0.5);
    else if (key === "-") zoom(2);
    else if (key === "0") reset();
    else if (key === "Enter") return this.open();
    else return this.go(next(lines, placed(lines, this.at), key));
    return true;
  }

  /** @param {At | null} to */
  go(to) {
    if (!to) return false;
    const { data } = this.element;
    const { x, y, name, uid, xaxis = "x", yaxis = "y" } = data[to.curve];
    this.at = { ...to, uid };
    const point = { curveNumber: to.curve, pointNumber: to.point };
    window.Plotly.Fx.hover(this.element, [point], `${xaxis}${yaxis}`);
    const trial = this.trial;
    const words = [name, trial === null ? "" : `#${trial}`, said(x[to.point]), said(y[to.point])];
    this.voice.textContent = [...new Set(words.filter(Boolean))].join(", ");
    return true;
  }

  get trial() {
    const at = placed(this.element.data, this.at);
    if (!at) return null;
    const { meta, customdata } = this.element.data[at.curve] ?? {};
    const trial = meta?.trial ?? customdata?.[at.point];
    return typeof trial === "number" ? trial : null;
  }

  open() {
    const { trial } = this;
    if (trial !== null) this.acts.onTrial(trial);
    return trial !== null;
  }
}

/** @param {unknown} value */
const said = (value) => (typeof value === "number" ? number(value) : String(value ?? ""));
