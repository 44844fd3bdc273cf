// Is the best trial really the best, and would more trials help? A sentence each below the best
// trial, the numbers behind them in a dialog, and a form that runs the best once more.

import { api, wordsOf } from "../api.js";
import { all, byId, find, h, onChange, toast } from "../dom.js";
import { duration, number } from "../format.js";
import { gettext, ngettext, together } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 5000; // at most so often; the server reads every trial for it
const DIGITS = 3; // of what is uncertain

/** @param {number | null} value */
const rough = (value) => number(value, DIGITS);

/** @param {number} share */
const percent = (share) => {
  if (share > 0.99) return "> 99\u00a0%";
  return share < 0.01 ? "< 1\u00a0%" : `${Math.round(100 * share)}\u00a0%`;
};

/**
 * What its repeats gave: the mean, and half of its interval.
 * @param {Contender} contender
 */
function meanWords({ mean, high }) {
  if (mean === null || high === null) return number(mean, 5);
  return `${number(mean, 5)} ± ${number(high - mean, 2)}`;
}

/**
 * The verdict on the best parameters, a sentence each.
 * @param {Winner} winner
 * @returns {string[]}
 */
export function verdict({ verdict: found, contenders, likeliest, noise, gap }) {
  const [best] = contenders;
  if (!best) return [];
  const n = best.again.length;
  const again = () =>
    ngettext(
      "Run once more, it gave {mean}.",
      "Run {n} times more, it gave {mean} on average.",
      n,
      { mean: meanWords(best) },
    );
  const chance = percent(best.chance ?? 0);
  const others = contenders.filter((c) => c.chance !== null).length;
  switch (found) {
    case "not_repeated": {
      const said = [gettext("It ran once: nobody knows how much of its value was luck.")];
      if (gap !== null && noise !== null) {
        const values = { gap: rough(gap), noise: rough(noise) };
        said.push(
          gettext("The next best is {gap} behind; equal parameters differ by {noise}.", values),
        );
      } else if (gap !== null) {
        said.push(gettext("The next best is {gap} behind.", { gap: rough(gap) }));
      }
      return said;
    }
    case "too_few":
      return [again(), gettext("Once more tells no spread: run it again.")];
    case "identical":
      return [
        gettext("Every repeat gave the same number to the last digit."),
        gettext("The script draws nothing at random, or fixes its seed: luck cannot be seen."),
      ];
    case "alone":
      return [again(), gettext("Nothing else ran again that it could be compared with.")];
    case "confirmed":
      return [
        gettext("It is really the best of the {n} that ran again ({chance} sure).", {
          n: others,
          chance,
        }),
        again(),
      ];
    case "likely":
      return [
        gettext("It is likely the best of the {n} that ran again ({chance} sure).", {
          n: others,
          chance,
        }),
        again(),
      ];
    case "lucky": {
      const other = contenders.find((c) => c.trial === likeliest) ?? best;
      return [
        gettext("It was lucky: trial {n} is likelier the best ({chance} sure).", {
          n: other.trial,
          chance: percent(other.chance ?? 0),
        }),
        again(),
      ];
    }
    case "open":
      return [
        gettext(
          "Too close to call: any of the best few may be it. Take the simplest of them, or run them again more often.",
        ),
        again(),
      ];
    default:
      return [];
  }
}

/**
 * Whether more trials would help, a sentence each.
 * @param {Winner} winner
 * @returns {string[]}
 */
export function outlook({ outlook: found, noise }) {
  if (!found) return [];
  const values = { n: found.n_more, chance: percent(found.chance), gain: rough(found.gain) };
  const said = [
    found.as_many_again
      ? gettext(
          "As many trials again ({n}) find a better one with a chance of {chance}, and gain {gain} on average.",
          values,
        )
      : gettext(
          "The {n} trials that are left find a better one with a chance of {chance}, and gain {gain} on average.",
          values,
        ),
  ];
  if (noise !== null && found.gain < noise) {
    said.push(
      gettext("Equal parameters differ by {noise}: more trials would mostly find luck.", {
        noise: rough(noise),
      }),
    );
  }
  return said;
}

/**
 * More of it, for who wants to know.
 * @param {Winner} winner
 */
export function details({ outlook: found }) {
  if (!found) return "";
  const { since, gained } = found;
  return gained > 0
    ? gettext(
        "The later half of the trials bettered the best by {gained}; {since} more have succeeded since it came.",
        { gained: rough(gained), since },
      )
    : gettext("The later half of the trials found nothing better.");
}

