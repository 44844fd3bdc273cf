// The table of trials: what is asked for, and what a report changes. And parallel coordinates.

import assert from "node:assert/strict";
import { test } from "node:test";
import "./looks.js";
import { colourAt, Frame } from "../../static/js/charts/parallel_frame.js";
import { quoted } from "../../static/js/trials/columns.js";
import { Query } from "../../static/js/trials/query.js";
import { hasOnlyReported, movesOn } from "../../static/js/trials/rows.js";
import { report } from "./figures.js";

const query = (/** @type {string} */ address) => new Query(new URLSearchParams(address));

test("the address comes back as it was read", () => {
  const address = "order=value&state=RUNNING,FAILED&where=x+%3E+1&page=3&size=100&columns=id,p.x";
  const given = query(address).forAddress();
  assert.deepEqual(given, {
    order: "value",
    state: "RUNNING,FAILED",
    where: "x > 1",
    page: "3",
    size: "100",
    columns: "id,p.x",
  });
  assert.deepEqual(new Set(Object.values(query("").forAddress())), new Set([null]));
});

test("nonsense in the address is the default", () => {
  assert.equal(query("page=-4&state=ASLEEP").isDefault, true);
  assert.equal(query("page=x").page, 1);
});

test("the server is asked for the page that is looked at", () => {
  assert.equal(query("").forServer().toString(), "order=-number&page=1&page_size=50");
  assert.equal(query("state=FAILED&page=2").forServer().get("state"), "FAILED");
});

test("numbers are sorted downwards at first, words upwards, then the other way", () => {
  const given = query("");
  given.sortBy("value", true);
  assert.equal(given.order, "-value");
  given.sortBy("value", true);
  assert.equal(given.order, "value");
  given.sortBy("origin", false);
  assert.equal(given.order, "origin");
  given.sortBy("origin", false);
  assert.equal(given.order, "-origin");
});

test("a row's own change moves nothing only where rows lie by number and none is hidden", () => {
  assert.equal(query("").isPlain, true);
  assert.equal(query("order=number").isPlain, true);
  assert.equal(query("order=value").isPlain, false);
  assert.equal(query("state=FAILED").isPlain, false);
});

test("odd names are quoted in an order", () => {
  assert.equal(quoted("param", "lr"), "param:lr");
  assert.equal(quoted("metric", "val/loss"), 'metric:"val/loss"');
});

test("a report moves its trial on, once and never back", () => {
  const given = { seq: 10, latest_sequence: 2, n_reports: 3, latest_value: 0.1 };
  const trial = /** @type {Trial} */ (given);
  assert.equal(movesOn(trial, report({ sequence: 5, value: 0.5 })), true);
  assert.deepEqual(given, { seq: 10, latest_sequence: 5, n_reports: 6, latest_value: 0.5 });
  assert.equal(movesOn(trial, report({ sequence: 5, value: 9 })), false);
  assert.equal(movesOn(trial, report({ sequence: 6, name: "loss" })), false);
  assert.equal(movesOn(trial, report({ sequence: 6, seq: 9 })), false);
  assert.equal(movesOn(trial, report({ sequence: 6, value: "NaN" })), true);
  assert.equal(trial.latest_value, 0.5);
});

test("reports alone leave all else of a trial as it is", () => {
  const before = /** @type {Trial} */ (
    /** @type {unknown} */ ({
      state: "RUNNING",
      latest_value: 1,
      n_reports: 1,
      seq: 1,
      value: null,
    })
  );
  const reported = { ...before, latest_value: 2, n_reports: 2, seq: 2 };
  assert.equal(hasOnlyReported(before, reported), true);
  assert.equal(hasOnlyReported(before, { ...reported, stopping: true }), false);
  assert.equal(hasOnlyReported(before, { ...reported, value: 2, has_final: true }), false);
});

function frame() {
  const made = new Frame();
  made.resize(1000, 300);
  const axis = (/** @type {string} */ label, /** @type {number[]} */ values) => ({
    key: label,
    label,
    values,
    range: /** @type {Ends} */ ([0, 1]),
    ticks: [],
  });
  const axes = [axis("Value", [0, 0.5, 1]), axis("x", [1, 0.5, 0]), axis("lr (log)", [0, 0, 1])];
  made.take(axes, [7, 8, 9], [0, 0.5, 1]);
  return made;
}

test("places and pixels are each other's inverse", () => {
  const given = frame();
  for (const place of [0, 0.3, 1]) {
    const y = given.y(given.axes[0], place);
    assert.ok(Math.abs(given.place(given.axes[0], y) - place) < 1e-9);
  }
  assert.equal(given.place(given.axes[0], -50), 1); // beyond the end: the end
});

test("brushes keep the lines that pass them, and outlive a new figure", () => {
  const given = frame();
  given.brush(0, given.y(given.axes[0], 0.4), given.y(given.axes[0], 1));
  assert.deepEqual(given.kept, [false, true, true]);
  given.take(given.axes, [7, 8, 9], [0, 0.5, 1]);
  assert.deepEqual(given.kept, [false, true, true]);
  given.clearBrushes(0);
  assert.deepEqual(given.kept, [true, true, true]);
});

test("an axis that was dragged stays there", () => {
  const given = frame();
  assert.equal(given.moveAxis(2, given.x(0)), 0);
  const labels = () => given.axes.map((axis) => axis.label);
  assert.deepEqual(labels(), ["lr (log)", "Value", "x"]);
  given.take(frame().axes, [7, 8, 9], [0, 0.5, 1]);
  assert.deepEqual(labels(), ["lr (log)", "Value", "x"]);
});

test("the nearest line is found, none far off", () => {
  const given = frame();
  const middle = (given.x(0) + given.x(1)) / 2;
  const crossing = given.y(given.axes[0], 0.5);
  assert.equal(given.nearest(given.x(0) + 1, given.y(given.axes[0], 0) - 2), 0);
  assert.equal(given.nearest(middle, crossing - 60), null);
});

test("a value on a logarithmic axis is told in plain numbers", () => {
  const given = frame();
  assert.equal(given.valueText(given.axes[2], 2), "10");
  assert.equal(given.valueText(given.axes[0], 1), "0.5");
});

test("colours are mixed between the stops of a scale", () => {
  /** @type {ColourScale} */
  const scale = [
    [0, "#000000"],
    [0.5, "#ff0000"],
    [1, "#ffffff"],
  ];
  assert.equal(colourAt(scale, 0.25), "rgb(128,0,0)");
  assert.equal(colourAt(scale, 2), "rgb(255,255,255)");
  assert.equal(colourAt(scale, -1), "rgb(0,0,0)");
});
