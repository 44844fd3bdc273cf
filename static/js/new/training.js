// What each trial runs: framework, tasks, and each task's container.

import { h, icon } from "../dom.js";
import { gettext } from "../language.js";
import { field, iconButton, select, text } from "./fields.js";
import { isOneLine, readWords, showWords, splitLine } from "./words.js";

/** @type {Record<string, string>} */
const FRAMEWORKS = { tensorflow: "TensorFlow", pytorch: "PyTorch", xgboost: "XGBoost" };
const MONO = { class: "form-control mono" };

/**
 * Arguments one a line.
 * @param {string} label
 * @param {string} id
 * @param {Task} task
 * @param {"command" | "args"} key
 * @param {() => void} changed
 * @param {{ help: string } & Record<string, unknown>} attributes
 */
function wordsField(label, id, task, key, changed, { help, ...attributes }) {
  const area = h("textarea", {
    ...MONO,
    "data-field": id,
    spellcheck: "false",
    value: showWords(task[key]),
    wrap: "off",
    ...attributes,
  });
  const props = { type: "button", class: "btn btn-default btn-sm mt-1" };
  const split = h("button", props, gettext("Split at spaces"));
  const draw = () => {
    area.rows = Math.min(10, Math.max(2, area.value.split("\n").length));
    split.hidden = !isOneLine(task[key]);
  };
  area.addEventListener("input", () => {
    task[key] = readWords(area.value);
    draw();
    changed();
  });
  split.addEventListener("click", () => {
    task[key] = splitLine(task[key][0]);
    area.value = showWords(task[key]);
    draw();
    changed();
    area.focus();
  });
  draw();
  const whole = field(label, area, { help });
  area.after(split);
  return whole;
}

/**
 * @param {Task} task
 * @param {string} prefix
 * @param {FormApp} app
 * @param {() => void} redraw
 */
function environment(task, prefix, app, redraw) {
  const rows = task.env.map((row, index) => {
    const id = `${prefix}.env.${index}`;
    const name = { ...MONO, placeholder: "NAME", readonly: row.reference };
    const value = { ...MONO, placeholder: "value" };
    const remove = () => {
      task.env.splice(index, 1);
      redraw();
      app.changed();
    };
    return h(
      "li",
      { class: "env-row", "data-errors": ".space-errors" },
      field(gettext("Name"), text(id, row, "name", app.changed, name), { hidden: true }),
      row.reference
        ? h("span", { class: "tag" }, icon("key"), gettext("from a Secret or ConfigMap"))
        : field(gettext("Value"), text(`${id}.value`, row, "value", app.changed, value), {
            hidden: true,
          }),
      iconButton("trash", gettext("Remove the variable"), remove, "danger"),
      h("div", { class: "space-errors" }),
    );
  });
  const onclick = () => {
    task.env.push({ name: "", value: "", reference: false });
    redraw();
    focus(`${prefix}.env.${task.env.length - 1}`);
  };
  const add = { type: "button", class: "btn btn-quiet btn-sm", "data-field": `${prefix}.env` };
  return h(
    "div",
    { class: "field" },
    h("div", { class: "form-label" }, gettext("Environment")),
    rows.length ? h("ul", { class: "env-rows" }, rows) : null,
    h("button", { ...add, onclick }, icon("plus"), gettext("Add a variable")),
  );
}

/** @param {string} id */
function focus(id) {
  const control = document.querySelector(`[data-field="${CSS.escape(id)}"]`);
  if (control instanceof HTMLElement) control.focus();
}

/**
 * @param {Task} task
 * @param {number} index
 * @param {FormApp} app
 * @param {Task[]} tasks
 * @param {() => void} redraw
 */
