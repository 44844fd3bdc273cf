// What each trial runs: framework, tasks, and each task's container.

import { h, icon } from "../dom.js";
import { field, iconButton, select, text } from "./fields.js";

/** Arguments one a line; as a JSON list where one holds a line end itself. */
function wordsInput(id, task, key, changed, attributes) {
  const shows = (words) => {
    if (typeof words === "string") return words;
    return words.some((w) => w.includes("\n") || w === "")
      ? JSON.stringify(words, null, 1)
      : words.join("\n");
  };
  const read = (value) => {
    if (value.trimStart().startsWith("[")) {
      try {
        const list = JSON.parse(value);
        if (Array.isArray(list)) return list.map(String);
      } catch {
        // a line that merely starts with a bracket
      }
    }
    return value
      .split("\n")
      .map((line) => line.replace(/\r$/, ""))
      .filter((line) => line !== "");
  };
  const split = h(
    "button",
    { type: "button", class: "btn btn-default btn-sm mt-1" },
    "Split at spaces",
  );
  const area = h("textarea", {
    class: "form-control mono",
    "data-field": id,
    spellcheck: "false",
    value: shows(task[key]),
    wrap: "off",
    ...attributes,
  });
  const draw = () => {
    const words = Array.isArray(task[key]) ? task[key] : [];
    area.rows = Math.min(10, Math.max(2, area.value.split("\n").length));
    split.hidden = !(words.length === 1 && /\S\s+\S/.test(words[0]));
  };
  area.addEventListener("input", () => {
    task[key] = read(area.value);
    draw();
    changed();
  });
  split.addEventListener("click", () => {
    const words = task[key][0].match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
    task[key] = words.map((word) => word.replace(/^(["'])(.*)\1$/, "$2"));
    area.value = shows(task[key]);
    draw();
    changed();
    area.focus();
  });
  draw();
  return { area, below: split };
}

function wordsField(label, id, task, key, changed, { help, ...attributes }) {
  const { area, below } = wordsInput(id, task, key, changed, attributes);
  const wrapped = field(label, area, { help });
  area.after(below);
  return wrapped;
}

function environment(task, prefix, app, redraw) {
  const rows = task.env.map((row, index) =>
    h(
      "li",
      { class: "env-row", "data-errors": ".space-errors" },
      field(
        "Name",
        text(`${prefix}.env.${index}`, row, "name", app.changed, {
          class: "form-control mono",
          placeholder: "NAME",
          readonly: row.reference,
        }),
        { hidden: true },
      ),
      row.reference
        ? h("span", { class: "tag" }, icon("key"), "from a Secret or ConfigMap")
        : field(
            "Value",
            text(`${prefix}.env.${index}.value`, row, "value", app.changed, {
              class: "form-control mono",
              placeholder: "value",
            }),
            { hidden: true },
          ),
      iconButton(
        "trash",
        "Remove the variable",
        () => {
          task.env.splice(index, 1);
          redraw();
          app.changed();
        },
        "danger",
      ),
      h("div", { class: "space-errors" }),
    ),
  );
  return h(
    "div",
    { class: "field" },
    h("div", { class: "form-label" }, "Environment"),
    rows.length ? h("ul", { class: "env-rows" }, rows) : null,
    h(
      "button",
      {
        type: "button",
        class: "btn btn-quiet btn-sm",
        "data-field": `${prefix}.env`,
        onclick: () => {
          task.env.push({ name: "", value: "", reference: false });
          redraw();
          document.querySelector(`[data-field="${prefix}.env.${task.env.length - 1}"]`)?.focus();
        },
      },
      icon("plus"),
      "Add a variable",
    ),
  );
}

function taskCard(task, index, app, redraw) {
  const id = `tasks.${index}`;
  const { form, catalogue } = app;
  const known = catalogue.replica_types[form.training.type] ?? [];
  const type = known.length
    ? select(
        `${id}.type`,
        task,
        "type",
        known.map((value) => ({ value, label: value })),
        app.changed,
      )
    : text(`${id}.type`, task, "type", app.changed, { placeholder: "worker", maxlength: 63 });
  return h(
    "section",
    {
      class: "task",
      "data-field": id,
      tabindex: "-1",
      "data-errors": ".task-errors",
      "aria-label": `Task ${index + 1}`,
    },
    h(
      "div",
      { class: "task-head" },
      field("Type", type),
      field(
        "Replicas",
        text(`${id}.replicas`, task, "replicas", app.changed, {
          inputmode: "numeric",
          class: "form-control num",
          placeholder: "1",
        }),
      ),
      field(
        "Working directory",
        text(`${id}.workingDir`, task, "workingDir", app.changed, {
          class: "form-control mono",
          placeholder: "/path/to/code",
        }),
      ),
      form.training.tasks.length > 1
        ? iconButton(
            "trash",
            "Remove this task",
            () => {
              form.training.tasks.splice(index, 1);
              redraw();
              app.changed();
            },
            "danger",
          )
        : null,
    ),
    h(
      "div",
      { class: "task-grid" },
      wordsField("Command", `${id}.command`, task, "command", app.changed, {
        help: "One argument a line; no shell takes part.",
        placeholder: "python3\ntrain.py",
        "data-testid": `task-${index}-command`,
      }),
      wordsField("Arguments", `${id}.args`, task, "args", app.changed, {
        help: "Appended to the command.",
        placeholder: "--epochs\n10",
      }),
    ),
    field(
      "Image",
      text(`${id}.image`, task, "image", app.changed, {
        class: "form-control mono",
        placeholder: "registry/image:tag",
      }),
      {
        help: "Used on a cluster; local trials run on this machine as it is.",
      },
    ),
    environment(task, id, app, redraw),
    h("div", { class: "task-errors" }),
  );
}

export function drawTraining(root, app) {
  const { form, catalogue } = app;
  const redraw = () => {
    drawTraining(root, app);
    app.redrawn();
  };
  const { training } = form;
  const choices = catalogue.frameworks.map((value) => ({
    value,
    label: { tensorflow: "TensorFlow", pytorch: "PyTorch", xgboost: "XGBoost" }[value] ?? value,
  }));
  const framework = field(
    "Framework",
    select(
      "training.type",
      training,
      "type",
      choices,
      () => {
        const known = catalogue.replica_types[training.type] ?? [];
        for (const task of training.tasks ?? []) {
          if (known.length && !known.includes(task.type)) [task.type] = known;
        }
        const first = training.tasks?.[0]; // an XGBoostTrainingJob must have a master
        if (first && known.includes("master") && !training.tasks.some((t) => t.type === "master"))
          first.type = "master";
        redraw();
        app.changed();
      },
      { "data-testid": "framework" },
    ),
    {
      help: "Decides which cluster variables a trial is given (TF_CONFIG, MASTER_ADDR, RANK …). Any program runs.",
    },
  );
  if (training.tasks === null) {
    root.replaceChildren(
      framework,
      h(
        "div",
        { class: "notice notice-warning" },
        icon("warning"),
        h(
          "div",
          { "data-field": "tasks", tabindex: "-1" },
          "The tasks cannot be read. Mend them in the manifest.",
        ),
      ),
    );
    return;
  }
  root.replaceChildren(
    framework,
    h(
      "div",
      { class: "tasks", "data-field": "tasks", tabindex: "-1" },
      training.tasks.map((task, i) => taskCard(task, i, app, redraw)),
    ),
    h(
      "button",
      {
        type: "button",
        class: "btn btn-quiet btn-sm",
        onclick: () => {
          const taken = training.tasks.map((t) => t.type);
          const types = catalogue.replica_types[training.type] ?? [];
          const free = [...types, "worker", "ps", "node"].find(
            (t) => !taken.includes(t) && (!types.length || types.includes(t)),
          );
          training.tasks.push({
            origin: null,
            container: 0,
            type: free ?? "",
            replicas: "1",
            image: "",
            command: [],
            args: [],
            workingDir: taken.length ? training.tasks[0].workingDir : "",
            env: [],
          });
          redraw();
          app.changed();
          root.querySelector(`[data-field="tasks.${training.tasks.length - 1}.command"]`)?.focus();
        },
      },
      icon("plus"),
      "Add a task",
    ),
  );
}
