// The experiment page: draws the state that came with it and keeps it fresh over the websocket.

import { drawAIStore } from "./aistore_card.js";
import { api } from "./api.js";
import { ChartPanel } from "./charts.js";
import { CustomTrial } from "./custom_trial.js";
import { confirmAction, h, icon, pageData, toast } from "./dom.js";
import { ago, duration, full, isEnded, number, phaseBadge, plain, trialBar } from "./format.js";
import { Limits } from "./limits.js";
import { connectionBadge, Live } from "./live.js";
import { Timeline } from "./timeline.js";
import { act } from "./trial_actions.js";
import { TrialTable } from "./trial_table.js";

const root = document.getElementById("experiment-page");
const state = pageData("page-state");
const { api: apiUrl, page: pageUrl } = root.dataset;
const byId = (id) => document.getElementById(id);
let experiment = state.experiment;
let receivedAt = Date.now(); // when active_seconds was true

// ---- the URL holds what is being looked at, so that a reload shows the same

const params = new URLSearchParams(location.search);
function remember(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(key);
    else params.set(key, value);
  }
  const query = params.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

// ---- head and overview

const shownOnce = {};
/** Draw only when the data differ, so that focus and selection survive the news. */
function once(name, data, draw) {
  const key = JSON.stringify(data);
  if (shownOnce[name] === key) return;
  shownOnce[name] = key;
  draw();
}

function drawHead() {
  once(
    "phase",
    [experiment.phase, experiment.suspended, experiment.finishing, experiment.message],
    () => {
      byId("phase").replaceChildren(phaseBadge(experiment));
      const message = byId("message");
      message.hidden = !experiment.message;
      byId("message-text").textContent = experiment.message;
    },
  );
  once("cluster-object", experiment.cluster_object, () => {
    const there = experiment.cluster_object;
    const tag = byId("cluster-object");
    tag.hidden = !there;
    if (there) {
      tag.textContent = `${there.namespace}/${there.name}`;
      tag.title = `${tag.textContent}: copy the command that shows it in the cluster`;
      tag.dataset.copy = `kubectl --namespace ${there.namespace} get ate ${there.name}`;
    }
    const trouble = byId("cluster-trouble");
    trouble.hidden = !there?.trouble;
    trouble.querySelector("div").textContent = there?.trouble
      ? `In the cluster: ${there.trouble}`
      : "";
  });
  const ended = isEnded(experiment);
  const show = (action, when) =>
    (root.querySelector(`[data-action="${action}"]`).hidden = !(when && state.may_change));
  show("suspend", !ended && !experiment.suspended && !experiment.finishing);
  show("resume", !ended && experiment.suspended);
  show("finish", !ended && !experiment.finishing);
  show("notes", true);
  show("delete", true);
  show(
    "custom",
    experiment.phase !== "ERROR" && experiment.phase !== "TIMEOUT" && !experiment.finishing,
  );
  const failed = experiment.n_to_retry;
  show(
    "retry-failed",
    failed > 0 && experiment.phase !== "ERROR" && experiment.phase !== "TIMEOUT",
  );
  root.querySelector('[data-action="retry-failed"] span').textContent =
    `Retry all ${failed} failed`;
  byId("notes").hidden = !experiment.notes;
  byId("notes").textContent = experiment.notes;
  const title = root.querySelector("h1");
  if (title.textContent !== experiment.name) title.textContent = experiment.name;
  document.title = `${ended ? "" : `${experiment.n_finished}/${experiment.max_trials} · `}${experiment.name} · AutoTune`;
}

function drawProgress() {
  once("bar", [experiment.counts, experiment.max_trials], () => {
    byId("trials-bar").replaceChildren(trialBar(experiment.counts, experiment.max_trials));
    byId("trials-text").replaceChildren(
      h("strong", {}, experiment.n_finished),
      ` of ${experiment.max_trials} finished`,
    );
    table.drawChips(experiment.counts);
  });
  once("started", [experiment.started_at, experiment.finished_at], () => {
    const text = experiment.finished_at
      ? ["ended ", ago(experiment.finished_at)]
      : experiment.started_at
        ? ["started ", ago(experiment.started_at)]
        : ["made ", ago(experiment.created_at)];
    byId("started").replaceChildren(...text);
  });
  limits.show(experiment);
  tickTime();
}

