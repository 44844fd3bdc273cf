// Words that are too long for their place: cut in the middle, never in the middle of a letter.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted } from "../../static/js/charts/parallel_paint.js";

const context = {
  measureText: (/** @type {string} */ text) =>
    /** @type {TextMetrics} */ ({ width: 10 * [...text].length }),
};
const cut = (/** @type {string} */ text, /** @type {number} */ letters) =>
  fitted(context, text, 10 * letters);

test("what fits stays as it is", () => {
  assert.equal(cut("optimizer", 9), "optimizer");
});

test("names that begin alike can be told apart", () => {
  assert.equal(cut("optimizer.momentum", 9), "op…mentum");
  assert.equal(cut("optimizer.schedule", 9), "op…hedule");
  assert.equal(cut("9007199254740991", 6), "9…0991");
});

test("no letter is cut in two", () => {
  assert.equal(cut("😀😀😀😀😀", 4), "😀…😀😀");
  assert.equal(cut("😀😀😀😀😀", 1), "😀…");
});
