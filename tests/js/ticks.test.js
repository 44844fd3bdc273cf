// Which trials are ticked, and how that stands in the address.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_TICKED, packed, Ticks, unpacked } from "../../static/js/trials/ticks.js";

test("runs are short in the address, and come back", () => {
  for (const [numbers, text] of /** @type {[number[], string][]} */ ([
    [[], ""],
    [[7], "7"],
    [[3, 4], "3,4"],
    [[12, 5, 4, 3], "3-5,12"],
    [[0, 1, 2, 10, 11, 12, 13], "0-2,10-13"],
  ])) {
    assert.equal(packed(numbers), text);
    assert.deepEqual(
      unpacked(text).sort((a, b) => a - b),
      [...numbers].sort((a, b) => a - b),
    );
  }
});

test("nonsense in the address ticks nothing, and a long run not too much", () => {
  assert.deepEqual(unpacked("x,-1,5-,1e3,<b>,9999999999,9-3, 4 "), [4]);
  assert.equal(unpacked("0-999999999").length, MOST_TICKED);
});

test("what has no room is not ticked in part", () => {
  const ticks = new Ticks("0-498");
  assert.equal(ticks.set([500, 501], true), false);
  assert.equal(ticks.size, 499);
  assert.equal(ticks.set([498, 500], true), true); // one of them was ticked already
  assert.equal(ticks.size, MOST_TICKED);
  ticks.clear();
  assert.equal(ticks.forAddress(), null);
});
