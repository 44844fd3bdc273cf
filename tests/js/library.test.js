import assert from "node:assert/strict";
import test from "node:test";

import { inSlices } from "../../static/js/charts/library.js";

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
