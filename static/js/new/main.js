// The new-experiment page. One truth: the manifest's text. An edit of the form goes to the server,
// which writes it into the text; an edit of the text comes back as the form it means.

import { api } from "../api.js";
import { debounce, h, icon, pageData, toast } from "../dom.js";
import { drawAlgorithms, followDirection, showFit } from "./algorithms.js";
import { Editor } from "./editor.js";
import { field, focusField, select, showProblems, text } from "./fields.js";
import { drawForecast, drawProblems } from "./forecast.js";
import { addRow, drawSpace, showPreviews } from "./space.js";
import { drawTraining } from "./training.js";

const DELAY = 250; // milliseconds between the last keystroke and the question
const DRAFT = `autotune-draft:${location.pathname}${location.search}`;
const $ = (id) => document.getElementById(id);
const catalogue = pageData("catalogue");
const start = pageData("start");

let answer = start; // the newest answer of the server
let asked = 0; // number of the newest question: older answers are dropped
let base = start.base; // the form as the manifest of the newest answer means it
const dirty = { form: false, yaml: false }; // edited since the newest answer
let creating = false;

const app = {
  catalogue,
  form: start.form,
  changed: () => {
    showFit($("algorithms"), app);
    edited("form");
  },
  redrawSpace: () => drawSpace($("space"), app),
  redrawn: () => {
    showProblems($("new-form"), answer.problems);
    showPreviews($("space"), app.form, answer.previews);
  },
  jump: (problem) => {
    if (problem.line) editor.reveal(problem.line);
    if (!$("new-form").inert && problem.field) {
      showTab("form");
      if (focusField($("new-form"), problem.field)) return;
    }
    if (problem.line) {
      showTab("yaml");
      editor.goTo(problem.line);
    }
  },
};
const editor = new Editor($("editor"), { onInput: () => edited("yaml") });

// ---- in step

function edited(what) {
  dirty[what] = true;
  asked += 1; // an answer on its way is about something older
  keepDraft();
  status("busy");
  ask();
}

const ask = debounce(sync, DELAY);

async function sync() {
  ask.cancel();
  if (!dirty.form && !dirty.yaml) return;
  const question = (asked += 1);
  const sent = dirty.form ? { yaml: editor.value, form: app.form, base } : { yaml: editor.value };
  const tasks = app.form?.training.tasks?.slice() ?? [];
  let fresh;
  try {
    fresh = await api("POST", catalogue.urls.sync, sent);
  } catch (error) {
    if (question !== asked) return;
    status("failed", error.message);
    setTimeout(() => question === asked && sync(), 3000); // nothing is lost: ask again
    return;
  }
  if (question !== asked) return;
  answer = fresh;
  if (fresh.form) {
    // From now on the tasks stand in the manifest in this order.
    if (dirty.form) tasks.forEach((task, i) => Object.assign(task, { origin: i }));
    editor.set(fresh.yaml, { flash: dirty.form });
    if (dirty.yaml) {
      app.form = fresh.form;
      drawForm();
    }
    base = fresh.base;
    dirty.form = false; // else the form's edits wait until the text can be read again
  }
  dirty.yaml = false;
  drawAnswer();
  keepDraft();
}

function drawAnswer() {
  const locked = answer.form === null;
  $("new-form").inert = locked;
  $("new-form").classList.toggle("locked", locked);
  $("form-locked").hidden = !locked;
  if (locked) $("form-locked-why").textContent = answer.problems[0]?.message ?? "";
  showProblems($("new-form"), locked ? [] : answer.problems);
  if (app.form) showPreviews($("space"), app.form, answer.previews);
  editor.mark(answer.problems, answer.warnings);
  drawProblems($("problems"), answer, app);
  drawForecast($("forecast"), answer.forecast);
  status("known");
}

function status(state, message = "") {
  const n = answer.problems.length;
  const w = answer.warnings.length;
  const place = $("new-status");
  const create = $("create");
  if (state === "busy") {
    place.replaceChildren(h("span", { class: "spinner" }), "Checking …");
  } else if (state === "failed") {
    place.replaceChildren(icon("warning", "text-failed"), message);
  } else if (n) {
    place.replaceChildren(
      icon("x-octagon", "text-failed"),
      h("span", {}, n === 1 ? "1 problem" : `${n} problems`),
    );
  } else if (!answer.can_start) {
    place.replaceChildren(
      icon("warning", "text-warning"),
      h("span", {}, "Valid, but no trial could start here"),
    );
  } else {
    place.replaceChildren(
      icon("check-circle", "text-succeeded"),
      h("span", {}, "Ready to run", w ? `, ${w === 1 ? "1 warning" : `${w} warnings`}` : ""),
    );
  }
  $("problem-count").textContent = n || w ? `${n + w}` : "";
  $("no-problems").hidden = Boolean(n || w);
  create.disabled = creating || state !== "known" || n > 0;
}

