import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, stringify } from "../../static/js/exact.js";
import { flat, flatNames } from "../../static/js/flat.js";
import { full, plain } from "../../static/js/format.js";
import { parseOption, showOption } from "../../static/js/new/options.js";

const LARGE = "9007199254740993"; // 2^53 + 1: no number of JavaScript

test("integers that no number holds come through as they are, wherever they stand", () => {
  for (const text of [
    LARGE,
    `-${LARGE}`,
    `[${LARGE}]`,
    `{"a":[1,{"b":${LARGE}}],"c":"${LARGE}"}`,
    `[${"9".repeat(400)},0.12345678901234566,1e+300,"a\\"${LARGE}",9007199254740991]`,
  ]) {
    assert.equal(stringify(parse(text)), text);
  }
  assert.equal(parse(`{"n": ${LARGE}}`).n, 9007199254740993n);
});

test("what a number holds stays a number", () => {
  assert.deepEqual(parse('[9007199254740991, 1, 0.1, "x", null]'), [
    9007199254740991,
    1,
    0.1,
    "x",
    null,
  ]);
  assert.equal(parse("[1234567890123456.5]")[0], 1234567890123456.5);
  assert.equal(stringify({ a: [1, "1"] }, 2), JSON.stringify({ a: [1, "1"] }, null, 2));
  assert.throws(() => parse(`[${LARGE}`), SyntaxError);
});

test("a large integer is shown, typed and copied exactly", () => {
  const value = parse(LARGE);
  assert.equal(plain(value), LARGE);
  assert.equal(full(value), LARGE);
  assert.equal(stringify({ seed: value }, 2), `{\n  "seed": ${LARGE}\n}`);
  assert.equal(showOption(parseOption(LARGE)), LARGE);
  assert.equal(showOption(LARGE), `"${LARGE}"`); // the text of it is another value
});

test("nested parameters stand side by side, as on the server", () => {
  const nested = { opt: { _name: "adam", lr: 0.1, in: { _name: "x", deep: [1] } }, n: null };
  assert.deepEqual(flat(nested), {
    opt: "adam",
    "opt.lr": 0.1,
    "opt.in": "x",
    "opt.in.deep": [1],
    n: null,
  });
  assert.deepEqual(flat({ a: { x: 1 } }), { a: { x: 1 } });
  assert.deepEqual(flat({ a: { _name: "n", b: 1 }, "a.b": 2 }), { a: "n", "a.b": 2 });
  const space = {
    opt: {
      _type: "choice",
      _value: [{ _name: "adam", lr: { _type: "uniform", _value: [0, 1] } }, { _name: "sgd" }, 3],
    },
    n: { _type: "choice", _value: [null, 1] },
  };
  assert.deepEqual(flatNames(space), ["opt", "opt.lr", "n"]);
});
