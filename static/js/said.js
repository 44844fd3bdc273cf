// What the server said in English (reasons, texts of events, messages), in the reader's language:
// the same look-up as experiments/said.py, over the catalogue that the page hands over. Both read
// tests/js/said.json.

/** @typedef {{ literals: string[], places: [string, boolean][], said: string }} Template */

const PLACE = /(\{[A-Za-z_]\w*\})/;
const AT = /^([\w.-]+(?:\[[^\]\s]*\][\w.-]*)*): (.+)$/s;
const ALSO = /** @type {const} */ (["; ", "；"]);
const AND = /** @type {const} */ ([" and ", "，且"]);
const AS_IT_IS = new Set(["line", "lines"]);
const END = /(?<=[.?]) (?=[A-Z'(])/;
const CHINESE = /^[\u3400-\u9fff]/;
const MOST_PARTS = 60;
const DEEPEST = 4;
const LONGEST = 4000;

/** @param {string} text */
const small = (text) => text.charAt(0).toLowerCase() + text.slice(1);

/**
 * Two pieces of a sentence; a space for a Latin word's sake goes where both are Chinese.
 * @param {string} before
 * @param {string} after
 */
function joined(before, after) {
  if (before.endsWith(" ") && CHINESE.test(before.slice(-2, -1)) && CHINESE.test(after))
    return before.slice(0, -1) + after;
  if (after.startsWith(" ") && CHINESE.test(before.slice(-1)) && CHINESE.test(after.slice(1)))
    return before + after.slice(1);
  return before + after;
}

export class Phrasebook {
  /** @param {Record<string, string>} catalogue from English, with `{places}` */
  constructor(catalogue) {
    /** @type {Map<string, string>} */
    this.whole = new Map();
    /** @type {Template[]} */
    this.templates = [];
    /** @type {Map<string, string>} */
    this.known = new Map();
    const closest = Object.keys(catalogue).sort((a, b) => far(a) - far(b));
    for (const text of closest) {
      if (PLACE.test(text)) this.templates.push(templateOf(text, catalogue[text] ?? text));
      else this.whole.set(small(text), catalogue[text] ?? text);
    }
  }

  /**
   * The text in this language, or as it is where no template fits.
   * @param {string} text
   */
  say(text) {
    if (!text || text.length > LONGEST) return text;
    let found = this.known.get(text);
    if (found === undefined) {
      found = this.look(text, 0) ?? text;
      this.known.set(text, found);
    }
    return found;
  }

  /**
   * @param {string} text
   * @param {number} depth
   * @returns {string | null}
   */
  look(text, depth) {
    if (depth > DEEPEST) return null;
    return (
      this.oneByOne(text, ALSO, depth, false) ??
      this.afterEachOther(text, depth) ??
      this.sentence(text, depth) ??
      this.oneByOne(text, ALSO, depth, true)
    );
  }

  /**
   * One sentence, perhaps with its place before it.
   * @param {string} text
   * @param {number} depth
   */
  sentence(text, depth) {
    const at = AT.exec(text);
    const after = at?.[2] ? this.plain(at[2], depth) : null;
    return at && after ? `${at[1]}: ${after}` : this.plain(text, depth);
  }

  /**
   * @param {string} text
   * @param {number} depth
   * @returns {string | null}
   */
  plain(text, depth) {
    const whole = this.whole.get(small(text));
    if (whole !== undefined) return whole;
    for (const template of this.templates) {
      const values = valuesOf(template, text);
      if (values) return this.filled(template, values, depth);
    }
    return null;
  }

  /**
   * @param {string} text
   * @param {readonly [string, string]} joins
   * @param {number} depth
   * @param {boolean} some
   */
  oneByOne(text, [join, joined], depth, some) {
    const parts = text.split(join);
    if (parts.length === 1 || parts.length > MOST_PARTS) return null;
    const said = parts.map((part) => (part ? this.sentence(part, depth) : null));
    const known = said.filter((part) => part !== null).length;
    if (some ? known === 0 : known < parts.length) return null;
    return said.map((part, i) => part ?? parts[i]).join(joined);
  }

  /**
   * @param {string} text
   * @param {number} depth
   */
  afterEachOther(text, depth) {
    const parts = text.split(END);
    if (parts.length === 1 || parts.length > MOST_PARTS) return null;
    const said = parts.map((part) => (part ? this.sentence(part, depth) : null));
    return said.every((part) => part !== null) ? said.join("") : null;
  }

  /**
   * @param {Template} template
   * @param {string[]} held
   * @param {number} depth
   */
  filled(template, held, depth) {
    /** @type {Record<string, string>} */
    const values = {};
    template.places.forEach(([name, isOurs], i) => {
      const value = held[i] ?? "";
      values[name] = (isOurs ? this.held(value, depth + 1) : this.line(value, depth)) ?? value;
    });
    return template.said
      .split(PLACE)
      .map((part) => (PLACE.test(part) ? (values[part.slice(1, -1)] ?? "") : part))
      .reduce(joined, "");
  }

  /**
   * @param {string} words
   * @param {number} depth
   */
  held(words, depth) {
    if (!words) return null;
    return this.look(words, depth) ?? this.oneByOne(words, AND, depth, true);
  }

  /**
   * @param {string} line
   * @param {number} depth
   */
  line(line, depth) {
    const i = line.indexOf(ALSO[0]);
    const after = i < 0 || depth >= DEEPEST ? "" : line.slice(i + ALSO[0].length);
    const said = after && this.sentence(after, depth + 1);
    return said ? `${line.slice(0, i)}${ALSO[1]}${said}` : null;
  }
}

/**
 * What stands in the places; null where the text is another.
 * @param {Template} template
 * @param {string} text
 */
function valuesOf({ literals }, text) {
  const head = literals[0] ?? "";
  const tail = literals.at(-1) ?? "";
  const end = text.length - tail.length;
  let at = head.length;
  if (at > end || !small(text).startsWith(head) || !text.endsWith(tail)) return null;
  /** @type {string[]} */
  const found = [];
  for (const literal of literals.slice(1, -1)) {
    const there = text.indexOf(literal, at);
    if (there < 0 || there + literal.length > end) return null;
    found.push(text.slice(at, there));
    at = there + literal.length;
  }
  return [...found, text.slice(at, end)];
}

/**
 * The closest fit comes first: what joins two texts, then what has most words of its own.
 * @param {string} template
 */
function far(template) {
  const literal = template.split(PLACE).filter((_part, i) => i % 2 === 0);
  return (literal.join("").includes("; ") ? 0 : 1e6) - [...literal.join("")].length;
}

/**
 * @param {string} text
 * @param {string} said
 * @returns {Template}
 */
function templateOf(text, said) {
  const parts = text.split(PLACE);
  const [head = "", ...others] = parts.filter((_part, i) => i % 2 === 0);
  /** @type {[string, boolean][]} */
  const places = [];
  for (let i = 1; i < parts.length; i += 2) {
    const name = parts[i]?.slice(1, -1) ?? "";
    places.push([name, !parts[i - 1]?.endsWith("'") && !AS_IT_IS.has(name)]);
  }
  return { literals: [small(head), ...others], places, said };
}

const handed = globalThis.document?.getElementById("said")?.textContent;
const book = handed ? new Phrasebook(JSON.parse(handed)) : null;

/**
 * What some part of the server said, in the reader's language.
 * @param {string} text
 */
export const said = (text) => book?.say(text) ?? text;
