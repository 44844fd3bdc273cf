// JSON whose integers stay exact: those that no number of JavaScript holds are bigints. Pure.

const MARK = "\u0000integer:"; // no text of a manifest or report holds a NUL
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
const MAY_BE_LARGE = /(?:^|[\s[:,])-?\d{16,}(?:[\s\],}]|$)/;
const WRITTEN = /"\\u0000integer:(-?\d+)"/g;

/**
 * As JSON.parse.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  if (!MAY_BE_LARGE.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKENS, (token) => {
    const isInteger = /^-?\d{16,}$/.test(token);
    return isInteger && !Number.isSafeInteger(Number(token))
      ? JSON.stringify(`${MARK}${token}`)
      : token;
  });
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  );
}

/**
 * As JSON.stringify.
 * @param {unknown} value
 * @param {number} [indent]
 * @returns {string}
 */
export function stringify(value, indent) {
  const replace = (/** @type {string} */ _, /** @type {unknown} */ inner) =>
    typeof inner === "bigint" ? `${MARK}${inner}` : inner;
  return JSON.stringify(value, replace, indent)?.replace(WRITTEN, "$1");
}
