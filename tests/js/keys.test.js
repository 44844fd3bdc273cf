import assert from "node:assert/strict";
import test from "node:test";

import { next, placed } from "../../static/js/charts/keys.js";

const lines = /** @type {import("../../static/js/charts/keys.js").Line[]} */ ([
  { x: [0, 1], y: [0, 0], hoverinfo: "skip" },
  { x: [0, 10, 20], y: [1, null, 3] },
  { x: [0], y: [5], visible: "legendonly" },
  { x: [1, 18, 40], y: [1, 2, 3] },
]);

test("arrows reach every point that one can point at, and no other", () => {
  let at = next(lines, null, "ArrowRight");
  assert.deepEqual(at, { curve: 1, point: 0 });
  at = next(lines, at, "ArrowRight");
  assert.deepEqual(at, { curve: 1, point: 2 }); // past the gap
  assert.deepEqual(next(lines, at, "ArrowRight"), at); // the end
  assert.deepEqual(next(lines, at, "ArrowDown"), { curve: 3, point: 1 }); // the nearest by x
  assert.deepEqual(next(lines, { curve: 3, point: 1 }, "End"), { curve: 3, point: 2 });
  assert.deepEqual(next(lines, { curve: 3, point: 2 }, "ArrowUp"), { curve: 1, point: 2 });
  assert.deepEqual(next(lines, at, "ArrowUp"), at);
});

test("other keys mean nothing, and nothing is reached where there is nothing", () => {
  assert.equal(next(lines, null, "a"), null);
  assert.equal(next([lines[0]], null, "ArrowRight"), null);
  assert.deepEqual(next(lines, { curve: 9, point: 9 }, "End"), { curve: 1, point: 0 });
});

test("a place is kept when other lines come and go, and given up with its own", () => {
  const at = { curve: 1, point: 0, uid: "star" };
  const uids = (/** @type {string[]} */ ...names) => names.map((uid) => ({ ...lines[1], uid }));
  assert.deepEqual(placed(uids("best", "star"), at), at);
  assert.deepEqual(placed(uids("best", "running", "star"), at), { ...at, curve: 2 });
  assert.equal(placed(uids("best", "running"), at), null);
  assert.deepEqual(placed(lines, { curve: 3, point: 1 }), { curve: 3, point: 1 });
});
