// What a person can do to one trial, from the table or from its own page.

import { api, wordsOf } from "../api.js";
import { confirmAction, toast } from "../dom.js";
import { gettext } from "../language.js";

/** @type {Record<string, { title: (n: number) => string, text: string, action: string, danger?: boolean }>} */
const QUESTIONS = {
  kill: {
    title: (n) => gettext("Stop trial {n}?", { n }),
    text: gettext("Its processes are ended; what it reported so far is kept."),
    action: gettext("Stop"),
    danger: true,
  },
  exclude: {
    title: (n) => gettext("Exclude trial {n} from the results?", { n }),
    text: gettext(
      "It no longer counts for the best value, the charts and the tuner. You can take it back at any time.",
    ),
    action: gettext("Exclude"),
  },
};
/** @type {Record<string, (n: number, answer: Trial) => string>} */
const DONE = {
  kill: (n) => gettext("Trial {n} is being stopped.", { n }),
  retry: (n, answer) =>
    gettext("Trial {n} is tried again as trial {other}.", { n, other: answer.number }),
  exclude: (n) => gettext("Trial {n} is excluded from the results.", { n }),
  restore: (n) => gettext("Trial {n} counts again.", { n }),
};

/**
 * Ask where needed, send, say what happened. Resolves to the changed trial, or null.
 * @param {string} name
 * @param {Trial} trial
 * @param {string} trialsUrl
 * @returns {Promise<Trial | null>}
 */
export async function act(name, trial, trialsUrl) {
  const question = QUESTIONS[name];
  if (question && !(await confirmAction({ ...question, title: question.title(trial.number) }))) {
    return null;
  }
  try {
    const body = name === "exclude" ? {} : undefined;
    const answer = await api("POST", `${trialsUrl}${trial.number}/${name}/`, body);
    toast(DONE[name](trial.number, answer), "success");
    return answer;
  } catch (error) {
    toast(wordsOf(error), "danger");
    return null;
  }
}
