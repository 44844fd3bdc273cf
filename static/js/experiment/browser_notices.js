// Notifications of this browser while the experiment's page is open, behind other windows too: on
// its end, when it suspends itself, and for a new best value. Asked for by a menu item, kept for
// this experiment in this browser.

import { byId, toast } from "../dom.js";
import { number } from "../format.js";
import { gettext } from "../language.js";
import { experimentLook } from "../looks.js";

export class BrowserNotices {
  /** @param {Experiment} experiment as it was when the page came */
  constructor(experiment) {
    this.key = `autotune:notices:${experiment.id}`;
    this.seen = experiment;
    this.button = byId("browser-notices", HTMLButtonElement);
    this.button.hidden = !("Notification" in window) || !window.isSecureContext;
    this.button.addEventListener("click", () => this.toggle());
    this.draw();
  }

  get isOn() {
    return (
      "Notification" in window &&
      Notification.permission === "granted" &&
      localStorage.getItem(this.key) !== null
    );
  }

  draw() {
    this.button.setAttribute("aria-pressed", String(this.isOn));
    this.button.classList.toggle("active", this.isOn);
  }

  async toggle() {
    if (this.isOn) {
      localStorage.removeItem(this.key);
      toast(gettext("This browser no longer tells you of this experiment."));
    } else if ((await Notification.requestPermission()) === "granted") {
      localStorage.setItem(this.key, "1");
      toast(gettext("This browser tells you while this page is open."), "success");
    } else {
      toast(gettext("This browser does not let the page notify you; see its settings."), "danger");
    }
    this.draw();
  }

  /** @param {Experiment} fresh */
  follow(fresh) {
    const before = this.seen;
    this.seen = fresh;
    const { phase, breaker, best, name } = fresh;
    if (phase !== before.phase && ["DONE", "TIMEOUT", "ERROR"].includes(phase)) {
      this.tell("end", `${name}: ${experimentLook(fresh).label}`);
    } else if (breaker && !before.breaker) {
      this.tell("breaker", gettext("{name} has suspended itself.", { name }), breaker.reason);
    } else if (best && best.number !== before.best?.number) {
      const words = { value: number(best.value), n: best.number };
      this.tell("best", name, gettext("New best value {value}, trial {n}", words));
    }
  }

  /**
   * @param {string} what a later one of the same takes its place
   * @param {string} title
   */
  tell(what, title, body = "") {
    if (!this.isOn) return; // asked last: the browser takes its time, and news comes often
    const shown = new Notification(title, { body, tag: `${this.key}:${what}` });
    shown.addEventListener("click", () => window.focus());
  }
}
