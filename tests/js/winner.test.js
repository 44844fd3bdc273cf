import assert from "node:assert/strict";
import test from "node:test";
import { outlook, verdict } from "../../static/js/experiment/winner.js";

/** @type {Contender} */
const best = {
  trial: 3,
  value: 0.95,
  again: [7, 8, 9],
  n_failed: 0,
  mean: 0.9,
  low: 0.88,
  high: 0.92,
  chance: 0.97,
};
/** @type {Winner} */
const winner = {
  verdict: "confirmed",
  contenders: [best, { ...best, trial: 5, value: 0.94, mean: 0.85, chance: 0.03 }],
  likeliest: 3,
  noise: 0.0123,
  gap: 0.01,
  n_different: 40,
  outlook: {
    n_more: 40,
    as_many_again: true,
    chance: 0.48,
    gain: 0.00321,
    gained: 0.01,
    since: 12,
  },
  seconds_each: 10,
};

test("a winner that is real says how sure that is, and what it gave again", () => {
  assert.deepEqual(verdict(winner), [
    "It is really the best of the 2 that ran again (97\u00a0% sure).",
    "Run 3 times more, it gave 0.9 ± 0.02 on average.",
  ]);
});

test("a lucky one names who is likelier", () => {
  const contenders = [
    { ...best, chance: 0.1 },
    { ...best, trial: 5, chance: 0.9 },
  ];
  const [first] = verdict({ ...winner, verdict: "lucky", likeliest: 5, contenders });
  assert.equal(first, "It was lucky: trial 5 is likelier the best (90\u00a0% sure).");
});

test("what never ran again is not judged, and its lead is set against luck where that is known", () => {
  const once = { ...best, again: [], mean: null, low: null, high: null, chance: null };
  const told = { ...winner, verdict: /** @type {const} */ ("not_repeated"), contenders: [once] };
  assert.deepEqual(verdict(told), [
    "It ran once: nobody knows how much of its value was luck.",
    "The next best is 0.01 behind; equal parameters differ by 0.0123.",
  ]);
  assert.deepEqual(verdict({ ...told, noise: null }).slice(1), ["The next best is 0.01 behind."]);
  assert.deepEqual(verdict({ ...told, noise: null, gap: null }).slice(1), []);
  assert.deepEqual(verdict({ ...told, verdict: "nothing", contenders: [] }), []);
});

test("a gain smaller than luck is said to be luck", () => {
  assert.deepEqual(outlook(winner), [
    "As many trials again (40) find a better one with a chance of 48\u00a0%, and gain 0.00321 on average.",
    "Equal parameters differ by 0.0123: more trials would mostly find luck.",
  ]);
  assert.equal(outlook({ ...winner, noise: null }).length, 1);
  assert.deepEqual(outlook({ ...winner, outlook: null }), []);
});
