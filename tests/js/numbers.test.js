// Numbers look the same in the pages' scripts and in their templates (tests/web/test_pages_list.py).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import "./looks.js";
import { number } from "../../static/js/format.js";

const table = JSON.parse(readFileSync(new URL("numbers.json", import.meta.url), "utf8"));

for (const [value, text] of table) {
  test(`${value}`, () => assert.equal(number(value), text));
}
