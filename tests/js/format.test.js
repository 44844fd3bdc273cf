// How numbers and times look.

import assert from "node:assert/strict";
import { test } from "node:test";
import "./looks.js";
import { rangeWords, textOf } from "../../static/js/experiment/custom_trial.js";
import { duration, number, plain, trialSeconds } from "../../static/js/format.js";
import { ageWords } from "../../static/js/live.js";
import { eventLook, experimentLook } from "../../static/js/looks.js";
import { ago, clock } from "../../static/js/times.js";
import { size } from "../../static/js/trial/log_viewer.js";
import { event } from "./figures.js";

test("a number has six significant digits and no needless ones", () => {
  /** @type {[Json | undefined, string][]} */
  const cases = [
    [0.98765432, "0.987654"],
    [1.5, "1.5"],
    [0.25, "0.25"],
    [123456.7, "123457"],
    [1234567, "1234567"],
    [12345678, "12345678"],
    [0.00001, "1e-5"],
    [0.0000123456789, "1.23457e-5"],
    [-0.00012, "-0.00012"],
    [0, "0"],
    [100, "100"],
    [null, "–"],
    [undefined, "–"],
    ["NaN", "NaN"],
  ];
  for (const [value, words] of cases) assert.equal(number(value), words);
  assert.equal(number(Math.PI, 6), "3.14159");
});

test("a value of any shape is one line", () => {
  assert.equal(plain("adam"), "adam");
  // a text is not what it looks like
  const texts = ["1", "1e-3", "true", "null", "", " ", "[1]", '"a"', "9007199254740993"];
  for (const text of texts) assert.equal(plain(text), JSON.stringify(text));
  for (const text of ["NaN", "-", "1 2", "None", "relu"]) assert.equal(plain(text), text);
  assert.equal(plain({ _name: "a", n: "1", m: 1 }), 'a (n "1", m 1)');
  assert.equal(plain([1, "a"]), '[1,"a"]');
  assert.equal(plain(undefined), "–");
  assert.equal(
    plain({ _name: "conv", depth: 3, inner: { _name: "relu" } }),
    "conv (depth 3, inner relu)",
  );
});

test("a duration has its two largest units", () => {
  /** @type {[number | null, string][]} */
  const cases = [
    [0, "0 s"],
    [1.25, "1.3 s"],
    [9.99, "10 s"],
    [59.6, "1 m 00 s"],
    [3599, "59 m 59 s"],
    [3660, "1 h 01 m"],
    [90000, "1 d 01 h"],
    [null, "–"],
  ];
  for (const [seconds, words] of cases) assert.equal(duration(seconds), words);
});

test("a trial's time runs from its start to its end, or to now", () => {
  const trial = /** @type {Trial} */ ({ started_at: null, finished_at: null });
  assert.equal(trialSeconds(trial), null);
  trial.started_at = "2026-01-01T00:00:00Z";
  assert.equal(trialSeconds(trial, Date.parse("2026-01-01T00:00:07Z")), 7);
  assert.equal(trialSeconds(trial, Date.parse("2025-12-31T00:00:00Z")), 0); // a clock that is wrong
  trial.finished_at = "2026-01-01T00:00:05Z";
  assert.equal(trialSeconds(trial), 5);
});

test("how long ago, in words", () => {
  const now = Date.parse("2026-06-01T12:00:00Z");
  const before = (/** @type {number} */ seconds) => ago(new Date(now - seconds * 1000), now);
  assert.equal(before(2), "now");
  assert.equal(before(13), "10 sec. ago");
  assert.equal(before(119), "1 min. ago");
  assert.equal(before(7200), "2 hr. ago");
  assert.equal(before(86400 * 40), "Apr 22, 2026");
  assert.deepEqual([0, 99, 200].map(ageWords), [
    "updated now",
    "updated 99 s ago",
    "updated 3 min ago",
  ]);
});

test("bytes as people read them", () => {
  assert.deepEqual([512, 2048, 3 * 1024 * 1024].map(size), ["512 B", "2.0 KB", "3.0 MB"]);
});

test("what a parameter may be, in words", () => {
  assert.equal(rangeWords({ _type: "loguniform", _value: [0.0001, 1] }), "0.0001 to 1, log scale");
  assert.equal(rangeWords({ _type: "randint", _value: [1, 9] }), "whole number from 1 to below 9");
  assert.equal(rangeWords({ _type: "quniform", _value: [0, 1, 0.1] }), "0 to 1 in steps of 0.1");
  assert.equal(rangeWords({ _type: "layer_choice", _value: {} }), "layer_choice");
});

test("a field's text is read as the value that it shows", () => {
  assert.deepEqual(["12", "adam", 12, null, [1]].map(textOf), [
    '"12"',
    "adam",
    "12",
    "null",
    "[1]",
  ]);
  assert.equal(textOf(undefined), "");
});

test("an event has an icon, a tone and words", () => {
  const seen = (/** @type {object} */ given) => {
    const { icon, tone, label } = eventLook(event(given));
    return [icon, tone, label];
  };
  assert.deepEqual(seen({}), ["check-circle", "succeeded", "Succeeded"]);
  assert.deepEqual(seen({ from: "", to: "WAITING" }), ["waiting", "waiting", "New"]);
  assert.deepEqual(seen({ what: "phase", to: "ERROR" }), ["x-octagon", "failed", "Now in error"]);
  assert.equal(seen({ what: "stopping", to: "EARLY_STOPPED" })[2], "Stopped by the assessor");
  assert.equal(seen({ what: "stopping", to: "CANCELED" })[2], "Being stopped");
  assert.equal(seen({ what: "well again" })[2], "All is well again");
  assert.deepEqual(seen({ what: "something new" }), ["info", "waiting", "something new"]);
});

test("an experiment's badge tells what is asked of it while it lasts", () => {
  const seen = (/** @type {Phase} */ phase, finishing = false, suspended = false) =>
    experimentLook({ phase, finishing, suspended }).label;
  assert.equal(seen("RUNNING"), "Running");
  assert.equal(seen("RUNNING", false, true), "Suspended");
  assert.equal(seen("RUNNING", true, true), "Finishing");
  assert.equal(seen("TIMEOUT", true, true), "Timed out");
});

test("what lies seconds apart has its time of day, of 24 hours", () => {
  assert.match(clock(new Date(2026, 10, 28, 20, 41, 8)), /28.*20:41:08$/);
  assert.equal(clock(new Date("no time")), "");
});
