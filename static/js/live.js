// Keeps a page's websocket: cursor, back-off, a state that is shown, and polling when sockets fail.

import { byId } from "./dom.js";
import { parse } from "./exact.js";
import { gettext } from "./language.js";

const FIRST_DELAY = 400; // milliseconds before the first new try; doubles each time
const LONGEST_DELAY = 15000;
const SILENCE = 25000; // the server speaks at least every 10 s: after this it is dead
const POLL = 5000;
const FAILURES_BEFORE_POLLING = 3;
const [SIGNED_OUT, GONE] = [4401, 4404];

/** @typedef {"connecting" | "live" | "reconnecting" | "offline" | "signed-out" | "gone"} LiveState */

export class Live {
  /**
   * @param {{
   *   url: string, after: number, onMessage: (message: News) => void,
   *   onPoll: () => Promise<unknown>, onState: (state: LiveState) => void,
   * }} settings url: path of the socket; after: cursor of what the page already shows;
   *   onPoll: reads the page's rows by REST
   */
  constructor({ url, after, onMessage, onPoll, onState }) {
    this.url = url;
    this.cursor = after;
    this.onMessage = onMessage;
    this.onPoll = onPoll;
    this.onState = onState;
    this.failures = 0;
    this.updatedAt = Date.now();
    /** @type {LiveState | ""} */
    this.state = "";
    /** @type {WebSocket | null} */
    this.socket = null;
    this.isPolling = false;
    /** @type {Record<"again" | "silence" | "poll", ReturnType<typeof setTimeout> | undefined>} */
    this.timers = { again: undefined, silence: undefined, poll: undefined };
    window.addEventListener("online", () => this.again(0));
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.again(0));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state !== "live") this.again(0);
    });
    this.connect();
  }

  /** @param {LiveState} state */
  show(state) {
    this.state = state;
    this.onState(state);
  }

  connect() {
    clearTimeout(this.timers.again);
    this.close();
    if (!this.state) this.show("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(`${scheme}//${location.host}${this.url}?after=${this.cursor}`);
    } catch {
      this.lost();
      return;
    }
    this.socket = socket;
    this.watch();
    socket.onmessage = (event) => {
      if (socket === this.socket) this.heard(parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.socket = null;
      if (event.code === GONE) this.end("gone");
      else if (event.code === SIGNED_OUT) this.end("signed-out");
      else this.lost();
    };
  }

  /** @param {News} message */
  heard(message) {
    this.failures = 0;
    clearInterval(this.timers.poll);
    this.timers.poll = undefined;
    this.watch();
    this.updatedAt = Date.now();
    if (typeof message.seq === "number") this.cursor = Math.max(this.cursor, message.seq);
    if (this.state !== "live") this.show("live");
    this.onMessage(message);
  }

  /** A connection that says nothing for long is taken for dead. */
  watch() {
    clearTimeout(this.timers.silence);
    this.timers.silence = setTimeout(() => {
      this.close();
      this.lost();
    }, SILENCE);
  }

  close() {
    clearTimeout(this.timers.silence);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  lost() {
    clearTimeout(this.timers.silence);
    if (this.state === "gone") return;
    this.failures += 1;
    if (this.failures >= FAILURES_BEFORE_POLLING) {
      if (this.state !== "offline") this.show("offline");
      this.timers.poll ??= setInterval(() => this.poll(), POLL);
    } else if (this.state !== "reconnecting") {
      this.show("reconnecting");
    }
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (this.failures - 1));
    this.again(delay * (0.5 + Math.random()));
  }

  /** @param {number} delay */
  again(delay) {
    if (this.state === "gone" || this.socket?.readyState === WebSocket.OPEN) return;
    clearTimeout(this.timers.again);
    this.timers.again = setTimeout(() => this.connect(), delay);
  }

  async poll() {
    if (document.hidden || this.isPolling) return;
    this.isPolling = true;
    try {
      await this.onPoll();
      this.updatedAt = Date.now();
    } catch {
      // the next try may do better; the state says "offline" meanwhile
    } finally {
      this.isPolling = false;
    }
  }

  /**
   * Nothing to wait for: the experiment was deleted; or till the person comes back, signed in.
   * @param {"gone" | "signed-out"} state
   */
  end(state) {
    clearTimeout(this.timers.silence);
    clearInterval(this.timers.poll);
    this.timers.poll = undefined;
    this.show(state);
  }
}

/** @type {Record<LiveState, string>} */
const WORDS = {
  connecting: gettext("connecting…"),
  live: gettext("live"),
  reconnecting: gettext("reconnecting…"),
  offline: gettext("offline, reloading by timer"),
  "signed-out": gettext("signed out"),
  gone: gettext("deleted"),
};

/** How long ago, for the badge. @param {number} seconds */
export function ageWords(seconds) {
  if (seconds < 1) return gettext("updated now");
  if (seconds < 100) return gettext("updated {n} s ago", { n: seconds });
  return gettext("updated {n} min ago", { n: Math.floor(seconds / 60) });
}

/** Show a connection's state in the page's badge, and how long ago it last spoke. */
export function connectionBadge() {
  const badge = byId("connection");
  const word = byId("connection-word");
  const age = byId("connection-age");
  return {
    /** @param {LiveState} state */
    show(state) {
      badge.dataset.state = state;
      word.textContent = WORDS[state];
    },
    /** @param {number} updatedAt */
    tick(updatedAt) {
      const text = ageWords(Math.floor((Date.now() - updatedAt) / 1000));
      if (age.textContent !== text) age.textContent = text;
    },
  };
}
