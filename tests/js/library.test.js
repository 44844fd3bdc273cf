import assert from "node:assert/strict";
import test from "node:test";

import { inPieces, inSlices } from "../../static/js/charts/library.js";

test("parts are called in order, with a pause after those that took long", async () => {
  let clock = 0;
  /** @type {string[]} */
  const seen = [];
  const part = (/** @type {string} */ name, /** @type {number} */ took) => () => {
    clock += took;
    seen.push(name);
    return name;
  };
  setTimeout(() => seen.push("(the page)"));
  const parts = [part("a", 10), part("b", 50), part("c", 1), part("d", 1)];
  const made = await inSlices(parts, () => clock);
  assert.equal(made, "d");
  assert.deepEqual(seen, ["a", "b", "(the page)", "c", "d"]);
});

test("a drawing waits between two steps once it has been at it for long", async () => {
  let clock = 0;
  /** @type {string[]} */
  const seen = [];
  const step = (/** @type {string} */ name, /** @type {number} */ took) => () => {
    clock += took;
    seen.push(name);
    return undefined;
  };
  /** @type {Pick<PlotElement, "inPieces">} */
  const element = {};
  const end = inPieces(element, () => clock);
  const steps = element.inPieces?.([step("a", 5), step("b", 50), step("c", 1), step("d", 1)]) ?? [];
  setTimeout(() => seen.push("(the page)"));
  for (const each of steps) {
    const over = each(); // as Plotly does
    if (over) await over;
  }
  assert.deepEqual(seen, ["a", "b", "(the page)", "c", "d"]);
  end();
  assert.equal(element.inPieces, undefined);
});
