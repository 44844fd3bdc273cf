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
  /** @type {{ _promises?: Promise<unknown>[], betweenPieces?: () => void }} */
  const element = { _promises: [] };
  const end = inPieces(element, () => clock);
  element.betweenPieces?.();
  assert.deepEqual(element._promises, []);
  clock = 50;
  element.betweenPieces?.();
  element.betweenPieces?.(); // another part of the same step
  assert.equal(element._promises?.length, 1);
  await Promise.all(element._promises ?? []);
  element._promises = []; // as Plotly does
  element.betweenPieces?.();
  assert.deepEqual(element._promises, []);
  end();
  assert.equal(element.betweenPieces, undefined);
});
