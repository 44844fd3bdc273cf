// A table of what is compared: a column each, differences first, what is equal on demand.

import { all, h, icon, svg } from "../dom.js";
import { stringify } from "../exact.js";
import { full, plain } from "../format.js";
import { gettext, ngettext } from "../language.js";

/** @typedef {{ name: string, values: Record<string, Json>, differs: boolean }} DiffRow */
/**
 * @typedef {{ head: HTMLElement, cells: HTMLTableCellElement[], differs: boolean }} Line
 * @typedef {{ title: string, lines: Line[] }} Section
 */

/**
 * A dotted name, what it is nested in less loud.
 * @param {string} name
 */
export function nameHead(name) {
  const at = name.lastIndexOf(".") + 1;
  const parts = name.slice(0, at).split(/(?<=\.)/);
  const breaking = parts.flatMap((part) => [part, h("wbr", {})]); // a long name breaks at its dots
  const above = at ? h("span", { class: "muted" }, breaking) : null;
  return h("th", { scope: "row", class: "mono", title: name }, above, name.slice(at));
}

/**
 * A row of plain values; those that are not the reference's are marked.
 * @param {DiffRow} row
 * @param {string[]} keys of the columns
 * @param {string} reference the column that others are held against
 * @param {{ isLatest?: (key: string) => boolean, absent?: string }} [words]
 * @returns {Line}
 */
export function valueLine(row, keys, reference, { isLatest = () => false, absent = "" } = {}) {
  const cells = keys.map((key) => {
    if (!(key in row.values)) return h("td", { class: "muted", title: absent }, "–");
    const value = row.values[key];
    const isOther = row.differs && !isSame(value, row.values[reference]);
    return h(
      "td",
      { class: `mono${isOther ? " is-other" : ""}`, title: full(value) },
      h("span", { class: "compare-value" }, plain(value)),
      isLatest(key) && h("span", { class: "latest" }, gettext("latest")),
    );
  });
  return { head: nameHead(row.name), cells, differs: row.differs };
}

/**
 * @param {Json | undefined} a
 * @param {Json | undefined} b
 */
const isSame = (a, b) => stringify(a) === stringify(b);

/**
 * Whether somebody is marking text in there, which a drawing would take away.
 * @param {HTMLElement} body
 */
export function isMarkedIn(body) {
  const marked = getSelection();
  return marked !== null && !marked.isCollapsed && body.contains(marked.anchorNode);
}

/**
 * Draw head and body; a link that has the focus keeps it. Returns how many rows are left out because all columns say the same.
 * @param {{ head: HTMLElement, body: HTMLElement }} table
 * @param {HTMLElement[]} columns
 * @param {Section[]} sections
 * @param {boolean} isAll what is equal, too
 */
export function drawTable({ head, body }, columns, sections, isAll) {
  const focused = document.activeElement?.closest(".compare-table a")?.getAttribute("href");
  const corner = h("td", {}, "");
  head.replaceChildren(h("tr", {}, corner, columns));
  let nEqual = 0;
  const rows = sections.flatMap(({ title, lines }) => {
    const different = lines.filter((line) => line.differs);
    const equal = lines.filter((line) => !line.differs);
    nEqual += equal.length;
    const shown = isAll ? [...different, ...equal] : different;
    if (!shown.length) return [];
    const name = h("th", { class: "compare-section", scope: "rowgroup" }, title);
    const rest = h("td", { class: "compare-section", colspan: columns.length });
    return [
      h("tr", {}, name, rest),
      ...shown.map((line) =>
        h("tr", { class: line.differs ? "" : "is-equal" }, line.head, line.cells),
      ),
    ];
  });
  body.replaceChildren(...rows);
  if (focused) {
    const links = [...all(head, "a"), ...all(body, "a")];
    links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
  return nEqual;
}

/**
 * What the rows that are not shown are called.
 * @param {number} nEqual
 * @param {boolean} isAll
 */
export function equalWords(nEqual, isAll) {
  if (!nEqual) return gettext("Everything differs.");
  return isAll
    ? ngettext(
        "{n} equal row stands below the others",
        "{n} equal rows stand below the others",
        nEqual,
      )
    : ngettext("{n} equal row is not shown", "{n} equal rows are not shown", nEqual);
}

/** @type {Record<string, string>} */
const DASHES = { dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };

/**
 * A piece of the line that a column has in the charts.
 * @param {string} colour
 * @param {string} dash
 */
export function swatch(colour, dash) {
  const line = { x1: 0, y1: 5, x2: 26, y2: 5, stroke: colour, "stroke-width": 2.5 };
  return svg(
    "svg",
    { class: "compare-swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    svg("line", { ...line, "stroke-dasharray": DASHES[dash] ?? "none" }),
  );
}

/** @param {string} title */
export const bestMark = (title) => h("span", { class: "best-mark", title }, icon("star"));
