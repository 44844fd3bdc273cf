// The websocket: cursor, back-off, polling, the end.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Live } from "../../static/js/live.js";
import { Clock } from "./clock.js";

let clock = new Clock();

class FakeSocket {
  static OPEN = 1;
  /** @type {FakeSocket[]} */
  static made = [];
  /** @param {string} url */
  constructor(url) {
    this.url = url;
    this.readyState = 1;
    /** @type {(event: { data: string }) => void} */
    this.onmessage = () => {};
    /** @type {(event: { code: number }) => void} */
    this.onclose = () => {};
    FakeSocket.made.push(this);
  }
  close() {
    this.readyState = 3;
  }
  /** @param {object} message */
  says(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  /** @param {number} code */
  drops(code) {
    this.readyState = 3;
    this.onclose({ code });
  }
}

const newest = () => /** @type {FakeSocket} */ (FakeSocket.made.at(-1));

function start() {
  /** @type {{ states: string[], messages: News[], polls: number }} */
  const seen = { states: [], messages: [], polls: 0 };
  const live = new Live({
    url: "/ws/experiments/a/",
    after: 5,
    onMessage: (message) => seen.messages.push(message),
    onState: (state) => seen.states.push(state),
    onPoll: async () => {
      seen.polls += 1;
    },
  });
  return { live, seen };
}

beforeEach(() => {
  clock = new Clock();
  mock.method(Math, "random", () => 0.5);
  FakeSocket.made = [];
  Object.assign(globalThis, clock.functions, {
    WebSocket: FakeSocket,
    window: new EventTarget(),
    document: Object.assign(new EventTarget(), { hidden: false }),
    location: { protocol: "https:", host: "example.org" },
  });
});

test("it asks for what comes after the page's cursor", () => {
  const { seen } = start();
  assert.equal(newest().url, "wss://example.org/ws/experiments/a/?after=5");
  assert.deepEqual(seen.states, ["connecting"]);
  newest().says({ seq: 9 });
  assert.deepEqual(seen.states, ["connecting", "live"]);
});

test("after a break it comes back with the newest cursor it saw", () => {
  const { seen } = start();
  newest().says({ seq: 9 });
  newest().says({ experiment: {} }); // without a cursor
  newest().drops(1006);
  assert.equal(seen.states.at(-1), "reconnecting");
  clock.tick(400);
  assert.equal(FakeSocket.made.length, 2);
  assert.match(newest().url, /after=9$/);
});

test("it waits twice as long after each failure, at most 15 s", () => {
  start();
  for (const delay of [400, 800, 1600, 3200, 6400, 12800, 15000, 15000]) {
    const before = FakeSocket.made.length;
    newest().drops(1006);
    clock.tick(delay - 1);
    assert.equal(FakeSocket.made.length, before, `${delay} ms`);
    clock.tick(1);
    assert.equal(FakeSocket.made.length, before + 1, `${delay} ms`);
  }
});

test("after three failures the page is polled, until the socket speaks again", async () => {
  const { seen } = start();
  for (const delay of [400, 800]) {
    newest().drops(1006);
    clock.tick(delay);
  }
  newest().drops(1006);
  assert.equal(seen.states.at(-1), "offline");
  clock.tick(5000);
  assert.equal(seen.polls, 1);
  await Promise.resolve();
  await Promise.resolve();
  newest().says({ seq: 6 });
  assert.equal(seen.states.at(-1), "live");
  clock.tick(20000);
  assert.equal(seen.polls, 1);
});

test("a connection that says nothing for 25 s is taken for dead", () => {
  const { seen } = start();
  newest().says({ seq: 6 });
  clock.tick(24000);
  newest().says({ seq: 6 });
  clock.tick(24999);
  assert.equal(seen.states.at(-1), "live");
  clock.tick(1);
  assert.equal(seen.states.at(-1), "reconnecting");
  clock.tick(400);
  assert.equal(FakeSocket.made.length, 2);
});

test("what an old socket says does not count", () => {
  const { seen } = start();
  const old = newest();
  old.drops(1006);
  clock.tick(400);
  old.says({ seq: 99 });
  old.drops(1006);
  assert.equal(seen.messages.length, 0);
  assert.deepEqual(seen.states, ["connecting", "reconnecting"]);
});

test("of a deleted experiment there is nothing to wait for", () => {
  const { seen } = start();
  newest().says({ seq: 6 });
  newest().drops(4404);
  clock.tick(60000);
  assert.equal(seen.states.at(-1), "gone");
  assert.equal(FakeSocket.made.length, 1);
});

test("who has signed out is told so, and comes back where they have signed in again", () => {
  const { seen } = start();
  newest().says({ seq: 6 });
  newest().drops(4401);
  clock.tick(60000);
  assert.equal(seen.states.at(-1), "signed-out");
  assert.equal(FakeSocket.made.length, 1);
  window.dispatchEvent(new Event("online"));
  clock.tick(0);
  newest().says({ seq: 7 });
  assert.equal(seen.states.at(-1), "live");
});

test("back online it does not wait", () => {
  start();
  newest().drops(1006);
  window.dispatchEvent(new Event("online"));
  clock.tick(0);
  assert.equal(FakeSocket.made.length, 2);
});
