// When the experiment will be done at this pace, and what its trials took: a line of the overview.

import { api } from "../api.js";
import { byId, onChange } from "../dom.js";
import { isEnded, duration as words } from "../format.js";
import { gettext, ngettext, together } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 5000; // at most so often; the server reads every trial for it

/**
 * Seconds in words that no line breaks.
 * @param {number} seconds
 */
const duration = (seconds) => words(Math.round(seconds)).replaceAll(" ", "\u00a0");

/**
 * What the answer says, a sentence each; none where there is nothing to say.
 * @param {Pace} pace
 * @param {boolean} [isCounted] whether there is a number of trials to reach
 * @returns {string[]}
 */
export function sentences(pace, isCounted = true) {
  const { left, trial_seconds, gpu_seconds, stopped_early, saved_seconds } = pace;
  const said = [];
  if (left?.ends_by === "time") {
    const time = duration(left.high_s);
    said.push(
      isCounted
        ? gettext("The time limit ends it in {time}, before all trials have run.", { time })
        : gettext("The time limit ends it in {time}.", { time }),
    );
  } else if (left) {
    const [low, high] = [left.low_s, left.high_s].map((s) => duration(s));
    said.push(
      low === high
        ? gettext("About {time} left.", { time: high })
        : gettext("{low} to {high} left.", { low, high }),
    );
  }
  if (trial_seconds >= 1) {
    const time = duration(trial_seconds);
    said.push(
      gpu_seconds === null
        ? gettext("Trials took {time}.", { time })
        : gettext("Trials took {time}, and GPUs {gpu}.", {
            time,
            gpu: duration(gpu_seconds),
          }),
    );
  }
  const reports = Math.round(pace.saved_reports ?? 0);
  if (saved_seconds !== null && saved_seconds >= 1) {
    const time = duration(saved_seconds);
    said.push(
      reports
        ? gettext("Stopping {n} early saved about {time}, and {reports} reports.", {
            n: stopped_early,
            time,
            reports,
          })
        : ngettext(
            "Stopping {n} early saved about {time}.",
            "Stopping {n} early saved about {time}.",
            stopped_early,
            { time },
          ),
    );
  }
  if (pace.let_finish) said.push(letFinish(pace.let_finish));
  return said;
}

/**
 * How often the assessor was wrong, as far as trials tell that ran on.
 * @param {NonNullable<Pace["let_finish"]>} found
 */
function letFinish({ trials, ended, wrong }) {
  if (!ended) return gettext("{n} it would have stopped run on to the end.", { n: trials.length });
  const numbers = wrong.slice(0, 5).map((number) => `#${number}`);
  if (!wrong.length) {
    return gettext("Of {n} let run on, it was wrong about none.", { n: ended });
  }
  return gettext("Of {n} let run on, it was wrong about {wrong}: {trials}.", {
    n: ended,
    wrong: wrong.length,
    trials: numbers.join(", ") + (wrong.length > numbers.length ? ", …" : ""),
  });
}

export class PaceLine {
  /** @param {string} url of the experiment in REST */
  constructor(url) {
    this.url = url;
    this.changed = onChange();
    this.isCounted = true;
    this.soon = steadily(() => this.ask(), EVERY_MS, { atOnce: true });
  }

  /**
   * Ask again where something of it has changed, soon.
   * @param {Experiment} experiment
   */
  follow(experiment) {
    const { n_finished, suspended, finishing, max_trials, concurrency, max_exec_seconds } =
      experiment;
    const what = [n_finished, suspended, finishing, max_trials, concurrency, max_exec_seconds];
    this.isCounted = max_trials !== null;
    this.changed("pace", [...what, isEnded(experiment)], this.soon);
  }

  async ask() {
    const pace = await api("GET", `${this.url}pace/`);
    byId("pace").textContent = together(sentences(pace, this.isCounted));
    byId("pace-right").hidden = pace.stopped_early === 0 || Boolean(pace.let_finish);
  }
}