function tickTime() {
  const running = experiment.clock_running ? (Date.now() - receivedAt) / 1000 : 0;
  const active = experiment.active_seconds + running;
  const share = Math.min(100, (100 * active) / experiment.max_exec_seconds);
  const bar = byId("time-bar");
  bar.firstElementChild.style.width = `${share}%`;
  bar.setAttribute("aria-valuenow", share.toFixed(0));
  bar.classList.toggle("is-running", experiment.clock_running);
  bar.classList.toggle("is-full", experiment.phase === "TIMEOUT");
  const text = `${duration(Math.floor(active))} of ${duration(experiment.max_exec_seconds)}`;
  const box = byId("time-text");
  if (box.textContent !== text) box.textContent = text;
}

function drawBest() {
  const best = experiment.best;
  once("best", best, () => {
    const box = byId("best");
    if (!best) {
      box.replaceChildren(
        h(
          "div",
          { class: "best-none" },
          h("span", { class: "best-value muted", "data-testid": "best-value" }, "–"),
          h(
            "p",
            { class: "muted" },
            experiment.n_finished
              ? "No trial has succeeded yet."
              : "The first trial that succeeds will be shown here.",
          ),
        ),
      );
      return;
    }
    const rows = Object.entries(best.parameters).map(([name, value]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: "mono" }, name),
        h("td", { class: "mono", title: full(value) }, plain(value)),
      ),
    );
    const json = JSON.stringify(best.parameters, null, 2);
    box.replaceChildren(
      h(
        "div",
        { class: "best-head" },
        h(
          "span",
          { class: "best-value num", "data-testid": "best-value", title: String(best.value) },
          number(best.value),
        ),
        h(
          "a",
          {
            class: "tag tag-accent",
            href: `${pageUrl}trials/${best.number}/`,
            "data-testid": "best-link",
          },
          `trial ${best.number}`,
        ),
        h(
          "button",
          {
            type: "button",
            class: "btn btn-quiet btn-sm",
            "data-copy": json,
            "data-copied": "The parameters were copied.",
          },
          icon("copy"),
          "Copy JSON",
        ),
      ),
      h("div", { class: "best-table" }, h("table", { class: "kv-table" }, h("tbody", {}, rows))),
    );
  });
}

function drawAll() {
  drawHead();
  drawProgress();
  drawBest();
  once("aistore", experiment.aistore, () => drawAIStore(experiment.aistore, state.may_change));
}

// ---- charts

const charts = new Map();
const figures = [...root.querySelectorAll(".chart")];
const narrow = window.matchMedia("(max-width: 767.98px)");
for (const element of figures) {
  const kind = element.dataset.kind;
  const controls = [...element.querySelectorAll("[data-option]")];
  const options = () =>
    Object.fromEntries(
      controls
        .filter((c) => !c.hidden || c.dataset.option === "metric")
        .flatMap((c) => {
          const value = c.type === "checkbox" ? (c.checked ? (c.dataset.on ?? "1") : "") : c.value;
          const first = c.tagName === "SELECT" ? (c.options[0]?.value ?? "") : "";
          return value && value !== first ? [[c.dataset.option, value]] : [];
        }),
    );
  for (const control of controls) {
    const stored = params.get(`${kind}.${control.dataset.option}`);
    if (stored === null) continue;
    if (control.type === "checkbox") control.checked = stored === (control.dataset.on ?? "1");
    else if (control.dataset.option === "metric")
      control.append(
        h("option", { value: "default" }, "default"),
        h("option", { value: stored }, stored),
      );
    if (control.tagName === "SELECT") control.value = stored;
  }
  const chart = new ChartPanel(element, {
    url: `${apiUrl}charts/${kind}/`,
    plotlyUrl: root.dataset.plotly,
    options: options(),
    onTrial: (trial) => location.assign(`${pageUrl}trials/${trial}/`),
    onFigure: (meta) => adapt(element, meta),
  });
  element.addEventListener("change", () => {
    const chosen = options();
    remember(
      Object.fromEntries(
        controls.map((c) => [`${kind}.${c.dataset.option}`, chosen[c.dataset.option] ?? null]),
      ),
    );
    chart.setOptions(chosen);
  });
  charts.set(kind, chart);
}

