// The page is left alone after charts were drawn: at least as long as the drawing took.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Rest } from "../../static/js/charts/rest.js";

test("a chart rests from the end of its drawing, however long that took", () => {
  const rest = new Rest();
  assert.equal(rest.drew(1000, 1010), 1010 + 350);
  assert.equal(rest.drew(1000, 1100), 1100 + 1200);
  assert.equal(rest.drew(1000, 1500), 1500 + 2000);
  assert.equal(rest.drew(1000, 4000), 4000 + 3000);
});

test("charts whose drawing is slow leave the page half of the time", () => {
  const rest = new Rest();
  let now = 0;
  let drawn = 0;
  const next = [0, 0, 0, 0]; // when each of four charts may be drawn again
  while (now < 600_000) {
    const chart = next.indexOf(Math.min(...next));
    now = Math.max(now + rest.left(now), next[chart]);
    next[chart] = rest.drew(now, now + 2500);
    now += 2500;
    drawn += 2500;
  }
  assert.ok(drawn / now <= 0.51, String(drawn / now));
  assert.ok(drawn / now > 0.45);
  assert.ok(Math.min(...next) > now - 25_000, "each has its turn");
});
