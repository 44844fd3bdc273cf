// What a person can do to all selected trials at once, and how to take it back.

import { api, wordsOf } from "../api.js";
import { byId, confirmAction, find, h, hit, toast } from "../dom.js";
import { gettext, ngettext } from "../language.js";

const UNDO = 20_000; // milliseconds that one may take it back in

/** @typedef {"kill" | "retry" | "exclude" | "restore"} Action */

/** @type {Record<Action, (n: number) => string>} */
const DONE = {
  kill: (n) => ngettext("{n} trial is being stopped.", "{n} trials are being stopped.", n),
  retry: (n) => ngettext("{n} trial is tried again.", "{n} trials are tried again.", n),
  exclude: (n) =>
    ngettext(
      "{n} trial is excluded from the results.",
      "{n} trials are excluded from the results.",
      n,
    ),
  restore: (n) => ngettext("{n} trial counts again.", "{n} trials count again.", n),
};

/** @type {Record<Action, string>} */
const NOTHING = {
  kill: gettext("All of these trials have ended."),
  retry: gettext("Each of these trials succeeded, runs, or was tried again already."),
  exclude: gettext("All of these trials are excluded already."),
  restore: gettext("None of these trials was excluded."),
};

/** @type {Partial<Record<Action, Action>>} what takes an action back */
const BACK = { exclude: "restore", restore: "exclude" };

export class Many {
  /**
   * @param {{
   *   url: string, asked: () => Record<string, string>, count: () => number,
   *   onDone: () => void,
   * }} settings url: of the trials' REST list; asked: the selection, as the server is asked
   */
  constructor({ url, asked, count, onDone }) {
    this.url = url;
    this.asked = asked;
    this.count = count;
    this.onDone = onDone;
    byId("selection-actions").addEventListener("click", (event) => {
      const name = hit(event, "[data-many]")?.dataset.many;
      if (name) this.start(/** @type {Action} */ (name));
    });
  }

  /** @param {Action} name */
  async start(name) {
    const n = this.count();
    const asked = this.asked(); // what is selected now, whatever happens while one thinks
    /** @type {Record<string, unknown>} */
    let body = {};
    if (name === "exclude") {
      const reason = await askReason(
        ngettext("Exclude {n} trial from the results?", "Exclude {n} trials from the results?", n),
      );
      if (reason === null) return;
      body = { reason };
    } else if (name !== "restore" && !(await confirmAction(question(name, n)))) {
      return;
    }
    await this.act(name, new URLSearchParams(asked), body);
  }

  /**
   * @param {Action} name
   * @param {URLSearchParams} query
   * @param {Record<string, unknown>} body
   */
  async act(name, query, body) {
    try {
      const question = query.size ? `?${query}` : "";
      const answer = await api("POST", `${this.url}${name}/${question}`, body);
      this.tell(name, answer);
      this.onDone();
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  }

  /**
   * @param {Action} name
   * @param {{ count: number, trials: number[] }} answer
   */
  tell(name, { count, trials }) {
    const back = BACK[name];
    if (!count) {
      toast(NOTHING[name], "info");
    } else if (!back) {
      toast(DONE[name](count), "success");
    } else {
      const undo = h(
        "button",
        { type: "button", class: "btn btn-default btn-sm" },
        gettext("Undo"),
      );
      const close = toast(h("span", {}, DONE[name](count), " ", undo), "success", UNDO);
      undo.addEventListener("click", () => {
        close();
        this.act(back, new URLSearchParams(), { trials });
      });
    }
  }
}

/**
 * @param {Action} name
 * @param {number} n
 */
function question(name, n) {
  if (name === "kill") {
    return {
      title: ngettext("Stop {n} selected trial?", "Stop {n} selected trials?", n),
      text: gettext(
        "Those that run or wait are ended, and keep what they reported. This cannot be taken back.",
      ),
      action: gettext("Stop"),
      danger: true,
    };
  }
  return {
    title: ngettext("Try {n} selected trial again?", "Try {n} selected trials again?", n),
    text: gettext(
      "Those that ended without success start anew, with the same parameters. This cannot be taken back.",
    ),
    action: gettext("Try again"),
  };
}

/**
 * Why trials are excluded; null where the person thinks better of it.
 * @param {string} title
 * @returns {Promise<string | null>}
 */
export function askReason(title) {
  const dialog = byId("exclude-dialog", HTMLDialogElement);
  const reason = byId("exclude-reason", HTMLInputElement);
  find(dialog, "[data-title]").textContent = title;
  reason.value = "";
  dialog.returnValue = "";
  find(dialog, "[data-close]").onclick = () => dialog.close();
  dialog.showModal();
  reason.focus();
  return new Promise((resolve) => {
    const closed = () => resolve(dialog.returnValue === "yes" ? reason.value.trim() : null);
    dialog.addEventListener("close", closed, { once: true });
  });
}
