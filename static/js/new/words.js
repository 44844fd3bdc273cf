// A command's arguments as lines of text. Pure.

/**
 * One a line; as a JSON list where one holds a line end itself.
 * @param {string[] | string} words
 */
export function showWords(words) {
  if (typeof words === "string") return words;
  const needsJson = words.some((word) => word.includes("\n") || word === "");
  return needsJson ? JSON.stringify(words, null, 1) : words.join("\n");
}

/**
 * @param {string} text
 * @returns {string[]}
 */
export function readWords(text) {
  if (text.trimStart().startsWith("[")) {
    try {
      const list = JSON.parse(text);
      if (Array.isArray(list)) return list.map(String);
    } catch {
      // a line that merely starts with a bracket
    }
  }
  return text
    .split("\n")
    .map((line) => line.replace(/\r$/, ""))
    .filter((line) => line !== "");
}

/**
 * Whether it looks like a whole command line in one argument.
 * @param {string[] | string} words
 */
export const isOneLine = (words) =>
  Array.isArray(words) && words.length === 1 && /\S\s+\S/.test(words[0]);

/**
 * The words of a command line; quotes hold words together.
 * @param {string} line
 */
export const splitLine = (line) =>
  (line.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^(["'])(.*)\1$/, "$2"));
