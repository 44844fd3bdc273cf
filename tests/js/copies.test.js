import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import { asArguments, asPython } from "../../static/js/copies.js";
import { stringify } from "../../static/js/exact.js";

const parameters = {
  lr: 1e-5,
  seed: 9007199254740993n,
  nested: { _name: "adam", beta: [0.9, 0.999], amsgrad: false },
  none: null,
  'odd "name"': "it's $HOME `x` \\ 中文\n",
  empty: {},
};

test("a Python dict that Python reads as the same", () => {
  const program =
    "import ast, json, sys; print(json.dumps(ast.literal_eval(sys.stdin.read()), sort_keys=True))";
  const run = (/** @type {string} */ input) =>
    execFileSync("python3", ["-c", program], { input, encoding: "utf8" });
  const sorted = execFileSync(
    "python3",
    ["-c", "import json, sys; print(json.dumps(json.load(sys.stdin), sort_keys=True))"],
    { input: stringify(parameters), encoding: "utf8" },
  );
  assert.equal(run(asPython(parameters)), sorted);
});

test("how it looks", () => {
  assert.equal(
    asPython({ lr: 0.1, opt: { _name: "sgd", nesterov: true }, x: null, sizes: [1, 2] }),
    `{
    "lr": 0.1,
    "opt": {
        "_name": "sgd",
        "nesterov": True,
    },
    "x": None,
    "sizes": [1, 2],
}`,
  );
});

test("arguments that a shell hands on as they are", () => {
  const text = asArguments(parameters);
  const told = execFileSync(
    "sh",
    ["-c", `python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' ${text}`],
    { encoding: "utf8" },
  );
  assert.deepEqual(JSON.parse(told), [
    ...["--lr", "0.00001", "--seed", "9007199254740993"],
    ...["--nested", "adam", "--nested.beta", "[0.9,0.999]", "--nested.amsgrad", "false"],
    ...["--none", "null", '--odd "name"', "it's $HOME `x` \\ 中文\n", "--empty", "{}"],
  ]);
});

test("a value that looks like an option stays a value", () => {
  assert.equal(asArguments({ x: "-v", y: -0.5, z: "--x y" }), "--x=-v --y -0.5 '--z=--x y'");
});
