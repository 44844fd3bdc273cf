// The log of a trial: the newest part first, follows while the trial runs, drawn as a terminal would.
// What is downloaded is what was printed, control characters and all.

import { api } from "./api.js";
import { h, toast } from "./dom.js";
import { Terminal } from "./terminal.js";

const WINDOW = 200 * 1024; // bytes shown at first, and at each "earlier"
const MOST = 2 * 1024 * 1024; // characters kept in the page while following
const FOLLOW = 1500; // milliseconds between two looks at a growing log
const LIST = 10000; // between two looks for new logs

/** Bytes as people read them. */
function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

const NEWLINE = 10;

/** The piece from its first whole line on, and where that begins; all of it where there is none. */
function wholeLines(piece) {
  let skip = piece.start > 0 ? piece.bytes.indexOf(NEWLINE) + 1 : 0;
  if (skip === piece.bytes.length) skip = 0; // a part of one long line, a progress bar's say
  return { bytes: piece.bytes.subarray(skip), start: piece.start + skip };
}

export class LogViewer {
  /** trialUrl: of the trial's REST resource; running(): whether the logs may still grow. */
  constructor({ trialUrl, fileName, running }) {
    Object.assign(this, { trialUrl, fileName, running });
    const get = (id) => document.getElementById(id);
    this.box = get("log-box");
    this.text = get("log-text");
    this.tabs = get("log-tabs");
    this.earlier = get("log-earlier");
    this.followButton = get("log-follow");
    this.download = get("log-download");
    this.sizeBox = get("log-size");
    this.name = null;
    this.following = true;
    this.box.addEventListener("scroll", () => {
      if (this.moving) return;
      this.setFollowing(this.atEnd());
    });
    this.earlier.addEventListener("click", () => this.loadEarlier());
    this.download.addEventListener("click", () => this.save());
    this.followButton.addEventListener("click", () => {
      this.setFollowing(!this.following);
      if (this.following) this.toEnd();
    });
    this.list();
  }

  atEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
  }

  toEnd() {
    this.moving = true;
    this.box.scrollTop = this.box.scrollHeight;
    requestAnimationFrame(() => (this.moving = false));
  }

  setFollowing(on) {
    this.following = on;
    this.followButton.setAttribute("aria-pressed", String(on));
    this.followButton.classList.toggle("active", on);
  }

  /** Which logs there are; again while the trial runs, since replicas may start later. */
  async list() {
    clearTimeout(this.listTimer);
    try {
      const logs = await api("GET", `${this.trialUrl}logs/`);
      this.drawTabs(logs);
    } catch (error) {
      if (this.name === null) this.say(error.message);
    }
    if (this.running())
      this.listTimer = setTimeout(() => this.list(), this.name === null ? 2000 : LIST);
  }

  drawTabs(logs) {
    if (!logs.length) {
      this.say(
        this.running() ? "The log appears here once the trial has started." : "No log was kept.",
      );
      return;
    }
    const names = logs.map((log) => log.name);
    if (names.join("\n") !== this.tabNames) {
      this.tabNames = names.join("\n");
      this.tabs.replaceChildren(
        ...logs.map((log) => {
          const tab = h(
            "button",
            { type: "button", dataset: { log: log.name }, "aria-pressed": "false" },
            log.name,
          );
          tab.addEventListener("click", () => this.choose(log.name));
          return tab;
        }),
      );
    }
    this.sizes = new Map(logs.map((log) => [log.name, log.size]));
    // An empty stream is the duller one to open with.
    if (this.name === null) this.choose((logs.find((log) => log.size > 0) ?? logs[0]).name);
    else this.mark();
  }

  mark() {
    for (const tab of this.tabs.children)
      tab.setAttribute("aria-pressed", String(tab.dataset.log === this.name));
  }

  choose(name) {
    this.name = name;
    this.mark();
    this.text.textContent = "";
    this.start = this.next = null;
    this.decoder = new TextDecoder();
    this.terminal = new Terminal();
    this.live = h("span"); // the lines that may still change
    this.blocks = []; // [element, characters] of those that may not, oldest first
    this.setFollowing(true);
    this.read();
  }

  say(text) {
    this.text.textContent = text;
    this.text.classList.add("log-none");
    this.followButton.hidden = this.download.hidden = true;
  }

  /** Draw what was printed next. */
  draw(bytes) {
    // a character may be cut by the piece's end: the decoder keeps its beginning
    const settled = this.terminal.feed(this.decoder.decode(bytes, { stream: true }));
    if (!this.live.isConnected) this.text.append(this.live);
    if (settled.length) {
      const block = h("span", {}, this.terminal.toNodes(settled));
      this.live.before(block);
      this.blocks.push([block, block.textContent.length]);
    }
    this.live.replaceChildren(this.terminal.toNodes(this.terminal.lines, { isOpen: true }));
  }

  async fetchPiece(offset, limit) {
    const query = new URLSearchParams({ log: this.name, offset, limit });
    const response = await fetch(`${this.trialUrl}log/?${query}`, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`The log could not be read (${response.status}).`);
    const number = (name) => Number(response.headers.get(name));
    return {
      bytes: new Uint8Array(await response.arrayBuffer()),
      start: number("X-Log-Offset"),
      next: number("X-Log-Next"),
      size: number("X-Log-Size"),
    };
  }

  /** The newest part, then whatever is added. */
  async read() {
    clearTimeout(this.timer);
    const name = this.name;
    const first = this.next === null;
    let caughtUp = true;
    try {
      const piece = await this.fetchPiece(first ? -WINDOW : this.next, WINDOW);
      if (name !== this.name) return;
      this.text.classList.remove("log-none");
      this.download.hidden = false;
      if (first) this.start = piece.start;
      if (piece.bytes.length) {
        const whole = first ? wholeLines(piece) : piece;
        if (first) this.start = whole.start;
        this.draw(whole.bytes);
        this.trim();
        if (this.following) this.toEnd();
      }
      this.next = piece.next;
      caughtUp = piece.next >= piece.size;
      this.sizeBox.textContent = size(piece.size);
      if (first && piece.size === 0)
        this.text.replaceChildren(h("span", { class: "log-none" }, "Empty so far."));
      else if (piece.bytes.length) this.text.querySelector(".log-none")?.remove();
      this.earlier.hidden = this.start === 0;
    } catch (error) {
      if (first) this.say(error.message);
    }
    this.followButton.hidden = !this.running();
    if (this.running() || !caughtUp)
      this.timer = setTimeout(() => this.read(), caughtUp ? FOLLOW : 50);
  }

  /** The trial ended: read what it wrote last. */
  ended() {
    setTimeout(() => (this.name === null ? this.list() : this.read()), 500);
  }

  trim() {
    if (!this.following) return;
    let length = this.blocks.reduce((sum, [, characters]) => sum + characters, 0);
    while (length > MOST) {
      const [block, characters] = this.blocks.shift();
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
      lines.push(...terminal.lines);
      const block = h("span", {}, terminal.toNodes(lines, { isOpen: true }));
      this.text.prepend(block);
      this.blocks.unshift([block, block.textContent.length]);
      this.moving = true;
      this.box.scrollTop += this.box.scrollHeight - before; // what is being read stays in place
      requestAnimationFrame(() => (this.moving = false));
      this.start = piece.start;
      this.earlier.hidden = this.start === 0;
      this.setFollowing(false);
    } catch (error) {
      toast(error.message, "danger");
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
      toast(error.message, "danger");
    } finally {
      this.download.disabled = false;
    }
  }
}
