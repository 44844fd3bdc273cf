// How reports are added to a drawn figure.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addReport, isRedrawnAt } from "../../static/js/charts/append.js";
import { event, figure, report } from "./figures.js";

/** @type {LiveRule} */
const APPEND = { how: "append", metric: "default", x: ["step", "sequence"], room: 0.5 };
/** @type {LiveRule} */
const MOVE = { how: "move", metric: "default", room: 0.5 };

/**
 * @param {Partial<LiveRule>} [rule]
 * @param {Partial<Axis>} [yaxis]
 */
function curves(rule = {}, yaxis = { range: [0, 1], type: "linear" }) {
  const meta = { trial: 0, last: 2, start: Date.parse("2026-01-01T00:00:00Z") / 1000, most: 5 };
  return figure(
    [
      { uid: "rest0", x: [0, 1], y: [1, 2], customdata: [7, 7] },
      { uid: "t0", x: [0, 10, 20], y: [0.1, 0.2, 0.3], meta },
    ],
    { live: { ...APPEND, ...rule }, metrics: ["default", "loss"] },
    { yaxis },
  );
}

test("a report goes to the end of its trial's line", () => {
  const given = curves();
  assert.equal(addReport(given, report({ step: 30 })), "drawn");
  assert.deepEqual(given.data[1].x, [0, 10, 20, 30]);
  assert.deepEqual(given.data[1].y, [0.1, 0.2, 0.3, 0.5]);
});

test("its place is the first of what the figure asks for that it has", () => {
  /** @type {[("step" | "sequence" | "time")[], Partial<Metric>, number][]} */
  const cases = [
    [["step", "sequence"], { step: 0 }, 0],
    [["step", "sequence"], { step: null }, 3],
    [["sequence"], { step: 30 }, 3],
    [["step"], { step: 1.7e308 }, 1e300], // no axis holds more
    [["time"], { step: 30 }, 10],
  ];
  for (const [x, given, place] of cases) {
    const drawn = curves({ x });
    addReport(drawn, report(given));
    assert.equal(drawn.data[1].x.at(-1), place);
  }
});

test("what the figure holds already is not added again", () => {
  const given = curves();
  assert.equal(addReport(given, report({ seq: 10 })), "ignored");
  assert.equal(addReport(given, report({ seq: 11 })), "drawn");
  assert.equal(given.data[1].x.length, 4);
});

test("a report said again, or out of order, is left to the server", () => {
  const given = curves();
  assert.equal(addReport(given, report({ sequence: 2 })), "later");
  assert.equal(addReport(given, report({ sequence: 5 })), "drawn");
  assert.equal(addReport(given, report({ sequence: 4 })), "later");
  assert.equal(given.data[1].x.length, 4);
});

test("what is no number is a gap", () => {
  const given = curves();
  assert.equal(addReport(given, report({ value: "NaN" })), "drawn");
  assert.deepEqual(given.data[1].y.at(-1), null);
  assert.deepEqual(given.layout.yaxis?.range, [0, 1]);
});

test("a line that has become long is thinned anew", () => {
  const given = curves();
  const outcomes = [3, 4, 5].map((sequence) => addReport(given, report({ sequence })));
  assert.deepEqual(outcomes, ["drawn", "drawn", "anew"]);
});

test("the first value of a trial draws anew, one that is no number does not", () => {
  assert.equal(addReport(curves(), report({ trial: 5 })), "anew");
  assert.equal(addReport(curves(), report({ trial: 5, value: "Infinity" })), "ignored");
});

test("a trial in one of the lines that do not grow makes the figure a little old", () => {
  assert.equal(addReport(curves(), report({ trial: 7 })), "later");
});

test("another metric is ignored, a new one is offered", () => {
  assert.equal(addReport(curves(), report({ name: "loss" })), "ignored");
  assert.equal(addReport(curves(), report({ name: "speed" })), "anew");
  assert.equal(addReport(curves(), report({ kind: "FINAL" })), "ignored");
});

test("an empty figure is drawn at the first report", () => {
  const empty = figure([], { empty: "Nothing yet.", live: APPEND });
  assert.equal(addReport(empty, report({})), "anew");
  assert.equal(addReport(empty, report({ value: "NaN" })), "ignored");
  const ofEnded = figure([], { kind: "parcoords", empty: "No trial has ended yet." });
  assert.equal(addReport(ofEnded, report({})), "ignored");
});

test("a value just outside widens the axis; one far off is for the server to judge", () => {
  const near = curves();
  assert.equal(addReport(near, report({ value: 1.4 })), "drawn");
  assert.deepEqual(near.layout.yaxis?.range, [0, 1.44]);
  const below = curves();
  assert.equal(addReport(below, report({ value: -0.4 })), "drawn");
  assert.deepEqual(below.layout.yaxis?.range, [-0.44, 1]);
  const far = curves();
  assert.equal(addReport(far, report({ value: 1.6 })), "later");
  assert.deepEqual(far.layout.yaxis?.range, [0, 1]);
  const all = curves({ room: null });
  assert.equal(addReport(all, report({ value: 1e6 })), "drawn");
});

test("a logarithmic axis is widened in its own units, and ends at a value that has none", () => {
  const log = () => curves({}, { range: [-2, 0], type: "log" });
  const given = log();
  assert.equal(addReport(given, report({ value: 5 })), "drawn");
  assert.equal(given.layout.yaxis?.range?.[1].toFixed(3), (Math.log10(5) + 0.08).toFixed(3));
  assert.equal(addReport(log(), report({ value: 50 })), "later");
  assert.equal(addReport(log(), report({ value: 0 })), "anew");
});

const history = () =>
  figure(
    [
      { uid: "succeeded", x: [1], y: [0.9], customdata: [1] },
      { uid: "running", x: [2, 3], y: [0.4, 0.5], customdata: [2, 3], meta: { last: [4, null] } },
    ],
    { kind: "history", live: MOVE },
    { yaxis: { range: [0, 1], type: "linear" } },
  );

test("a running trial's point moves to its newest value", () => {
  const given = history();
  assert.equal(addReport(given, report({ trial: 3, sequence: 0, value: 0.7 })), "drawn");
  assert.equal(addReport(given, report({ trial: 2, sequence: 5, value: 0.6 })), "drawn");
  assert.equal(addReport(given, report({ trial: 2, sequence: 4, value: 0.1 })), "ignored");
  assert.deepEqual(given.data[1].y, [0.6, 0.7]);
  assert.equal(addReport(given, report({ trial: 2, sequence: 6, value: "NaN" })), "drawn");
  assert.deepEqual(given.data[1].y, [null, 0.7]);
});

test("in the history a new trial draws anew, an ended one does not", () => {
  assert.equal(addReport(history(), report({ trial: 9 })), "anew");
  assert.equal(addReport(history(), report({ trial: 1 })), "later");
  assert.equal(addReport(history(), report({ trial: 9, name: "loss" })), "ignored");
});

test("a figure is drawn anew at the moves it names, and where trials are left out", () => {
  const given = figure([], { redrawn_at: [["RUNNING", "SUCCEEDED"]] });
  assert.equal(isRedrawnAt(given, event({})), true);
  assert.equal(isRedrawnAt(given, event({ seq: 10 })), false); // it is in it
  assert.equal(isRedrawnAt(given, event({ to: "FAILED" })), false);
  assert.equal(isRedrawnAt(given, event({ what: "phase" })), false);
  assert.equal(isRedrawnAt(given, event({ what: "excluded", from: "", to: "" })), true);
  assert.equal(isRedrawnAt(given, event({ what: "restored", from: "", to: "" })), true);
});
