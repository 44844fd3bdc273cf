// What a program printed, drawn as a terminal would: \r, backspace, erased lines, cursor up, colours.
//
// Used by log_viewer.js. A pure model: text in (in pieces, cut anywhere), lines of styled runs out;
// toNodes() alone touches the page, and makes nothing but text nodes and spans with classes and
// colours of ours. Lines further up than a program can still reach are settled: they are handed out
// once, so that a log of any length costs what its newest part does.

const REACH = 60; // lines that a cursor can go back up
const LONGEST_LINE = 32768; // characters; a terminal breaks lines too, and long before
const LONGEST_SEQUENCE = 4096; // characters of an escape sequence; more is no sequence

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are its subject
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;

/** Where the next control character stands, or the end. @param {string} text @param {number} from */
function nextControl(text, from) {
  CONTROL.lastIndex = from;
  return CONTROL.exec(text)?.index ?? text.length;
}

/** One line: its text, and for each character the number of its style where any has one. */
class Line {
  text = "";
  /** @type {number[] | null} */
  styles = null;

  /** @param {number} column @param {string} words @param {number} style */
  put(column, words, style) {
    if (column > this.text.length) this.text += " ".repeat(column - this.text.length);
    const end = column + words.length;
    if (style || this.styles) {
      this.styles ??= [];
      for (let i = this.styles.length; i < column; i++) this.styles[i] = 0;
      for (let i = column; i < end; i++) this.styles[i] = style;
    }
    this.text = this.text.slice(0, column) + words + this.text.slice(end);
  }

  /** @param {number} from @param {number} to */
  blank(from, to) {
    if (to >= this.text.length) {
      this.text = this.text.slice(0, from);
      this.styles?.splice(from);
    } else {
      this.put(from, " ".repeat(to - from), 0);
    }
  }

  /** The line as [style, text] pairs. @returns {[number, string][]} */
  runs() {
    const { text, styles } = this;
    if (!styles) return text ? [[0, text]] : [];
    /** @type {[number, string][]} */
    const found = [];
    let start = 0;
    for (let i = 1; i <= text.length; i++) {
      if (i === text.length || (styles[i] ?? 0) !== (styles[start] ?? 0)) {
        found.push([styles[start] ?? 0, text.slice(start, i)]);
        start = i;
      }
    }
    return found;
  }
}

/**
 * A style as escape sequences set it. Colours: 0 to 255 of the palette, or "#rrggbb".
 * @typedef {{fg?: number | string, bg?: number | string, bold?: boolean, dim?: boolean,
 *   italic?: boolean, underline?: boolean, inverse?: boolean, strike?: boolean}} Style
 */

export class Terminal {
  constructor() {
    this.lines = [new Line()]; // those that can still change
    this.row = 0;
    this.column = 0;
    this.pending = ""; // the beginning of a sequence that was cut off
    /** @type {Style[]} */
    this.styles = [{}];
    this.style = 0;
    this.styleNumbers = new Map([["{}", 0]]);
  }

  /**
   * Take what was printed next; returns the lines that settled meanwhile, oldest first.
   * @param {string} printed
   * @returns {Line[]}
   */
  feed(printed) {
    /** @type {Line[]} */
    const settled = [];
    const text = this.pending + printed;
    this.pending = "";
    let at = 0;
    while (at < text.length) {
      // Most of a log is plain: take all up to the next control character at once.
      const end = nextControl(text, at);
      if (end > at) this.print(text.slice(at, end), settled);
      at = end;
      if (at === text.length) break;
      if (text[at] === "\u001b" || text[at] === "\u009b") {
        const next = this.escape(text, at);
        if (next < 0) {
          this.pending = text.slice(at);
          break;
        }
        at = next;
      } else {
        this.control(text[at], settled);
        at += 1;
      }
    }
    return settled;
  }

  /** @param {string} words @param {Line[]} settled */
  print(words, settled) {
    for (let at = 0; at < words.length; ) {
      if (this.column >= LONGEST_LINE) this.control("\n", settled);
      const part = words.slice(at, at + LONGEST_LINE - this.column);
      this.lines[this.row].put(this.column, part, this.style);
      this.column += part.length;
      at += part.length;
    }
  }

