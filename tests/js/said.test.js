// What the server said, in the reader's language: as experiments/said.py says it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Phrasebook, said } from "../../static/js/said.js";

const { catalogue, cases } = JSON.parse(
  readFileSync(new URL("./said.json", import.meta.url), "utf8"),
);

test("a sentence is found again by its template", () => {
  const book = new Phrasebook(catalogue);
  for (const [text, expected] of cases) assert.equal(book.say(text), expected);
});

test("who reads English gets what was said", () => {
  assert.equal(said("A limit was raised."), "A limit was raised.");
});
