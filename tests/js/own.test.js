// Figures of one's own as a card draws them: the page's colours, unless they have a template.

import assert from "node:assert/strict";
import { test } from "node:test";
import { owned } from "../../static/js/charts/own.js";

/**
 * @param {any[]} data
 * @param {any} [layout]
 */
const drawn = (data, layout) => owned(/** @type {any} */ ({ data, layout }));
const bar = { type: "bar", x: ["a"], y: [1] };

test("a plain figure wears the page's ground and leaves its title to the card", () => {
  const { data, layout } = drawn([bar, bar], {
    title: { text: "T" },
    height: 500,
    barmode: "stack",
  });
  assert.equal(data.length, 2);
  assert.equal(layout.title, undefined);
  assert.equal(layout.height, undefined);
  assert.equal(layout.meta.height, 500);
  assert.equal(layout.paper_bgcolor, "rgba(0,0,0,0)");
  assert.equal(layout.barmode, "stack");
  assert.equal(layout.meta.own_look, undefined);
  assert.equal(layout.xaxis?.automargin, true);
});

test("one with a template keeps its own colours, and what it says itself counts", () => {
  const template = { layout: { paper_bgcolor: "black" } };
  const { layout } = drawn([bar], { template, legend: { x: 0.5 }, xaxis: { automargin: false } });
  assert.equal(layout.template, template);
  assert.equal(layout.paper_bgcolor, undefined);
  assert.equal(layout.meta.own_look, true);
  assert.equal(layout.legend?.x, 0.5);
  assert.equal(layout.xaxis?.automargin, false);
});

test("a pie gets no axes, and no figure can speak for the page", () => {
  const { layout } = drawn([{ type: "pie", values: [1] }], { meta: { empty: "nothing" } });
  assert.equal(layout.xaxis, undefined);
  assert.deepEqual(layout.meta, { kind: "own", seq: 0, redrawn_at: [] });
});