/** Offer only what makes sense for the figure: log for positive values, the metrics there are. */
function adapt(element, meta) {
  const tool = (name) => element.querySelector(`[data-needs="${name}"]`);
  if (tool("log")) tool("log").hidden = meta.log_possible === false || Boolean(meta.empty);
  const clip = tool("clip");
  if (clip) clip.hidden = !(meta.clipped || clip.querySelector("input").checked);
  const select = element.querySelector('select[data-option="metric"]');
  if (select && meta.metrics) {
    const names = meta.metrics.length ? meta.metrics : ["default"];
    const chosen = select.value || names[0];
    if (!names.includes(chosen)) names.push(chosen);
    if (names.join("\n") !== [...select.options].map((o) => o.value).join("\n")) {
      select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      select.value = chosen;
    }
    select.hidden = names.length < 2;
  }
}

function showView(view) {
  const kinds = [...charts.keys()];
  const chosen = view === "all" || kinds.includes(view) ? view : "all";
  byId("charts").dataset.view = chosen;
  for (const button of byId("chart-tabs").children)
    button.setAttribute("aria-pressed", String(button.dataset.view === chosen));
  for (const element of figures)
    element.hidden = chosen !== "all" && element.dataset.kind !== chosen;
  requestAnimationFrame(() => {
    for (const chart of charts.values()) {
      if (!chart.visible) continue;
      if (chart.figure && window.Plotly && chart.plot.classList.contains("js-plotly-plot"))
        window.Plotly.Plots.resize(chart.plot);
      chart.seen();
    }
  });
}
byId("chart-tabs").addEventListener("click", (event) => {
  const button = event.target.closest("[data-view]");
  if (!button) return;
  remember({ chart: button.dataset.view === defaultView() ? null : button.dataset.view });
  showView(button.dataset.view);
});
const defaultView = () => (narrow.matches ? "history" : "all");
narrow.addEventListener("change", () => params.has("chart") || showView(defaultView()));

// ---- trials, timeline, dialogs

const trialsUrl = `${apiUrl}trials/`;
const table = new TrialTable({
  url: trialsUrl,
  page: pageUrl,
  space: state.space,
  metrics: state.metric_names,
  params,
  first: state.trials,
  mayChange: state.may_change,
  onAction: rowAction,
  onState: () => remember(table.urlState()),
});
table.update([], experiment.best?.number);
const timeline = new Timeline({ url: `${apiUrl}events/`, page: pageUrl, events: state.events });
const limits = new Limits({
  url: apiUrl,
  mayChange: state.may_change,
  onSaved: (fresh) => receive({ experiment: fresh }),
});
const custom = new CustomTrial({
  url: trialsUrl,
  space: state.space,
  onAdded: () => table.refresh(),
});

async function rowAction(name, trial, button) {
  if (name === "copy") {
    custom.open(trial.parameters, `Starts from the parameters of trial ${trial.number}.`);
    return;
  }
  button.disabled = true;
  const changed = await act(name, trial, trialsUrl);
  button.disabled = false;
  if (!changed) return;
  if (changed.number === trial.number) table.update([changed], experiment.best?.number);
  else table.refresh();
}

