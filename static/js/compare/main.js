// The page that sets trials side by side. Their numbers stand in the address; while some of them
// still run, table and curves follow.

import { params, remember } from "../address.js";
import { api } from "../api.js";
import { Controls } from "../charts/controls.js";
import { ChartPanel } from "../charts/panel.js";
import { byId, h, icon, onChange, pageData } from "../dom.js";
import { duration, number, stateBadge, trialSeconds } from "../format.js";
import { around, gettext } from "../language.js";
import { connectionBadge, Live } from "../live.js";
import { said } from "../said.js";
import { steadily } from "../steadily.js";
import { bestMark, drawTable, equalWords, isMarkedIn, swatch, valueLine } from "./diff_table.js";

const REFETCH = 1000; // milliseconds between two reads of the comparison

/**
 * @typedef {Trial & { delta: number | null, colour: string, dash: string }} Compared
 * @typedef {import("./diff_table.js").DiffRow} DiffRow
 * @typedef {{
 *   seq: number, optimize_mode: string, best: number | null, experiment_best: number | null,
 *   trials: Compared[], parameters: DiffRow[], metrics: (DiffRow & { latest: number[] })[],
 * }} Comparison
 */

const root = byId("compare-page");
/** @type {{ cursor: number, experiment: Experiment, comparison: Comparison }} */
const state = pageData("page-state");
const urls = {
  api: root.dataset.api ?? "",
  page: root.dataset.page ?? "",
  socket: root.dataset.socket ?? "",
  plotly: root.dataset.plotly ?? "",
};
const trials = root.dataset.trials ?? "";
const most = Number(root.dataset.most); // that can be compared
const numbers = new Set(trials.split(",").map(Number));
const table = { head: byId("compare-head"), body: byId("compare-rows") };
const all = byId("compare-all", HTMLInputElement);
let { comparison } = state;

/** @param {number} trial */
const linkTo = (trial) => `${urls.page}trials/${trial}/`;

// ---- the table

/** @param {Compared} trial */
function columnHead({ number: n, colour, dash }) {
  const rest = [...numbers].filter((other) => other !== n);
  const remove = rest.length > 1 && {
    href: addressOf(rest),
    class: "btn btn-icon btn-icon-s",
    title: gettext("Remove trial {n}", { n }),
    "aria-label": gettext("Remove trial {n}", { n }),
  };
  return h(
    "th",
    { scope: "col", "data-testid": "compare-column", dataset: { number: String(n) } },
    h(
      "span",
      { class: "compare-column" },
      swatch(colour, dash),
      h("a", { href: linkTo(n) }, `#${n}`),
      n === comparison.best && bestMark(gettext("Best of these")),
      remove && h("a", remove, icon("x")),
    ),
  );
}

/** @param {number[]} others */
function addressOf(others) {
  const query = new URLSearchParams(params);
  query.set("trials", others.join(","));
  return `?${query}`;
}

/**
 * A fact that every trial has.
 * @param {string} title
 * @param {(trial: Compared) => HTMLTableCellElement} cell
 * @param {boolean} [isAlways] shown even where all are equal
 */
function factLine(title, cell, isAlways = false) {
  const cells = comparison.trials.map(cell);
  const texts = new Set(cells.map((c) => c.textContent));
  return {
    head: h("th", { scope: "row" }, title),
    cells,
    differs: isAlways || texts.size > 1,
  };
}

/** @param {Compared} trial */
function valueCell({ number: n, value, latest_value: latest }) {
  const shown = value ?? latest;
  if (shown === null) return h("td", { class: "muted" }, "–");
  const isBest = n === comparison.best;
  return h(
    "td",
    { class: `value${isBest ? " is-best" : ""}`, title: String(shown) },
    h("strong", {}, number(shown)),
    isBest && h("span", { class: "tag tag-accent" }, icon("star"), gettext("best")),
    value === null && h("span", { class: "latest" }, gettext("latest")),
  );
}

/** @param {Compared} trial */
function deltaCell({ delta, number: n }) {
  if (n === comparison.best) return h("td", { class: "muted" }, "±0");
  if (delta === null) return h("td", { class: "muted" }, "–");
  const isBetter = comparison.optimize_mode === "minimize" ? delta < 0 : delta > 0;
  const words = isBetter ? gettext("better so far") : gettext("worse");
  const text = delta === 0 ? "±0" : `${delta > 0 ? "+" : "−"}${number(Math.abs(delta), 4)}`;
  return h("td", { class: "num-left", title: delta === 0 ? "" : `${delta}: ${words}` }, text);
}

/** @param {Compared} trial */
function durationCell(trial) {
  const dataset = trial.state === "RUNNING" ? { ticks: String(trial.number) } : {};
  return h("td", { class: "num-left", dataset }, duration(trialSeconds(trial)));
}

