// The page of one trial: result, parameters, curve, log, reports; live like the experiment's page.

import { api } from "./api.js";
import { ChartPanel } from "./charts.js";
import { h, icon, pageData } from "./dom.js";
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
import { connectionBadge, Live } from "./live.js";
import { LogViewer } from "./log_viewer.js";
import { Timeline } from "./timeline.js";
import { act } from "./trial_actions.js";

const root = document.getElementById("trial-page");
const state = pageData("page-state");
const { api: apiUrl, page: pageUrl } = root.dataset;
const trialNumber = Number(root.dataset.number);
const trialsUrl = `${apiUrl}trials/`;
const trialUrl = `${trialsUrl}${trialNumber}/`;
const byId = (id) => document.getElementById(id);
const MOST_ROWS = 500; // reports shown in the table, the newest
let { trial, experiment, stop } = state;

// ---- what is shown of the trial

function pairs(rows) {
  return h(
    "table",
    { class: "kv-table" },
    h(
      "tbody",
      {},
      rows
        .filter(Boolean)
        .map(([name, ...value]) =>
          h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)),
        ),
    ),
  );
}

function parameterRows(parameters, depth = 0) {
  return Object.entries(parameters).flatMap(([name, value]) => {
    const nested = value !== null && typeof value === "object" && !Array.isArray(value);
    const words = nested ? plain(value._name ?? "") : plain(value);
    const row = h(
      "tr",
      {},
      h("th", { scope: "row", class: `mono depth-${Math.min(depth, 3)}` }, name),
      h("td", { class: "mono", title: full(value) }, words),
    );
    if (!nested) return [row];
    const { _name: _, ...inner } = value;
    return [row, ...parameterRows(inner, depth + 1)];
  });
}

function drawTrial() {
  const ended = FINISHED.has(trial.state);
  byId("state").replaceChildren(stateBadge(trial.state, trial));
  const isBest = experiment.best?.number === trialNumber;
  byId("marks").replaceChildren(
    ...[
      isBest ? h("span", { class: "tag tag-accent" }, icon("star"), "best") : null,
      trial.origin ? h("span", { class: "tag" }, trial.origin) : null,
      trial.excluded ? h("span", { class: "tag tag-excluded" }, "excluded") : null,
    ].filter(Boolean),
  );
  const show = (name, when) =>
    (root.querySelector(`[data-action="${name}"]`).hidden = !(when && state.may_change));
  show("kill", !ended && !trial.stopping);
  show("retry", trial.retriable);
  show("exclude", ended && !trial.excluded);
  show("restore", trial.excluded);
  drawWhy();
  drawResult();
  byId("parameters").replaceChildren(
    h("table", { class: "kv-table" }, h("tbody", {}, parameterRows(trial.parameters))),
  );
  byId("copy-parameters").dataset.copy = JSON.stringify(trial.parameters, null, 2);
  byId("facts").replaceChildren(
    pairs([
      ["Made", ago(trial.created_at)],
      ["Started", trial.started_at ? ago(trial.started_at) : "–"],
      trial.started_at && [
        "Waited",
        duration(Math.max(0, (Date.parse(trial.started_at) - Date.parse(trial.created_at)) / 1000)),
      ],
      trial.finished_at && ["Ended", ago(trial.finished_at)],
      ["Duration", h("span", { id: "duration", class: "num" }, duration(trialSeconds(trial)))],
      ["Reports", h("span", { class: "num" }, trial.n_reports)],
      ["Attempt", h("span", { class: "num" }, trial.attempt)],
      trial.exit_code !== null && ["Exit code", h("span", { class: "mono" }, trial.exit_code)],
    ]),
  );
}

const WHY = {
  FAILED: ["notice-danger", "x-octagon", "Failed"],
  LOST: ["notice-danger", "lost", "Lost"],
  EARLY_STOPPED: ["notice-warning", "scissors", "Stopped early"],
  CANCELED: ["", "slash", "Canceled"],
};

/** Why it ended; with the assessor's numbers where one stopped it. */
function drawWhy() {
  const box = byId("why");
  const [css, name, word] = WHY[trial.state] ?? [
    "notice-info",
    "info",
    STATES[trial.state]?.[2] ?? "",
  ];
  const reason = trial.reason || (trial.stopping ? "It is being stopped." : "");
  box.hidden = !reason && !(trial.state in WHY);
  if (box.hidden) return;
  box.className = `notice detail-message ${css}`;
  const data = stop?.data ?? {};
  const numbers = [
    ["At report", typeof data.step === "number" ? data.step + 1 : undefined],
    ["Its best", data.best_value],
    ["Median of the others", data.median_value],
    ["Compared with", data.n_completed === undefined ? undefined : `${data.n_completed} trials`],
  ].filter(([, value]) => value !== undefined);
  box.replaceChildren(
    icon(name),
    h(
      "div",
      {},
      h("strong", {}, word),
      reason ? `: ${reason}` : ".",
      trial.state === "EARLY_STOPPED" && numbers.length
        ? h(
            "dl",
            { class: "receipt", "data-testid": "stop-receipt" },
            numbers.map(([label, value]) =>
              h(
                "div",
                {},
                h("dt", {}, label),
                h(
                  "dd",
                  { class: "num", title: String(value) },
                  typeof value === "number" ? number(value) : value,
                ),
              ),
            ),
          )
        : null,
    ),
  );
}

