// The new-experiment page: asks the server what an edit means, and draws the answer.

import { ApiError, api, wordsOf } from "../api.js";
import { all, byId, debounce, find, h, icon, pageData, toast } from "../dom.js";
import { gettext, ngettext } from "../language.js";
import { drawAlgorithms, showFit } from "./algorithms.js";
import { drawBasics, drawInitial, drawMetrics, drawStore } from "./basics.js";
import { dropDraft, keepDraft, readDraft } from "./draft.js";
import { Editor } from "./editor.js";
import { focusField, showProblems } from "./fields.js";
import { drawForecast, drawProblems } from "./forecast.js";
import { listenToImports } from "./imports.js";
import { InStep } from "./in_step.js";
import { drawLocal } from "./local.js";
import { listenToResults } from "./results.js";
import { listenToSources } from "./sources.js";
import { addRow, drawSpace, showPreviews } from "./space.js";
import { drawTraining } from "./training.js";
import { drawWarmStart } from "./warm_start.js";

const DELAY = 250; // milliseconds between the last keystroke and the question
const RETRY = 3000; // after a question that got no answer
/** @type {Catalogue} */
const catalogue = pageData("catalogue");
/** @type {Answer} */
const start = pageData("start");
const steps = new InStep(start);
const form = byId("new-form", HTMLFormElement);
const createButton = byId("create", HTMLButtonElement);
let isCreating = false;

/** @type {FormApp} */
const app = {
  catalogue,
  get form() {
    return /** @type {Form} */ (steps.form); // parts of the form are drawn only where there is one
  },
  changed() {
    showFit(byId("algorithms"), app);
    edited("form");
  },
  redrawSpace: () => drawSpace(byId("space"), app),
  redrawn() {
    showProblems(form, steps.answer.problems);
    showPreviews(byId("space"), app.form, steps.answer.previews);
  },
  jump(problem) {
    if (problem.line) editor.reveal(problem.line);
    if (!form.inert && problem.field) {
      showTab("form");
      if (focusField(form, problem.field)) return;
    }
    if (problem.line) {
      showTab("yaml");
      editor.goTo(problem.line);
    }
  },
};
const editor = new Editor(byId("editor"), { onInput: () => edited("yaml") });

// ---- in step

/** @param {"form" | "yaml"} what */
function edited(what) {
  steps.edited(what);
  keep();
  showStatus("busy");
  ask();
}

const ask = debounce(sync, DELAY);

async function sync() {
  ask.cancel();
  if (!steps.isDirty) return;
  const question = steps.ask(editor.value);
  let answer;
  try {
    answer = await api("POST", catalogue.urls.sync, question.body);
  } catch (error) {
    if (!steps.isNewest(question)) return;
    showStatus("failed", wordsOf(error));
    setTimeout(() => steps.isNewest(question) && sync(), RETRY); // nothing is lost: ask again
    return;
  }
  if (!steps.isNewest(question)) return;
  const change = steps.take(question, answer);
  if (change.text) editor.set(answer.yaml, { flash: change.isOurs });
  if (change.form) drawForm();
  drawAnswer();
  keep();
}

function keep() {
  const { form, base, dirty } = steps;
  keepDraft({ yaml: editor.value, form, base, edited: dirty.form }, start.yaml);
}

// ---- drawing

function drawAnswer() {
  const { answer } = steps;
  const isLocked = answer.form === null;
  form.inert = isLocked;
  form.classList.toggle("locked", isLocked);
  byId("form-locked").hidden = !isLocked;
  if (isLocked) byId("form-locked-why").textContent = answer.problems[0]?.message ?? "";
  // Which earlier experiments fit follows from the direction and the parameters.
  if (steps.form && !byId("warm-start").contains(document.activeElement)) drawWarmStart(app);
  showProblems(form, isLocked ? [] : answer.problems);
  if (steps.form) showPreviews(byId("space"), steps.form, answer.previews);
  editor.mark(answer.problems, answer.warnings);
  drawProblems(byId("problems"), answer, app);
  drawForecast(byId("forecast"), answer.forecast);
  showStatus("known");
}

/** @param {"known" | "busy" | "failed"} state */
function showStatus(state, message = "") {
  const { problems, warnings } = steps.answer;
  const n = problems.length + warnings.length;
  byId("new-status").replaceChildren(...statusParts(state, message));
  byId("problem-count").textContent = n ? String(n) : "";
  byId("no-problems").hidden = n > 0;
  createButton.disabled = isCreating || state !== "known" || problems.length > 0;
}

/**
 * @param {"known" | "busy" | "failed"} state
 * @param {string} message
 * @returns {(Node | string)[]}
 */
