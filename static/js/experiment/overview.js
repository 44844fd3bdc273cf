// The overview of the experiment page: how far it is, and the best trial.

import { copyMenu } from "../copy_menu.js";
import { byId, h, onChange } from "../dom.js";
import { flat } from "../flat.js";
import { ago, duration, full, isEnded, number, plain, trialBar } from "../format.js";
import { around, gettext } from "../language.js";

const changed = onChange();

/** @param {Experiment} experiment */
export function drawProgress(experiment) {
  const { counts, n_finished: n, started_at, finished_at } = experiment;
  const limit = experiment.max_trials;
  const most = limit === null ? null : Math.max(limit, n); // it may be lowered below what is done
  changed("bar", [counts, most, n], () => {
    byId("trials-bar").replaceChildren(trialBar(counts, most));
    byId("trials-text").replaceChildren(
      h("strong", {}, n),
      most === null ? gettext(" finished") : gettext(" of {n} finished", { n: most }),
    );
  });
  changed("started", [started_at, finished_at], () => {
    if (finished_at)
      byId("started").replaceChildren(...around(gettext("ended {ago}"), ago(finished_at)));
    else if (started_at)
      byId("started").replaceChildren(...around(gettext("started {ago}"), ago(started_at)));
    else
      byId("started").replaceChildren(
        ...around(gettext("created {ago}"), ago(experiment.created_at)),
      );
  });
}

/**
 * The meter of the active time, which moves without news.
 * @param {Experiment} experiment
 * @param {number} receivedAt when its active_seconds were true
 */
export function drawTime(experiment, receivedAt) {
  const running = experiment.clock_running ? (Date.now() - receivedAt) / 1000 : 0;
  const active = experiment.active_seconds + running;
  const limit = experiment.max_exec_seconds;
  const share = limit === null ? 0 : Math.min(100, (100 * active) / limit);
  const bar = byId("time-bar");
  bar.hidden = limit === null;
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${share}%`;
  bar.setAttribute("aria-valuenow", share.toFixed(0));
  bar.classList.toggle("is-running", experiment.clock_running);
  bar.classList.toggle("is-full", experiment.phase === "TIMEOUT");
  const time = duration(Math.floor(active));
  const text = limit === null ? time : gettext("{time} of {most}", { time, most: duration(limit) });
  const box = byId("time-text");
  if (box.textContent !== text) box.textContent = text;
}

/**
 * @param {Experiment} experiment
 * @param {{ page: string, api: string }} urls of the experiment's page, and of it in REST
 */
export function drawBest(experiment, urls) {
  const { best } = experiment;
  const hasFailed = Boolean(experiment.counts.FAILED || experiment.counts.LOST);
  changed("best", [best, isEnded(experiment), experiment.n_finished, hasFailed], () => {
    byId("best").replaceChildren(
      ...(best ? bestParts(best, urls) : [noBest(experiment, hasFailed)]),
    );
  });
}

/**
 * @param {Experiment} experiment
 * @param {boolean} hasFailed whether any of its trials has
 */
function noBest(experiment, hasFailed) {
  const { n_finished: n } = experiment;
  const soFar = n
    ? gettext("No trial has succeeded yet.")
    : gettext("The first trial that succeeds comes here.");
  const words = isEnded(experiment) ? gettext("No trial succeeded.") : soFar;
  return h(
    "div",
    { class: "best-none" },
    h("span", { class: "best-value muted", "data-testid": "best-value" }, "–"),
    h("p", { class: "muted" }, words),
    hasFailed && h("p", {}, h("a", { href: "#failures" }, gettext("See why they failed"))),
  );
}

/**
 * @param {Best} best
 * @param {{ page: string, api: string }} urls
 */
function bestParts(best, { page, api }) {
  const rows = Object.entries(flat(best.parameters)).map(([name, value]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", class: "mono" }, name),
      h("td", { class: "mono", title: full(value) }, plain(value)),
    ),
  );
  const value = { class: "best-value num", "data-testid": "best-value", title: String(best.value) };
  const link = {
    class: "tag tag-accent",
    href: `${page}trials/${best.number}/`,
    "data-testid": "best-link",
  };
  return [
    h(
      "div",
      { class: "best-head" },
      h("span", value, number(best.value)),
      h("a", link, gettext("trial {n}", { n: best.number })),
      copyMenu(best.parameters, `${api}trials/${best.number}/`),
    ),
    h("div", { class: "best-table" }, h("table", { class: "kv-table" }, h("tbody", {}, rows))),
  ];
}