function drawResult() {
  const ended = FINISHED.has(trial.state);
  const final = trial.value !== null;
  const value = final ? trial.value : trial.latest_value;
  const others = Object.entries(trial.metrics).filter(([name]) => name !== "default");
  byId("result").replaceChildren(
    h(
      "div",
      { class: "best-head" },
      h(
        "span",
        {
          class: `best-value num${final ? "" : " muted"}`,
          "data-testid": "trial-value",
          title: value === null ? "" : String(value),
        },
        number(value),
      ),
      value === null
        ? h("span", { class: "muted" }, ended ? "nothing reported" : "nothing reported yet")
        : h(
            "span",
            { class: "tag" },
            final ? (trial.has_final ? "final" : "last report") : "latest",
          ),
    ),
    others.length
      ? pairs(
          others.map(([name, v]) => [
            h("span", { class: "mono" }, name),
            h("span", { class: "mono", title: full(v) }, plain(v)),
          ]),
        )
      : h(
          "p",
          { class: "muted small" },
          trial.has_final
            ? "No other final metrics."
            : ended
              ? "It ended without a final report."
              : "Final metrics appear here at the end.",
        ),
  );
}

// ---- reports

const reports = new Map(); // sequence → {step, time, values: Map(name → value)}
const names = new Set();

function addReport(metric) {
  if (metric.kind !== "PERIODICAL") return;
  names.add(metric.name);
  if (!reports.has(metric.sequence)) reports.set(metric.sequence, { values: new Map() });
  const report = reports.get(metric.sequence);
  report.step = metric.step;
  report.time = metric.time;
  report.values.set(metric.name, metric.value);
}

function drawReports() {
  drawTimer = undefined;
  const table = byId("metrics-table");
  const columns = [...names].sort(
    (a, b) => (b === "default") - (a === "default") || a.localeCompare(b),
  );
  table.tHead.replaceChildren(
    h(
      "tr",
      {},
      h("th", { class: "num" }, "Report"),
      h("th", { class: "num" }, "Step"),
      columns.map((name) => h("th", { class: "num mono" }, name)),
      h("th", {}, "Time"),
    ),
  );
  const sequences = [...reports.keys()].sort((a, b) => b - a);
  table.tBodies[0].replaceChildren(
    ...sequences.slice(0, MOST_ROWS).map((sequence) => {
      const report = reports.get(sequence);
      return h(
        "tr",
        {},
        h("td", { class: "num muted" }, sequence),
        h("td", { class: "num" }, report.step ?? "–"),
        columns.map((name) => {
          const value = report.values.get(name);
          return h(
            "td",
            {
              class: `num${typeof value === "string" ? " text-failed" : ""}`,
              title: value === undefined ? "" : String(value),
            },
            number(value),
          );
        }),
        h(
          "td",
          { class: "muted nowrap", title: report.time },
          new Date(report.time).toLocaleTimeString(),
        ),
      );
    }),
  );
  byId("metrics-count").textContent =
    sequences.length > MOST_ROWS
      ? `newest ${MOST_ROWS} of ${sequences.length}`
      : String(sequences.length);
  table.closest("section").hidden = sequences.length === 0;
}
let drawTimer;
const drawReportsSoon = () => (drawTimer ??= setTimeout(drawReports, 400));

async function loadReports() {
  const answer = await api("GET", `${trialUrl}metrics/`);
  for (const metric of answer.results) addReport(metric);
  drawReports();
}

// ---- curve