function taskCard(task, index, app, tasks, redraw) {
  const id = `tasks.${index}`;
  const { changed } = app;
  const whole = {
    class: "task",
    "data-field": id,
    tabindex: "-1",
    "data-errors": ".task-errors",
    "aria-label": gettext("Task {n}", { n: index + 1 }),
  };
  const remove = () => {
    tasks.splice(index, 1);
    redraw();
    changed();
  };
  const replicas = { inputmode: "numeric", class: "form-control num", placeholder: "1" };
  const gpus = { ...replicas, placeholder: "0", "data-testid": `task-${index}-gpus` };
  const directory = { ...MONO, placeholder: "/path/to/code" };
  const image = { ...MONO, placeholder: "registry/image:tag" };
  return h(
    "section",
    whole,
    h(
      "div",
      { class: "task-head" },
      field(gettext("Type"), typeControl(task, id, app)),
      field(gettext("Replicas"), text(`${id}.replicas`, task, "replicas", changed, replicas)),
      field(gettext("GPUs"), text(`${id}.gpus`, task, "gpus", changed, gpus)),
      field(
        gettext("Working directory"),
        text(`${id}.workingDir`, task, "workingDir", changed, directory),
      ),
      tasks.length > 1 ? iconButton("trash", gettext("Remove this task"), remove, "danger") : null,
    ),
    h(
      "div",
      { class: "task-grid" },
      wordsField(gettext("Command"), `${id}.command`, task, "command", changed, {
        help: gettext("One argument a line, or a JSON list; no shell takes part."),
        placeholder: "python3\ntrain.py",
        "data-testid": `task-${index}-command`,
      }),
      wordsField(gettext("Arguments"), `${id}.args`, task, "args", changed, {
        help: gettext("Appended to the command."),
        placeholder: "--epochs\n10",
      }),
    ),
    field(gettext("Image"), text(`${id}.image`, task, "image", changed, image), {
      help: gettext("Used on a cluster; local trials run on this machine as it is."),
    }),
    environment(task, id, app, redraw),
    h("div", { class: "task-errors" }),
  );
}

/**
 * @param {Task} task
 * @param {string} id
 * @param {FormApp} app
 */
function typeControl(task, id, { catalogue, form, changed }) {
  const known = catalogue.replica_types[form.training.type] ?? [];
  if (known.length) {
    const choices = known.map((value) => ({ value, label: value }));
    return select(`${id}.type`, task, "type", choices, changed);
  }
  return text(`${id}.type`, task, "type", changed, { placeholder: "worker", maxlength: 63 });
}

/**
 * Another framework knows other types of replicas.
 * @param {FormApp} app
 */
function fitTypes({ catalogue, form: { training } }) {
  const known = catalogue.replica_types[training.type] ?? [];
  const tasks = training.tasks ?? [];
  for (const task of tasks) {
    if (known.length && !known.includes(task.type)) task.type = known[0];
  }
  // an XGBoostTrainingJob must have a master
  const lacksMaster = known.includes("master") && !tasks.some((t) => t.type === "master");
  if (lacksMaster && tasks[0]) tasks[0].type = "master";
}

/**
 * @param {Task[]} tasks
 * @param {string[]} types that the framework knows
 * @returns {Task}
 */
function newTask(tasks, types) {
  const taken = tasks.map((t) => t.type);
  const isFree = (/** @type {string} */ t) =>
    !taken.includes(t) && (!types.length || types.includes(t));
  return {
    origin: null,
    container: 0,
    type: [...types, "worker", "ps", "node"].find(isFree) ?? "",
    replicas: "1",
    image: "",
    command: [],
    args: [],
    workingDir: tasks[0]?.workingDir ?? "",
    env: [],
    gpus: "",
  };
}

/**
 * @param {HTMLElement} root
 * @param {FormApp} app
 */
export function drawTraining(root, app) {
  const { catalogue, form } = app;
  const { training } = form;
  if (form.elsewhere) {
    const words = gettext(
      "Trials run elsewhere: programs ask for them and tell what came of each.",
    );
    root.replaceChildren(h("p", { class: "muted", "data-field": "tasks", tabindex: "-1" }, words));
    return;
  }
  const { tasks } = training;
  const redraw = () => {
    drawTraining(root, app);
    app.redrawn();
  };
  const chosen = () => {
    fitTypes(app);
    redraw();
    app.changed();
  };
  const choices = catalogue.frameworks.map((value) => ({
    value,
    label: FRAMEWORKS[value] ?? value,
  }));
  const framework = field(
    gettext("Framework"),
    select("training.type", training, "type", choices, chosen, { "data-testid": "framework" }),
    {
      help: gettext(
        "Decides which cluster variables a trial is given (TF_CONFIG, MASTER_ADDR, RANK …). Any program runs.",
      ),
    },
  );
  const place = { "data-field": "tasks", tabindex: "-1" };
  if (tasks === null) {
    const words = h("div", place, gettext("The tasks cannot be read. Mend them in the manifest."));
    const notice = h("div", { class: "notice notice-warning" }, icon("warning"), words);
    root.replaceChildren(framework, notice);
    return;
  }
  const onclick = () => {
    tasks.push(newTask(tasks, catalogue.replica_types[training.type] ?? []));
    redraw();
    app.changed();
    focus(`tasks.${tasks.length - 1}.command`);
  };
  const cards = tasks.map((task, i) => taskCard(task, i, app, tasks, redraw));
  const add = { type: "button", class: "btn btn-quiet btn-sm", onclick };
  root.replaceChildren(
    framework,
    h("div", { class: "tasks", ...place }, cards),
    h("button", add, icon("plus"), gettext("Add a task")),
  );
}