  /** @param {string} character @param {Line[]} settled */
  control(character, settled) {
    if (character === "\n") {
      this.column = 0;
      this.row += 1;
      if (this.row === this.lines.length) this.lines.push(new Line());
      if (this.lines.length > REACH) {
        settled.push(/** @type {Line} */ (this.lines.shift()));
        this.row -= 1;
      }
    } else if (character === "\r") {
      this.column = 0;
    } else if (character === "\b") {
      this.column = Math.max(0, this.column - 1);
    } // bells and the like are not seen
  }

  /**
   * Carry out the escape sequence at `at`; returns where the text goes on, -1 where it is cut off.
   * @param {string} text @param {number} at
   */
  escape(text, at) {
    const isShort = text.length - at < LONGEST_SEQUENCE;
    const one = text[at] === "\u009b"; // the one-character form of ESC [
    const kind = one ? "[" : text[at + 1];
    let from = at + (one ? 1 : 2);
    if (kind === undefined) return -1;
    if (kind === "[") {
      while (from < text.length && text[from] >= " " && text[from] <= "?") from += 1;
      if (from === text.length) return isShort ? -1 : at + 1;
      if (text[from] < "@" || text[from] > "~") return from; // broken off: a newline, say
      this.sequence(text[from], text.slice(at + (one ? 1 : 2), from));
      return from + 1;
    }
    if ("]PX^_".includes(kind)) {
      // a title, a link, a picture: up to BEL or ESC \
      for (; from < text.length && from - at < LONGEST_SEQUENCE; from++) {
        if (text[from] === "\u0007") return from + 1;
        if (text[from] === "\u001b") {
          if (from + 1 === text.length) return -1;
          return text[from + 1] === "\\" ? from + 2 : from;
        }
        if (text[from] === "\n") return from; // no terminal waits for ever, and no reader
      }
      return isShort ? -1 : at + 2;
    }
    if (kind >= " " && kind <= "/") return from < text.length ? from + 1 : -1; // a character set
    return nextControl(kind, 0) === 0 ? at + 1 : from;
  }

  /** @param {string} final @param {string} words its parameters */
  sequence(final, words) {
    if (final === "m") {
      this.setStyle(words);
      return;
    }
    if (!/^[0-9;]*$/.test(words)) return; // private: show the cursor, and so on
    const first = Number.parseInt(words, 10);
    const count = Math.max(1, first || 1);
    const line = this.lines[this.row];
    const last = this.lines.length - 1;
    if (final === "K") {
      const [from, to] = [
        first === 1 || first === 2 ? 0 : this.column,
        first === 1 ? this.column + 1 : Infinity,
      ];
      line.blank(from, to);
    } else if (final === "J" && !(first > 0)) {
      line.blank(this.column, Infinity);
      for (const below of this.lines.slice(this.row + 1)) below.blank(0, Infinity);
    } else if (final === "A" || final === "F") {
      this.row = Math.max(0, this.row - count);
      if (final === "F") this.column = 0;
    } else if (final === "B" || final === "E") {
      this.row = Math.min(last, this.row + count);
      if (final === "E") this.column = 0;
    } else if (final === "C") {
      this.column = Math.min(this.column + count, 4096);
    } else if (final === "D") {
      this.column = Math.max(0, this.column - count);
    } else if (final === "G") {
      this.column = Math.min(count - 1, 4096);
    } else if (final === "P") {
      const { text, styles } = line;
      line.text = text.slice(0, this.column) + text.slice(this.column + count);
      styles?.splice(this.column, count);
    }
    // What clears a whole screen is left out: a log keeps what it said.
  }

  /** @param {string} words the parameters of ESC [ … m */
  setStyle(words) {
    if (/[^0-9;:]/.test(words)) return;
    /** @type {Style} */
    let style = { ...this.styles[this.style] };
    const groups = words.split(";").map(numbersOf); // 4:3 is one thing: underlined in waves
    for (let i = 0; i < groups.length; i++) {
      const [n, ...more] = groups[i];
      if (n === 0) style = {};
      else if (n === 4 && more[0] === 0) setSimple(style, 24);
      else if (n === 38 || n === 48 || n === 58) {
        const rest = more.length ? more : groups.slice(i + 1).map(([number]) => number);
        const [colour, used] = extendedColour(rest, more.length > 0);
        if (!more.length) i += used;
        if (colour !== null && n !== 58) style[n === 38 ? "fg" : "bg"] = colour; // 58: of the line
      } else setSimple(style, n);
    }
    this.style = this.numberOf(style);
  }

