// The page that sets experiments side by side. Their ids stand in the address; while some of them
// still run, it reads again every few seconds.

import { params, remember } from "../address.js";
import { api } from "../api.js";
import { Controls } from "../charts/controls.js";
import { ChartPanel } from "../charts/panel.js";
import { all, byId, h, hit, icon, onChange, pageData } from "../dom.js";
import { duration, isEnded, number, outOf, phaseBadge, trialBar } from "../format.js";
import { gettext } from "../language.js";
import { drawTable, equalWords, isMarkedIn, swatch, valueLine } from "./diff_table.js";

const POLL = 5000; // milliseconds

/**
 * @typedef {Experiment & { colour: string, dash: string }} Compared
 * @typedef {import("./diff_table.js").DiffRow} DiffRow
 * @typedef {{
 *   mixed: boolean, experiments: Compared[], settings: DiffRow[], space: DiffRow[],
 *   best_parameters: DiffRow[],
 * }} Comparison
 */

const root = byId("across-page");
/** @type {Comparison} */
let comparison = pageData("page-state");
const ids = root.dataset.ids ?? "";
const keys = ids.split(",");
const urls = {
  api: `${root.dataset.api}?ids=${ids}`,
  list: root.dataset.list ?? "",
  plotly: root.dataset.plotly ?? "",
};
const table = { head: byId("compare-head"), body: byId("compare-rows") };
const showAll = byId("compare-all", HTMLInputElement);

/** @param {string} id */
const linkTo = (id) => `${urls.list}experiments/${id}/`;

// ---- the table

/** @param {Compared} experiment */
function columnHead({ id, name, colour, dash }) {
  const rest = keys.filter((key) => key !== id);
  const query = new URLSearchParams(params);
  query.set("ids", rest.join(","));
  const words = gettext("Remove {name}", { name });
  const props = { class: "btn btn-icon btn-icon-s", title: words, "aria-label": words };
  return h(
    "th",
    { scope: "col", "data-testid": "compare-column", dataset: { id } },
    h(
      "span",
      { class: "compare-column" },
      swatch(colour, dash),
      h("a", { href: linkTo(id), class: "truncate", title: `${name} (${id})` }, name),
      rest.length > 1 && h("a", { ...props, href: `?${query}` }, icon("x")),
    ),
  );
}

/**
 * @param {string} title
 * @param {(experiment: Compared) => import("../dom.js").Child[]} content
 * @param {boolean} [isAlways]
 */
function factLine(title, content, isAlways = true) {
  const cells = comparison.experiments.map((e) => h("td", {}, content(e)));
  const texts = new Set(cells.map((cell) => cell.textContent));
  return { head: h("th", { scope: "row" }, title), cells, differs: isAlways || texts.size > 1 };
}

/** @param {Compared} experiment */
function best({ id, best: trial }) {
  if (!trial) return ["–"];
  const value = h("strong", { title: String(trial.value) }, number(trial.value));
  const href = `${linkTo(id)}trials/${trial.number}/`;
  return [value, " ", h("a", { class: "muted tiny", href }, `#${trial.number}`)];
}

/** @param {Compared} experiment */
const direction = ({ optimize_mode: mode }) => [
  icon(mode === "minimize" ? "down" : "up"),
  " ",
  mode === "minimize" ? gettext("Minimize") : gettext("Maximize"),
];

function sections() {
  const facts = [
    factLine(gettext("State"), (e) => [phaseBadge(e)]),
    factLine(gettext("Best value"), best),
    factLine(gettext("Direction"), direction, comparison.mixed),
    factLine(gettext("Trials"), (e) => [trialBar(e.counts, e.max_trials)]),
    factLine(gettext("Finished"), (e) => [outOf(e.n_finished, e.max_trials)], false),
    factLine(gettext("Active time"), (e) => [duration(e.active_seconds)]),
  ];
  const absent = { absent: gettext("Not in this experiment") };
  /** @param {DiffRow} row */
  const line = (row) => valueLine(row, keys, keys[0], absent);
  return [
    { title: gettext("Experiment"), lines: facts },
    { title: gettext("Best parameters"), lines: comparison.best_parameters.map(line) },
    { title: gettext("Search space"), lines: comparison.space.map(line) },
    { title: gettext("Settings"), lines: comparison.settings.map(line) },
  ];
}

function drawKey() {
  const { experiments } = comparison;
  const names = experiments.map((e) => e.name);
  const items = experiments.map(({ id, name, colour, dash }) => {
    const isDouble = names.indexOf(name) !== names.lastIndexOf(name);
    const text = h("span", { class: "truncate", title: name }, name);
    return h("li", {}, swatch(colour, dash), text, isDouble && h("span", { class: "mono" }, id));
  });
  byId("across-key").replaceChildren(...items);
}

const changed = onChange();
function draw() {
  if (isMarkedIn(table.body)) return; // the next news will do
  changed("table", [comparison, showAll.checked], () => {
    const heads = comparison.experiments.map(columnHead);
    const nEqual = drawTable(table, heads, sections(), showAll.checked);
    byId("compare-equal").textContent = equalWords(nEqual, showAll.checked);
    drawKey();
  });
}

showAll.checked = params.get("all") === "1";
showAll.addEventListener("change", () => {
  remember({ all: showAll.checked ? "1" : null });
  draw();
});
const copy = byId("compare-copy");
copy.addEventListener("pointerdown", () => setLink());
copy.addEventListener("focus", () => setLink());
function setLink() {
  copy.dataset.copy = location.href; // base.js copies it
}

// ---- the charts

let measure = params.get("y") === "gap" ? "gap" : "value";
const charts = all(root, "[data-chart]").map((element) => {
  const name = element.dataset.chart ?? "";
  const options = (/** @type {Record<string, string>} */ chosen) => ({
    ...chosen,
    ids,
    y: measure,
    ...(name === "edf" ? {} : { x: name }),
  });
  const controls = new Controls(element, {
    prefix: `${name}.`,
    onChange: (chosen) => panel.setOptions(options(chosen)),
  });
  const panel = new ChartPanel(element, {
    url: (name === "edf" ? root.dataset.edf : root.dataset.best) ?? "",
    plotlyUrl: urls.plotly,
    prefix: `${name}.`,
    options: options(controls.options()),
    onTrial: () => {},
    onFigure: (meta) => controls.adapt(meta),
  });
  return { panel, again: () => panel.setOptions(options(controls.options())) };
});

function drawMeasure() {
  for (const button of all(root, "[data-measure]")) {
    button.setAttribute("aria-pressed", String(button.dataset.measure === measure));
  }
}
root.addEventListener("click", (event) => {
  const chosen = hit(event, "[data-measure]")?.dataset.measure;
  if (!chosen || chosen === measure) return;
  measure = chosen;
  remember({ y: measure === "gap" ? "gap" : null });
  drawMeasure();
  for (const chart of charts) chart.again();
});

// ---- news

let isReading = false;
async function poll() {
  if (isReading || document.hidden || comparison.experiments.every(isEnded)) return;
  isReading = true;
  try {
    const seqs = () => comparison.experiments.map((e) => e.seq).join();
    const before = seqs();
    comparison = await api("GET", urls.api);
    draw();
    if (seqs() !== before) for (const { panel } of charts) panel.refresh();
  } catch {
    // the server is away for a moment; the next turn asks again
  } finally {
    isReading = false;
  }
}

setLink();
drawMeasure();
draw();
for (const { panel } of charts) panel.refresh();
setInterval(poll, POLL);
document.addEventListener("visibilitychange", poll);
