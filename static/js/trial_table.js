// The table of trials: sorted, filtered and paged by the server, rows kept fresh in place.

import { api } from "./api.js";
import { debounce, h, icon, toast } from "./dom.js";
import {
  ago,
  duration,
  FINISHED,
  full,
  number,
  plain,
  STATES,
  stateBadge,
  trialSeconds,
} from "./format.js";

const PAGE_SIZE = 50;
const MOST_DEFAULT_PARAMETERS = 6;
const DEFAULT_ORDER = "-number";
const REFETCH = 1000; // milliseconds between two reads of the page
const ORIGIN_WORDS = {
  "start-up": "random start-up",
  model: "proposed by the model",
  grid: "from the grid",
  batch: "from the batch",
  random: "random",
  custom: "added by hand",
  retry: "retry of a failed trial",
};

/** What a parameter or metric is called in an expression or order; quoted where it must be. */
const quoted = (kind, name) => `${kind}:${/^[A-Za-z_][\w.]*$/.test(name) ? name : `"${name}"`}`;

export class TrialTable {
  /**
   * url: of the trials' REST list; page: of the experiment's page, for links; space, metrics: names
   * to offer as columns; url state is read from and written to `params` (URLSearchParams).
   * onAction(name, trial): a row's button.
   */
  constructor({ url, page, space, metrics, params, first, onAction, onState, mayChange }) {
    Object.assign(this, { url, page, onAction, onState, mayChange });
    this.names = {
      param: Object.keys(space),
      metric: metrics.filter((name) => name !== "default"),
    };
    this.rows = new Map(); // number → {trial, row}
    this.read(params);
    this.findElements();
    this.buildColumns();
    if (this.isDefault() && first) this.show(first);
    else this.load();
    setInterval(() => this.tick(), 1000);
  }

  // ---- state in the URL

  read(params) {
    this.order = params.get("order") || DEFAULT_ORDER;
    this.states = new Set((params.get("state") ?? "").split(",").filter((s) => s in STATES));
    this.where = params.get("where") ?? "";
    this.pageNumber = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
    this.columns = params.has("columns") ? params.get("columns").split(",").filter(Boolean) : null;
  }

  /** What of this belongs into the URL; null removes. */
  urlState() {
    return {
      order: this.order === DEFAULT_ORDER ? null : this.order,
      state: [...this.states].join(",") || null,
      where: this.where || null,
      page: this.pageNumber > 1 ? String(this.pageNumber) : null,
      columns: this.columns ? this.columns.join(",") : null,
    };
  }

  isDefault() {
    return (
      this.order === DEFAULT_ORDER && !this.states.size && !this.where && this.pageNumber === 1
    );
  }

  changed({ keepPage = false } = {}) {
    if (!keepPage) this.pageNumber = 1;
    this.onState();
    this.load();
  }

  // ---- parts

  findElements() {
    const get = (id) => document.getElementById(id);
    this.head = get("trial-head");
    this.body = get("trial-rows");
    this.empty = get("trials-empty");
    this.pager = get("pager");
    this.chips = get("state-chips");
    this.scroll = this.body.closest(".table-scroll");
    const input = get("where");
    input.value = this.where;
    const apply = () => {
      if (input.value.trim() === this.where) return;
      this.where = input.value.trim();
      this.changed();
    };
    input.addEventListener("input", debounce(apply, 600));
    input.addEventListener("search", apply);
    get("where-form").addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    this.pager.addEventListener("click", (event) => {
      const button = event.target.closest("[data-page]");
      if (!button) return;
      this.pageNumber += button.dataset.page === "next" ? 1 : -1;
      this.changed({ keepPage: true });
      document.getElementById("trials").scrollIntoView({ block: "start" });
    });
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.scroll.addEventListener("pointerleave", () => this.late && this.refresh());
  }

  clicked(event) {
    const row = event.target.closest("tr[data-number]");
    if (!row) return;
    const entry = this.rows.get(Number(row.dataset.number));
    const button = event.target.closest("[data-row-action]");
    if (button) this.onAction(button.dataset.rowAction, entry.trial, button);
    else if (!event.target.closest("a, button") && !String(window.getSelection())) {
      location.assign(this.linkTo(entry.trial.number));
    }
  }

