// Name, direction, limits and AIStore: the plain fields of the form.

import { byId, h, icon } from "../dom.js";
import { gettext } from "../language.js";
import { followDirection } from "./algorithms.js";
import { field, select, text } from "./fields.js";

const UNITS = [
  { value: "s", label: gettext("seconds") },
  { value: "m", label: gettext("minutes") },
  { value: "h", label: gettext("hours") },
  { value: "d", label: gettext("days") },
];

/**
 * @param {FormApp} app
 * @param {() => void} redrawAlgorithms
 */
export function drawBasics(app, redrawAlgorithms) {
  const { form, changed } = app;
  const whole = { inputmode: "numeric", class: "form-control num" };
  const name = { maxlength: 80, placeholder: "my-experiment", "data-testid": "name" };
  const trials = { ...whole, placeholder: gettext("no limit"), "data-testid": "max-trials" };
  const atOnce = { ...whole, placeholder: "2", "data-testid": "concurrency" };
  const alike = { ...whole, placeholder: "3", "data-testid": "alike" };
  byId("basics").replaceChildren(
    field(gettext("Name"), text("name", form, "name", changed, name), {
      className: "span-2",
      help: gettext("Small letters, digits, - and ."),
    }),
    direction(app, redrawAlgorithms),
    field(gettext("Trials"), text("max_trials", form, "max_trials", changed, trials), {
      help: gettext("How many to run; empty: until the time is up"),
    }),
    field(gettext("At once"), text("concurrency", form, "concurrency", changed, atOnce), {
      help: gettext("Trials in parallel"),
    }),
    timeField(app, "time", gettext("Time limit"), {
      help: gettext("Of active time; empty: until all trials have run"),
    }),
    timeField(app, "trial_time", gettext("Time limit of a trial"), {
      help: gettext("A trial that takes longer is stopped, and has failed"),
    }),
    field(gettext("Failures alike"), text("alike", form, "alike", changed, alike), {
      help: gettext("So many of one kind suspend the experiment; 0: never"),
    }),
  );
}

/**
 * What is tried first: one configuration a line.
 * @param {FormApp} app
 */
export function drawInitial({ form, changed }) {
  const area = h("textarea", {
    class: "form-control mono",
    rows: Math.min(6, Math.max(2, form.initial.split("\n").length)),
    "data-field": "initial",
    "data-testid": "initial",
    spellcheck: "false",
    placeholder: '{"lr": 0.01}',
  });
  area.value = form.initial;
  area.addEventListener("input", () => {
    form.initial = area.value;
    changed();
  });
  byId("initial").replaceChildren(
    field(gettext("Try first"), area, {
      help: gettext("One configuration a line, as JSON; what it leaves out the tuner chooses"),
    }),
  );
}

/**
 * @param {FormApp} app
 * @param {"time" | "trial_time"} key
 * @param {string} label
 * @param {{ help: string }} words
 */
function timeField({ form, changed }, key, label, { help }) {
  const time = form[key];
  const amount = text(key, time, "amount", changed, {
    inputmode: "decimal",
    class: "form-control num",
    placeholder: gettext("no limit"),
    id: `${key}-amount`,
    "data-testid": key,
  });
  const words = { "aria-label": gettext("Unit of time") };
  const unit = select(`${key}.unit`, time, "unit", UNITS, changed, words);
  return h(
    "div",
    { class: "field" },
    h("label", { class: "form-label", for: `${key}-amount` }, label),
    h("div", { class: "pair" }, amount, unit),
    h("div", { class: "form-help" }, help),
  );
}

/** @param {FormApp} app */
export function drawMetrics({ form: { metrics }, changed }) {
  const place = document.getElementById("metrics");
  if (!place) return; // trials run on a cluster, where scripts report by themselves
  const bound = (/** @type {keyof Form["metrics"]} */ key, /** @type {string} */ placeholder) =>
    text(`metrics.${key}`, metrics, key, changed, {
      class: "form-control mono",
      placeholder,
      "data-testid": `metrics-${key}`,
    });
  place.replaceChildren(
    field(gettext("Metric that decides"), bound("objective", "val_loss"), {
      help: gettext("Its name in what the script prints; empty: the script reports by itself"),
    }),
    field(gettext("File"), bound("file", "metrics.csv"), {
      help: gettext("Read in place of what is printed: lines, CSV or JSON"),
    }),
    field(gettext("TensorBoard's files"), bound("tensorboard", "runs/$(TUNER_TRIAL_JOB_ID)"), {
      help: gettext("The directory of its event files"),
    }),
    field(gettext("Pattern"), bound("pattern", "(?P<name>\\w+): (?P<value>[-+.\\deE]+)"), {
      className: "whole-row",
      help: gettext("A regular expression of Python; empty: name=value pairs and JSON"),
    }),
  );
  if (Object.values(metrics).some(Boolean)) byId("printed", HTMLDetailsElement).open = true;
}

/**
 * @param {FormApp} app
 * @param {() => void} redrawAlgorithms
 */
function direction(app, redrawAlgorithms) {
  const { form } = app;
  const radios = [
    ["maximize", "up", gettext("Maximize")],
    ["minimize", "down", gettext("Minimize")],
  ].flatMap(([value, image, label]) => {
    const input = h("input", {
      type: "radio",
      class: "visually-hidden",
      name: "optimize_mode",
      id: `mode-${value}`,
      value,
      checked: form.optimize_mode === value,
      "data-field": "optimize_mode",
    });
    input.addEventListener("change", () => {
      const before = form.optimize_mode;
      form.optimize_mode = value;
      followDirection(form, before);
      redrawAlgorithms();
      app.changed();
    });
    return [input, h("label", { for: `mode-${value}`, "data-testid": value }, icon(image), label)];
  });
  return h(
    "fieldset",
    { class: "field" },
    h("legend", { class: "form-label" }, gettext("Final result")),
    h("div", { class: "segmented segmented-wide" }, radios),
    h("div", { class: "form-help" }, gettext("Whether larger or smaller is better")),
  );
}

/** @param {FormApp} app */
export function drawStore({ form: { aistore: store }, changed }) {
  byId("store").replaceChildren(
    field(gettext("Folder"), text("aistore.folder", store, "folder", changed), {
      help: gettext("ID of the AIStore folder"),
    }),
    field(gettext("Secret"), text("aistore.secret", store, "secret", changed), {
      help: gettext("Name of the Secret with the API key"),
    }),
  );
  if (store.folder || store.secret) byId("more", HTMLDetailsElement).open = true;
}
