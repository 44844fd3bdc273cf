// A light editor: a textarea over a coloured copy of its text, with line numbers and problem marks.

import { debounce, find, h, hit } from "../dom.js";

const TOKEN =
  /(#.*$)|("(?:[^"\\]|\\.)*"?)(\s*:)?|^(\s*(?:- )*)([\w./-]+)(:)(?=\s|$)|(\b(?:true|false|null)\b|[-+]?\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b)|(\|-?|[{}[\],])/g;

/** @typedef {{ kind: "problem" | "warning", message: string }} Mark */

/** @param {string} line */
function colour(line) {
  /** @type {(string | Node)[]} */
  const out = [];
  const span = (/** @type {string} */ name, /** @type {string} */ text) =>
    h("span", { class: `y-${name}` }, text);
  let at = 0;
  for (const m of line.matchAll(TOKEN)) {
    if (m.index > at) out.push(line.slice(at, m.index));
    const [all, comment, quoted, colon, indent, key, keyColon, number, punctuation] = m;
    if (comment) {
      // a # inside a word is no comment
      const starts = m.index === 0 || /\s/.test(line[m.index - 1]);
      out.push(starts ? span("comment", comment) : comment);
    } else if (quoted) out.push(span(colon ? "key" : "text", quoted), colon ?? "");
    else if (key) out.push(indent, span("key", key), keyColon);
    else if (number) out.push(span("number", number));
    else if (punctuation) out.push(span("mark", punctuation));
    at = m.index + all.length;
  }
  out.push(line.slice(at));
  return out;
}

export class Editor {
  /**
   * @param {HTMLElement} root
   * @param {{ onInput: (text: string) => void }} settings
   */
  constructor(root, { onInput }) {
    this.area = find(root, "textarea", HTMLTextAreaElement);
    this.gutter = h("div", { class: "editor-gutter", "aria-hidden": "true" });
    this.copy = h("div", { class: "editor-copy", "aria-hidden": "true" });
    this.area.before(this.gutter, this.copy);
    /** @type {Map<number, Mark>} by line */
    this.problems = new Map();
    /** @type {HTMLElement[]} */
    this.lines = [];
    this.onInput = onInput;
    this.isLeaving = false; // Escape, then Tab leaves the editor
    this.unflash = debounce(() => {
      for (const row of this.lines) row.classList.remove("changed");
    }, 1200);
    this.area.addEventListener("input", () => {
      this.clearMarks();
      this.draw();
      this.onInput(this.area.value);
    });
    this.area.addEventListener("scroll", () => this.follow());
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.gutter.addEventListener("click", (event) => {
      const number = Number(hit(event, "[data-line]")?.dataset.line);
      if (number) this.goTo(number);
    });
    new ResizeObserver(() => this.follow()).observe(this.area);
  }

  get value() {
    return this.area.value;
  }

  /**
   * Put another text in; lines that differ light up for a moment where flash is set.
   * @param {string} text
   */
  set(text, { flash = false } = {}) {
    if (text === this.area.value) return;
    const before = this.area.value.split("\n");
    const { scrollTop, scrollLeft } = this.area;
    this.area.value = text;
    Object.assign(this.area, { scrollTop, scrollLeft });
    this.draw();
    if (!flash) return;
    const after = text.split("\n");
    let start = 0;
    while (start < after.length && before[start] === after[start]) start += 1;
    let tail = 0;
    while (
      tail < after.length - start &&
      tail < before.length - start &&
      before.at(-1 - tail) === after.at(-1 - tail)
    )
      tail += 1;
    const end = Math.max(after.length - tail, start + 1);
    const aligned = before.length === after.length; // then lines between the first and the last may be the same
    this.lines.slice(start, end).forEach((row, i) => {
      if (!aligned || before[start + i] !== after[start + i]) row.classList.add("changed");
    });
    this.reveal(start + 1);
    this.unflash();
  }

  /**
   * @param {Problem[]} problems
   * @param {Problem[]} warnings
   */
  mark(problems, warnings) {
    this.problems = new Map();
    this.note("warning", warnings);
    this.note("problem", problems);
    this.drawMarks();
  }

  /**
   * @param {Mark["kind"]} kind
   * @param {Problem[]} found
   */
  note(kind, found) {
    for (const { line, message } of found) {
      if (!line) continue;
      const old = this.problems.get(line);
      const joined = old?.kind === kind ? `${old.message}\n${message}` : message;
      this.problems.set(line, { kind, message: joined });
    }
  }

  clearMarks() {
    this.problems = new Map(); // lines have moved: the next answer marks them anew
  }

  draw() {
    const texts = this.area.value.split("\n");
    if (texts.length > 5000) {
      // colour would cost more than it gives
      this.copy.textContent = this.area.value;
      this.lines = [];
    } else {
      texts.forEach((text, i) => {
        const row = this.lines[i];
        if (row && row.dataset.text === text) return;
        const fresh = h("div", { class: "editor-line", "data-text": text }, colour(text));
        if (!text) fresh.append("\u200b");
        if (row) row.replaceWith(fresh);
        else this.copy.append(fresh);
        this.lines[i] = fresh;
      });
      for (const extra of this.lines.splice(texts.length)) extra.remove();
    }
    const n = texts.length;
    while (this.gutter.children.length > n) this.gutter.lastChild?.remove();
    while (this.gutter.children.length < n) {
      const number = this.gutter.children.length + 1;
      this.gutter.append(h("div", { class: "editor-number", "data-line": number }, String(number)));
    }
    this.drawMarks();
    this.follow();
  }

  drawMarks() {
    const rows = /** @type {HTMLElement[]} */ ([...this.gutter.children]);
    rows.forEach((row, i) => {
      const found = this.problems.get(i + 1);
      row.className = `editor-number ${found ? `has-${found.kind}` : ""}`;
      row.title = found?.message ?? "";
      this.lines[i]?.classList.toggle("has-problem", found?.kind === "problem");
      this.lines[i]?.classList.toggle("has-warning", found?.kind === "warning");
    });
  }

  follow() {
    this.gutter.style.transform = `translateY(${-this.area.scrollTop}px)`;
    this.copy.style.transform = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
  }

  lineHeight() {
    return Number.parseFloat(getComputedStyle(this.area).lineHeight);
  }

  /** @param {number} line */
  reveal(line) {
    const top = (line - 1) * this.lineHeight();
    const { scrollTop, clientHeight } = this.area;
    if (top < scrollTop || top > scrollTop + clientHeight - 60) {
      this.area.scrollTop = Math.max(0, top - clientHeight / 3);
    }
  }

  /** @param {number} line */
  goTo(line) {
    const texts = this.area.value.split("\n");
    const start = texts.slice(0, line - 1).reduce((n, text) => n + text.length + 1, 0);
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(start, start + (texts[line - 1] ?? "").length);
    this.reveal(line);
  }

  /** @param {string} text */
  insert(text) {
    // execCommand keeps the browser's undo; setRangeText is for browsers without it
    if (!document.execCommand("insertText", false, text)) {
      this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end");
      this.area.dispatchEvent(new Event("input"));
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      this.isLeaving = true;
      return;
    }
    const { selectionStart: start, selectionEnd: end, value } = this.area;
    const lineStart = value.lastIndexOf("\n", start - 1) + 1;
    if (event.key === "Tab" && !this.isLeaving) {
      event.preventDefault();
      if (!event.shiftKey && start === end) {
        this.insert("  ");
      } else {
        const block = value.slice(lineStart, end);
        const shifted = event.shiftKey
          ? block.replace(/^ {1,2}/gm, "")
          : block.replace(/^/gm, "  ");
        if (shifted !== block) {
          this.area.setSelectionRange(lineStart, end);
          this.insert(shifted);
          if (start !== end) this.area.setSelectionRange(lineStart, lineStart + shifted.length);
        }
      }
    } else if (event.key === "Enter" && !event.shiftKey) {
      const line = value.slice(lineStart, start);
      const indent = (line.match(/^ */)?.[0] ?? "") + (/:\s*$/.test(line) ? "  " : "");
      if (indent) {
        event.preventDefault();
        this.insert(`\n${indent}`);
      }
    }
    this.isLeaving = false;
  }
}
