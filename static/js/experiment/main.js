// The experiment page: draws the state that came with it and keeps it fresh over the websocket.
// Everything that is news goes through `receive`.

import { params, remember } from "../address.js";
import { api } from "../api.js";
import { pause } from "../charts/library.js";
import { byId, onChange, pageData } from "../dom.js";
import { gettext } from "../language.js";
import { connectionBadge, Live } from "../live.js";
import { RenderedNotes } from "../markdown.js";
import { Notes } from "../notes.js";
import { Timeline } from "../timeline.js";
import { act } from "../trials/actions.js";
import { TrialTable } from "../trials/table.js";
import { listenToActions } from "./actions.js";
import { drawAIStore } from "./aistore.js";
import { BrowserNotices } from "./browser_notices.js";
import { Charts } from "./charts.js";
import { CustomTrial } from "./custom_trial.js";
import { Devices } from "./devices.js";
import { Failures } from "./failures.js";
import { drawHead } from "./head.js";
import { listenToKeys } from "./keys.js";
import { Limits } from "./limits.js";
import { askReason, Many } from "./many.js";
import { example, ManyTrials } from "./many_trials.js";
import { drawBest, drawProgress, drawTime } from "./overview.js";
import { OwnFigures } from "./own_figures.js";
import { PaceLine } from "./pace.js";
import { SavedViews } from "./saved_views.js";
import { WinnerWords } from "./winner.js";

const root = byId("experiment-page");
/**
 * @type {{
 *   experiment: Experiment, cursor: number, trials: Page<Trial>, events: HappenedEvent[],
 *   space: Record<string, SpaceNode>, metric_names: string[], may_change: boolean,
 *   views: SavedView[], figures: OwnFigure[],
 * }}
 */
const state = pageData("page-state");
const urls = {
  api: root.dataset.api ?? "",
  page: root.dataset.page ?? "",
  list: root.dataset.list ?? "",
  socket: root.dataset.socket ?? "",
  plotly: root.dataset.plotly ?? "",
};
const trialsUrl = `${urls.api}trials/`;
let { experiment } = state;
let receivedAt = Date.now(); // when active_seconds was true

const charts = new Charts(urls, {
  onTrial(trial, click) {
    if (click?.shiftKey) table.selection.toggle(trial);
    else location.assign(`${urls.page}trials/${trial}/`);
  },
  onBrush: (conditions, trials) => table.brushed(conditions, trials),
});
const failures = new Failures(urls, {
  mayChange: state.may_change,
  onRetried: () => table.refresh(),
  onTicked: (trials) => table.selection.set(trials, true),
});
await pause(); // the page is laid out when this begins to wait: once without its longest table
const table = new TrialTable({
  url: trialsUrl,
  page: urls.page,
  space: state.space,
  metrics: state.metric_names,
  params,
  first: state.trials,
  mayChange: state.may_change,
  onAction: rowAction,
  onState: (changes) => remember(changes),
  onSelected(asked) {
    charts.select(asked);
    failures.select(asked);
  },
});
table.update([], experiment.best);
await pause(); // what there is is seen, and the rest comes a piece at a time
new ManyTrials({
  url: trialsUrl,
  example: example(state.space, experiment.best?.parameters),
  onAdded: () => table.refresh(),
});
if (state.may_change) {
  new Many({
    url: trialsUrl,
    asked: () => table.selection.asked(),
    count: () => table.selection.size,
    onDone: () => table.refresh(),
  });
}
listenToKeys(table, { mayChange: state.may_change, onAction: rowAction });
new SavedViews({ url: `${urls.api}views/`, views: state.views, mayChange: state.may_change });
const figures = new OwnFigures(urls, { mayChange: state.may_change, figures: state.figures });
const timeline = new Timeline({
  url: `${urls.api}events/`,
  page: urls.page,
  events: state.events,
});
/** @param {Experiment} fresh */
const onSaved = (fresh) => receive({ experiment: fresh });
const limits = new Limits({ url: urls.api, mayChange: state.may_change, onSaved });
const notes = new Notes({ url: urls.api, onSaved });
const custom = new CustomTrial({
  url: trialsUrl,
  space: state.space,
  onAdded: () => table.refresh(),
});
listenToActions(root, {
  ...urls,
  current: () => experiment,
  onChanged: onSaved,
  onTrials: () => table.refresh(),
  openNotes: () => notes.open(experiment),
  openCustom({ best }) {
    custom.open(
      best?.parameters,
      best
        ? gettext("Starts from the best so far, trial {n}.", { n: best.number })
        : gettext("Leave a field empty to leave its parameter out."),
    );
  },
});

