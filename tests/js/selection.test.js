// Conditions taken apart and put together, and what is dragged over a chart as conditions.

import assert from "node:assert/strict";
import { test } from "node:test";
import { conditions, linesIn, ofBox } from "../../static/js/charts/brush.js";
import { bodyOf, example } from "../../static/js/experiment/many_trials.js";
import {
  among,
  between,
  join,
  literal,
  nameOf,
  narrowed,
  split,
} from "../../static/js/trials/terms.js";

test("conditions are taken apart where all of them must hold, and nowhere else", () => {
  for (const [where, terms] of /** @type {[string, string[]][]} */ ([
    ["", []],
    ["lr < 0.1", ["lr < 0.1"]],
    ["lr<0.1, a in (b, c) AND x = 'and , \" or'", ["lr<0.1", "a in (b, c)", "x = 'and , \" or'"]],
    ['param:"a and b" = 1 and (x = 1 or y = 2)', ['param:"a and b" = 1', "(x = 1 or y = 2)"]],
    ["a = 1 or b = 2 and c = 3", ["a = 1 or b = 2 and c = 3"]],
    ["a = 'b and c", ["a = 'b and c"]], // a quote is missing: the server says so
    ["a = 1 and", ["a = 1 and"]],
  ])) {
    assert.deepEqual(split(where), terms);
  }
});

test("put together they mean the same", () => {
  assert.equal(join(["a = 1 or b = 2", "c < 3"]), "(a = 1 or b = 2) and c < 3");
  assert.equal(join(["(a = 1 or b = 2)", "c < 3"]), "(a = 1 or b = 2) and c < 3");
  assert.equal(join(["a = 1 or b = 2"]), "a = 1 or b = 2");
  assert.equal(join([]), "");
});

test("a later end of a range takes the place of the earlier one", () => {
  const before = "value >= 0.1 and value <= 0.9 and opt = adam";
  assert.equal(narrowed(before, ["value >= 0.5"]), "value <= 0.9 and opt = adam and value >= 0.5");
  assert.equal(narrowed("o in (a, b)", ['o in ("a")']), 'o in ("a")');
  assert.equal(nameOf('param:"x y" >= 3'), 'param:"x y"');
  assert.equal(nameOf("not a = 1"), "");
});

test("values are written so that nothing in them is read as a condition", () => {
  assert.equal(literal('a" or number > 0 \\'), '"a\\" or number > 0 \\\\"');
  assert.equal(among("o", [literal(null)]), "o = none");
  assert.deepEqual(between("x", null, 3), ["x <= 3"]);
});

test("who drags to an axis' end means what lies beyond it, too", () => {
  const value = { name: "value" };
  assert.deepEqual(conditions(value, [0.7, 0.5], [0, 1]), ["value >= 0.5", "value <= 0.7"]);
  assert.deepEqual(conditions(value, [0.5, 0.999], [0, 1]), ["value >= 0.5"]);
  assert.deepEqual(conditions(value, [0, 1], [0, 1]), []);
  assert.deepEqual(conditions({ name: "number" }, [3.4, 9.6], [0, 100]), [
    "number >= 4",
    "number <= 9",
  ]);
  assert.deepEqual(conditions({ name: "duration", unit: 60 }, [1, 2], [0, 9]), [
    "duration >= 60",
    "duration <= 120",
  ]);
});

test("ends that differ in late digits only stay apart", () => {
  const [low, high] = conditions({ name: "v" }, [0.98765432, 0.98765439], [0.9876543, 0.9876544]);
  assert.deepEqual([low, high], ["v >= 0.98765432", "v <= 0.98765439"]);
});

test("places of logarithms, choices and missing ones are what they stand for", () => {
  const lr = { name: "param:lr", log: true };
  assert.deepEqual(conditions(lr, [-3, -2], [-5, 0]), ["param:lr >= 0.001", "param:lr <= 0.01"]);
  const opt = { name: "o", members: ['"a"', '"b"', "1"] };
  assert.deepEqual(conditions(opt, [0.8, 2.2], [-0.35, 2.35]), ['o in ("b", 1)']);
  assert.deepEqual(conditions(opt, [0.5, 0.6], [-0.35, 2.35]), ["number < 0"]); // between two
  const nested = { name: "n", missing: -0.2 };
  assert.deepEqual(conditions(nested, [-0.25, 0.5], [-0.3, 1]), ["(n = none or n <= 0.5)"]);
  assert.deepEqual(conditions(nested, [0, 1], [-0.3, 1]), ["n >= 0"]); // not those without it
});

