// Failed trials in groups, where they fail, and one click to retry or to tick a group. Of the trials
// that are looked at.

import { api, wordsOf } from "../api.js";
import { byId, h, icon, onChange, toast } from "../dom.js";
import { number, plain } from "../format.js";
import { gettext, ngettext } from "../language.js";
import { said } from "../said.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 5000; // at most so often while trials go on failing
const SHOWN = 8; // numbers of a group

/**
 * Where trials fail, as a sentence.
 * @param {Where} where
 */
export function placeWords({ parameter, low, high, values, ...counts }) {
  const place =
    low !== null
      ? gettext("{name} from {value} up", { name: parameter, value: number(low) })
      : high !== null
        ? gettext("{name} up to {value}", { name: parameter, value: number(high) })
        : gettext("{name} = {value}", { name: parameter, value: plain(values[0]) });
  return gettext("{place}: {failed} of {of} failed, elsewhere {fewer} of {others}.", {
    place,
    failed: counts.failed,
    of: counts.of,
    fewer: counts.elsewhere_failed,
    others: counts.elsewhere_of,
  });
}

export class Failures {
  /**
   * @param {{ api: string, page: string }} urls
   * @param {{
   *   mayChange: boolean, onRetried: () => void, onTicked: (trials: number[]) => void,
   * }} page
   */
  constructor(urls, { mayChange, onRetried, onTicked }) {
    this.urls = urls;
    this.mayChange = mayChange;
    this.onRetried = onRetried;
    this.onTicked = onTicked;
    /** @type {Record<string, string>} the trials that are looked at, as the server is asked */
    this.asked = {};
    this.changed = onChange();
    this.soon = steadily(() => this.ask(), EVERY_MS, { atOnce: true });
    this.card = byId("failures");
  }

  /** @param {Record<string, string>} asked the trials that are looked at */
  select(asked) {
    this.asked = asked;
    if (this.hasFailures) this.changed("selected", asked, this.soon);
  }

  /** @param {Experiment} experiment */
  follow({ counts, n_to_retry, phase }) {
    this.mayRetry = this.mayChange && phase !== "ERROR" && phase !== "TIMEOUT";
    const what = [counts.FAILED ?? 0, counts.LOST ?? 0, n_to_retry, this.mayRetry];
    this.changed("failures", what, () => {
      this.hasFailures = Boolean(what[0] || what[1]);
      if (this.hasFailures || !this.card.hidden) this.soon();
    });
  }

  async ask() {
    /** @type {FailuresAnswer} */
    const answer = await api("GET", `${this.urls.api}failures/?${new URLSearchParams(this.asked)}`);
    const isPart = Object.keys(this.asked).length > 0;
    this.card.hidden = answer.failed === 0 && !(isPart && this.hasFailures);
    byId("failures-count").textContent = isPart
      ? gettext("{n} of the selected trials", { n: answer.failed })
      : String(answer.failed);
    // where each kind has a place of its own, that of all together only blurs it
    const told = answer.groups.some((group) => group.where.length) ? [] : answer.where;
    byId("failures-where").replaceChildren(
      ...told.map((where) => h("li", {}, icon("target"), h("span", {}, placeWords(where)))),
    );
    byId("failures-groups").replaceChildren(...answer.groups.map((group) => this.row(group)));
  }

  /** @param {FailureGroup} group */
  row({ exit_code, reason, count, trials, where }) {
    const links = trials
      .slice(0, SHOWN)
      .map((n) => h("a", { class: "num", href: `${this.urls.page}trials/${n}/` }, `#${n}`));
    const more = count - links.length;
    const isAll = trials.length === count; // of very many, only so many are named
    const words =
      said(reason) || (exit_code === null ? "–" : gettext("exit code {n}", { n: exit_code }));
    return h(
      "li",
      { class: "failure-group", "data-testid": "failure-group" },
      h("strong", { class: "failure-n num" }, count),
      h(
        "div",
        { class: "failure-what" },
        h("div", { class: "failure-reason mono" }, words),
        where.map((place) => h("div", { class: "failure-place" }, placeWords(place))),
        h(
          "div",
          { class: "failure-trials small" },
          links,
          more > 0 && h("span", { class: "muted" }, gettext("and {n} more", { n: more })),
          h(
            "button",
            { type: "button", class: "btn btn-link btn-sm", onclick: () => this.onTicked(trials) },
            isAll ? gettext("Select them") : gettext("Select {n} of them", { n: trials.length }),
          ),
        ),
      ),
      this.mayRetry &&
        h(
          "button",
          { type: "button", class: "btn btn-default btn-sm", onclick: () => this.retry(trials) },
          icon("refresh"),
          isAll
            ? ngettext("Retry {n}", "Retry {n}", trials.length)
            : gettext("Retry {n} of {m}", { n: trials.length, m: count }),
        ),
    );
  }

  /** @param {number[]} trials */
  async retry(trials) {
    try {
      const { count } = await api("POST", `${this.urls.api}retry-failed/`, { trials });
      toast(ngettext("{n} trial is tried again.", "{n} trials are tried again.", count), "success");
      this.onRetried();
      this.soon();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  }
}
