// Parameters as text to take away: a Python dict, arguments of a command line. Pure.

import { stringify } from "./exact.js";
import { flat } from "./flat.js";

/**
 * A Python literal: what JSON writes, but for True, False and None.
 * @param {any} value
 * @param {string} [indent]
 * @returns {string}
 */
export function asPython(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return stringify(value);
  const inner = `${indent}    `;
  if (Array.isArray(value)) return `[${value.map((member) => asPython(member, inner)).join(", ")}]`;
  const lines = Object.entries(value).map(
    ([name, member]) => `${inner}${stringify(name)}: ${asPython(member, inner)},`,
  );
  return lines.length ? `{\n${lines.join("\n")}\n${indent}}` : "{}";
}

const PLAIN = /^[\w@%+=:,./-]+$/; // what no shell reads otherwise

/**
 * One word of a POSIX shell.
 * @param {string} text
 */
const quoted = (text) => (PLAIN.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

/**
 * `--name value` for each, nested ones by their dotted names; text as it is, the rest as JSON.
 * `--name=value` where the value would be read as another option.
 * @param {Record<string, any>} parameters
 */
export function asArguments(parameters) {
  return Object.entries(flat(parameters))
    .map(([name, value]) => {
      const text = typeof value === "string" ? value : (stringify(value) ?? "");
      const joint = text.startsWith("-") && Number.isNaN(Number(text)) ? "=" : " ";
      return joint === "="
        ? quoted(`--${name}=${text}`)
        : `${quoted(`--${name}`)}${joint}${quoted(text)}`;
    })
    .join(" ");
}
