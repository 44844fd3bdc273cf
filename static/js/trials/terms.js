// Conditions as the server reads them (experiments/selectors/trial_filter.py), taken apart at their
// "and" and put together again. Pure.

// One word, quoted text, mark or comparison at a time.
const TOKEN =
  /\s*(?:((?:param:|metric:)?"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(<=|>=|==|!=|<>|[=<>~])|([(),])|([^\s"'<>=!~(),]+))/y;

/** @typedef {{ text: string, start: number, end: number, isQuoted: boolean }} Token */

/**
 * Null where the text stops making sense: the server will say where.
 * @param {string} text
 */
function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match) return null;
    const word = match[0].trimStart();
    const end = TOKEN.lastIndex;
    found.push({ text: word, start: end - word.length, end, isQuoted: match[1] !== undefined });
  }
  return found;
}

/**
 * The conditions that must all hold; one where they are joined in another way.
 * @param {string} where
 * @returns {string[]}
 */
export function split(where) {
  const whole = where.trim();
  if (!whole) return [];
  const read = tokens(whole);
  if (!read) return [whole];
  let depth = 0;
  let from = 0;
  /** @type {string[]} */
  const terms = [];
  for (const { text, start, end, isQuoted } of read) {
    if (isQuoted) continue;
    if (text === "(") depth += 1;
    else if (text === ")") depth -= 1;
    const word = text.toLowerCase();
    if (depth > 0) continue;
    if (word === "or") return [whole];
    if (word !== "and" && word !== ",") continue;
    terms.push(whole.slice(from, start).trim());
    from = end;
  }
  terms.push(whole.slice(from).trim());
  return terms.every(Boolean) ? terms : [whole];
}

/**
 * All of them must hold.
 * @param {string[]} terms
 */
export const join = (terms) =>
  terms.length > 1
    ? terms.map((term) => (isLoose(term) ? `(${term})` : term)).join(" and ")
    : (terms[0] ?? "");

/**
 * Whether it holds an "or" that no parentheses keep.
 * @param {string} term
 */
function isLoose(term) {
  let depth = 0;
  for (const { text, isQuoted } of tokens(term) ?? []) {
    if (isQuoted) continue;
    if (text === "(") depth += 1;
    else if (text === ")") depth -= 1;
    else if (depth === 0 && text.toLowerCase() === "or") return true;
  }
  return false;
}

/**
 * The name that a plain condition is about; "" for others.
 * @param {string} term
 */
export function nameOf(term) {
  const read = tokens(term);
  if (!read || read.length < 3) return "";
  const [first] = read;
  return /^(?:not|and|or|in|\(|\))$/i.test(first.text) ? "" : first.text;
}

/**
 * What stands for a value in a condition; none for what a trial lacks.
 * @param {string | number | boolean | bigint | null} value
 */
export function literal(value) {
  if (value === null) return "none";
  if (typeof value !== "string") return String(value);
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/**
 * A name is one of these values, written as `literal` does.
 * @param {string} name
 * @param {string[]} literals
 */
export const among = (name, literals) =>
  literals.length === 1 ? `${name} = ${literals[0]}` : `${name} in (${literals.join(", ")})`;

/**
 * Conditions that keep a name between two ends; null: that end is open.
 * @param {string} name
 * @param {string | number | null} low
 * @param {string | number | null} high
 */
export function between(name, low, high) {
  const found = [];
  if (low !== null) found.push(`${name} >= ${low}`);
  if (high !== null) found.push(`${name} <= ${high}`);
  return found;
}

/**
 * The conditions with others in the place of those about the same names and direction.
 * @param {string} where
 * @param {string[]} fresh
 */
export function narrowed(where, fresh) {
  const sides = new Set(fresh.map(sideOf));
  return join([...split(where).filter((term) => !sides.has(sideOf(term))), ...fresh]);
}

/**
 * What a condition limits: a later one of the same kind takes its place.
 * @param {string} term
 */
function sideOf(term) {
  const name = nameOf(term);
  const operator = tokens(term)?.[1]?.text ?? "";
  if (!name || !/^(?:<=?|>=?|in)$/.test(operator)) return term;
  return `${name} ${operator === "in" ? operator : operator[0]}`;
}
