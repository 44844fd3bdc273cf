// How trials share this machine: GPUs and the interpreter, for the local engine alone.

import { byId, h } from "../dom.js";
import { gettext } from "../language.js";
import { field, text } from "./fields.js";

/**
 * A box to tick, bound to object[key].
 * @param {string} id
 * @param {Record<string, any>} object
 * @param {string} key
 * @param {string} label
 * @param {string} help
 * @param {() => void} changed
 */
function tick(id, object, key, label, help, changed) {
  const control = `local-${key}`;
  const input = h("input", {
    type: "checkbox",
    class: "form-check-input",
    id: control,
    "data-field": id,
    checked: object[key] === true,
  });
  input.addEventListener("change", () => {
    object[key] = input.checked;
    changed();
  });
  return h(
    "div",
    { class: "field" },
    h(
      "div",
      { class: "form-check" },
      input,
      h("label", { class: "form-check-label", for: control }, label),
    ),
    h("div", { class: "form-help" }, help),
  );
}

/** @param {FormApp} app */
export function drawLocal({ form: { local }, changed }) {
  const place = document.getElementById("local");
  if (!place) return; // trials run on a cluster
  const number = { inputmode: "numeric", class: "form-control num", placeholder: "1" };
  const mono = { class: "form-control mono" };
  const bound = (/** @type {keyof LocalForm} */ key, /** @type {object} */ attributes) =>
    text(`local.${key}`, local, key, changed, { ...attributes, "data-testid": `local-${key}` });
  place.replaceChildren(
    field(gettext("Trials per GPU"), bound("trials_per_gpu", number), {
      help: gettext("How many may share one"),
    }),
    field(gettext("GPUs"), bound("gpu_indices", { ...mono, placeholder: "0, 1" }), {
      help: gettext("Their numbers in nvidia-smi; empty: all"),
    }),
    tick(
      "local.measured",
      local,
      "measured",
      gettext("Share by measured memory"),
      gettext("A further trial joins a GPU where what the others took leaves room"),
      changed,
    ),
    tick(
      "local.use_active_gpu",
      local,
      "use_active_gpu",
      gettext("Use GPUs that others use"),
      gettext("Processes that are no trials compute on them"),
      changed,
    ),
    field(gettext("Python"), bound("python", { ...mono, placeholder: "/path/to/bin/python" }), {
      help: gettext("Interpreter, or a conda environment; empty: yours"),
    }),
    field(gettext("Import once"), bound("preload", { ...mono, placeholder: "torch" }), {
      help: gettext("Modules that trials need not import each"),
    }),
  );
  const isUsed = Object.values(local).some((value) => value !== "" && value !== false);
  if (isUsed) byId("machine", HTMLDetailsElement).open = true;
}
