// What happened and why, latest first.

import { api } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { ago } from "./format.js";
import { gettext } from "./language.js";
import { eventLook } from "./looks.js";
import { said } from "./said.js";

const PAGE_SIZE = 200;
const FIRST = 40; // come with the page; where there are fewer, there are no others
const MOST = 2000; // rows kept in the page

export class Timeline {
  /**
   * @param {{ url: string, page: string, events: HappenedEvent[], trial?: number | null }} settings
   *   events: the newest, latest first; page: of the experiment, for links; trial: only this one's
   */
  constructor({ url, page, events, trial = null }) {
    this.url = url;
    this.page = page;
    this.trial = trial;
    this.list = byId("events");
    /** @type {Set<number>} */
    this.seqs = new Set();
    this.newest = 0;
    this.oldest = events.at(-1)?.seq ?? 0;
    /** @type {number | undefined} the page of REST's list to read next */
    this.olderPage = undefined;
    for (const event of events) this.insert(event, "append");
    this.drawEmpty();
    const more = document.getElementById("events-more");
    if (more instanceof HTMLButtonElement) {
      more.hidden = events.length < FIRST;
      more.addEventListener("click", () => this.older(more));
    }
  }

  /** @param {HappenedEvent[]} events */
  add(events) {
    for (const event of events) {
      if (this.trial === null || event.trial === this.trial) this.insert(event, "prepend");
    }
    while (this.list.children.length > MOST) this.list.lastElementChild?.remove();
    this.drawEmpty();
  }

  /**
   * @param {HappenedEvent} event
   * @param {"append" | "prepend"} where
   */
  insert(event, where) {
    if (this.seqs.has(event.seq)) return;
    this.list.querySelector(".timeline-none")?.remove();
    this.seqs.add(event.seq);
    this.newest = Math.max(this.newest, event.seq);
    this.list[where](this.row(event));
  }

  /** @param {HappenedEvent} event */
  row(event) {
    const { icon: name, label: words, tone } = eventLook(event);
    const user = event.data?.user;
    const who =
      typeof user === "string" && h("span", { class: "muted" }, gettext(" by {user}", { user }));
    const reason = event.reason && h("span", { class: "timeline-reason" }, said(event.reason));
    const sign = icon(name === "running" ? "play" : name);
    return h(
      "li",
      { class: "timeline-row" },
      h("span", { class: `timeline-icon state-${tone}` }, sign),
      h(
        "div",
        { class: "timeline-text" },
        h("span", { class: "timeline-what" }, this.link(event), h("strong", {}, words), who),
        reason || null,
      ),
      h("span", { class: "timeline-time muted tiny" }, ago(event.time)),
    );
  }

  /** @param {HappenedEvent} event */
  link({ trial }) {
    if (trial === null || this.trial !== null) return null;
    const href = `${this.page}trials/${trial}/`;
    return h("a", { class: "timeline-trial num", href }, `#${trial}`);
  }

  drawEmpty() {
    if (this.list.children.length) return;
    const none = { class: "timeline-row timeline-none muted" };
    this.list.append(h("li", none, gettext("Nothing has happened yet.")));
  }

  /** @param {Record<string, number>} extra */
  query(extra) {
    const query = new URLSearchParams({ page_size: String(PAGE_SIZE) });
    for (const [name, value] of Object.entries(extra)) query.set(name, String(value));
    if (this.trial !== null) query.set("trial", String(this.trial));
    return `${this.url}?${query}`;
  }

  /**
   * The page of events that ends before the oldest shown; REST counts pages from the first.
   * @param {HTMLButtonElement} more
   */
  async older(more) {
    more.disabled = true;
    try {
      let page = this.olderPage;
      page ??= Math.ceil((await api("GET", this.query({ page: 1 }))).count / PAGE_SIZE);
      let added = 0;
      for (; page >= 1 && added === 0; page -= 1) {
        const answer = await api("GET", this.query({ page }));
        for (const event of answer.results.reverse()) {
          if (event.seq >= this.oldest || this.seqs.has(event.seq)) continue;
          this.insert(event, "append");
          added += 1;
        }
      }
      this.olderPage = page;
      more.hidden = page < 1;
    } finally {
      more.disabled = false;
    }
  }

  /** Without a socket: what happened since. */
  async poll() {
    const answer = await api("GET", this.query({ after: this.newest }));
    this.add(answer.results);
  }
}
