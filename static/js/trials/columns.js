// The columns that the table of trials can have, and the menu that chooses among them.

import { byId, h, icon } from "../dom.js";
import { flat } from "../flat.js";
import { keepingFocus } from "../focus.js";
import { ago, stateBadge } from "../format.js";
import { gettext } from "../language.js";
import {
  durationCell,
  numberCell,
  originCell,
  reasonCell,
  resultCell,
  valueCell,
} from "./cells.js";

const MOST_DEFAULT_PARAMETERS = 6;
const SELDOM = ["started", "finished", "exit", "id"];

/**
 * @typedef {{
 *   key: string, title: string, cell: (trial: Trial) => HTMLElement, order?: string,
 *   fixed?: boolean, num?: boolean, mono?: boolean, group?: string, asks?: string,
 *   isReported?: boolean,
 * }} Column fixed: always shown; order: what the server sorts by; asks: what a condition names;
 *   isReported: a report changes it
 */

/**
 * What a parameter or metric is called in an expression or order; quoted where it must be.
 * @param {string} kind
 * @param {string} name
 */
export const quoted = (kind, name) =>
  `${kind}:${/^[A-Za-z_][\w.]*$/.test(name) ? name : `"${name.replace(/["\\]/g, "\\$&")}"`}`;

/**
 * Every column that can be shown.
 * @param {string[]} parameters
 * @param {string[]} metrics
 * @param {{
 *   linkTo: (trial: number) => string, isBest: (trial: number) => boolean,
 *   box: (trial: number) => HTMLElement,
 * }} about box: what ticks a row
 * @returns {Column[]}
 */
export function allColumns(parameters, metrics, { linkTo, isBest, box }) {
  /** @type {Column[]} */
  const first = [
    {
      key: "number",
      title: "#",
      order: "number",
      fixed: true,
      cell: (t) => numberCell(t, linkTo(t.number), isBest(t.number), box(t.number)),
    },
    { key: "id", title: "ID", order: "id", cell: (t) => h("td", { class: "mono muted" }, t.id) },
    {
      key: "state",
      title: gettext("State"),
      order: "state",
      fixed: true,
      cell: (t) => h("td", {}, stateBadge(t.state, t)),
    },
    {
      key: "value",
      title: gettext("Value"),
      order: "value",
      fixed: true,
      num: true,
      isReported: true,
      cell: resultCell,
    },
  ];
  /** @type {Column[]} */
  const last = [
    {
      key: "duration",
      title: gettext("Duration"),
      order: "duration",
      num: true,
      cell: durationCell,
    },
    { key: "origin", title: gettext("Origin"), order: "origin", cell: originCell },
    {
      key: "reports",
      title: gettext("Reports"),
      order: "n_reports",
      num: true,
      isReported: true,
      cell: (t) => h("td", { class: "num" }, t.n_reports),
    },
    { key: "reason", title: gettext("Reason"), cell: reasonCell, asks: "reason" },
    {
      key: "started",
      title: gettext("Started"),
      order: "started_at",
      cell: (t) => h("td", { class: "muted nowrap" }, ago(t.started_at)),
    },
    {
      key: "finished",
      title: gettext("Finished"),
      order: "finished_at",
      cell: (t) => h("td", { class: "muted nowrap" }, ago(t.finished_at)),
    },
    {
      key: "exit",
      title: gettext("Exit code"),
      order: "exit_code",
      num: true,
      cell: (t) => h("td", { class: "num" }, t.exit_code ?? "–"),
    },
  ];
  return [
    ...first,
    ...parameters.map((name) => ({
      key: `p.${name}`,
      title: name,
      order: quoted("param", name),
      mono: true,
      group: gettext("Parameters"),
      cell: (/** @type {Trial} */ trial) => valueCell(flat(trial.parameters)[name]),
    })),
    ...metrics.map((name) => ({
      key: `m.${name}`,
      title: name,
      order: quoted("metric", name),
      group: gettext("Final metrics"),
      cell: (/** @type {Trial} */ trial) => valueCell(trial.metrics[name]),
    })),
    ...last,
  ];
}

/**
 * Keys of the columns that are shown where nobody chose.
 * @param {Column[]} columns
 */
export function usualColumns(columns) {
  const parameters = columns.filter((c) => c.key.startsWith("p."));
  const few = new Set(parameters.slice(0, MOST_DEFAULT_PARAMETERS));
  return columns
    .filter((c) => !c.fixed && !SELDOM.includes(c.key) && !c.key.startsWith("m."))
    .filter((c) => !c.key.startsWith("p.") || few.has(c))
    .map((c) => c.key);
}

/**
 * @param {Column[]} columns
 * @param {Set<string>} chosen keys; changed by the menu
 * @param {() => void} onChange
 */
export function drawColumnsMenu(columns, chosen, onChange) {
  /** @type {Map<string, HTMLElement[]>} */
  const groups = new Map();
  for (const column of columns.filter((c) => !c.fixed)) {
    const checked = chosen.has(column.key);
    const box = h("input", { type: "checkbox", class: "form-check-input", checked });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(column.key);
      else chosen.delete(column.key);
      onChange();
    });
    const title = h("span", { class: "truncate" }, column.title);
    const group = column.group ?? gettext("Trial");
    const items = groups.get(group) ?? [];
    items.push(h("label", { class: "columns-item" }, box, title));
    groups.set(group, items);
  }
  const parts = [...groups].flatMap(([name, items]) => [
    h("div", { class: "dropdown-header" }, name),
    ...items,
  ]);
  const menu = byId("columns-menu");
  keepingFocus(menu, () => menu.replaceChildren(...parts));
}

/**
 * The head of one column: a button to sort by it where that can be, and one to filter by it.
 * @param {Column} column
 * @param {[field: string, isDown: boolean]} sorting
 * @param {boolean} isFiltered
 * @param {() => void} onSort
 */
export function headCell(column, [field, isDown], isFiltered, onSort) {
  const asks = column.asks ?? column.order ?? "";
  const words = gettext("Filter by {column}", { column: column.title });
  const filter = h(
    "button",
    {
      type: "button",
      class: `column-filter${isFiltered ? " is-on" : ""}`,
      title: words,
      "aria-label": words,
      dataset: { asks },
    },
    icon("filter"),
  );
  if (!column.order) {
    return h("th", { class: column.key }, h("span", { class: "head" }, column.title, filter));
  }
  const isActive = column.order === field;
  const mark = isActive ? icon(isDown ? "down" : "up") : icon("sort", "idle");
  const title = h("span", { class: column.mono ? "mono" : "" }, column.title);
  const props = {
    type: "button",
    class: "sort",
    title: gettext("Sort by {column}", { column: column.title }),
  };
  const button = h("button", props, title, mark);
  button.addEventListener("click", onSort);
  const css = `${column.key.replace(/\W/g, "-")}${column.num ? " num" : ""}`;
  const sort = isActive ? (isDown ? "descending" : "ascending") : null;
  return h("th", { class: css, "aria-sort": sort }, h("span", { class: "head" }, button, filter));
}