/** @type {Set<string>} what is under way, and of which trial */
const acting = new Set();

/**
 * @param {string} name
 * @param {Trial} trial
 * @param {HTMLButtonElement} button
 */
async function rowAction(name, trial, button) {
  if (name === "copy") {
    custom.open(
      trial.parameters,
      gettext("Starts from the parameters of trial {n}.", { n: trial.number }),
    );
    return;
  }
  const body = name === "exclude" ? await reasonFor(trial) : {};
  const action = `${name} ${trial.number}`;
  if (body && !acting.has(action)) {
    acting.add(action); // not by a disabled button: that would lose the focus
    button.setAttribute("aria-disabled", "true");
    const changed = await act(name, trial, trialsUrl, body);
    button.removeAttribute("aria-disabled");
    acting.delete(action);
    if (changed?.number === trial.number) table.update([changed], experiment.best);
    else if (changed) table.refresh();
  }
  table.rows.regain(trial.number);
}

/**
 * @param {Trial} trial
 * @returns {Promise<{ reason: string } | null>}
 */
async function reasonFor({ number: n }) {
  const reason = await askReason(gettext("Exclude trial {n} from the results?", { n }));
  return reason === null ? null : { reason };
}

const pace = new PaceLine(urls.api);
const winner = new WinnerWords(urls, {
  mayChange: state.may_change,
  onAdded: () => table.refresh(),
});
const devices = new Devices({ api: root.dataset.devices ?? "", list: urls.list }, experiment.id);
const changed = onChange();
const browserNotices = new BrowserNotices(experiment);
const shownNotes = new RenderedNotes(byId("notes"), experiment.notes);
function draw() {
  shownNotes.show(experiment.notes).catch(() => {}); // then they stand as plain text
  drawHead(experiment, state.may_change);
  drawProgress(experiment);
  drawTime(experiment, receivedAt);
  drawBest(experiment, urls);
  changed("chips", experiment.counts, () => table.drawChips(experiment.counts));
  changed("aistore", experiment.aistore, () => drawAIStore(experiment.aistore, state.may_change));
  limits.show(experiment);
  devices.follow(experiment);
  if (areChartsThere) drawAnswers();
}

/** What the server works out of all trials: asked for after the charts, which are looked at first. */
let areChartsThere = false;
function drawAnswers() {
  pace.follow(experiment);
  winner.follow(experiment);
  failures.follow(experiment);
}

/** @param {News} news */
function receive(news) {
  if (news.experiment && news.experiment.seq >= experiment.seq) {
    const phaseBefore = experiment.phase;
    experiment = news.experiment;
    browserNotices.follow(experiment);
    receivedAt = Date.now();
    draw();
    if (experiment.phase === "ERROR" && phaseBefore !== "ERROR") location.reload(); // for details
  }
  table.update(news.trials ?? [], experiment.best);
  for (const metric of news.metrics ?? []) table.report(metric);
  charts.receive(news);
  figures.receive(news);
  timeline.add(news.events ?? []);
}

const badge = connectionBadge();
failures.select(table.selection.asked());
draw();
charts.select(table.selection.asked());
charts.start();
charts.answered().then(() => {
  areChartsThere = true;
  drawAnswers();
});
const live = new Live({
  url: urls.socket,
  after: state.cursor,
  onMessage: receive,
  onState: (shown) => badge.show(shown),
  async onPoll() {
    const [fresh] = await Promise.all([api("GET", urls.api), table.load(), timeline.poll()]);
    const isNew = fresh.seq > experiment.seq;
    receive({ experiment: fresh });
    if (!isNew) return;
    charts.refresh();
    figures.soon();
  },
});
setInterval(() => {
  if (document.hidden) return;
  drawTime(experiment, receivedAt);
  badge.tick(live.updatedAt);
}, 1000);
