// A list of values as tags: numbers, texts, true, false, null; Enter or a comma adds one.

import { h, icon } from "../dom.js";
import { parse, stringify } from "../exact.js";
import { gettext } from "../language.js";

/**
 * What a typed word means: JSON where it is JSON, a number, else text.
 * @param {string} word
 * @returns {Json}
 */
export function parseOption(word) {
  const typed = word.trim();
  try {
    const value = parse(typed);
    if (value === null || typeof value !== "object") return value;
  } catch {
    // not JSON: a number in another spelling, or a text
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(typed) ? Number(typed) : typed;
}

/**
 * How a value is shown: a text only in quotes where it would otherwise be taken for a number.
 * @param {Json} value
 * @returns {string}
 */
export function showOption(value) {
  if (typeof value !== "string") return stringify(value);
  return value === "" || parseOption(value) !== value || value.includes(",")
    ? stringify(value)
    : value;
}

/**
 * Split at commas and line ends outside quotes.
 * @param {string} text
 * @returns {string[]}
 */
export function splitOptions(text) {
  const inner = text.trim().replace(/^\[([\s\S]*)\]$/, "$1");
  return (inner.match(/\s*"(?:[^"\\]|\\.)*"|[^,\n]+/g) ?? [])
    .map((word) => word.trim())
    .filter(Boolean);
}

/**
 * @param {string} id
 * @param {SpaceRow} row
 * @param {() => void} changed
 * @param {string} label
 */
export function optionsInput(id, row, changed, label) {
  const input = h("input", {
    type: "text",
    class: "options-entry",
    "data-field": id,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": gettext("{name}: add a value", { name: label }),
  });
  const box = h("div", { class: "options-box form-control" });
  box.addEventListener("click", (event) => event.target === box && input.focus());

  function draw() {
    const tags = row.options.map((value, index) => {
      const remove = h(
        "button",
        {
          type: "button",
          "aria-label": gettext("Remove {value}", { value: showOption(value) }),
          tabindex: "-1",
          onclick: () => {
            row.options.splice(index, 1);
            draw();
            changed();
            input.focus();
          },
        },
        icon("x"),
      );
      const kind = typeof value === "string" ? "text" : "number";
      const words = showOption(value);
      const shown = h("span", { class: "option-words", title: words }, words);
      return h("span", { class: `option option-${kind}` }, shown, remove);
    });
    input.placeholder = row.options.length ? "" : "16, 32, 64 …";
    input.size = Math.max(input.placeholder.length, 1);
    box.replaceChildren(...tags, input);
  }

  /** @param {string} text */
  function add(text) {
    const words = splitOptions(text);
    if (!words.length) return;
    row.options.push(...words.map(parseOption));
    input.value = "";
    draw();
    changed();
  }

  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      add(input.value);
    } else if (event.key === "Backspace" && !input.value && row.options.length) {
      event.preventDefault();
      row.options.pop();
      draw();
      changed();
      input.focus();
    }
  });
  input.addEventListener("input", () => {
    // a comma ends a value, unless it stands in an open quote
    const quotes = (input.value.match(/(?<!\\)"/g) ?? []).length;
    if (/[,\n]\s*$/.test(input.value) && quotes % 2 === 0) {
      add(input.value);
      input.focus();
    }
  });
  input.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.getData("text") ?? "";
    if (!/[,\n]/.test(pasted)) return;
    event.preventDefault();
    add(`${input.value}${pasted}`);
    input.focus();
  });
  input.addEventListener("blur", (event) => {
    const isWithin = event.relatedTarget instanceof Node && box.contains(event.relatedTarget);
    if (!isWithin) add(input.value);
  });
  draw();
  return box;
}
