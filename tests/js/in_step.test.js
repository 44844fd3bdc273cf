// The new-experiment page: form and manifest in step.

import assert from "node:assert/strict";
import { test } from "node:test";
import { InStep } from "../../static/js/new/in_step.js";
import { parseOption, showOption, splitOptions } from "../../static/js/new/options.js";
import { freeName, jsonOf, retype, simpleValue } from "../../static/js/new/space_values.js";
import { isOneLine, readWords, showWords, splitLine } from "../../static/js/new/words.js";

/** @param {string} name @param {(number | null)[]} origins */
const form = (name, origins = [0]) =>
  /** @type {Form} */ (
    /** @type {unknown} */ ({ name, training: { tasks: origins.map((origin) => ({ origin })) } })
  );

/** @param {Partial<Answer>} given */
const answer = (given) =>
  /** @type {Answer} */ ({
    yaml: "",
    problems: [],
    warnings: [],
    previews: {},
    base: null,
    ...given,
  });

const begin = () => new InStep(answer({ yaml: "a", form: form("a"), base: form("a") }));

test("an edit of the form is sent with what it started from", () => {
  const steps = begin();
  steps.edited("form");
  assert.deepEqual(steps.ask("a").body, { yaml: "a", form: form("a"), base: form("a") });
});

test("an edit of the text is sent alone", () => {
  const steps = begin();
  steps.edited("yaml");
  assert.deepEqual(steps.ask("b").body, { yaml: "b" });
});

test("an answer to an older question is dropped", () => {
  const steps = begin();
  steps.edited("form");
  const first = steps.ask("a");
  assert.equal(steps.isNewest(first), true);
  steps.edited("form"); // typed on meanwhile
  assert.equal(steps.isNewest(first), false);
  assert.equal(steps.isNewest(steps.ask("a")), true);
});

test("an edit of the form becomes the text; the form stays as it is typed", () => {
  const steps = begin();
  const typed = steps.form;
  steps.edited("form");
  const fresh = answer({ yaml: "b", form: form("normalised"), base: form("b") });
  const change = steps.take(steps.ask("a"), fresh);
  assert.deepEqual(change, { text: true, form: false, isOurs: true });
  assert.equal(steps.form, typed);
  assert.deepEqual(steps.base, form("b"));
  assert.equal(steps.isDirty, false);
});

test("an edit of the text becomes the form", () => {
  const steps = begin();
  steps.edited("yaml");
  const fresh = answer({ yaml: "b", form: form("b"), base: form("b") });
  assert.deepEqual(steps.take(steps.ask("b"), fresh), { text: true, form: true, isOurs: false });
  assert.deepEqual(steps.form, form("b"));
});

test("a text that cannot be read keeps the form and its edits", () => {
  const steps = begin();
  const typed = steps.form;
  steps.edited("form");
  steps.edited("yaml");
  const change = steps.take(steps.ask("{"), answer({ yaml: "{", form: null }));
  assert.deepEqual(change, { text: false, form: false, isOurs: true });
  assert.equal(steps.form, typed);
  assert.deepEqual(steps.base, form("a"));
  assert.deepEqual(steps.dirty, { form: true, yaml: false }); // until it can be read again
});

test("the tasks that were sent stand in the manifest in their order", () => {
  const steps = new InStep(answer({ form: form("a", [0, null]), base: form("a", [0]) }));
  steps.edited("form");
  const question = steps.ask("a");
  steps.form?.training.tasks?.push(/** @type {Task} */ ({ origin: null })); // added meanwhile
  steps.take(question, answer({ form: form("b"), base: form("b") }));
  assert.deepEqual(
    steps.form?.training.tasks?.map((task) => task.origin),
    [0, 1, null],
  );
});

test("a draft goes on where it was left", () => {
  const steps = begin();
  steps.resume({ yaml: "{", form: form("draft"), base: form("old"), edited: true });
  assert.deepEqual(steps.ask("{").body, { yaml: "{", form: form("draft"), base: form("old") });
});

test("an option is what its text means", () => {
  /** @type {[string, Json][]} */
  const cases = [
    ["16", 16],
    [".5", 0.5],
    ["1e-3", 0.001],
    ["true", true],
    ["null", null],
    ["adam", "adam"],
    ['"16"', "16"],
    ["[1]", "[1]"],
  ];
  for (const [word, value] of cases) {
    assert.deepEqual(parseOption(word), value);
    assert.deepEqual(parseOption(showOption(value)), value, `${word} comes back`);
  }
  assert.deepEqual(splitOptions('[16, "a, b", adam,,]'), ["16", '"a, b"', "adam"]);
  assert.equal(showOption("a,b"), '"a,b"');
});

const CHOICE = { name: "choice", arguments: [], options: true, help: "" };
const UNIFORM = { name: "uniform", arguments: ["low", "high"], options: false, help: "" };
const LAYERS = { name: "layer_choice", arguments: [], options: false, help: "" };
/** @param {Partial<SpaceRow>} given */
const row = (given) => ({ name: "x", type: "", values: [], options: [], json: null, ...given });

test("another type keeps what fits", () => {
  const numbers = row({ options: [1, "a", 2, 3] });
  retype(numbers, UNIFORM);
  assert.deepEqual([numbers.values, numbers.options], [["1", "2"], []]);
  retype(numbers, CHOICE);
  assert.deepEqual([numbers.values, numbers.options], [[], [1, 2]]);
  retype(numbers, LAYERS);
  assert.match(numbers.json ?? "", /candidates/);
  retype(numbers, UNIFORM);
  assert.deepEqual([numbers.json, numbers.values], [null, ["", ""]]);
});

test("a value goes to JSON and back", () => {
  assert.equal(jsonOf(row({ options: [1, "a", null] }), CHOICE), '[1,"a",null]');
  assert.equal(jsonOf(row({ values: ["0.1", "x"] }), UNIFORM), '[0.1,"x"]');
  assert.deepEqual(simpleValue('[1,"a"]', CHOICE), { options: [1, "a"] });
  assert.deepEqual(simpleValue("[0, 1]", UNIFORM), { values: ["0", "1"] });
  for (const json of ["[0]", "{", '[{"_name": "a"}, 1]', "7", null]) {
    assert.equal(simpleValue(json, UNIFORM), null);
  }
});

test("a duplicate gets the next free name", () => {
  assert.equal(freeName([row({ name: "lr" })], "lr"), "lr_2");
  assert.equal(freeName([row({ name: "lr_2" }), row({ name: "lr_3" })], "lr_3"), "lr_4");
});

test("a command's words go to lines and back", () => {
  for (const words of [["python3", "train.py"], ["sh", "-c", "a\nb"], ["x", ""], []]) {
    assert.deepEqual(readWords(showWords(words)), words);
  }
  assert.deepEqual(readWords("[not json\r\nb"), ["[not json", "b"]);
  assert.equal(showWords("taken as it is"), "taken as it is");
  assert.equal(isOneLine(["python3 train.py"]), true);
  assert.equal(isOneLine(["python3", "a b"]), false);
  assert.deepEqual(splitLine(`python3 "my file.py" '' -v`), ["python3", "my file.py", "", "-v"]);
});
