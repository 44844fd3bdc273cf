// What dragging over a figure selects, as conditions: the figure says in `layout.meta.selects` what
// its axes mean (experiments/charts/brush.py). Pure.

import { among, between } from "../trials/terms.js";

const EDGE = 0.015; // of an axis: who drags to its end means what lies beyond, too
const NEAR_CHOICE = 0.35; // from a choice's place, where points are spread

/**
 * @typedef {{
 *   name: string, unit?: number, time?: boolean, end?: string, log?: boolean, members?: string[],
 *   missing?: number,
 * }} AxisMeaning
 */

/**
 * Conditions for the part of one axis; none where it is all of it.
 * @param {AxisMeaning} axis
 * @param {[Place, Place]} part in the axis's own places
 * @param {[Place, Place]} shown the ends of the axis
 * @returns {string[]}
 */
export function conditions(axis, part, shown) {
  if (axis.time) return ofTimes(axis, part, shown);
  const [from, to] = sorted(part.map(Number));
  const [first, last] = sorted(shown.map(Number));
  const room = EDGE * (last - first);
  const isOpenBelow = from <= first + room;
  const isOpenAbove = to >= last - room;
  if (axis.members) return ofMembers(axis, from, to);
  const lacks = axis.missing !== undefined && from <= axis.missing && axis.missing <= to;
  if (lacks && isOpenAbove) return [];
  if (lacks) return [ofMissing(axis, from, to)];
  if (isOpenBelow && isOpenAbove && axis.missing === undefined) return [];
  const width = to - from;
  const values = [value(axis, from, width, Math.ceil), value(axis, to, width, Math.floor)];
  const isBelowAll = isOpenBelow && axis.missing === undefined;
  return between(axis.name, isBelowAll ? null : values[0], isOpenAbove ? null : values[1]);
}

/** @param {number[]} ends */
const sorted = (ends) => [...ends].sort((a, b) => a - b);

/**
 * The slot of those that lack it, and perhaps what lies next to it.
 * @param {AxisMeaning} axis
 * @param {number} from
 * @param {number} to
 */
function ofMissing(axis, from, to) {
  return `(${axis.name} = none or ${axis.name} <= ${value(axis, to, to - from, Math.floor)})`;
}

/**
 * A place as the number that it stands for, with digits enough to tell the part's ends apart.
 * @param {AxisMeaning} axis
 * @param {number} place
 * @param {number} width
 * @param {(place: number) => number} whole of trial numbers: the next one inside
 */
function value({ unit = 1, log = false, name }, place, width, whole) {
  if (name === "number") return whole(place);
  if (log) return Number((10 ** place).toPrecision(6));
  const digits = width > 0 ? Math.ceil(Math.log10(Math.abs(place) / width + 1)) + 4 : 17;
  return Number((place * unit).toPrecision(Math.min(17, Math.max(1, digits))));
}

/**
 * @param {AxisMeaning} axis
 * @param {number} from
 * @param {number} to
 */
function ofMembers({ name, members = [], missing }, from, to) {
  const isIn = (/** @type {number} */ place) =>
    place >= from - NEAR_CHOICE && place <= to + NEAR_CHOICE;
  const chosen = members.filter((_, place) => isIn(place));
  const lacks = missing !== undefined && isIn(missing);
  const all = chosen.length === members.length && (missing === undefined || lacks);
  if (all) return [];
  if (lacks && !chosen.includes("none")) chosen.push("none");
  // nothing lies there: then no trial is meant
  return [chosen.length ? among(name, chosen) : "number < 0"];
}

/**
 * @param {AxisMeaning} axis
 * @param {[Place, Place]} part
 * @param {[Place, Place]} shown
 */
function ofTimes({ name, end }, part, shown) {
  const [from, to] = [...part].sort((a, b) => moment(a) - moment(b));
  const room = EDGE * Math.abs(moment(shown[1]) - moment(shown[0]));
  const ends = shown.map(moment).sort((a, b) => a - b);
  const isAll = moment(from) <= ends[0] + room && moment(to) >= ends[1] - room;
  if (isAll) return [];
  if (end) return [`(${end} >= ${text(from)} or ${end} = none)`, `${name} <= ${text(to)}`];
  return between(name, text(from), text(to));
}

/**
 * Plotly's dates name no offset and are in UTC.
 * @param {Place} date
 */
function moment(date) {
  if (typeof date === "number") return date;
  return Date.parse(date.length > 10 ? `${date.replace(" ", "T")}Z` : date);
}

/** @param {Place} date */
const text = (date) => `"${new Date(moment(date)).toISOString()}"`;

/**
 * The trials whose lines have a point in a box.
 * @param {Trace[]} traces
 * @param {Record<string, [Place, Place]>} box
 */
export function linesIn(traces, { x, y }) {
  if (!x || !y) return [];
  const [[left, right], [low, high]] = [sorted(x.map(Number)), sorted(y.map(Number))];
  const isIn = (/** @type {Place} */ at, /** @type {number | null} */ value) =>
    value !== null && Number(at) >= left && Number(at) <= right && value >= low && value <= high;
  const found = traces
    .filter((trace) => trace.meta?.trial !== undefined)
    .filter((trace) => trace.x.some((at, i) => isIn(at, trace.y[i])));
  return found.map((trace) => Number(trace.meta?.trial));
}

/**
 * The text of figures is escaped, lest Plotly takes it for markup; conditions have the words.
 * @param {AxisMeaning} meaning
 * @returns {AxisMeaning}
 */
function plain(meaning) {
  const words = (/** @type {string} */ text) =>
    text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  return {
    ...meaning,
    name: words(meaning.name),
    ...(meaning.members && { members: meaning.members.map(words) }),
  };
}

/**
 * All conditions of a box that was dragged over a figure.
 * @param {{ selects?: Record<string, AxisMeaning> }} meta
 * @param {Record<string, [Place, Place]>} box the parts, by the short names of the axes
 * @param {(axis: string) => [Place, Place] | null} shownOf the ends of an axis
 */
export function ofBox({ selects = {} }, box, shownOf) {
  const found = [];
  for (const [axis, part] of Object.entries(box)) {
    const meaning = selects[axis];
    const shown = shownOf(axis);
    if (meaning && shown) found.push(...conditions(plain(meaning), part, shown));
  }
  return found;
}
