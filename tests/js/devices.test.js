import assert from "node:assert/strict";
import test from "node:test";
import { usage, who } from "../../static/js/experiment/devices.js";

/** @type {Device} */
const gpu = {
  index: 0,
  uuid: "",
  name: "",
  memory_total: null,
  memory_used: null,
  load: null,
  other_processes: 0,
  gone: false,
  trials: [],
};

test("how full and how busy a GPU is, as far as it is known", () => {
  assert.equal(usage(gpu), "");
  assert.equal(usage({ ...gpu, load: 0 }), "0 % busy");
  const half = { ...gpu, memory_total: 80 * 1024 ** 3, memory_used: 1.26 * 1024 ** 3, load: 93 };
  assert.equal(usage(half), "1.3 of 80 GiB, 93 % busy");
});

test("a trial is named as far as this server knows it", () => {
  assert.equal(who({ experiment: "a", name: "mine", trial: 3 }, "a"), "#3");
  assert.equal(who({ experiment: "b", name: "other", trial: 0 }, "a"), "#0 of other");
  assert.equal(who({ experiment: "c", name: null, trial: 7 }, "a"), "#7 of c");
});
