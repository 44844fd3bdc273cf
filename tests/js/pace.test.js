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
  saved_reports: null,
  let_finish: null,
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
  assert.deepEqual(said(left(90, 90, "time"), false), [
    "The time limit ends it in 1\u00a0m\u00a030\u00a0s.",
  ]);
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

test("what was saved in reports, and how often the assessor was wrong", () => {
  const stopped = { ...nothing, stopped_early: 3, saved_seconds: 90, saved_reports: 41.6 };
  assert.deepEqual(sentences(stopped), ["Stopping 3 early saved about 1 m 30 s, and 42 reports."]);
  /**
   * @param {number[]} wrong
   * @param {number} ended
   */
  const let_finish = (wrong, ended) => ({
    ...nothing,
    let_finish: { trials: [1, 2, 3, 4, 5, 6, 7, 8], ended, wrong },
  });
  assert.deepEqual(sentences(let_finish([], 0)), ["8 it would have stopped run on to the end."]);
  assert.deepEqual(sentences(let_finish([], 8)), ["Of 8 let run on, it was wrong about none."]);
  assert.deepEqual(sentences(let_finish([1, 2, 3, 4, 5, 6], 8)), [
    "Of 8 let run on, it was wrong about 6: #1, #2, #3, #4, #5, ….",
  ]);
});
