// What happened and why, latest first.

import { api } from "./api.js";
import { h, icon } from "./dom.js";
import { ago, STATES } from "./format.js";

const PAGE_SIZE = 200;
const MOST = 2000; // rows kept in the page

const WORDS = {
  created: "Created",
  phase: "Phase",
  limits: "Limits changed",
  suspended: "Suspended",
  resumed: "Resumed",
  finish: "Finish early",
  details: "Details changed",
  stopping: "Stopping",
  excluded: "Left out of the results",
  restored: "Taken back into the results",
  verdict: "Verdict",
  trouble: "Trouble",
  note: "Note",
  "upload failed": "Upload to AIStore failed",
  "upload well again": "Upload to AIStore goes on",
  uploaded: "Uploaded to AIStore",
};
const ICONS = {
  created: "plus",
  phase: "flask",
  limits: "sliders",
  suspended: "pause",
  resumed: "play",
  finish: "stop",
  details: "edit",
  stopping: "scissors",
  excluded: "eye-off",
  restored: "eye",
  trouble: "warning",
  note: "info",
  verdict: "scissors",
  "upload failed": "warning",
  "upload well again": "upload",
  uploaded: "upload",
};
const PHASE_WORDS = {
  PENDING: "pending",
  RUNNING: "running",
  DONE: "done",
  TIMEOUT: "timed out",
  ERROR: "error",
};

/** Icon, tone and words of one event. */
function look(event) {
  if (event.what === "state") {
    const [css, name, word] = STATES[event.to] ?? ["waiting", "info", event.to];
    return [name, css, event.from ? word : "New"];
  }
  if (event.what === "phase") {
    return [
      event.to === "ERROR" ? "x-octagon" : "flask",
      event.to === "ERROR" ? "failed" : "running",
      `Now ${PHASE_WORDS[event.to] ?? event.to}`,
    ];
  }
  if (event.what === "stopping") {
    return [
      "scissors",
      event.to === "EARLY_STOPPED" ? "early" : "canceled",
      event.to === "EARLY_STOPPED" ? "Stopped by the assessor" : "Being stopped",
    ];
  }
  return [
    ICONS[event.what] ?? "info",
    event.what === "trouble" || event.what === "upload failed" ? "failed" : "waiting",
    WORDS[event.what] ?? event.what,
  ];
}

export class Timeline {
  /** events: the newest, latest first; page: of the experiment, for links; trial: only this one's. */
  constructor({ url, page, events, trial = null }) {
    Object.assign(this, { url, page, trial });
    this.list = document.getElementById("events");
    this.more = document.getElementById("events-more");
    this.seqs = new Set();
    this.newest = 0;
    for (const event of events) this.insert(event, "append");
    this.oldest = events.at(-1)?.seq ?? 0;
    this.drawEmpty();
    if (this.more) {
      this.more.hidden = events.length < 40;
      this.more.addEventListener("click", () => this.older());
    }
  }

  add(events) {
    for (const event of events) {
      if (this.trial === null || event.trial === this.trial) this.insert(event, "prepend");
    }
    while (this.list.children.length > MOST) this.list.lastElementChild.remove();
    this.drawEmpty();
  }

  insert(event, where) {
    if (this.seqs.has(event.seq)) return;
    this.list.querySelector(".timeline-none")?.remove();
    this.seqs.add(event.seq);
    this.newest = Math.max(this.newest, event.seq);
    this.list[where](this.row(event));
  }

  row(event) {
    const [name, tone, words] = look(event);
    const trial =
      event.trial === null || this.trial !== null
        ? null
        : h(
            "a",
            { class: "timeline-trial num", href: `${this.page}trials/${event.trial}/` },
            `#${event.trial}`,
          );
    const who =
      typeof event.data?.user === "string"
        ? h("span", { class: "muted" }, ` by ${event.data.user}`)
        : null;
    return h(
      "li",
      { class: "timeline-row" },
      h("span", { class: `timeline-icon state-${tone}` }, icon(name === "running" ? "play" : name)),
      h(
        "div",
        { class: "timeline-text" },
        h("span", { class: "timeline-what" }, trial, h("strong", {}, words), who),
        event.reason ? h("span", { class: "timeline-reason" }, event.reason) : null,
      ),
      h("span", { class: "timeline-time muted tiny" }, ago(event.time)),
    );
  }

  drawEmpty() {
    if (this.list.children.length) return;
    this.list.append(
      h("li", { class: "timeline-row timeline-none muted" }, "Nothing has happened yet."),
    );
  }

  query(extra) {
    const query = new URLSearchParams({ page_size: PAGE_SIZE, ...extra });
    if (this.trial !== null) query.set("trial", this.trial);
    return `${this.url}?${query}`;
  }

  /** The page of events that ends before the oldest shown; REST counts pages from the first. */
  async older() {
    this.more.disabled = true;
    try {
      this.olderPage ??= Math.ceil((await api("GET", this.query({ page: 1 }))).count / PAGE_SIZE);
      let added = 0;
      while (this.olderPage >= 1 && added === 0) {
        const answer = await api("GET", this.query({ page: this.olderPage }));
        for (const event of answer.results.reverse()) {
          if (event.seq < this.oldest && !this.seqs.has(event.seq)) {
            this.insert(event, "append");
            added += 1;
          }
        }
        this.olderPage -= 1;
      }
      this.more.hidden = this.olderPage < 1;
    } finally {
      this.more.disabled = false;
    }
  }

  /** Without a socket: what happened since. */
  async poll() {
    const answer = await api("GET", this.query({ after: this.newest }));
    this.add(answer.results);
  }
}
