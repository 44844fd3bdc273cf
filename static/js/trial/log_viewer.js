// The log of a trial: the newest part first, follows while the trial runs, drawn as a terminal would.
// What is downloaded is what was printed, control characters and all.

import { api, wordsOf } from "../api.js";
import { byId, h, toast } from "../dom.js";
import { gettext } from "../language.js";
import { Terminal } from "./terminal.js";

const WINDOW = 200 * 1024; // bytes shown at first, and at each "earlier"
const MOST = 2 * 1024 * 1024; // characters kept in the page while following
const FOLLOW = 1500; // milliseconds between two looks at a growing log
const LIST = 10000; // between two looks for new logs
const FIRST_LIST = 2000; // the same, until there is one

const NEWLINE = 10;

/** @typedef {{ name: string, size: number }} Log */
/** @typedef {{ bytes: Uint8Array<ArrayBuffer>, start: number, next: number, size: number }} Piece */

/**
 * Bytes as people read them.
 * @param {number} bytes
 */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/**
 * The piece from its first whole line on, and where that begins; all of it where there is none.
 * @param {Piece} piece
 */
function wholeLines({ bytes, start }) {
  let skip = start > 0 ? bytes.indexOf(NEWLINE) + 1 : 0;
  if (skip === bytes.length) skip = 0; // a part of one long line, a progress bar's say
  return { bytes: bytes.subarray(skip), start: start + skip };
}

export class LogViewer {
  /**
   * @param {{ trialUrl: string, fileName: string, isRunning: () => boolean }} settings
   *   trialUrl: of the trial's REST resource; isRunning: whether the logs may still grow
   */
  constructor({ trialUrl, fileName, isRunning }) {
    this.trialUrl = trialUrl;
    this.fileName = fileName;
    this.isRunning = isRunning;
    this.box = byId("log-box");
    this.text = byId("log-text");
    this.tabs = byId("log-tabs");
    this.earlier = byId("log-earlier", HTMLButtonElement);
    this.followButton = byId("log-follow", HTMLButtonElement);
    this.download = byId("log-download", HTMLButtonElement);
    this.sizeBox = byId("log-size");
    /** @type {string | null} */
    this.name = null;
    this.tabNames = "";
    this.isFollowing = true;
    this.isMoving = false; // by us, not by the person
    this.start = 0; // of what is shown
    /** @type {number | null} where to read on; null: nothing was read yet */
    this.next = null;
    this.decoder = new TextDecoder();
    this.terminal = new Terminal();
    this.live = h("span"); // the lines that may still change
    /** @type {[HTMLElement, number][]} those that may not, oldest first, with their length */
    this.blocks = [];
    this.timer = 0;
    this.listTimer = 0;
    this.box.addEventListener("scroll", () => {
      if (!this.isMoving) this.follow(this.isAtEnd());
    });
    this.earlier.addEventListener("click", () => this.loadEarlier());
    this.download.addEventListener("click", () => this.save());
    this.followButton.addEventListener("click", () => {
      this.follow(!this.isFollowing);
      if (this.isFollowing) this.toEnd();
    });
    this.list();
  }

  isAtEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
  }

  toEnd() {
    this.scrollTo(this.box.scrollHeight);
  }

  /** @param {number} top */
  scrollTo(top) {
    this.isMoving = true;
    this.box.scrollTop = top;
    requestAnimationFrame(() => {
      this.isMoving = false;
    });
  }

  /** @param {boolean} on */
  follow(on) {
    this.isFollowing = on;
    this.followButton.setAttribute("aria-pressed", String(on));
    this.followButton.classList.toggle("active", on);
  }

  /** Which logs there are; again while the trial runs, since replicas may start later. */
  async list() {
    clearTimeout(this.listTimer);
    try {
      this.drawTabs(await api("GET", `${this.trialUrl}logs/`));
    } catch (error) {
      if (this.name === null) this.say(wordsOf(error));
    }
    if (!this.isRunning()) return;
    this.listTimer = window.setTimeout(() => this.list(), this.name === null ? FIRST_LIST : LIST);
  }

  /** @param {Log[]} logs */
  drawTabs(logs) {
    if (!logs.length) {
      const words = gettext("No log yet: it appears here as soon as the trial writes one.");
      this.say(this.isRunning() ? words : gettext("No log was kept."));
      return;
    }
    const names = logs.map((log) => log.name).join("\n");
    if (names !== this.tabNames) {
      this.tabNames = names;
      this.tabs.replaceChildren(...logs.map(({ name }) => this.tab(name)));
    }
    // An empty stream is the duller one to open with.
    if (this.name === null) this.choose((logs.find((log) => log.size > 0) ?? logs[0]).name);
    else this.mark();
  }

  /** @param {string} name */
  tab(name) {
    const props = { type: "button", dataset: { log: name }, "aria-pressed": "false" };
    const tab = h("button", props, name);
    tab.addEventListener("click", () => this.choose(name));
    return tab;
  }

  mark() {
    for (const tab of this.tabs.children) {
      tab.setAttribute("aria-pressed", String(tab.getAttribute("data-log") === this.name));
    }
  }

  /** @param {string} name */
  choose(name) {
    this.name = name;
    this.mark();
    this.text.textContent = "";
    this.start = 0;
    this.next = null;
    this.decoder = new TextDecoder();
    this.terminal = new Terminal();
    this.live = h("span");
    this.blocks = [];
    this.follow(true);
    this.read();
  }

  /** @param {string} text */
  say(text) {
    this.text.textContent = text;
    this.text.classList.add("log-none");
    this.followButton.hidden = true;
    this.download.hidden = true;
  }

  /**
   * @param {number} offset from the end where it is negative
   * @param {number} limit
   * @returns {Promise<Piece>}
   */
  async fetchPiece(offset, limit) {
    const query = new URLSearchParams({
      log: this.name ?? "",
      offset: String(offset),
      limit: String(limit),
    });
    const response = await fetch(`${this.trialUrl}log/?${query}`, { credentials: "same-origin" });
    if (!response.ok)
      throw new Error(
        gettext("The log could not be read ({status}).", { status: response.status }),
      );
    const header = (/** @type {string} */ name) => Number(response.headers.get(name));
    return {
      bytes: new Uint8Array(await response.arrayBuffer()),
      start: header("X-Log-Offset"),
      next: header("X-Log-Next"),
      size: header("X-Log-Size"),
    };
  }

  /** The newest part, then whatever is added. */
  async read() {
    clearTimeout(this.timer);
    const name = this.name;
    const from = this.next ?? -WINDOW;
    const isFirst = this.next === null;
    let hasCaughtUp = true;
    try {
      const piece = await this.fetchPiece(from, WINDOW);
      if (name !== this.name) return;
      this.append(piece, isFirst);
      hasCaughtUp = piece.next >= piece.size;
    } catch (error) {
      if (isFirst) this.say(wordsOf(error));
    }
    this.followButton.hidden = !this.isRunning();
    if (!this.isRunning() && hasCaughtUp) return;
    this.timer = window.setTimeout(() => this.read(), hasCaughtUp ? FOLLOW : 50);
  }

  /**
   * @param {Piece} piece
   * @param {boolean} isFirst
   */
  append(piece, isFirst) {
    this.text.classList.remove("log-none");
    this.download.hidden = false;
    if (isFirst) this.start = piece.start;
    if (piece.bytes.length) {
      const whole = isFirst ? wholeLines(piece) : piece;
      if (isFirst) this.start = whole.start;
      this.text.querySelector(".log-none")?.remove();
      this.draw(whole.bytes);
      this.trim();
      if (this.isFollowing) this.toEnd();
    }
    if (isFirst && piece.size === 0) {
      this.text.replaceChildren(h("span", { class: "log-none" }, gettext("Empty so far.")));
    }
    this.next = piece.next;
    this.sizeBox.textContent = size(piece.size);
    this.earlier.hidden = this.start === 0;
  }

  /**
   * Draw what was printed next.
   * @param {Uint8Array} bytes
   */
  draw(bytes) {
    // a character may be cut by the piece's end: the decoder keeps its beginning
    const settled = this.terminal.feed(this.decoder.decode(bytes, { stream: true }));
    if (!this.live.isConnected) this.text.append(this.live);
    if (settled.length) {
      const block = h("span", {}, this.terminal.toNodes(settled));
      this.live.before(block);
      this.blocks.push([block, block.textContent?.length ?? 0]);
    }
    this.live.replaceChildren(this.terminal.toNodes(this.terminal.lines, { isOpen: true }));
  }

  /** The trial ended: read what it wrote last. */
  ended() {
    setTimeout(() => (this.name === null ? this.list() : this.read()), 500);
  }

  trim() {
    if (!this.isFollowing) return;
    let length = this.blocks.reduce((sum, [, characters]) => sum + characters, 0);
    while (length > MOST) {
      const [block, characters] = /** @type {[HTMLElement, number]} */ (this.blocks.shift());
      block.remove();
      length -= characters;
      this.start = Math.max(1, this.start); // what was cut away can be had again only by reloading
    }
  }

  async loadEarlier() {
    this.earlier.disabled = true;
    try {
      const from = Math.max(0, this.start - WINDOW);
      const piece = wholeLines(await this.fetchPiece(from, this.start - from));
      const before = this.box.scrollHeight;
      const terminal = new Terminal();
      const lines = terminal.feed(new TextDecoder().decode(piece.bytes));
      const block = h(
        "span",
        {},
        terminal.toNodes([...lines, ...terminal.lines], { isOpen: true }),
      );
      this.text.prepend(block);
      this.blocks.unshift([block, block.textContent?.length ?? 0]);
      // what is being read stays in place
      this.scrollTo(this.box.scrollTop + this.box.scrollHeight - before);
      this.start = piece.start;
      this.earlier.hidden = this.start === 0;
      this.follow(false);
    } catch (error) {
      toast(wordsOf(error), "danger");
    } finally {
      this.earlier.disabled = false;
    }
  }

  /** The whole log as a file, piece by piece: one answer of the server is limited. */
  async save() {
    this.download.disabled = true;
    try {
      const pieces = [];
      let next = 0;
      for (;;) {
        const piece = await this.fetchPiece(next, 1024 * 1024);
        pieces.push(piece.bytes);
        next = piece.next;
        if (!piece.bytes.length || next >= piece.size) break;
      }
      const url = URL.createObjectURL(new Blob(pieces, { type: "text/plain" }));
      h("a", { href: url, download: `${this.fileName}-${this.name}.txt` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } catch (error) {
      toast(wordsOf(error), "danger");
    } finally {
      this.download.disabled = false;
    }
  }
}
