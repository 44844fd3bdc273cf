// What the scripts say, in the reader's language: the page hands the catalogue over (djangojs.po).

/** @typedef {Record<string, unknown>} Values written as String() does */

const handed = globalThis.document?.getElementById("words")?.textContent;

/** @type {Record<string, string>} from English; empty for who reads English */
const WORDS = JSON.parse(handed ?? "{}");

/**
 * @param {string} text
 * @param {Values} values
 */
const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));

/**
 * A sentence with `{names}` filled in. The call must hold the English words as they are: the
 * catalogue is made by reading the scripts.
 * @param {string} text
 * @param {Values} [values]
 */
export const gettext = (text, values = {}) => fill(WORDS[text] ?? text, values);

/**
 * The same where the words depend on a number; `{n}` is it.
 * @param {string} one
 * @param {string} many
 * @param {number} n
 * @param {Values} [values]
 */
export const ngettext = (one, many, n, values = {}) =>
  fill(WORDS[one] ?? (n === 1 ? one : many), { n, ...values });

/**
 * Sentences one after the other: Chinese ones have their own space after the full stop.
 * @param {(string | undefined)[]} sentences
 */
export const together = (sentences) =>
  sentences
    .filter(Boolean)
    .join(" ")
    .replace(/([。；！？]) /g, "$1");

/**
 * Things one after the other in a sentence.
 * @param {(string | number)[]} things
 */
export const listed = (things) => things.join(gettext(", "));

/**
 * A translated sentence with one place, with an element put there.
 * @param {string} sentence
 * @param {Node | string} element
 * @returns {(string | Node)[]}
 */
export function around(sentence, element) {
  const [before, after] = sentence.split(/\{\w+\}/);
  return [before, element, after ?? ""];
}
