// The dialog that makes one condition on trials: what, and which values. It knows of each name what
// can be asked of it; what it makes is text that the filter's field could hold as well.

import { all, byId, find, h } from "../dom.js";
import { gettext } from "../language.js";
import { LOOKS } from "../looks.js";
import { ORIGIN_WORDS } from "./cells.js";
import { quoted } from "./columns.js";
import { among, between, literal } from "./terms.js";

const MOST_MEMBERS = 60; // choices that can be ticked; of more, text is looked for

/**
 * @typedef {{
 *   name: string, title: string, kind: "number" | "text" | "time" | "members",
 *   members?: [literal: string, words: string][], unit?: string,
 * }} Asked name: as in an expression
 */

/** @returns {Asked[]} */
function ofTrials() {
  const states = Object.entries(LOOKS.states);
  const yes = /** @type {[string, string][]} */ ([
    ["true", gettext("yes")],
    ["false", gettext("no")],
  ]);
  return [
    { name: "number", title: gettext("Trial number"), kind: "number" },
    {
      name: "state",
      title: gettext("State"),
      kind: "members",
      members: states.map(([state, { label }]) => [state, label]),
    },
    {
      name: "origin",
      title: gettext("Origin"),
      kind: "members",
      members: Object.entries(ORIGIN_WORDS).map(([origin, words]) => [literal(origin), words]),
    },
    { name: "value", title: gettext("Value"), kind: "number" },
    { name: "latest_value", title: gettext("Latest value"), kind: "number" },
    { name: "duration", title: gettext("Duration"), kind: "number", unit: gettext("seconds") },
    { name: "n_reports", title: gettext("Reports"), kind: "number" },
    { name: "exit_code", title: gettext("Exit code"), kind: "number" },
    { name: "attempt", title: gettext("Attempt"), kind: "number" },
    { name: "reason", title: gettext("Reason"), kind: "text" },
    { name: "id", title: "ID", kind: "text" },
    { name: "started_at", title: gettext("Started"), kind: "time" },
    { name: "finished_at", title: gettext("Finished"), kind: "time" },
    { name: "excluded", title: gettext("Excluded"), kind: "members", members: yes },
    { name: "retried", title: gettext("Retried"), kind: "members", members: yes },
  ];
}

/**
 * What can be asked of a parameter.
 * @param {string} name dotted
 * @param {SpaceNode | undefined} node
 * @returns {Asked}
 */
function ofParameter(name, node) {
  const asked = { name: quoted("param", name), title: name };
  if (node?._type !== "choice") return { ...asked, kind: node ? "number" : "text" };
  const options = Array.isArray(node._value) ? node._value : [];
  const own = options.map((value) =>
    value !== null && typeof value === "object" && "_name" in value ? value._name : value,
  );
  if (own.length > MOST_MEMBERS) return { ...asked, kind: "text" };
  const members = own.map((value) => {
    const isPlain = value === null || typeof value !== "object";
    const text = isPlain ? String(value) : JSON.stringify(value);
    return /** @type {[string, string]} */ ([literal(isPlain ? value : text), text]);
  });
  return { ...asked, kind: "members", members };
}

/**
 * The nodes of a search space by their dotted names, as `flatNames` lists them.
 * @param {Record<string, SpaceNode>} space
 * @param {string} [above]
 * @returns {Map<string, SpaceNode>}
 */
function nodes(space, above = "") {
  /** @type {Map<string, SpaceNode>} */
  const found = new Map();
  for (const [name, node] of Object.entries(space)) {
    if (node?._type === undefined) continue;
    found.set(above + name, node);
    for (const member of Array.isArray(node._value) ? node._value : []) {
      if (member === null || typeof member !== "object" || !("_name" in member)) continue;
      const inner = nodes(/** @type {any} */ (member), `${above}${name}.`);
      for (const [key, value] of inner) if (!found.has(key)) found.set(key, value);
    }
  }
  return found;
}