function facts() {
  return [
    factLine(gettext("State"), (t) => h("td", {}, stateBadge(t.state, t)), true),
    factLine(gettext("Value"), valueCell, true),
    factLine(gettext("Off the best"), deltaCell, true),
    factLine(gettext("Duration"), durationCell, true),
    factLine(gettext("Origin"), (t) =>
      h(
        "td",
        {},
        t.origin ? h("span", { class: "tag" }, t.origin) : "–",
        t.excluded && h("span", { class: "tag tag-excluded" }, gettext("excluded")),
      ),
    ),
    factLine(gettext("Reports"), (t) => h("td", { class: "num-left" }, t.n_reports)),
    factLine(gettext("Attempt"), (t) => h("td", { class: "num-left" }, t.attempt)),
    factLine(gettext("Exit code"), (t) => h("td", { class: "num-left" }, t.exit_code ?? "–")),
    factLine(gettext("Reason"), (t) =>
      h("td", { class: "compare-reason", title: said(t.reason) }, said(t.reason)),
    ),
  ];
}

function sections() {
  const keys = comparison.trials.map((t) => String(t.number));
  const reference = comparison.best === null ? keys[0] : String(comparison.best);
  const absent = { absent: gettext("This trial has none") };
  return [
    { title: gettext("Trial"), lines: facts() },
    {
      title: gettext("Parameters"),
      lines: comparison.parameters.map((row) => valueLine(row, keys, reference, absent)),
    },
    {
      title: gettext("Metrics"),
      lines: comparison.metrics.map((row) =>
        valueLine(row, keys, reference, {
          ...absent,
          isLatest: (key) => row.latest.includes(Number(key)),
        }),
      ),
    },
  ];
}

const changed = onChange();
function draw() {
  if (isMarkedIn(table.body)) return; // the next news will do
  changed("table", [comparison, all.checked], () => {
    const columns = comparison.trials.map(columnHead);
    const nEqual = drawTable(table, columns, sections(), all.checked);
    byId("compare-equal").textContent = equalWords(nEqual, all.checked);
    drawNote();
  });
}

/** The experiment's best, where it is not among these. */
function drawNote() {
  const { experiment_best: best } = comparison;
  const note = byId("compare-note");
  note.hidden = best === null || numbers.has(best);
  if (best === null || note.hidden) return;
  const link = h("a", { href: linkTo(best) }, `#${best}`);
  const parts = around(gettext("The best of the whole experiment is {trial}."), link);
  if (numbers.size < most) {
    const href = addressOf([...numbers, best]);
    parts.push(" ", h("a", { href }, gettext("Compare with it, too")));
  }
  note.replaceChildren(...parts);
}

all.checked = params.get("all") === "1";
all.addEventListener("change", () => {
  remember({ all: all.checked ? "1" : null });
  draw();
});
byId("compare-copy").addEventListener("click", ({ currentTarget }) => {
  /** @type {HTMLElement} */ (currentTarget).dataset.copy = location.href; // read by base.js
});
byId("compare-copy").dataset.copy = location.href;

// ---- the curves

const element = byId("compare-chart");
/** @param {Record<string, string>} chosen */
const optionsOf = (chosen) => ({ ...chosen, trials });
const controls = new Controls(element, {
  prefix: "",
  onChange: (chosen) => chart.setOptions(optionsOf(chosen)),
});
const chart = new ChartPanel(element, {
  url: `${urls.api}compare/curves/`,
  plotlyUrl: urls.plotly,
  options: optionsOf(controls.options()),
  onTrial: (trial) => location.assign(linkTo(trial)),
  onFigure: (meta) => controls.adapt(meta),
});

// ---- news

async function read() {
  const fresh = await api("GET", `${urls.api}compare/?trials=${trials}`);
  if (fresh.seq < comparison.seq) return;
  comparison = fresh;
  draw();
}
const refresh = steadily(read, REFETCH);

/** @param {News} news */
function receive({ experiment, events = [], trials: rows = [], metrics = [] }) {
  const mine = metrics.filter((metric) => numbers.has(metric.trial));
  const about = events.filter((event) => event.trial !== null && numbers.has(event.trial));
  if (mine.length) chart.addReports(mine);
  if (about.length) chart.addEvents(about);
  const isBestNew = experiment && (experiment.best?.number ?? null) !== comparison.experiment_best;
  const isNew = mine.length || about.length || rows.some((row) => numbers.has(row.number));
  if (isNew || isBestNew) refresh();
}

const badge = connectionBadge();
draw();
chart.refresh();
const live = new Live({
  url: urls.socket,
  after: state.cursor,
  onMessage: receive,
  onState: (shown) => badge.show(shown),
  async onPoll() {
    const before = comparison.seq;
    await read();
    if (comparison.seq > before) chart.refresh();
  },
});
setInterval(() => {
  if (document.hidden) return;
  badge.tick(live.updatedAt);
  for (const cell of table.body.querySelectorAll("td[data-ticks]")) {
    const ticking = /** @type {HTMLElement} */ (cell).dataset.ticks;
    const trial = comparison.trials.find((t) => String(t.number) === ticking);
    if (trial) cell.textContent = duration(trialSeconds(trial));
  }
}, 1000);
