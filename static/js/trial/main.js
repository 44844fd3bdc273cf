// The page of one trial: result, parameters, curve, log, reports; live like the experiment's page.

import { api, wordsOf } from "../api.js";
import { Controls } from "../charts/controls.js";
import { ChartPanel } from "../charts/panel.js";
import { byId, hit, pageData } from "../dom.js";
import { duration, isFinished, trialSeconds } from "../format.js";
import { connectionBadge, Live } from "../live.js";
import { RenderedNotes } from "../markdown.js";
import { Notes } from "../notes.js";
import { Timeline } from "../timeline.js";
import { act } from "../trials/actions.js";
import { movesOn } from "../trials/rows.js";
import { Files, isOfFiles } from "./files.js";
import { LogViewer } from "./log_viewer.js";
import { LoggedCard } from "./logged.js";
import { Reports } from "./reports.js";
import { drawResult, drawTrial, timeLeft } from "./summary.js";

const root = byId("trial-page");
/**
 * @type {{
 *   trial: Trial, experiment: Experiment, stop: HappenedEvent | null, cursor: number,
 *   events: HappenedEvent[], artifacts: Artifact[], logged: Logged, may_change: boolean,
 * }}
 */
const state = pageData("page-state");
const apiUrl = root.dataset.api ?? "";
const pageUrl = root.dataset.page ?? "";
const trialNumber = Number(root.dataset.number);
const trialsUrl = `${apiUrl}trials/`;
const trialUrl = `${trialsUrl}${trialNumber}/`;
let { trial, experiment, stop } = state;
const STOPS = new Set(["stopping", "let finish"]); // what an assessor has decided, or would have

// ---- the curve

const element = byId("curve");
/** @param {Record<string, string>} chosen */
const optionsOf = (chosen) => ({ ...chosen, trial: String(trialNumber) });
const controls = new Controls(element, {
  prefix: "",
  onChange: (chosen) => chart.setOptions(optionsOf(chosen)),
});
const chart = new ChartPanel(element, {
  url: `${apiUrl}charts/curves/`,
  plotlyUrl: root.dataset.plotly ?? "",
  options: optionsOf(controls.options()),
  onTrial(number) {
    if (number !== trialNumber) location.assign(`${pageUrl}trials/${number}/`);
  },
  onFigure: (meta) => controls.adapt(meta),
});

// ---- log, reports, timeline, actions

const log = new LogViewer({
  trialUrl,
  fileName: `${experiment.name}-trial-${trialNumber}`,
  isRunning: () => !isFinished(trial),
});
const reports = new Reports();
const files = new Files(`${trialUrl}artifacts/`, {
  mayChange: state.may_change,
  files: state.artifacts,
});
const logged = new LoggedCard(`${trialUrl}logged/`, state.logged);
const timeline = new Timeline({
  url: `${apiUrl}events/`,
  page: pageUrl,
  events: state.events,
  trial: trialNumber,
});

const shownNotes = new RenderedNotes(byId("notes"), trial.notes);
const notes = new Notes({ url: trialUrl, onSaved: (fresh) => showTrial(fresh) });
document.getElementById("edit-notes")?.addEventListener("click", () => notes.open(trial));

async function loadReports() {
  const answer = await api("GET", `${trialUrl}metrics/`);
  reports.add(answer.results);
  reports.draw();
}

root.addEventListener("click", async (event) => {
  const button = hit(event, "[data-action]");
  if (!(button instanceof HTMLButtonElement)) return;
  button.disabled = true;
  const changed = await act(button.dataset.action ?? "", trial, trialsUrl);
  button.disabled = false;
  if (!changed) return;
  if (changed.number !== trialNumber) location.assign(`${pageUrl}trials/${changed.number}/`);
  else showTrial(changed);
});

// ---- news

function draw() {
  const isBest = experiment.best?.number === trialNumber;
  shownNotes.show(trial.notes).catch(() => {}); // then they stand as plain text
  drawTrial(trial, { url: trialUrl, isBest, mayChange: state.may_change, stop });
}

/** @param {Trial} fresh */
function showTrial(fresh) {
  if (fresh.seq < trial.seq) return;
  const hasEnded = !isFinished(trial) && isFinished(fresh);
  const hasStarted = trial.state === "WAITING" && fresh.state !== "WAITING";
  trial = fresh;
  draw();
  if (hasEnded) {
    logged.soon();
    log.ended();
    chart.refresh();
  }
  if (hasStarted) log.list();
}

/** @param {News} news */
function receive({ experiment: head, events = [], trials = [], metrics = [] }) {
  if (head) experiment = head;
  for (const event of events) {
    const isStop = STOPS.has(event.what) && event.to === "EARLY_STOPPED";
    if (isStop && event.trial === trialNumber) stop = event;
    if (isOfFiles(event) && event.trial === trialNumber) files.soon();
  }
  const fresh = trials.find((t) => t.number === trialNumber);
  if (fresh) showTrial(fresh);
  const mine = metrics.filter((metric) => metric.trial === trialNumber);
  if (mine.length) {
    for (const metric of mine) movesOn(trial, metric);
    drawResult(trial);
    // who logs metrics has logged parameters before: a name that is new says that there is more
    if (mine.some(({ name }) => !reports.names.has(name))) logged.soon();
    reports.add(mine);
    reports.drawSoon();
    chart.addReports(mine);
  }
  timeline.add(events);
}

const badge = connectionBadge();
draw();
chart.refresh();
loadReports().catch((error) => {
  byId("metrics-count").textContent = wordsOf(error);
});
const live = new Live({
  url: root.dataset.socket ?? "",
  after: state.cursor,
  onMessage: receive,
  onState: (shown) => badge.show(shown),
  async onPoll() {
    const [fresh, head] = await Promise.all([
      api("GET", trialUrl),
      api("GET", apiUrl),
      loadReports(),
      timeline.poll(),
      files.load(),
      logged.load(),
    ]);
    experiment = head;
    const isNew = fresh.seq > trial.seq || fresh.n_reports !== trial.n_reports;
    showTrial(fresh);
    if (isNew) chart.refresh();
  },
});
setInterval(() => {
  if (document.hidden) return;
  badge.tick(live.updatedAt);
  const box = document.getElementById("duration");
  if (box && !isFinished(trial)) box.textContent = duration(trialSeconds(trial));
  const left = document.getElementById("time-left");
  if (left) left.textContent = timeLeft(trial);
}, 1000);