const element = byId("curve");
const controls = [...element.querySelectorAll("[data-option]")];
const params = new URLSearchParams(location.search);
function chartOptions() {
  const options = { trial: String(trialNumber) };
  for (const control of controls) {
    const key = control.dataset.option;
    if (control.type === "checkbox") {
      if (control.checked) options[key] = "1";
    } else if (control.value && control.value !== control.options[0].value)
      options[key] = control.value;
  }
  return options;
}
for (const control of controls) {
  const stored = params.get(control.dataset.option);
  if (stored === null) continue;
  if (control.type === "checkbox") control.checked = stored === "1";
  else if (control.dataset.option === "metric")
    control.append(
      h("option", { value: "default" }, "default"),
      h("option", { value: stored }, stored),
    );
  if (control.tagName === "SELECT") control.value = stored;
}
const chart = new ChartPanel(element, {
  url: `${apiUrl}charts/curves/`,
  plotlyUrl: root.dataset.plotly,
  options: chartOptions(),
  onTrial: (n) => n !== trialNumber && location.assign(`${pageUrl}trials/${n}/`),
  onFigure(meta) {
    element.querySelector('[data-needs="log"]').hidden =
      meta.log_possible === false || Boolean(meta.empty);
    const select = element.querySelector('[data-option="metric"]');
    const offered = meta.metrics?.length ? [...meta.metrics] : ["default"];
    const chosen = select.value || offered[0];
    if (!offered.includes(chosen)) offered.push(chosen);
    if (offered.join("\n") !== [...select.options].map((o) => o.value).join("\n")) {
      select.replaceChildren(...offered.map((name) => h("option", { value: name }, name)));
      select.value = chosen;
    }
    select.hidden = offered.length < 2;
  },
});
element.addEventListener("change", () => {
  const options = chartOptions();
  chart.setOptions(options);
  const { trial: _, ...rest } = options;
  const query = new URLSearchParams(rest).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
});

// ---- log, timeline, actions, news

const isRunning = () => !FINISHED.has(trial.state);
const log = new LogViewer({
  trialUrl,
  fileName: `${experiment.name}-trial-${trialNumber}`,
  running: isRunning,
});
const timeline = new Timeline({
  url: `${apiUrl}events/`,
  page: pageUrl,
  events: state.events,
  trial: trialNumber,
});

root.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (!button) return;
  button.disabled = true;
  const changed = await act(button.dataset.action, trial, trialsUrl);
  button.disabled = false;
  if (!changed) return;
  if (changed.number !== trialNumber) location.assign(`${pageUrl}trials/${changed.number}/`);
  else showTrial(changed);
});

function showTrial(fresh) {
  if (fresh.seq < trial.seq) return;
  const ended = !FINISHED.has(trial.state) && FINISHED.has(fresh.state);
  const started = trial.state === "WAITING" && fresh.state !== "WAITING";
  trial = fresh;
  drawTrial();
  if (ended) {
    log.ended();
    chart.refresh();
  }
  if (started) log.list();
}

function receive(message) {
  if (message.experiment) experiment = message.experiment;
  for (const event of message.events ?? []) {
    if (event.trial === trialNumber && event.to === "EARLY_STOPPED" && event.what === "stopping")
      stop = event;
  }
  const fresh = (message.trials ?? []).find((t) => t.number === trialNumber);
  if (fresh) showTrial(fresh);
  const mine = (message.metrics ?? []).filter((metric) => metric.trial === trialNumber);
  let unplaced = false;
  for (const metric of mine) {
    addReport(metric);
    if (metric.kind === "PERIODICAL" && !chart.append(metric)) unplaced = true;
    if (
      metric.kind === "PERIODICAL" &&
      metric.name === "default" &&
      metric.sequence > (trial.latest_sequence ?? -1)
    ) {
      trial.latest_sequence = metric.sequence;
      trial.n_reports = Math.max(trial.n_reports, metric.sequence + 1);
      if (typeof metric.value === "number") trial.latest_value = metric.value;
    }
  }
  if (mine.length) {
    drawReportsSoon();
    drawResult();
  }
  if (unplaced) chart.refresh();
  timeline.add(message.events ?? []);
}

const badge = connectionBadge();
const live = new Live({
  url: root.dataset.socket,
  after: state.cursor,
  onMessage: receive,
  onState: (shown) => badge.show(shown),
  async onPoll() {
    const [fresh, head] = await Promise.all([
      api("GET", trialUrl),
      api("GET", apiUrl),
      loadReports(),
      timeline.poll(),
    ]);
    experiment = head;
    const news = fresh.seq > trial.seq || fresh.n_reports !== trial.n_reports;
    showTrial(fresh);
    if (news) chart.refresh();
  },
});

drawTrial();
chart.refresh();
loadReports().catch((error) => (byId("metrics-count").textContent = error.message));
setInterval(() => {
  if (document.hidden) return;
  badge.tick(live.updatedAt);
  const box = byId("duration");
  if (box && isRunning()) box.textContent = duration(trialSeconds(trial));
}, 1000);
document.addEventListener(
  "visibilitychange",
  () => !document.hidden && chart.stale && chart.refresh(),
);
