// Where the manifest's text comes from besides the keyboard, and where it goes: templates, files,
// the clipboard.

import { wordsOf } from "../api.js";
import { byId, h, hit, toast } from "../dom.js";
import { gettext } from "../language.js";

const MAX_FILE = 1024 * 1024; // bytes

/**
 * @param {{
 *   templateUrl: string, text: () => string, fileName: () => string,
 *   onText: (text: string, what: string) => void,
 * }} page templateUrl: with NAME in it; onText: take another text; what: where it is from
 */
export function listenToSources({ templateUrl, text, fileName, onText }) {
  document.addEventListener("click", async (event) => {
    const name = hit(event, "[data-template]")?.dataset.template;
    if (name === undefined) return;
    try {
      const response = await fetch(templateUrl.replace("NAME", encodeURIComponent(name)));
      if (!response.ok)
        throw new Error(
          gettext("The template could not be read ({status}).", { status: response.status }),
        );
      onText(await response.text(), gettext("Started from {name}.", { name }));
    } catch (error) {
      toast(wordsOf(error), "danger");
    }
  });
  listenToFiles(onText);
  byId("copy-yaml").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      toast(gettext("The manifest was copied."), "success");
    } catch {
      toast(gettext("The browser did not allow copying."), "warning");
    }
  });
  byId("download-yaml").addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([text()], { type: "application/yaml" }));
    h("a", { href: url, download: `${fileName()}.yaml` }).click();
    URL.revokeObjectURL(url);
  });
}

/** @param {(text: string, what: string) => void} onText */
function listenToFiles(onText) {
  const input = byId("file", HTMLInputElement);
  const read = async (/** @type {File} */ file) => {
    if (file.size > MAX_FILE) {
      const size = (file.size / MAX_FILE).toFixed(1);
      toast(
        gettext("A manifest may have at most 1 MiB, but “{name}” has {size} MiB.", {
          name: file.name,
          size,
        }),
        "danger",
      );
      return;
    }
    onText(await file.text(), gettext("Loaded {name}.", { name: file.name }));
  };
  byId("upload").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) read(file);
    input.value = "";
  });
  const editor = byId("editor");
  editor.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  editor.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    read(file);
  });
}