const actions = {
  suspend: () => api("PATCH", apiUrl, { suspended: true }),
  resume: () => api("PATCH", apiUrl, { suspended: false }),
  async finish() {
    const running = (experiment.counts.RUNNING ?? 0) + (experiment.counts.WAITING ?? 0);
    const agreed = await confirmAction({
      title: "Finish this experiment now?",
      text: running
        ? `${running} unfinished trials are stopped; they keep what they reported.`
        : "No further trials will be started.",
      action: "Finish early",
    });
    return agreed ? api("POST", `${apiUrl}finish/`) : null;
  },
  async delete() {
    const agreed = await confirmAction({
      title: `Delete “${experiment.name}”?`,
      text: `Its ${experiment.n_trials} trials, their reports and logs are removed for good.`,
      action: "Delete",
      danger: true,
    });
    if (!agreed) return null;
    await api("DELETE", apiUrl);
    location.assign(root.dataset.list);
    return null;
  },
  async "retry-failed"() {
    const answer = await api("POST", `${apiUrl}retry-failed/`);
    toast(
      answer.count === 1 ? "1 trial is tried again." : `${answer.count} trials are tried again.`,
      "success",
    );
    table.refresh();
    return null;
  },
  "retry-uploads": () => api("POST", `${apiUrl}aistore/retry/`),
  custom() {
    const best = experiment.best;
    custom.open(
      best?.parameters,
      best
        ? `Starts from the best so far, trial ${best.number}.`
        : "Leave a field empty to leave its parameter out.",
    );
    return null;
  },
  notes() {
    byId("notes-name").value = experiment.name;
    byId("notes-text").value = experiment.notes;
    showNotesErrors([]);
    byId("notes-dialog").showModal();
    return null;
  },
  async manifest() {
    const response = await fetch(`${apiUrl}manifest/`, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    const text = await response.text();
    byId("manifest-text").textContent = text;
    byId("manifest-copy").dataset.copy = text;
    byId("manifest-dialog").showModal();
    return null;
  },
};
root.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-action]");
  if (!button) return;
  button.disabled = true;
  try {
    const fresh = await actions[button.dataset.action]();
    if (fresh?.phase) receive({ experiment: fresh });
  } catch (error) {
    toast(error.message, "danger");
  } finally {
    button.disabled = false;
  }
});

const notesDialog = byId("notes-dialog");
notesDialog.querySelector("[data-close]").addEventListener("click", () => notesDialog.close());
function showNotesErrors(errors) {
  for (const box of notesDialog.querySelectorAll("[data-error]")) {
    const found = errors.find((e) => e.path === box.dataset.error);
    box.hidden = !found;
    box.textContent = found?.message ?? "";
  }
}
byId("notes-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { expected: {} };
  const wanted = { name: byId("notes-name").value.trim(), notes: byId("notes-text").value };
  for (const key of ["name", "notes"]) {
    if (wanted[key] === experiment[key]) continue;
    body[key] = wanted[key];
    body.expected[key] = experiment[key];
  }
  try {
    if (body.name !== undefined || body.notes !== undefined)
      receive({ experiment: await api("PATCH", apiUrl, body) });
    notesDialog.close();
  } catch (error) {
    showNotesErrors(error.errors ?? []);
    if (!error.errors?.some((e) => e.path === "name" || e.path === "notes"))
      toast(error.message, "danger");
  }
});

// ---- news

const STRUCTURAL = new Set(["state", "excluded", "restored"]);

/** One message of the socket, or a part of one made from a REST answer. */
function receive(message) {
  if (message.experiment && message.experiment.seq >= experiment.seq) {
    const phaseBefore = experiment.phase;
    experiment = message.experiment;
    receivedAt = Date.now();
    drawAll();
    if (experiment.phase === "ERROR" && phaseBefore !== "ERROR") location.reload(); // for its details
  }
  const { trials = [], metrics = [], events = [] } = message;
  table.update(trials, experiment.best?.number);
  let unplaced = false;
  for (const metric of metrics) {
    table.report(metric);
    const curves = charts.get("curves");
    if (metric.kind === "PERIODICAL" && !curves.append(metric)) unplaced = true;
    if (
      metric.name === "default" &&
      metric.kind === "PERIODICAL" &&
      !charts.get("history").move(metric)
    ) {
      charts.get("history").refresh();
    }
  }
  if (unplaced) charts.get("curves").refresh();
  timeline.add(events);
  if (events.some((event) => STRUCTURAL.has(event.what))) {
    for (const chart of charts.values()) chart.refresh();
  }
}

const badge = connectionBadge();
const live = new Live({
  url: root.dataset.socket,
  after: state.cursor,
  onMessage: receive,
  onState: (shown) => badge.show(shown),
  async onPoll() {
    const [fresh] = await Promise.all([api("GET", apiUrl), table.load(), timeline.poll()]);
    const news = fresh.seq > experiment.seq;
    receive({ experiment: fresh });
    if (news) for (const chart of charts.values()) chart.refresh();
  },
});

drawAll();
showView(params.get("chart") ?? defaultView());
setInterval(() => {
  if (document.hidden) return;
  tickTime();
  badge.tick(live.updatedAt);
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const chart of charts.values()) if (chart.stale) chart.refresh();
});