export class WinnerWords {
  /**
   * @param {{ api: string, page: string }} urls
   * @param {{ mayChange: boolean, onAdded: () => void }} page
   */
  constructor(urls, { mayChange, onAdded }) {
    this.urls = urls;
    this.mayChange = mayChange;
    this.onAdded = onAdded;
    this.changed = onChange();
    this.soon = steadily(() => this.ask(), EVERY_MS, { atOnce: true });
    this.box = byId("winner");
    this.dialog = byId("winner-dialog", HTMLDialogElement);
    this.form = byId("winner-form", HTMLFormElement);
    this.times = byId("winner-times", HTMLInputElement);
    this.run = byId("winner-run", HTMLButtonElement);
    this.rows = byId("winner-rows");
    byId("winner-open").addEventListener("click", () => this.dialog.showModal());
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("input", () => this.forecast());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.repeat();
    });
  }

  /** @param {Experiment} experiment */
  follow(experiment) {
    this.experiment = experiment;
    const { best, n_finished, max_trials, phase } = experiment;
    this.changed("winner", [best?.number, best?.value, n_finished, max_trials, phase], this.soon);
  }

  async ask() {
    if (!this.experiment?.best) {
      this.box.hidden = true;
      return;
    }
    /** @type {Winner} */
    const winner = await api("GET", `${this.urls.api}winner/`);
    this.winner = winner;
    const [first = "", ...more] = verdict(winner);
    const help = outlook(winner);
    byId("winner-verdict").textContent = together([first, ...help]);
    byId("winner-said").textContent = together([first, ...more]);
    byId("winner-outlook").textContent = together([...help, details(winner)]);
    this.box.hidden = !first;
    this.changed("contenders", winner.contenders, () => this.draw(winner));
    this.forecast();
  }

  /** @param {Winner} winner */
  draw({ contenders, likeliest }) {
    this.rows.replaceChildren(...contenders.map((one) => this.row(one, one.trial === likeliest)));
    const isFresh = contenders.every(({ again }) => again.length === 0);
    this.rows.parentElement?.classList.toggle("is-fresh", isFresh); // nothing to average yet
  }

  /**
   * @param {Contender} contender
   * @param {boolean} isLikeliest
   */
  row(contender, isLikeliest) {
    const { trial, value, again, n_failed, mean, chance } = contender;
    const name = gettext("trial {n}", { n: trial });
    const box = h("input", {
      type: "checkbox",
      class: "form-check-input",
      checked: true,
      "aria-label": gettext("Run the parameters of trial {n} again", { n: trial }),
      dataset: { trial: String(trial) },
    });
    const runs = [
      again.length ? ngettext("{n} time", "{n} times", again.length) : gettext("never"),
      n_failed ? gettext("{n} failed", { n: n_failed }) : "",
    ];
    return h(
      "tr",
      { "data-testid": "contender", class: isLikeliest ? "is-likeliest" : "" },
      h("td", {}, this.mayChange && box),
      h("td", {}, h("a", { href: `${this.urls.page}trials/${trial}/` }, name)),
      h("td", { class: "num" }, number(value)),
      h("td", {}, runs.filter(Boolean).join(", ")),
      h("td", { class: "num" }, mean === null ? "–" : meanWords(contender)),
      h("td", { class: "num" }, chance === null ? "–" : percent(chance)),
    );
  }

  chosen() {
    return all(this.rows, "input:checked").map((box) => Number(box.dataset.trial));
  }

  /** What running them again costs, and whether it can be done. */
  forecast() {
    const { winner, experiment } = this;
    if (!winner || !experiment) return;
    const n = this.chosen().length * Number(this.times.value);
    const isPossible = n > 0 && this.times.checkValidity();
    const isOver = experiment.phase === "ERROR" || experiment.phase === "TIMEOUT";
    this.run.disabled = !isPossible || isOver;
    const words = byId("winner-forecast");
    if (isOver) words.textContent = gettext("The experiment has ended; raise a limit first.");
    else if (!isPossible) words.textContent = "";
    else if (winner.seconds_each === null) {
      words.textContent = ngettext("{n} trial more.", "{n} trials more.", n);
    } else {
      const turns = Math.ceil(n / experiment.concurrency);
      words.textContent = ngettext(
        "{n} trial more, about {time}.",
        "{n} trials more, about {time}.",
        n,
        { time: duration(turns * winner.seconds_each) },
      );
    }
  }

  async repeat() {
    this.run.disabled = true;
    try {
      const body = { trials: this.chosen(), times: Number(this.times.value) };
      const { count } = await api("POST", `${this.urls.api}trials/repeat/`, body);
      this.dialog.close();
      toast(ngettext("{n} trial was added.", "{n} trials were added.", count), "success");
      this.onAdded();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
    this.forecast();
  }
}