export class ConditionDialog {
  /**
   * @param {Record<string, SpaceNode>} space
   * @param {{ metrics: () => string[], onMade: (terms: string[]) => void }} settings
   */
  constructor(space, { metrics, onMade }) {
    this.metrics = metrics;
    this.onMade = onMade;
    this.parameters = [...nodes(space)].map(([name, node]) => ofParameter(name, node));
    this.dialog = byId("condition-dialog", HTMLDialogElement);
    this.form = byId("condition-form", HTMLFormElement);
    this.names = byId("condition-name", HTMLSelectElement);
    this.values = byId("condition-values");
    this.error = byId("condition-error");
    this.names.addEventListener("change", () => this.drawValues());
    find(this.dialog, "[data-close]").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.done();
    });
  }

  /** @returns {[group: string, asked: Asked[]][]} */
  groups() {
    const metrics = this.metrics().map((name) => ({
      name: quoted("metric", name),
      title: name,
      kind: /** @type {const} */ ("number"),
    }));
    return [
      [gettext("Trial"), ofTrials()],
      [gettext("Parameters"), this.parameters],
      [gettext("Final metrics"), metrics],
    ];
  }

  /** @param {string} [name] what is asked about at first */
  open(name = "") {
    const groups = this.groups().filter(([, asked]) => asked.length);
    this.asked = new Map(groups.flatMap(([, asked]) => asked.map((one) => [one.name, one])));
    this.names.replaceChildren(
      ...groups.map(([label, asked]) =>
        h(
          "optgroup",
          { label },
          asked.map(({ name: value, title }) => h("option", { value }, title)),
        ),
      ),
    );
    this.names.value = this.asked.has(name) ? name : "value";
    this.drawValues();
    this.dialog.showModal();
    (name ? this.values.querySelector("input") : this.names)?.focus();
  }

  get chosen() {
    return this.asked?.get(this.names.value);
  }

  drawValues() {
    this.say("");
    const asked = this.chosen;
    if (!asked) return;
    if (asked.kind === "members") this.drawMembers(asked.members ?? []);
    else if (asked.kind === "text") this.drawText();
    else this.drawEnds(asked);
  }

  /** @param {[literal: string, words: string][]} members */
  drawMembers(members) {
    const boxes = members.map(([value, words]) =>
      h(
        "label",
        { class: "columns-item" },
        h("input", { type: "checkbox", class: "form-check-input", value, name: "member" }),
        h("span", { class: "truncate" }, words),
      ),
    );
    this.values.replaceChildren(h("div", { class: "condition-members" }, boxes));
  }

  drawText() {
    const label = gettext("contains");
    const input = h("input", { class: "form-control", id: "condition-text", name: "text" });
    this.values.replaceChildren(
      h("label", { class: "form-label", for: "condition-text" }, label),
      input,
    );
  }

  /** @param {Asked} asked */
  drawEnds({ kind, unit }) {
    const type = kind === "time" ? "datetime-local" : "text";
    const end = (/** @type {string} */ name, /** @type {string} */ words) =>
      h(
        "div",
        {},
        h("label", { class: "form-label", for: `condition-${name}` }, words),
        h("input", {
          class: "form-control mono",
          id: `condition-${name}`,
          name,
          type,
          step: kind === "time" ? "1" : null,
          inputmode: kind === "time" ? null : "decimal",
        }),
      );
    const words = unit ? ` (${unit})` : "";
    this.values.replaceChildren(
      h(
        "div",
        { class: "condition-ends" },
        end("low", gettext("from") + words),
        end("high", gettext("to") + words),
      ),
    );
  }

  done() {
    const asked = this.chosen;
    if (!asked) return;
    const terms = this.terms(asked);
    if (typeof terms === "string") {
      this.say(terms);
      return;
    }
    this.dialog.close();
    this.onMade(terms);
  }

  /** @param {string} words */
  say(words) {
    this.error.hidden = !words;
    this.error.textContent = words;
  }

  /**
   * What was entered, as conditions; words where it makes no sense.
   * @param {Asked} asked
   * @returns {string[] | string}
   */
  terms({ name, kind }) {
    if (kind === "members") {
      const boxes = all(this.values, "input:checked", HTMLInputElement);
      if (!boxes.length) return gettext("Choose at least one.");
      return [
        among(
          name,
          boxes.map((box) => box.value),
        ),
      ];
    }
    if (kind === "text") {
      const text = find(this.values, "input", HTMLInputElement).value.trim();
      return text ? [`${name} ~ ${literal(text)}`] : gettext("Enter what it must contain.");
    }
    const inputs = ["low", "high"].map((end) =>
      find(this.values, `[name=${end}]`, HTMLInputElement),
    );
    const ends = inputs.map((input) => ending(input.value.trim(), kind));
    const odd = inputs[ends.indexOf(undefined)];
    if (odd) {
      odd.focus();
      return gettext("Must be a number, but got “{got}”.", { got: odd.value });
    }
    const [low, high] = /** @type {(string | null)[]} */ (ends);
    if (low === null && high === null) return gettext("Enter one end at least.");
    return between(name, low, high);
  }
}

/**
 * An end as an expression has it; null: open; undefined: it makes no sense.
 * @param {string} text
 * @param {string} kind
 */
function ending(text, kind) {
  if (!text) return null;
  if (kind === "time") return literal(new Date(text).toISOString());
  return Number.isFinite(Number(text)) ? text : undefined;
}