  /** @param {Style} style */
  numberOf(style) {
    const key = JSON.stringify(Object.fromEntries(Object.entries(style).sort()));
    let number = this.styleNumbers.get(key);
    if (number === undefined) {
      if (this.styles.length >= 4096) return 0; // a picture in colours: without them, then
      number = this.styles.push(style) - 1;
      this.styleNumbers.set(key, number);
    }
    return number;
  }

  /**
   * Nodes for lines of this terminal, each with its line break unless `isOpen` says the last has none.
   * @param {Line[]} lines @param {{isOpen?: boolean}} options
   */
  toNodes(lines, { isOpen = false } = {}) {
    const nodes = document.createDocumentFragment();
    let plain = "";
    lines.forEach((line, index) => {
      for (const [style, text] of line.runs()) {
        const look = style && this.styles[style];
        if (!look) {
          plain += text;
          continue;
        }
        if (plain) nodes.append(plain);
        plain = "";
        nodes.append(span(look, text));
      }
      if (!isOpen || index < lines.length - 1) plain += "\n";
    });
    if (plain) nodes.append(plain);
    return nodes;
  }
}

/** @param {string} words numbers with colons between */
const numbersOf = (words) => words.split(":").map((word) => Number.parseInt(word || "0", 10));

/**
 * The colour after 38, 48 or 58, and how many numbers it took.
 * @param {number[]} rest @param {boolean} hasColons
 * @returns {[number | string | null, number]}
 */
function extendedColour(rest, hasColons) {
  if (rest[0] === 5) return [rest[1] <= 255 ? rest[1] : null, 2];
  if (rest[0] !== 2) return [null, rest.length];
  const skip = hasColons && rest.length > 4 ? 2 : 1; // 38:2::r:g:b names a colour space first
  const parts = rest.slice(skip, skip + 3);
  if (parts.length < 3 || parts.some((part) => !(part <= 255))) return [null, skip + 3];
  return [`#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`, skip + 3];
}

/** @type {Record<number, [keyof Style, boolean][]>} */
const SIMPLE = {
  1: [["bold", true]],
  2: [["dim", true]],
  3: [["italic", true]],
  4: [["underline", true]],
  7: [["inverse", true]],
  9: [["strike", true]],
  21: [["bold", false]],
  22: [
    ["bold", false],
    ["dim", false],
  ],
  23: [["italic", false]],
  24: [["underline", false]],
  27: [["inverse", false]],
  29: [["strike", false]],
};

/** @param {Style} style @param {number} n */
function setSimple(style, n) {
  for (const [name, on] of SIMPLE[n] ?? []) {
    if (on) /** @type {any} */ (style)[name] = true;
    else delete style[name];
  }
  if (n >= 30 && n <= 37) style.fg = n - 30;
  else if (n >= 90 && n <= 97) style.fg = n - 82;
  else if (n === 39) delete style.fg;
  else if (n >= 40 && n <= 47) style.bg = n - 40;
  else if (n >= 100 && n <= 107) style.bg = n - 92;
  else if (n === 49) delete style.bg;
}

/** @param {Style} look @param {string} text */
function span(look, text) {
  const element = document.createElement("span");
  element.textContent = text;
  const { fg, bg, ...marks } = look;
  for (const mark of Object.keys(marks)) element.classList.add(`log-${mark}`);
  colour(element, "fg", "color", fg);
  colour(element, "bg", "backgroundColor", bg);
  return element;
}

/**
 * The sixteen named colours are the style sheet's, so that they can be read on its ground.
 * @param {HTMLElement} element @param {string} layer @param {"color" | "backgroundColor"} property
 * @param {number | string | undefined} value
 */
function colour(element, layer, property, value) {
  if (value === undefined) return;
  if (typeof value === "number" && value < 16) element.classList.add(`log-${layer}-${value}`);
  else element.style[property] = typeof value === "string" ? value : paletteColour(value);
}

/** Colours 16 to 255 of xterm's palette. @param {number} index */
function paletteColour(index) {
  if (index >= 232) {
    const grey = 8 + 10 * (index - 232);
    return `rgb(${grey}, ${grey}, ${grey})`;
  }
  const level = (/** @type {number} */ n) => (n ? 55 + 40 * n : 0);
  const cube = index - 16;
  return `rgb(${level(Math.floor(cube / 36))}, ${level(Math.floor(cube / 6) % 6)}, ${level(cube % 6)})`;
}