test("dates are in UTC; who lasts is there while it lasts", () => {
  const shown = /** @type {[Place, Place]} */ (["2026-11-27 10:00", "2026-11-27 20:00"]);
  const part = /** @type {[Place, Place]} */ (["2026-11-27 12:00", "2026-11-27 13:30:00.5"]);
  assert.deepEqual(conditions({ name: "finished_at", time: true }, part, shown), [
    'finished_at >= "2026-11-27T12:00:00.000Z"',
    'finished_at <= "2026-11-27T13:30:00.500Z"',
  ]);
  assert.deepEqual(conditions({ name: "s", end: "e", time: true }, part, shown), [
    '(e >= "2026-11-27T12:00:00.000Z" or e = none)',
    's <= "2026-11-27T13:30:00.500Z"',
  ]);
  assert.deepEqual(conditions({ name: "s", time: true }, shown, shown), []);
});

test("a box means what each of its axes means", () => {
  const selects = { x2: { name: "param:lr" }, y2: { name: "value" } };
  const box = /** @type {Record<string, [Place, Place]>} */ ({
    x2: [0.2, 0.4],
    y2: [0, 1],
    x9: [0, 1],
  });
  assert.deepEqual(
    ofBox({ selects }, box, () => [0, 1]),
    ["param:lr >= 0.2", "param:lr <= 0.4"],
  );
});

test("names and choices are what they were before the figure escaped them", () => {
  const o = { name: 'param:"<b> &amp;lt;"', members: ['"&lt;img&gt;"', '"&amp;amp;"'] };
  const found = ofBox({ selects: { x: o } }, { x: [-0.2, 0.2] }, () => [-0.35, 1.35]);
  assert.deepEqual(found, ['param:"<b> &lt;" = "<img>"']);
});

test("a line is chosen by any of its points", () => {
  const line = (/** @type {number} */ trial, /** @type {(number | null)[]} */ y) =>
    /** @type {Trace} */ (/** @type {unknown} */ ({ x: [0, 1, 2], y, meta: { trial } }));
  const lines = [line(3, [0, 0.5, 0.9]), line(4, [0, null, 0.2]), line(5, [0.8, 0.8, 0.1])];
  assert.deepEqual(linesIn(lines, { x: [0.5, 2.5], y: [0.4, 1] }), [3, 5]);
  assert.deepEqual(linesIn(lines, {}), []);
});

test("what is pasted is CSV, a list, or an export", () => {
  assert.deepEqual(bodyOf(" lr\n0.1 "), { csv: "lr\n0.1" });
  assert.deepEqual(bodyOf('[{"lr": 1}]'), { trials: [{ lr: 1 }] });
  assert.deepEqual(bodyOf('{"lr": 1}'), { trials: [{ lr: 1 }] });
  const exported = '{"best": null, "trials": [{"number": 3, "parameters": {"lr": 1}}]}';
  assert.deepEqual(bodyOf(exported), { trials: [{ lr: 1 }] });
  assert.throws(() => bodyOf("[1,"));
});

test("what many trials may look like is told with the experiment's own parameters", () => {
  const space = {
    lr: { _type: "loguniform", _value: [0.001, 1] },
    optimizer: {
      _type: "choice",
      _value: [
        { _name: "sgd", momentum: { _type: "uniform", _value: [0, 1] } },
        { _name: "adam, fast" },
      ],
    },
  };
  assert.equal(example(space), "lr,optimizer,optimizer.momentum");
  assert.equal(
    example(space, { lr: 0.01, optimizer: { _name: "adam, fast" } }),
    'lr,optimizer,optimizer.momentum\n0.01,"adam, fast",',
  );
});