  linkTo(trialNumber) {
    return `${this.page}trials/${trialNumber}/`;
  }

  // ---- columns

  /** Every column that can be shown: [key, title, order, cell]. */
  buildColumns() {
    const parameters = this.names.param.map((name) => ({
      key: `p.${name}`,
      title: name,
      order: quoted("param", name),
      mono: true,
      group: "Parameters",
      cell: (trial) => this.valueCell(trial.parameters[name]),
    }));
    const metrics = this.names.metric.map((name) => ({
      key: `m.${name}`,
      title: name,
      order: quoted("metric", name),
      group: "Final metrics",
      cell: (trial) => this.valueCell(trial.metrics[name]),
    }));
    this.all = [
      {
        key: "number",
        title: "#",
        order: "number",
        fixed: true,
        cell: (trial) => this.numberCell(trial),
      },
      {
        key: "id",
        title: "ID",
        order: "id",
        group: "Trial",
        cell: (t) => h("td", { class: "mono muted" }, t.id),
      },
      {
        key: "state",
        title: "State",
        order: "state",
        fixed: true,
        cell: (t) => h("td", {}, stateBadge(t.state, t)),
      },
      {
        key: "value",
        title: "Value",
        order: "value",
        fixed: true,
        num: true,
        cell: (trial) => this.resultCell(trial),
      },
      ...parameters,
      ...metrics,
      {
        key: "duration",
        title: "Duration",
        order: "duration",
        num: true,
        group: "Trial",
        cell: (t) => this.durationCell(t),
      },
      {
        key: "origin",
        title: "Origin",
        order: "origin",
        group: "Trial",
        cell: (t) => this.originCell(t),
      },
      {
        key: "reports",
        title: "Reports",
        order: "n_reports",
        num: true,
        group: "Trial",
        cell: (t) => h("td", { class: "num" }, t.n_reports),
      },
      {
        key: "reason",
        title: "Reason",
        group: "Trial",
        cell: (t) =>
          h("td", { class: "reason", title: t.reason }, h("span", { class: "truncate" }, t.reason)),
      },
      {
        key: "started",
        title: "Started",
        order: "started_at",
        group: "Trial",
        cell: (t) => h("td", { class: "muted nowrap" }, ago(t.started_at)),
      },
      {
        key: "exit",
        title: "Exit code",
        order: "exit_code",
        num: true,
        group: "Trial",
        cell: (t) => h("td", { class: "num" }, t.exit_code ?? "–"),
      },
    ];
    this.defaults = this.all
      .filter(
        (c) => !c.fixed && !["started", "exit", "id"].includes(c.key) && !c.key.startsWith("m."),
      )
      .filter((c) => !c.key.startsWith("p.") || parameters.indexOf(c) < MOST_DEFAULT_PARAMETERS)
      .map((c) => c.key);
    this.drawColumnsMenu();
    this.drawHead();
  }

  /** Metrics first seen while the page is open become columns on offer. */
  learnMetrics(names) {
    const fresh = names.filter((name) => name !== "default" && !this.names.metric.includes(name));
    if (!fresh.length) return;
    this.names.metric.push(...fresh);
    this.buildColumns();
  }

  shown() {
    const chosen = new Set(this.columns ?? this.defaults);
    return this.all.filter((column) => column.fixed || chosen.has(column.key));
  }

