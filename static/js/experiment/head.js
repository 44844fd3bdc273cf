// The head of the experiment page: name, phase, what is wrong, what can be done now.

import { all, byId, find, h, onChange } from "../dom.js";
import { isEnded, outOf, phaseBadge } from "../format.js";
import { gettext, ngettext } from "../language.js";
import { said } from "../said.js";
import { moment } from "../times.js";

const changed = onChange();

/**
 * @param {Experiment} experiment
 * @param {boolean} mayChange
 */
export function drawHead(experiment, mayChange) {
  const { phase, suspended, finishing, message, name, tags } = experiment;
  changed(
    "phase",
    [phase, suspended, finishing, message, experiment.blocked?.words, !experiment.best],
    () => {
      byId("phase").replaceChildren(phaseBadge(experiment));
      byId("message").hidden = !message || experiment.blocked?.words === message;
      byId("message-text").textContent = said(message);
    },
  );
  changed("breaker", [experiment.breaker, phase], () => drawBreaker(experiment));
  changed("blocked", [experiment.blocked, message], () => drawBlocked(experiment));
  changed("cluster-object", experiment.cluster_object, () => drawClusterObject(experiment));
  drawActions(experiment, mayChange);
  changed("tags", tags, () => drawTags(tags));
  const title = find(document, "#experiment-page h1");
  if (title.textContent !== name) title.textContent = name;
  const { n_finished: n, max_trials: most } = experiment;
  const progress = `${outOf(n, most, "/")} · `;
  document.title = `${isEnded(experiment) ? "" : progress}${name} · AutoTune`;
}

/** @param {string[]} tags */
function drawTags(tags) {
  const line = byId("tags");
  line.hidden = tags.length === 0;
  line.replaceChildren(
    ...tags.map((tag) => {
      const href = `${line.dataset.list}?${new URLSearchParams({ tag })}`;
      return h("a", { class: "tag tag-accent", href }, tag);
    }),
  );
}

/**
 * Why it suspended itself; going on is the same as Resume.
 * @param {Experiment} experiment
 */
function drawBreaker(experiment) {
  const { breaker } = experiment;
  const box = byId("breaker");
  box.hidden = !breaker || isEnded(experiment);
  if (!breaker) return;
  byId("breaker-reason").textContent = said(breaker.reason);
  byId("breaker-log").textContent = breaker.log;
  byId("breaker-log").hidden = !breaker.log;
  const link = byId("breaker-trial", HTMLAnchorElement);
  link.href = `trials/${breaker.trials[breaker.trials.length - 1]}/`;
}

/**
 * What keeps all of its trials from running: in our words, since when, what to do, the cluster's.
 * @param {Experiment} experiment
 */
function drawBlocked({ blocked }) {
  byId("blocked").hidden = !blocked;
  if (!blocked) return;
  const { trial, since } = blocked;
  byId("blocked-why").textContent = said(blocked.why);
  byId("blocked-advice").textContent = said(blocked.advice);
  byId("blocked-words").textContent = said(blocked.words);
  byId("blocked-since").textContent = since
    ? gettext("Since {time}.", { time: moment(new Date(since)) })
    : "";
  const link = byId("blocked-trial", HTMLAnchorElement);
  link.hidden = trial === null;
  link.textContent = gettext("Trial {number}:", { number: trial ?? "" });
  link.href = `trials/${trial}/`;
}

/** @param {Experiment} experiment */
function drawClusterObject({ cluster_object: there }) {
  const tag = byId("cluster-object");
  tag.hidden = !there;
  if (there) {
    tag.textContent = `${there.namespace}/${there.name}`;
    tag.title = gettext("{name}: copy the command that shows it in the cluster", {
      name: tag.textContent,
    });
    tag.dataset.copy = `kubectl --namespace ${there.namespace} get ate ${there.name}`;
  }
  const trouble = byId("cluster-trouble");
  trouble.hidden = !there?.trouble;
  find(trouble, "div").textContent = there?.trouble
    ? gettext("In the cluster: {trouble}", { trouble: said(there.trouble) })
    : "";
}

/**
 * @param {Experiment} experiment
 * @param {boolean} mayChange
 */
function drawActions(experiment, mayChange) {
  const { phase, suspended, finishing, n_to_retry: failed } = experiment;
  const ended = isEnded(experiment);
  const isOver = phase === "ERROR" || phase === "TIMEOUT";
  const possible = {
    suspend: !ended && !suspended && !finishing,
    resume: !ended && suspended,
    continue: !ended && suspended,
    finish: !ended && !finishing,
    notes: true,
    delete: true,
    custom: !isOver && !finishing,
    "retry-failed": failed > 0 && !isOver,
  };
  for (const [action, when] of Object.entries(possible)) {
    for (const button of all(document, `#experiment-page [data-action="${action}"]`)) {
      button.hidden = !(when && mayChange);
    }
  }
  find(document, '[data-action="retry-failed"] span').textContent = ngettext(
    "Retry {n} failed",
    "Retry all {n} failed",
    failed,
  );
}
