// The rows of the search space.

import { h, icon } from "../dom.js";
import { field, iconButton, select, text } from "./fields.js";
import { optionsInput, parseOption } from "./options.js";

const NAMES = { low: "low", high: "high", q: "step q", mu: "mean mu", sigma: "spread sigma" };

const jsonOf = (row, type) =>
  JSON.stringify(type.options ? row.options : row.values.map((v) => parseOption(v)));

/** Carry over what fits when the type of a row changes. */
function retype(row, type) {
  const before = row.json;
  row.json = null;
  if (type.options) {
    if (!row.options.length) row.options = row.values.filter((v) => v !== "").map(parseOption);
    row.values = [];
  } else if (type.arguments.length) {
    const numbers = row.values.length
      ? row.values
      : row.options.filter((v) => typeof v === "number").map(String);
    row.values = type.arguments.map((_, i) => numbers[i] ?? "");
    row.options = [];
  } else {
    row.json = before ?? '{"candidates": ["a", "b"], "n_chosen": 1}';
    row.values = [];
    row.options = [];
  }
}

function valueFields(row, index, type, app, redraw) {
  const id = `space.${index}`;
  if (row.json !== null || !type) {
    const area = h("textarea", {
      class: "form-control mono",
      rows: Math.min(8, Math.max(2, (row.json ?? "").split("\n").length)),
      "data-field": `${id}.json`,
      spellcheck: "false",
      value: row.json ?? "",
      "aria-label": `${row.name || "Row"}: value as JSON`,
    });
    area.addEventListener("input", () => {
      row.json = area.value;
      app.changed();
    });
    const simple = type && (type.options || type.arguments.length) && simpleValue(row.json, type);
    const back =
      simple &&
      h(
        "button",
        {
          type: "button",
          class: "btn btn-quiet btn-sm",
          onclick: () => {
            row.json = null;
            Object.assign(row, simple);
            redraw();
            app.changed();
          },
        },
        type.options ? "Edit as list" : "Edit as fields",
      );
    return h("div", { class: "space-json" }, area, back);
  }
  if (type.options) {
    return h(
      "div",
      { class: "space-options" },
      optionsInput(`${id}.options`, row, app.changed, row.name || "Row"),
      iconButton("braces", "Edit as JSON (nested choices)", () => {
        row.json = jsonOf(row, type);
        redraw();
        app.changed();
      }),
    );
  }
  return h(
    "div",
    { class: "space-numbers" },
    type.arguments.map((name, i) =>
      field(
        NAMES[name],
        text(`${id}.value.${i}`, row.values, i, app.changed, {
          inputmode: "decimal",
          placeholder: name,
          class: "form-control num",
          "data-testid": `row-${index}-${name}`,
        }),
        { className: "field-inline" },
      ),
    ),
  );
}

function simpleValue(json, type) {
  try {
    const value = JSON.parse(json);
    if (!Array.isArray(value) || value.some((v) => v !== null && typeof v === "object"))
      return null;
    if (type.options) return { options: value };
    return value.length === type.arguments.length ? { values: value.map(String) } : null;
  } catch {
    return null;
  }
}