function statusParts(state, message) {
  if (state === "busy") return [h("span", { class: "spinner" }), gettext("Checking …")];
  if (state === "failed") return [icon("warning", "text-failed"), message];
  const { problems, warnings, can_start: canStart } = steps.answer;
  if (problems.length) {
    const words = ngettext("{n} problem", "{n} problems", problems.length);
    return [icon("x-octagon", "text-failed"), h("span", {}, words)];
  }
  if (!canStart) {
    const words = gettext("Valid, but no trial could start here");
    return [icon("warning", "text-warning"), h("span", {}, words)];
  }
  const w = warnings.length;
  const more = w ? ngettext(", {n} warning", ", {n} warnings", w) : "";
  return [icon("check-circle", "text-succeeded"), h("span", {}, gettext("Ready to run"), more)];
}

function drawForm() {
  const before = document.activeElement;
  const focused = before instanceof HTMLElement ? before.dataset.field : undefined;
  const caret = isText(before) ? before.selectionStart : null;
  const redrawAlgorithms = () => drawAlgorithms(byId("algorithms"), app);
  drawBasics(app, redrawAlgorithms);
  drawInitial(app);
  drawSpace(byId("space"), app);
  redrawAlgorithms();
  drawTraining(byId("training"), app);
  drawMetrics(app);
  drawLocal(app);
  drawWarmStart(app);
  drawStore(app);
  if (!focused) return;
  const again = form.querySelector(`[data-field="${CSS.escape(focused)}"]`);
  if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  if (isText(again) && caret !== null) again.setSelectionRange(caret, caret);
}

/**
 * @param {Element | null} element
 * @returns {element is HTMLInputElement | HTMLTextAreaElement}
 */
const isText = (element) =>
  element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;

byId("add-row").addEventListener("click", () => addRow(app, byId("space")));
form.addEventListener("submit", (event) => event.preventDefault());
// Somebody goes from the text to the form: what was typed must be in the form before it is edited.
form.addEventListener("focusin", () => steps.dirty.yaml && sync());

// ---- another text: templates, files, the discarded draft

/**
 * @param {string} text
 * @param {string} what where it is from
 */
function replaceText(text, what) {
  const before = editor.value;
  editor.set(text);
  edited("yaml");
  sync();
  if (before.trim() === text.trim()) return;
  const undo = h(
    "button",
    { type: "button", class: "btn btn-default btn-sm ms-2" },
    gettext("Undo"),
  );
  undo.addEventListener("click", () => {
    editor.set(before);
    edited("yaml");
    undo.closest(".app-toast")?.remove();
  });
  toast(h("span", {}, what, undo), "info");
}

listenToSources({
  templateUrl: catalogue.urls.template,
  text: () => editor.value,
  fileName: () => steps.form?.name || "experiment",
  onText: replaceText,
});
listenToImports({ url: catalogue.urls.import, onText: replaceText });
listenToResults();
byId("discard").addEventListener("click", () => {
  dropDraft();
  byId("draft-note").hidden = true;
  replaceText(start.yaml, gettext("The draft was discarded."));
});

// ---- narrow pages show one side at a time

const tabs = all(document, "[data-show-tab]");
/** @param {string} name */
function showTab(name) {
  find(document, ".new-grid").dataset.tab = name;
  for (const tab of tabs) {
    tab.setAttribute("aria-pressed", String(tab.dataset.showTab === name));
  }
  if (name === "yaml") editor.follow();
}
for (const tab of tabs) {
  tab.addEventListener("click", () => showTab(tab.dataset.showTab ?? "form"));
}
byId("new-status").addEventListener("click", () => {
  const first = steps.answer.problems[0] ?? steps.answer.warnings[0];
  if (first) app.jump(first);
});

// ---- create

async function create() {
  if (isCreating || steps.isDirty) return;
  isCreating = true;
  showStatus("known");
  try {
    const made = await api("POST", catalogue.urls.create, undefined, { text: editor.value });
    dropDraft();
    location.assign(new URL(made.url, location.href).pathname);
  } catch (error) {
    isCreating = false;
    toast(wordsOf(error), "danger");
    if (error instanceof ApiError && error.status === 400) await refused(error.errors);
    else showStatus("known");
  }
}

/** @param {Problem[]} errors */
async function refused(errors) {
  steps.answer = { ...steps.answer, problems: errors.map((e) => ({ field: "", ...e })) };
  drawAnswer();
  steps.dirty.yaml = true;
  await sync();
}

createButton.addEventListener("click", create);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !createButton.disabled) {
    event.preventDefault();
    create();
  }
});

// ---- begin

const draft = readDraft(start.yaml);
if (draft) steps.resume(draft); // what the form showed, should the text not be readable
if (steps.form) drawForm();
editor.set(draft?.yaml ?? start.yaml);
drawAnswer();
if (draft) {
  byId("draft-note").hidden = false;
  edited("yaml");
  sync();
}
document.body.dataset.ready = "true";
