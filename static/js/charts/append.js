// Adds one report to a drawn figure. The figure says in its `layout.meta.live` what may be added
// and how (experiments/charts decides); all else makes the server draw anew. Pure.

const MARGIN = 0.04; // of the axis, beyond a value that widened it
const DRAWABLE = 1e300; // as of experiments/charts/scale.py: no axis is wider

/** @typedef {"ignored" | "drawn" | "anew" | "later"} Outcome
 * ignored: it is in the figure already, or none of its business; drawn: it was added;
 * anew: what is drawn has changed in kind; later: the figure is a little out of date. */

/**
 * @param {Figure} figure
 * @param {Metric} metric
 * @returns {Outcome}
 */
export function addReport(figure, metric) {
  const { meta } = figure.layout;
  if (metric.kind !== "PERIODICAL" || metric.seq <= meta.seq) return "ignored";
  const y = typeof metric.value === "number" ? metric.value : null;
  const rule = meta.live;
  if (!rule) return "ignored";
  if (metric.name !== rule.metric) {
    return meta.metrics && !meta.metrics.includes(metric.name) ? "anew" : "ignored"; // one to choose
  }
  if (meta.empty) return y === null ? "ignored" : "anew";
  if (y !== null && y <= 0 && figure.layout.yaxis?.type === "log") return "anew";
  return rule.how === "append" ? append(figure, rule, metric, y) : move(figure, metric, y);
}

/**
 * @typedef {{ lines: Map<number, { line?: Trace, soft?: Trace }>, drawn: Set<unknown> }} Places
 * lines: those that grow, by trial; drawn: the trials of all that is drawn point by point
 */

/** @type {WeakMap<Figure, Places>} hundreds of reports a second ask for them */
const places = new WeakMap();

/**
 * Where each trial is in the figure; what is added changes nothing of that.
 * @param {Figure} figure
 * @returns {Places}
 */
function placesIn(figure) {
  const known = places.get(figure);
  if (known) return known;
  /** @type {Places} */
  const found = { lines: new Map(), drawn: new Set() };
  for (const trace of figure.data) {
    for (const trial of trace.customdata ?? []) found.drawn.add(trial);
    const { trial, smooth } = trace.meta ?? {};
    if (trial === undefined) continue;
    const line = found.lines.get(trial) ?? {};
    line[smooth ? "soft" : "line"] ??= trace;
    found.lines.set(trial, line);
  }
  places.set(figure, found);
  return found;
}

/**
 * The line of the report's trial grows.
 * @param {Figure} figure
 * @param {LiveRule} rule
 * @param {Metric} metric
 * @param {number | null} y
 * @returns {Outcome}
 */
function append(figure, rule, metric, y) {
  const { line: trace, soft } = placesIn(figure).lines.get(metric.trial) ?? {};
  if (!trace?.meta) return unknown(figure, metric.trial, y);
  if (metric.sequence <= Number(trace.meta.last)) return "later"; // said again, or out of order
  const x = placeOf(metric, rule, trace.meta.start ?? 0);
  trace.x.push(x);
  trace.y.push(y);
  if (soft?.meta?.smooth) {
    soft.x.push(x);
    soft.y.push(y === null ? null : smoothed(soft.meta.smooth, metric.sequence, y));
  }
  trace.meta.last = metric.sequence;
  if (trace.x.length > (trace.meta.most ?? Infinity)) return "anew"; // time to thin it out
  return y === null || widen(figure, y) ? "drawn" : "later";
}

/**
 * The moving mean goes on, as experiments/charts/smooth.py began it.
 * @param {SmoothState} state changed in place
 * @param {number} sequence
 * @param {number} y
 */
function smoothed(state, sequence, y) {
  const kept = state.weight ** Math.max(sequence - state.last, 1);
  state.total = kept * state.total + ((1 - kept) * y) / 2;
  state.share = kept * state.share + (1 - kept);
  state.last = sequence;
  return 2 * (state.total / state.share);
}

/**
 * @param {Metric} metric
 * @param {LiveRule} rule
 * @param {number} start
 */
function placeOf(metric, rule, start) {
  for (const name of rule.x ?? []) {
    if (name === "time") return Date.parse(metric.time) / 1000 - start;
    const place = metric[name];
    if (place !== null) return Math.min(Math.max(place, -DRAWABLE), DRAWABLE);
  }
  return metric.sequence;
}

/**
 * The point of a running trial goes to its newest value.
 * @param {Figure} figure
 * @param {Metric} metric
 * @param {number | null} y
 * @returns {Outcome}
 */
function move(figure, metric, y) {
  const running = figure.data.find((t) => Array.isArray(t.meta?.last));
  const at = running?.customdata?.indexOf(metric.trial) ?? -1;
  if (!running || at < 0) return unknown(figure, metric.trial, y);
  const last = /** @type {(number | null)[]} */ (running.meta?.last);
  if (metric.sequence < (last[at] ?? 0)) return "ignored"; // an older report, come late
  last[at] = metric.sequence;
  running.y[at] = y;
  return y === null || widen(figure, y) ? "drawn" : "later";
}

/**
 * @param {Figure} figure
 * @param {number} trial
 * @param {number | null} y
 * @returns {Outcome}
 */
function unknown(figure, trial, y) {
  const { lines, drawn } = placesIn(figure);
  // one of many in a line that does not grow by itself
  if (lines.has(trial) || drawn.has(trial)) return "later";
  if (y === null) return "ignored";
  // its first value; where some trials are selected, it may well be of another one
  return figure.layout.meta.selected ? "later" : "anew";
}

/**
 * Let a new value into view. False where it is so far off that the server shall judge.
 * @param {Figure} figure
 * @param {number} y
 */
function widen(figure, y) {
  const axis = figure.layout.yaxis;
  if (!axis?.range) return true;
  const place = axis.type === "log" ? Math.log10(y) : y;
  const [low, high] = axis.range;
  if (place >= low && place <= high) return true;
  const room = (figure.layout.meta.live?.room ?? Infinity) * (high - low);
  if (place < low - room || place > high + room) return false;
  const margin = (high - low) * MARGIN;
  axis.range = place < low ? [place - margin, high] : [low, place + margin];
  return true;
}

/**
 * Whether the event changes what the figure shows beyond what reports add to it.
 * @param {Figure} figure
 * @param {HappenedEvent} event
 */
export function isRedrawnAt({ layout: { meta } }, event) {
  if (event.seq <= meta.seq) return false;
  if (event.what === "excluded" || event.what === "restored") return true;
  if (event.what !== "state") return false;
  return (meta.redrawn_at ?? []).some(([from, to]) => from === event.from && to === event.to);
}