// ---- drawing the form

const UNITS = [
  ["s", "seconds"],
  ["m", "minutes"],
  ["h", "hours"],
  ["d", "days"],
];

function drawBasics() {
  const { form } = app;
  const whole = { inputmode: "numeric", class: "form-control num" };
  $("basics").replaceChildren(
    field(
      "Name",
      text("name", form, "name", app.changed, {
        maxlength: 80,
        placeholder: "my-experiment",
        "data-testid": "name",
      }),
      { className: "span-2", help: "Small letters, digits, - and ." },
    ),
    direction(form),
    field(
      "Trials",
      text("max_trials", form, "max_trials", app.changed, {
        ...whole,
        placeholder: "20",
        "data-testid": "max-trials",
      }),
      { help: "How many to run" },
    ),
    field(
      "At once",
      text("concurrency", form, "concurrency", app.changed, {
        ...whole,
        placeholder: "2",
        "data-testid": "concurrency",
      }),
      { help: "Trials in parallel" },
    ),
    timeField(form),
    field(
      "Failures alike",
      text("alike", form, "alike", app.changed, {
        ...whole,
        placeholder: "3",
        "data-testid": "alike",
      }),
      { help: "So many suspend it; 0: never" },
    ),
  );
}

function timeField(form) {
  const amount = text("time", form.time, "amount", app.changed, {
    inputmode: "decimal",
    class: "form-control num",
    placeholder: "1",
    id: "time-amount",
    "data-testid": "time",
  });
  const unit = select(
    "time.unit",
    form.time,
    "unit",
    UNITS.map(([value, label]) => ({ value, label })),
    app.changed,
    { "aria-label": "Unit of time" },
  );
  return h(
    "div",
    { class: "field" },
    h("label", { class: "form-label", for: "time-amount" }, "Time limit"),
    h("div", { class: "pair" }, amount, unit),
    h("div", { class: "form-help" }, "Of active time"),
  );
}

function direction(form) {
  const radios = [
    ["maximize", "up", "Maximise"],
    ["minimize", "down", "Minimise"],
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
      drawAlgorithms($("algorithms"), app);
      app.changed();
    });
    return [input, h("label", { for: `mode-${value}`, "data-testid": value }, icon(image), label)];
  });
  return h(
    "fieldset",
    { class: "field" },
    h("legend", { class: "form-label" }, "Final result"),
    h("div", { class: "segmented segmented-wide" }, radios),
    h("div", { class: "form-help" }, "What a better trial has"),
  );
}

function drawStore() {
  const store = app.form.aistore;
  $("store").replaceChildren(
    field("Folder", text("aistore.folder", store, "folder", app.changed), {
      help: "ID of the AIStore folder",
    }),
    field("Secret", text("aistore.secret", store, "secret", app.changed), {
      help: "Name of the Secret with the API key",
    }),
  );
  if (store.folder || store.secret) $("more").open = true;
}

function drawForm() {
  const focused = document.activeElement?.dataset?.field;
  const caret = document.activeElement?.selectionStart;
  drawBasics();
  drawSpace($("space"), app);
  drawAlgorithms($("algorithms"), app);
  drawTraining($("training"), app);
  drawStore();
  if (!focused) return;
  const again = $("new-form").querySelector(`[data-field="${CSS.escape(focused)}"]`);
  again?.focus({ preventScroll: true });
  if (again && typeof caret === "number" && again.setSelectionRange) {
    try {
      again.setSelectionRange(caret, caret);
    } catch {
      // a select has no caret
    }
  }
}

$("add-row").addEventListener("click", () => app.form.space && addRow(app, $("space")));
$("new-form").addEventListener("submit", (event) => event.preventDefault());
// Somebody goes from the text to the form: what was typed must be in the form before it is edited.
$("new-form").addEventListener("focusin", () => dirty.yaml && sync());

