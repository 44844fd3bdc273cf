// The GPUs of this machine: how full each is, which trials have it, who waits. Only where trials run
// on the server's own machine and that has GPUs; read again every few seconds while somebody looks.

import { api } from "../api.js";
import { byId, h, icon } from "../dom.js";
import { isEnded } from "../format.js";
import { gettext, listed, ngettext } from "../language.js";
import { steadily } from "../steadily.js";

const EVERY_MS = 3000;
const WAITING_SHOWN = 6;
const GIB = 1024 ** 3;

/**
 * How much memory of a GPU is taken, and how busy it is; "" where nobody knows.
 * @param {Device} gpu
 */
export function usage({ memory_total: total, memory_used: used, load }) {
  const words = [];
  if (total) {
    words.push(
      gettext("{used} of {total} GiB", {
        used: ((used ?? 0) / GIB).toFixed(1),
        total: (total / GIB).toFixed(0),
      }),
    );
  }
  if (load !== null) words.push(gettext("{n} % busy", { n: load }));
  return listed(words);
}

/**
 * A trial in words: of this experiment by its number, of others with their name or id.
 * @param {Holder} holder
 * @param {string} own id of the experiment that is looked at
 */
export function who({ experiment, name, trial }, own) {
  if (experiment === own) return `#${trial}`;
  return gettext("#{n} of {name}", { n: trial, name: name ?? experiment });
}

export class Devices {
  /**
   * @param {{ api: string, list: string }} urls of the devices in REST, and of the list of experiments
   * @param {string} own id of the experiment
   */
  constructor(urls, own) {
    this.urls = urls;
    this.own = own;
    this.soon = steadily(() => this.ask(), EVERY_MS, { atOnce: true });
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  /** @param {Experiment} experiment */
  follow(experiment) {
    if (!this.urls.api || isEnded(experiment) === !this.timer) return;
    if (this.timer) {
      this.end();
      return;
    }
    this.timer = setInterval(this.soon, EVERY_MS);
    this.soon();
  }

  end() {
    clearInterval(this.timer);
    this.timer = undefined;
    byId("devices").hidden = true;
  }

  async ask() {
    /** @type {DevicesAnswer} */
    const { gpus, waiting, problem } = await api("GET", this.urls.api);
    if (!this.timer) return; // it has ended meanwhile
    byId("devices").hidden = gpus.length === 0;
    byId("devices-problem").textContent = problem;
    byId("devices-list").replaceChildren(...gpus.map((gpu) => this.card(gpu)));
    const line = byId("devices-waiting");
    line.hidden = waiting.length === 0;
    const more = waiting.length - WAITING_SHOWN;
    line.replaceChildren(
      icon("waiting"),
      h("span", {}, ngettext("{n} trial waits:", "{n} trials wait:", waiting.length)),
      ...waiting.slice(0, WAITING_SHOWN).map((each) => this.link(each)),
      more > 0 ? gettext("and {n} more", { n: more }) : "",
    );
  }

  /** @param {Device} gpu */
  card(gpu) {
    const { index, uuid, name, gone, other_processes: others, trials } = gpu;
    const words = usage(gpu);
    return h(
      "li",
      { class: "device", "data-testid": "device" },
      h(
        "div",
        { class: "device-head" },
        h("strong", {}, gettext("GPU {n}", { n: index ?? uuid })),
        h("span", { class: "muted truncate", title: uuid || null }, name),
      ),
      gpu.memory_total && this.bar(gpu),
      words && h("div", { class: "small num muted" }, words),
      h(
        "div",
        { class: "device-trials small" },
        gone && h("span", { class: "device-gone" }, icon("warning"), gettext("gone")),
        trials.map((trial) => this.link(trial)),
        others > 0 &&
          h(
            "span",
            { class: "muted" },
            ngettext("{n} other process", "{n} other processes", others),
          ),
        !gone && !trials.length && !others && h("span", { class: "muted" }, gettext("free")),
      ),
    );
  }

  /** @param {Device} gpu */
  bar({ memory_used: used, memory_total: total }) {
    const share = Math.round((100 * (used ?? 0)) / (total ?? 1));
    const fill = h("div", { class: "meter-fill" });
    fill.style.width = `${share}%`;
    return h(
      "div",
      {
        class: "meter-track",
        role: "progressbar",
        "aria-label": gettext("Memory in use"),
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-valuenow": share,
      },
      fill,
    );
  }

  /** @param {Holder} holder */
  link(holder) {
    const words = who(holder, this.own);
    if (holder.name === null) return h("span", { class: "num" }, words);
    const href = `${this.urls.list}${holder.experiment}/trials/${holder.trial}/`;
    return h("a", { class: "num", href }, words);
  }
}
