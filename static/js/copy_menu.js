// A button that copies parameters, and a menu of other forms to take them away in.

import { asArguments, asPython } from "./copies.js";
import { h, icon } from "./dom.js";
import { stringify } from "./exact.js";
import { gettext } from "./language.js";

/**
 * @param {ParameterValues} parameters
 * @param {string} [trial] address of the trial in REST, which knows the command that runs it
 * @returns {HTMLElement}
 */
export function copyMenu(parameters, trial) {
  const copied = gettext("The parameters were copied.");
  const json = { "data-copy": stringify(parameters, 2), "data-copied": copied };
  const item = (/** @type {string} */ label, /** @type {string} */ text) =>
    h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "dropdown-item", "data-copy": text, "data-copied": copied },
        label,
      ),
    );
  const command = h(
    "button",
    {
      type: "button",
      class: "dropdown-item",
      "data-copied": gettext("The command was copied."),
      "data-testid": "copy-command",
    },
    gettext("Copy the command"),
  );
  // Asked for when the menu opens: what is copied must be there when it is clicked on.
  const fetchCommand = async () => {
    if (!trial || command.dataset.copy) return;
    const answer = await fetch(`${trial}command/`, { credentials: "same-origin" });
    if (answer.ok) command.dataset.copy = (await answer.text()).trim();
    else command.hidden = true;
  };
  return h(
    "div",
    { class: "btn-group", "data-testid": "copy-menu" },
    h(
      "button",
      { type: "button", class: "btn btn-quiet btn-sm", ...json },
      icon("copy"),
      gettext("Copy JSON"),
    ),
    h(
      "button",
      {
        type: "button",
        class: "btn btn-quiet btn-sm",
        "data-bs-toggle": "dropdown",
        "aria-expanded": "false",
        "aria-label": gettext("Copy in another form"),
        onclick: () => fetchCommand().catch(() => {}),
      },
      icon("chevron-down"),
    ),
    h(
      "ul",
      { class: "dropdown-menu dropdown-menu-end" },
      item(gettext("Copy as Python"), asPython(parameters)),
      item(gettext("Copy as arguments"), asArguments(parameters)),
      trial && h("li", {}, command),
    ),
  );
}
