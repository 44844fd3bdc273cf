// The log of a trial: the newest part first, follows while the trial runs, text only.

import { api } from "./api.js";
import { h, toast } from "./dom.js";

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
    this.setFollowing(true);
    this.read();
  }

  say(text) {
    this.text.textContent = text;
    this.text.classList.add("log-none");
    this.followButton.hidden = this.download.hidden = true;
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
        // a character may be cut by the piece's end: the decoder keeps its beginning
        const words = this.decoder.decode(piece.bytes, { stream: true });
        this.text.append(first && piece.start > 0 ? words.slice(words.indexOf("\n") + 1) : words);
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
    let length = this.text.textContent.length;
    while (length > MOST && this.text.childNodes.length > 1) {
      const node = this.text.firstChild;
      length -= node.textContent.length;
      node.remove();
      this.start = Math.max(1, this.start); // what was cut away can be had again only by reloading
    }
  }

  async loadEarlier() {
    this.earlier.disabled = true;
    try {
      const from = Math.max(0, this.start - WINDOW);
      const piece = await this.fetchPiece(from, this.start - from);
      const before = this.box.scrollHeight;
      this.text.prepend(new TextDecoder().decode(piece.bytes));
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