// ---- another text: templates, files

function replaceText(textNew, what) {
  const before = editor.value;
  editor.set(textNew);
  edited("yaml");
  sync();
  if (before.trim() === textNew.trim()) return;
  const undo = h("button", { type: "button", class: "btn btn-default btn-sm ms-2" }, "Undo");
  undo.addEventListener("click", () => {
    editor.set(before);
    edited("yaml");
    undo.closest(".app-toast").remove();
  });
  toast(h("span", {}, what, undo), "info");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-template]");
  if (!button) return;
  try {
    const response = await fetch(
      catalogue.urls.template.replace("NAME", encodeURIComponent(button.dataset.template)),
    );
    if (!response.ok) throw new Error(`The template could not be read (${response.status}).`);
    replaceText(await response.text(), `Started from ${button.dataset.template}.`);
  } catch (error) {
    toast(error.message, "danger");
  }
});

const MAX_FILE = 1024 * 1024; // bytes
async function readFile(file) {
  if (file.size > MAX_FILE) {
    toast(
      `A manifest may have at most 1 MiB, but “${file.name}” has ${(file.size / MAX_FILE).toFixed(1)} MiB.`,
      "danger",
    );
    return;
  }
  replaceText(await file.text(), `Loaded ${file.name}.`);
}
$("upload").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file) readFile(file);
  $("file").value = "";
});
$("editor").addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
$("editor").addEventListener("drop", (event) => {
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  readFile(file);
});
$("copy-yaml").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(editor.value);
    toast("The manifest was copied.", "success");
  } catch {
    toast("The browser did not allow copying.", "warning");
  }
});
$("download-yaml").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([editor.value], { type: "application/yaml" }));
  h("a", { href: url, download: `${app.form?.name || "experiment"}.yaml` }).click();
  URL.revokeObjectURL(url);
});

// ---- the draft outlives a reload

function keepDraft() {
  try {
    const draft = { yaml: editor.value, form: app.form, base, edited: dirty.form };
    if (draft.yaml === start.yaml && !draft.edited) sessionStorage.removeItem(DRAFT);
    else sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // no storage, no draft
  }
}

function dropDraft() {
  try {
    sessionStorage.removeItem(DRAFT);
  } catch {
    // nothing was kept
  }
}

function readDraft() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

$("discard").addEventListener("click", () => {
  dropDraft();
  $("draft-note").hidden = true;
  replaceText(start.yaml, "The draft was discarded.");
});

// ---- narrow pages show one side at a time

function showTab(name) {
  document.querySelector(".new-grid").dataset.tab = name;
  for (const tab of document.querySelectorAll("[data-show-tab]")) {
    tab.setAttribute("aria-pressed", String(tab.dataset.showTab === name));
  }
  if (name === "yaml") editor.follow();
}
for (const tab of document.querySelectorAll("[data-show-tab]")) {
  tab.addEventListener("click", () => showTab(tab.dataset.showTab));
}
$("new-status").addEventListener("click", () => {
  const first = answer.problems[0] ?? answer.warnings[0];
  if (first) app.jump(first);
});

// ---- create

async function create() {
  if (creating || dirty.form || dirty.yaml) return;
  creating = true;
  status("known");
  try {
    const made = await api("POST", catalogue.urls.create, undefined, { text: editor.value });
    dropDraft();
    location.assign(new URL(made.url, location.href).pathname);
  } catch (error) {
    creating = false;
    toast(error.message, "danger");
    if (error.status === 400) {
      answer = { ...answer, problems: error.errors.map((e) => ({ field: "", ...e })) };
      drawAnswer();
      dirty.yaml = true;
      await sync();
    } else {
      status("known");
    }
  }
}
$("create").addEventListener("click", create);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("create").disabled) {
    event.preventDefault();
    create();
  }
});

// ---- begin

const draft = readDraft();
const resumed = draft && (draft.yaml !== start.yaml || draft.edited);
if (resumed) {
  app.form = draft.form; // what the form showed, should the text not be readable
  base = draft.base;
}
if (app.form) drawForm();
editor.set(draft?.yaml ?? start.yaml);
drawAnswer();
if (resumed) {
  $("draft-note").hidden = false;
  dirty.form = draft.edited;
  edited("yaml");
  sync();
}
document.body.dataset.ready = "true";
