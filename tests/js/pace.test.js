import assert from "node:assert/strict";
import test from "node:test";
import { sentences as said } from "../../static/js/experiment/pace.js";

/** @param {Pace} pace */
const sentences = (pace) => said(pace).map((sentence) => sentence.replaceAll("\u00a0", " "));

/** @type {Pace} */
const nothing = {
  left: null,
  trial_seconds: 0,
  gpus_per_trial: 0,
  gpu_seconds: null,
  stopped_early: 0,
  saved_seconds: null,
};

test("nothing is said of what is not known", () => {
  assert.deepEqual(sentences(nothing), []);
});

test("a range, or one time where both are the same", () => {
  /**
   * @param {number} low_s
   * @param {number} high_s
   * @param {"trials" | "time"} [ends_by]
   */
  const left = (low_s, high_s, ends_by = "trials") => ({
    ...nothing,
    left: { low_s, high_s, ends_by },
  });
  assert.deepEqual(sentences(left(61, 130)), ["1 m 01 s to 2 m 10 s left."]);
  assert.deepEqual(sentences(left(60.1, 59.9)), ["About 1 m 00 s left."]);
  assert.deepEqual(sentences(left(90, 90, "time")), [
    "The time limit ends it in 1 m 30 s, before all trials have run.",
  ]);
});

test("what it cost and what was saved", () => {
  const pace = {
    ...nothing,
    trial_seconds: 100,
    gpus_per_trial: 2,
    gpu_seconds: 200,
    stopped_early: 3,
    saved_seconds: 65,
  };
  assert.deepEqual(sentences(pace), [
    "Trials took 1 m 40 s, and GPUs 3 m 20 s.",
    "Stopping 3 early saved about 1 m 05 s.",
  ]);
});
