// A row of the search space: its value as fields, as a list of options, or as JSON. Pure.

import { parse, stringify } from "../exact.js";
import { parseOption } from "./options.js";

const NEW_JSON = '{"candidates": ["a", "b"], "n_chosen": 1}';

/**
 * The row's value as JSON text.
 * @param {SpaceRow} row
 * @param {ParameterType} type
 */
export const jsonOf = (row, type) =>
  stringify(type.options ? row.options : row.values.map(parseOption));

/**
 * The value as fields or options, null where only JSON can say it.
 * @param {string | null} json
 * @param {ParameterType} type
 * @returns {Pick<SpaceRow, "options"> | Pick<SpaceRow, "values"> | null}
 */
export function simpleValue(json, type) {
  let value;
  try {
    value = parse(json ?? "");
  } catch {
    return null;
  }
  if (!Array.isArray(value) || value.some((v) => v !== null && typeof v === "object")) return null;
  if (type.options) return { options: value };
  return value.length === type.arguments.length ? { values: value.map(String) } : null;
}

/**
 * Carry over what fits when the type of a row changes.
 * @param {SpaceRow} row
 * @param {ParameterType} type
 */
export function retype(row, type) {
  const { json, options, values } = row;
  row.json = null;
  row.options = [];
  row.values = [];
  if (type.options) {
    row.options = options.length ? options : values.filter((v) => v !== "").map(parseOption);
  } else if (type.arguments.length) {
    const numbers = options.filter((v) => typeof v === "number").map(String);
    const known = values.length ? values : numbers;
    row.values = type.arguments.map((_, i) => known[i] ?? "");
  } else {
    row.json = json ?? NEW_JSON;
  }
}

/**
 * A name like that one, which no row has.
 * @param {SpaceRow[]} rows
 * @param {string} name
 */
export function freeName(rows, name) {
  const stem = name.replace(/_\d+$/, "");
  for (let n = 2; ; n += 1) {
    if (!rows.some((row) => row.name === `${stem}_${n}`)) return `${stem}_${n}`;
  }
}