export function drawSpace(root, app) {
  const { form, catalogue } = app;
  const redraw = () => {
    drawSpace(root, app);
    app.redrawn();
  };
  if (form.space === null) {
    root.replaceChildren(
      h(
        "div",
        { class: "notice notice-warning" },
        icon("warning"),
        h(
          "div",
          { "data-field": "space", tabindex: "-1" },
          "The search space cannot be read. Mend it in the manifest.",
        ),
      ),
    );
    return;
  }
  const types = new Map(catalogue.types.map((t) => [t.name, t]));
  const tuner = catalogue.tuners.find((t) => t.name === form.tuner.name);
  const rows = form.space.map((row, index) => {
    const type = types.get(row.type === "qlognoraml" ? "qlognormal" : row.type);
    const move = (by) => {
      const [taken] = form.space.splice(index, 1);
      form.space.splice(index + by, 0, taken);
      redraw();
      app.changed();
      root.querySelector(`[data-row="${index + by}"] [data-move="${by}"]`)?.focus();
    };
    const choices = catalogue.types.map((t) => ({
      value: t.name,
      label: tuner?.available && !tuner.types.includes(t.name) ? `⚠ ${t.name}` : t.name,
    }));
    if (row.type === "qlognoraml") choices.push({ value: "qlognoraml", label: "qlognoraml" });
    const typeSelect = select(
      `space.${index}.type`,
      row,
      "type",
      choices,
      () => {
        retype(row, types.get(row.type));
        redraw();
        app.changed();
        root.querySelector(`[data-field="space.${index}.type"]`)?.focus();
      },
      {
        "data-testid": `row-${index}-type`,
        title:
          tuner?.available && type && !tuner.types.includes(type.name)
            ? `${tuner.name} cannot search ${type.name}.`
            : type?.help,
      },
    );
    const up = iconButton("up", "Move up", () => move(-1));
    const down = iconButton("down", "Move down", () => move(1));
    up.dataset.move = "-1";
    down.dataset.move = "1";
    up.disabled = index === 0;
    down.disabled = index === form.space.length - 1;
    return h(
      "li",
      {
        class: "space-row",
        "data-row": index,
        "data-testid": "space-row",
        "data-errors": ".space-errors",
      },
      field(
        "Name",
        text(`space.${index}.name`, row, "name", app.changed, {
          class: "form-control mono",
          placeholder: "learning_rate",
          maxlength: 200,
          "data-testid": `row-${index}-name`,
        }),
        { hidden: true, className: "space-name" },
      ),
      field("Type", typeSelect, { hidden: true, className: "space-type" }),
      h(
        "div",
        {
          class: "space-value",
          role: "group",
          "aria-label": "Value",
          "data-field": `space.${index}.value`,
          tabindex: "-1",
        },
        valueFields(row, index, type, app, redraw),
      ),
      h(
        "div",
        { class: "space-actions" },
        up,
        down,
        iconButton("copy", "Duplicate", () => {
          form.space.splice(index + 1, 0, {
            ...structuredClone(row),
            name: freeName(form.space, row.name),
          });
          redraw();
          app.changed();
          root.querySelector(`[data-field="space.${index + 1}.name"]`)?.select();
        }),
        iconButton(
          "trash",
          "Remove",
          () => {
            form.space.splice(index, 1);
            redraw();
            app.changed();
            (
              root.querySelector(`[data-field="space.${Math.max(0, index - 1)}.name"]`) ??
              document.getElementById("add-row")
            ).focus();
          },
          "danger",
        ),
      ),
      h(
        "div",
        { class: "space-foot" },
        h("span", { class: "space-help" }, type?.help ?? ""),
        h("span", { class: "space-preview num", "data-preview": "" }),
      ),
      h("div", { class: "space-errors" }),
    );
  });
  root.replaceChildren(
    rows.length
      ? h("ol", { class: "space-rows" }, rows)
      : h(
          "p",
          { class: "muted small mb-0", "data-field": "space", tabindex: "-1" },
          "No parameter yet: add what your script should try.",
        ),
  );
}

function freeName(rows, name) {
  const stem = name.replace(/_\d+$/, "");
  for (let n = 2; ; n += 1) {
    if (!rows.some((row) => row.name === `${stem}_${n}`)) return `${stem}_${n}`;
  }
}

export function addRow(app, root) {
  app.form.space.push({ name: "", type: "uniform", values: ["", ""], options: [], json: null });
  drawSpace(root, app);
  app.redrawn();
  app.changed();
  root.querySelector(`[data-field="space.${app.form.space.length - 1}.name"]`).focus();
}

/** A few values each row would give, as the server drew them. */
export function showPreviews(root, form, previews) {
  (form.space ?? []).forEach((row, index) => {
    const place = root.querySelector(`[data-row="${index}"] [data-preview]`);
    const values = previews[row.name];
    if (place) place.textContent = values ? `e.g. ${values.join(" · ")}` : "";
  });
}
