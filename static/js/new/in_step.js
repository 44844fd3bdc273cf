// Form and manifest in step. One truth: the manifest's text. An edit of the form goes to the
// server, which writes it into the text; an edit of the text comes back as the form it means. Pure:
// the page asks the server and draws.

/** @typedef {{ number: number, body: object, tasks: Task[] }} Question */

export class InStep {
  /** @param {Answer} start what came with the page */
  constructor(start) {
    /** the newest answer of the server */
    this.answer = start;
    /** what the form shows; it stays where the text cannot be read */
    this.form = start.form;
    /** the form as the manifest of the newest answer means it */
    this.base = start.base;
    /** edited since the newest answer */
    this.dirty = { form: false, yaml: false };
    this.asked = 0; // number of the newest question: older answers are dropped
  }

  get isDirty() {
    return this.dirty.form || this.dirty.yaml;
  }

  /** @param {"form" | "yaml"} what */
  edited(what) {
    this.dirty[what] = true;
    this.asked += 1; // an answer on its way is about something older
  }

  /**
   * @param {string} yaml the text as it stands
   * @returns {Question}
   */
  ask(yaml) {
    this.asked += 1;
    const { form, base } = this;
    return {
      number: this.asked,
      body: this.dirty.form ? { yaml, form, base } : { yaml },
      tasks: form?.training.tasks?.slice() ?? [],
    };
  }

  /** @param {Question} question */
  isNewest(question) {
    return question.number === this.asked;
  }

  /**
   * Take the answer to the newest question. Says what of the page it changes.
   * @param {Question} question
   * @param {Answer} answer
   * @returns {{ text: boolean, form: boolean, isOurs: boolean }} text: it is another one; form: it
   *   means another one; isOurs: the text follows from an edit of the form
   */
  take({ tasks }, answer) {
    this.answer = answer;
    const change = { text: false, form: false, isOurs: this.dirty.form };
    if (answer.form) {
      // From now on the tasks stand in the manifest in this order.
      if (this.dirty.form) for (const [origin, task] of tasks.entries()) task.origin = origin;
      change.text = true;
      change.form = this.dirty.yaml;
      if (this.dirty.yaml) this.form = answer.form;
      this.base = answer.base;
      this.dirty.form = false; // else the form's edits wait until the text can be read again
    }
    this.dirty.yaml = false;
    return change;
  }

  /**
   * Go on from a draft. The text counts as edited.
   * @param {import("./draft.js").Draft} draft
   */
  resume({ form, base, edited }) {
    this.form = form;
    this.base = base;
    this.dirty.form = edited;
    this.edited("yaml");
  }
}
