// What a person has zoomed to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { View } from "../../static/js/charts/view.js";
import { figure } from "./figures.js";

/** @param {Partial<Axis>} [yaxis] */
const layoutWith = (yaxis = { range: [0, 1], type: "linear" }, x = "step") =>
  figure([], { x }, { xaxis: { title: { text: "Step" } }, yaxis }).layout;
/** @param {Partial<Layout>} axes */
const shown = (axes) => ({ ...layoutWith(), ...axes });

test("without a zoom the axes are the figure's", () => {
  const given = layoutWith();
  assert.deepEqual(new View().axis("yaxis", given), given.yaxis);
});

test("a zoom stays when the figure's range moves", () => {
  const view = new View();
  const changes = { "xaxis.range[0]": 2, "yaxis.range[0]": 0.2 };
  view.note(
    changes,
    shown({ xaxis: { range: [2, 5] }, yaxis: { range: [0.2, 0.4] } }),
    layoutWith(),
  );
  const moved = layoutWith({ range: [0, 9], type: "linear" });
  assert.deepEqual(view.axis("yaxis", moved).range, [0.2, 0.4]);
  assert.deepEqual(view.axis("xaxis", moved).range, [2, 5]);
  assert.equal(view.axis("xaxis", moved).autorange, false);
  assert.equal(view.isZoomed, true);
});

test("only the axis that was moved stays", () => {
  const view = new View();
  const now = shown({ xaxis: { range: [2, 5] }, yaxis: { range: [0, 1] } });
  view.note({ "xaxis.range": [2, 5] }, now, layoutWith());
  const moved = layoutWith({ range: [0, 9], type: "linear" });
  assert.deepEqual(view.axis("yaxis", moved).range, [0, 9]);
});

test("what is no move of an axis is no zoom", () => {
  const view = new View();
  view.note({ autosize: true, "legend.x": 1 }, shown({ xaxis: { range: [2, 5] } }), layoutWith());
  assert.equal(view.isZoomed, false);
});

test("a zoom of another axis means nothing", () => {
  for (const other of [
    layoutWith({ type: "log", range: [-1, 0] }),
    layoutWith(undefined, "time"),
  ]) {
    const view = new View();
    view.note({ "yaxis.range[0]": 3 }, shown({ yaxis: { range: [3, 4] } }), layoutWith());
    assert.deepEqual(view.axis("yaxis", other).range, other.yaxis?.range);
    assert.equal(view.isZoomed, false);
  }
});

test("all there is: no range, whatever the figure says", () => {
  const view = new View();
  view.showAll(layoutWith());
  const axis = view.axis("yaxis", layoutWith());
  assert.equal(axis.range, undefined);
  assert.equal(axis.autorange, true);
  view.forget();
  assert.deepEqual(view.axis("yaxis", layoutWith()).range, [0, 1]);
});

test("each of many small panels keeps its own zoom", () => {
  const panels = {
    xaxis3: { range: [0, 1] },
    yaxis3: { range: [0, 1], matches: "y" },
    xaxis7: { range: [0, 9] },
    yaxis2: { range: [0, 1], fixedrange: true },
  };
  const given = { ...layoutWith(), ...panels };
  const view = new View();
  view.note({ "xaxis3.range[0]": 0.2 }, { ...given, xaxis3: { range: [0.2, 0.4] } }, given);
  assert.deepEqual(view.axis("xaxis3", given).range, [0.2, 0.4]);
  assert.deepEqual(view.axis("xaxis7", given).range, [0, 9]);
  view.showAll(given);
  assert.equal(view.axis("xaxis7", given).autorange, true);
  assert.deepEqual(view.axis("yaxis2", given), panels.yaxis2);
});
