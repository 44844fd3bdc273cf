// "Start from → Import": files of other products, both sides in a dialog before the text is taken.

import { ApiError, api, wordsOf } from "../api.js";
import { byId, h, icon, toast } from "../dom.js";
import { gettext } from "../language.js";

const MAX_FILE = 1024 * 1024; // bytes

/**
 * @typedef {{ line: number | null, source: string, given: string, target: string, becomes: string }} Row
 * @typedef {{ origin: string, text: string, rows: Row[], left: Problem[] }} Converted
 */

/**
 * @param {{ url: string, onText: (text: string, what: string) => void }} page
 */
export function listenToImports({ url, onText }) {
  const input = byId("import-files", HTMLInputElement);
  const dialog = byId("import-dialog", HTMLDialogElement);
  byId("import").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const chosen = [...(input.files ?? [])];
    input.value = "";
    const large = chosen.find((file) => file.size > MAX_FILE);
    if (large) {
      toast(gettext("“{name}” is larger than 1 MiB.", { name: large.name }), "danger");
      return;
    }
    if (!chosen.length) return;
    const files = await Promise.all(
      chosen.map(async (file) => ({ name: file.name, text: await file.text() })),
    );
    try {
      show(await api("POST", url, { files }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 400) refuse(error.errors);
      else toast(wordsOf(error), "danger");
    }
  });
  /** @type {Converted | null} */
  let offered = null;
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes" || !offered) return;
    onText(offered.text, gettext("Converted from {origin}.", { origin: offered.origin }));
  });

  /** @param {Converted} converted */
  function show(converted) {
    offered = converted;
    open(gettext("Import from {origin}", { origin: converted.origin }), [
      table(converted.rows),
      converted.left.length ? h("h3", {}, gettext("Not as it was")) : null,
      list(converted.left),
    ]);
  }

  /** @param {Problem[]} problems */
  function refuse(problems) {
    offered = null;
    open(gettext("This cannot be imported"), [
      list(problems),
      h(
        "p",
        { class: "small muted" },
        gettext("Choose a configuration and the files that it names together."),
      ),
    ]);
  }

  /**
   * @param {string} title
   * @param {(Node | null)[]} content
   */
  function open(title, content) {
    byId("import-title").textContent = title;
    byId("import-take").hidden = offered === null;
    byId("import-report").replaceChildren(...content.filter((each) => each !== null));
    dialog.returnValue = "no";
    dialog.showModal();
  }
}

/** @param {Row[]} rows */
function table(rows) {
  return h(
    "div",
    { class: "import-table", tabindex: "0" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, gettext("Line")),
          h("th", { scope: "col" }, gettext("Yours")),
          h("th", { scope: "col" }, gettext("Becomes")),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            h("td", { class: "num" }, row.line ?? ""),
            h("td", {}, side(row.source, row.given)),
            h("td", {}, side(row.target, row.becomes)),
          ),
        ),
      ),
    ),
  );
}

/**
 * @param {string} name
 * @param {string} value
 */
const side = (name, value) => [h("strong", {}, name), h("code", {}, value)];

/** @param {Problem[]} problems */
export function list(problems) {
  if (!problems.length) return null;
  return h(
    "ul",
    { class: "import-left" },
    problems.map((problem) =>
      h(
        "li",
        {},
        icon("warning"),
        h(
          "span",
          {},
          problem.line ? `${gettext("Line {line}", { line: problem.line })}: ` : null,
          problem.path ? h("code", {}, problem.path) : null,
          problem.path ? " " : null,
          problem.message,
          problem.hint ? h("small", {}, problem.hint) : null,
        ),
      ),
    ),
  );
}
