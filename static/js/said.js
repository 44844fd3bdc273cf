// What the server said in English (reasons, texts of events, messages), in the reader's language:
// the same look-up as experiments/said.py, over the catalogue that the page hands over. Both read
// tests/js/said.json.

/** @typedef {(text: string) => string | null} LookUp */
/** @typedef {{ pattern: RegExp, literals: string[], places: [string, boolean][], said: string }} Template */

const PLACE = /(\{[A-Za-z_]\w*\})/;
const AT = /^([\w.-]+(?:\[[^\]\s]*\][\w.-]*)*): (.+)$/s;
const ALSO = /** @type {const} */ (["; ", "；"]);
const AND = /** @type {const} */ ([" and ", "，且"]);
const AS_IT_IS = new Set(["line", "lines"]);
const END = /(?<=[.?]) (?=[A-Z'(])/;
const MOST_PARTS = 60;
const LONGEST = 4000;

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

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
      else this.whole.set(text, catalogue[text] ?? text);
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
      found = this.look(text) ?? text;
      this.known.set(text, found);
    }
    return found;
  }

  /** @type {LookUp} */
  look(text) {
    return (
      this.oneByOne(text, ALSO, false) ??
      this.afterEachOther(text) ??
      this.sentence(text) ??
      this.oneByOne(text, ALSO, true)
    );
  }

  /** @type {LookUp} */
  sentence(text) {
    const at = AT.exec(text);
    const after = at?.[2] && this.sentence(at[2]);
    if (at && after) return `${at[1]}: ${after}`;
    const [first, rest] = [text.charAt(0), text.slice(1)];
    const spellings = [text, first.toUpperCase() + rest, first.toLowerCase() + rest];
    for (const spelled of spellings) {
      const whole = this.whole.get(spelled);
      if (whole !== undefined) return whole;
    }
    const small = first.toLowerCase() + rest;
    for (const template of this.templates) {
      if (!mayFit(template, small)) continue;
      for (const spelled of spellings) {
        const match = template.pattern.exec(spelled);
        if (match) return this.filled(template, match);
      }
    }
    return null;
  }

  /**
   * @param {string} text
   * @param {readonly [string, string]} joins
   * @param {boolean} some
   */
  oneByOne(text, [join, joined], some) {
    const parts = text.split(join);
    if (parts.length === 1 || parts.length > MOST_PARTS) return null;
    const said = parts.map((part) => (part ? this.sentence(part) : null));
    const known = said.filter((part) => part !== null).length;
    if (some ? known === 0 : known < parts.length) return null;
    return said.map((part, i) => part ?? parts[i]).join(joined);
  }

  /** @type {LookUp} */
  afterEachOther(text) {
    const parts = text.split(END);
    if (parts.length === 1 || parts.length > MOST_PARTS) return null;
    const said = parts.map((part) => (part ? this.sentence(part) : null));
    return said.every((part) => part !== null) ? said.join("") : null;
  }

  /**
   * @param {Template} template
   * @param {RegExpExecArray} match
   */
  filled(template, match) {
    /** @type {Record<string, string>} */
    const values = {};
    template.places.forEach(([name, isOurs], i) => {
      const held = match[i + 1] ?? "";
      values[name] = (isOurs && held ? this.held(held) : this.line(held)) ?? held;
    });
    return template.said
      .split(PLACE)
      .map((part) => (PLACE.test(part) ? values[part.slice(1, -1)] : part))
      .join("");
  }

  /** @type {LookUp} */
  held(words) {
    return this.look(words) ?? this.oneByOne(words, AND, true);
  }

  /** @type {LookUp} */
  line(line) {
    const i = line.indexOf(ALSO[0]);
    const said = i < 0 ? null : this.sentence(line.slice(i + ALSO[0].length));
    return said && `${line.slice(0, i)}${ALSO[1]}${said}`;
  }
}

/**
 * A quick look, at a text that begins small: most templates end here.
 * @param {Template} template
 * @param {string} text
 */
const mayFit = ({ literals }, text) =>
  text.startsWith(literals[0] ?? "") &&
  text.endsWith(literals.at(-1) ?? "") &&
  literals.every((literal) => text.includes(literal));

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
  const pattern = parts.map((part, i) => (i % 2 ? "(.*?)" : escaped(part))).join("");
  /** @type {[string, boolean][]} */
  const places = [];
  for (let i = 1; i < parts.length; i += 2) {
    const name = parts[i]?.slice(1, -1) ?? "";
    places.push([name, !parts[i - 1]?.endsWith("'") && !AS_IT_IS.has(name)]);
  }
  const [head = "", ...others] = parts.filter((_part, i) => i % 2 === 0);
  const literals = [head.charAt(0).toLowerCase() + head.slice(1), ...others];
  return { pattern: new RegExp(`^${pattern}$`, "s"), literals, places, said };
}

const handed = globalThis.document?.getElementById("said")?.textContent;
const book = handed ? new Phrasebook(JSON.parse(handed)) : null;

/**
 * What some part of the server said, in the reader's language.
 * @param {string} text
 */
export const said = (text) => book?.say(text) ?? text;