  drawColumnsMenu() {
    const menu = document.getElementById("columns-menu");
    const chosen = new Set(this.columns ?? this.defaults);
    const groups = new Map();
    for (const column of this.all.filter((c) => !c.fixed)) {
      if (!groups.has(column.group)) groups.set(column.group, []);
      const box = h("input", {
        type: "checkbox",
        class: "form-check-input",
        checked: chosen.has(column.key),
      });
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(column.key);
        else chosen.delete(column.key);
        this.columns = this.all.filter((c) => chosen.has(c.key)).map((c) => c.key);
        if (this.columns.join() === this.defaults.join()) this.columns = null;
        this.drawHead();
        this.redraw();
        this.onState();
      });
      groups
        .get(column.group)
        .push(
          h(
            "label",
            { class: "columns-item" },
            box,
            h("span", { class: "truncate" }, column.title),
          ),
        );
    }
    menu.replaceChildren(
      ...[...groups].flatMap(([name, items]) => [
        h("div", { class: "dropdown-header" }, name),
        ...items,
      ]),
    );
  }

  drawHead() {
    const [field, down] = this.order.startsWith("-")
      ? [this.order.slice(1), true]
      : [this.order, false];
    const cells = this.shown().map((column) => {
      const active = column.order === field;
      const sort = active ? (down ? "descending" : "ascending") : null;
      if (!column.order) return h("th", { class: column.key }, column.title);
      const button = h(
        "button",
        { type: "button", class: "sort", title: `Sort by ${column.title}` },
        h("span", { class: column.mono ? "mono" : "" }, column.title),
        icon(active ? (down ? "down" : "up") : "sort", active ? "" : "idle"),
      );
      button.addEventListener("click", () => {
        // values: best first on the first click is not ours to know; numbers descend, words ascend
        this.order = active
          ? down
            ? column.order
            : `-${column.order}`
          : column.num
            ? `-${column.order}`
            : column.order;
        this.drawHead();
        this.changed();
      });
      return h(
        "th",
        {
          class: `${column.key.replace(/\W/g, "-")}${column.num ? " num" : ""}`,
          "aria-sort": sort,
        },
        button,
      );
    });
    this.head.replaceChildren(
      h("tr", {}, cells, h("th", {}, h("span", { class: "visually-hidden" }, "Actions"))),
    );
  }

  // ---- cells

  valueCell(value) {
    if (value === undefined) return h("td", { class: "muted" }, "–");
    return h(
      "td",
      { class: `mono value${typeof value === "number" ? " num" : ""}`, title: full(value) },
      h("span", { class: "truncate" }, plain(value)),
    );
  }

  numberCell(trial) {
    const link = h("a", { href: this.linkTo(trial.number), class: "trial-number" }, trial.number);
    const cell = h("td", { class: "number" }, link);
    if (trial.number === this.best)
      cell.append(h("span", { class: "best-mark", title: "Best trial" }, icon("star")));
    return cell;
  }

  resultCell(trial) {
    if (trial.value !== null)
      return h("td", { class: "num value", title: String(trial.value) }, number(trial.value));
    if (trial.latest_value === null) return h("td", { class: "num muted" }, "–");
    return h(
      "td",
      { class: "num value", title: `${trial.latest_value}, report ${trial.latest_sequence}` },
      number(trial.latest_value),
      h("span", { class: "latest" }, "latest"),
    );
  }

  durationCell(trial) {
    const seconds = trialSeconds(trial);
    return h(
      "td",
      { class: "num nowrap", dataset: trial.state === "RUNNING" ? { ticks: "1" } : {} },
      duration(seconds),
    );
  }

  originCell(trial) {
    const cell = h(
      "td",
      {},
      trial.origin
        ? h("span", { class: "tag", title: ORIGIN_WORDS[trial.origin] }, trial.origin)
        : "–",
    );
    if (trial.attempt > 1)
      cell.append(
        h("span", { class: "tag", title: "Times it was launched" }, `attempt ${trial.attempt}`),
      );
    if (trial.excluded) cell.append(h("span", { class: "tag tag-excluded" }, "excluded"));
    return cell;
  }

  actionsCell(trial) {
    const cell = h("td", { class: "row-actions" });
    if (!this.mayChange) return cell;
    const add = (name, iconName, title, danger) =>
      cell.append(
        h(
          "button",
          {
            type: "button",
            class: `btn btn-icon btn-icon-s${danger ? " danger" : ""}`,
            title,
            "aria-label": `${title}: trial ${trial.number}`,
            "data-row-action": name,
          },
          icon(iconName),
        ),
      );
    if (!FINISHED.has(trial.state)) {
      if (!trial.stopping) add("kill", "x", "Stop this trial", true);
    } else {
      if (trial.retriable) add("retry", "refresh", "Try again");
      if (trial.excluded) add("restore", "eye", "Take back into the results");
      else add("exclude", "eye-off", "Leave out of the results");
    }
    add("copy", "copy", "New trial from these parameters");
    return cell;
  }

  // ---- rows

  drawRow(trial, row = h("tr", { "data-testid": "trial-row" })) {
    row.dataset.number = trial.number;
    row.dataset.state = trial.state;
    row.className = trial.excluded ? "is-excluded" : "";
    row.replaceChildren(
      ...this.shown().map((column) => column.cell(trial)),
      this.actionsCell(trial),
    );
    return row;
  }

  show({ count, results }) {
    this.count = count;
    const before = this.rows;
    this.rows = new Map();
    for (const fresh of results) {
      // What the socket brought meanwhile is newer than an answer that was under way.
      const known = before.get(fresh.number);
      const trial = known && known.trial.seq > fresh.seq ? known.trial : fresh;
      this.rows.set(trial.number, { trial, row: this.drawRow(trial, known?.row) });
    }
    const rows = [...this.rows.values()].map((entry) => entry.row);
    const focused = document.activeElement?.closest?.("tr[data-number]");
    if (
      rows.length !== this.body.children.length ||
      rows.some((row, i) => row !== this.body.children[i])
    ) {
      this.body.replaceChildren(...rows);
      if (focused?.isConnected) focused.querySelector("a")?.focus({ preventScroll: true });
    }
    this.drawEmpty();
    this.drawPager();
  }

  redraw() {
    for (const { trial, row } of this.rows.values()) this.drawRow(trial, row);
  }

  drawEmpty() {
    const none = this.rows.size === 0;
    this.empty.hidden = !none;
    this.scroll.hidden = none;
    if (none) {
      const filtered = this.states.size || this.where;
      this.empty.replaceChildren(
        h(
          "p",
          { class: "muted" },
          filtered
            ? "No trial fits this filter."
            : "No trials yet. They appear here as soon as the tuner proposes the first.",
        ),
      );
      if (filtered) {
        const clear = h(
          "button",
          { type: "button", class: "btn btn-default btn-sm" },
          "Clear the filter",
        );
        clear.addEventListener("click", () => {
          this.states.clear();
          this.where = document.getElementById("where").value = "";
          this.changed();
        });
        this.empty.append(clear);
      }
    }
  }

  drawPager() {
    const pages = Math.max(1, Math.ceil(this.count / PAGE_SIZE));
    this.pager.hidden = this.count === 0;
    const from = (this.pageNumber - 1) * PAGE_SIZE + 1;
    document.getElementById("pager-text").textContent =
      `${from}–${Math.min(this.count, from + this.rows.size - 1)} of ${this.count}`;
    this.pager.querySelector('[data-page="previous"]').disabled = this.pageNumber <= 1;
    this.pager.querySelector('[data-page="next"]').disabled = this.pageNumber >= pages;
    this.pager.querySelector(".pager-buttons").hidden = pages <= 1;
  }

  drawChips(counts) {
    const chips = Object.entries(STATES)
      .filter(([state]) => counts[state] || this.states.has(state))
      .map(([state, [css, name, word]]) => {
        const chip = h(
          "button",
          {
            type: "button",
            class: `chip state-${css}`,
            "aria-pressed": String(this.states.has(state)),
            dataset: { state },
          },
          icon(name),
          h("span", {}, word),
          h("span", { class: "chip-count num" }, counts[state] ?? 0),
        );
        chip.addEventListener("click", () => {
          if (!this.states.delete(state)) this.states.add(state);
          this.drawChips(counts);
          this.changed();
        });
        return chip;
      });
    const key = JSON.stringify([counts, [...this.states]]);
    if (key === this.chipsKey) return;
    this.chipsKey = key;
    const focused = document.activeElement?.dataset?.state;
    this.chips.replaceChildren(...chips);
    if (focused) this.chips.querySelector(`[data-state="${focused}"]`)?.focus();
  }

  // ---- news

  /** Rows that changed: in place where they are shown; others make the page read again. */
  update(trials, best) {
    let others = false;
    if (best !== this.best) {
      const redraw = [this.best, best];
      this.best = best;
      for (const n of redraw) this.redrawOne(n);
    }
    for (const trial of trials) {
      const entry = this.rows.get(trial.number);
      if (entry) {
        if (trial.seq < entry.trial.seq) continue;
        const ended = entry.trial.state !== trial.state;
        entry.trial = trial;
        this.drawRow(trial, entry.row);
        if (ended) flash(entry.row);
        others ||= ended && !this.isPlain();
      } else {
        others = true;
      }
    }
    if (others) this.refresh();
  }

  redrawOne(trialNumber) {
    const entry = this.rows.get(trialNumber);
    if (entry) this.drawRow(entry.trial, entry.row);
  }

  /** Sorted by number and not filtered: a row's own change moves nothing. */
  isPlain() {
    return /^-?number$/.test(this.order) && !this.states.size && !this.where;
  }

  /** A metric of a trial on the page: its latest value and number of reports move on. */
  report(metric) {
    const entry = this.rows.get(metric.trial);
    if (
      !entry ||
      metric.kind !== "PERIODICAL" ||
      metric.name !== "default" ||
      metric.seq < entry.trial.seq
    )
      return;
    const trial = entry.trial;
    if (trial.latest_sequence !== null && metric.sequence <= trial.latest_sequence) return;
    trial.latest_sequence = metric.sequence;
    trial.n_reports = Math.max(trial.n_reports, metric.sequence + 1);
    if (typeof metric.value === "number") trial.latest_value = metric.value;
    this.dirty ??= new Set();
    this.dirty.add(trial.number);
    this.drawTimer ??= setTimeout(() => {
      this.drawTimer = undefined;
      for (const n of this.dirty) this.redrawOne(n);
      this.dirty.clear();
    }, 250);
  }

  /** Read the page again soon, but never under the pointer: rows would jump away from a click. */
  refresh() {
    if (this.isPlain() ? false : this.scroll.matches(":hover")) {
      this.late = true;
      return;
    }
    this.late = false;
    if (this.loading) {
      this.wanted = true; // one read at a time: news must not abort each answer before it comes
      return;
    }
    const wait = Math.max(0, (this.fetchedAt ?? 0) + REFETCH - Date.now());
    this.timer ??= setTimeout(() => this.load(), wait);
  }

  async load() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.fetchedAt = Date.now();
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    this.loading = true;
    const query = new URLSearchParams({
      order: this.order,
      page: this.pageNumber,
      page_size: PAGE_SIZE,
    });
    if (this.states.size) query.set("state", [...this.states].join(","));
    if (this.where) query.set("where", this.where);
    try {
      const answer = await api("GET", `${this.url}?${query}`, undefined, { signal: abort.signal });
      this.problem("");
      this.show(answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 404 && this.pageNumber > 1) {
        this.pageNumber = 1; // fewer rows than there were
        this.changed();
      } else if (error.errors?.some((e) => e.path === "where")) {
        const first = error.errors.find((e) => e.path === "where");
        this.problem([first.message, first.hint].filter(Boolean).join(" "));
      } else if (error.errors?.some((e) => e.path === "order") && this.order !== DEFAULT_ORDER) {
        this.order = DEFAULT_ORDER;
        this.drawHead();
        this.changed();
      } else if (error.status) {
        toast(error.message, "danger");
      }
    } finally {
      if (this.abort === abort) {
        this.loading = false;
        if (this.wanted) {
          this.wanted = false;
          this.refresh();
        }
      }
    }
  }

  problem(text) {
    const box = document.getElementById("where-error");
    box.hidden = !text;
    box.textContent = text;
    document.getElementById("where").classList.toggle("is-invalid", Boolean(text));
  }

  tick() {
    for (const cell of this.body.querySelectorAll("td[data-ticks]")) {
      const entry = this.rows.get(Number(cell.parentElement.dataset.number));
      if (entry) cell.textContent = duration(trialSeconds(entry.trial));
    }
  }
}

function flash(row) {
  row.classList.remove("flash");
  requestAnimationFrame(() => row.classList.add("flash"));
}
