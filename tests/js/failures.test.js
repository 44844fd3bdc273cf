import assert from "node:assert/strict";
import test from "node:test";
import { placeWords } from "../../static/js/experiment/failures.js";

const counts = { failed: 12, of: 14, elsewhere_failed: 2, elsewhere_of: 60 };

test("a place is told by its bound or its value", () => {
  const words = (/** @type {Partial<Where>} */ place) =>
    placeWords({ parameter: "lr", low: null, high: null, values: [], ...counts, ...place });
  const rest = ": 12 of 14 failed, elsewhere 2 of 60.";
  assert.equal(words({ low: 0.03125 }), `lr from 0.03125 up${rest}`);
  assert.equal(words({ high: 0 }), `lr up to 0${rest}`);
  assert.equal(words({ parameter: "opt", values: ["sgd"] }), `opt = sgd${rest}`);
  assert.equal(words({ parameter: "opt", values: [null] }), `opt = null${rest}`);
});
