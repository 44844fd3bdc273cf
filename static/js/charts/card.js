// What every chart's card offers beside its own switches: its numbers as a table, and to take it
// away as a picture or as CSV. All by keyboard; the address remembers which are tables.

import { params, remember } from "../address.js";
import { find, h, icon, toast } from "../dom.js";
import { gettext } from "../language.js";
import { steadily } from "../steadily.js";
import { DataTable } from "./data_table.js";
import { fileStem } from "./image.js";

const HEADING = ".chart-head :is(h2, h3)";
const EVERY = 3000; // milliseconds between two reads of a table that is looked at

export class ChartCard {
  /**
   * @param {import("./panel.js").ChartPanel} panel
   * @param {string} prefix of its names in the address
   */
  constructor(panel, prefix) {
    this.panel = panel;
    this.key = `${prefix}as`;
    this.title = panel.root.querySelector(HEADING)?.textContent?.trim() ?? "";
    this.table = new DataTable(
      gettext("Data of the chart: {title}", { title: this.title }),
      (query) => this.address(query),
    );
    this.isTable = params.get(this.key) === "table";
    this.button = h(
      "button",
      { type: "button", class: "btn btn-quiet btn-sm", "data-testid": "chart-as-table" },
      icon("list"),
      gettext("Table"),
    );
    this.button.addEventListener("click", () => this.turn(!this.isTable));
    this.reread = steadily(() => this.table.read(), EVERY, { atOnce: true });
    const tools = h("div", { class: "chart-card-tools" }, this.button, this.menu());
    find(panel.root, HEADING).after(tools);
    panel.body?.after(this.table.box);
    this.show();
  }

  menu() {
    const item = (/** @type {string} */ words, /** @type {() => unknown} */ act) =>
      h("li", {}, h("button", { type: "button", class: "dropdown-item", onclick: act }, words));
    return h(
      "div",
      { class: "dropdown" },
      h(
        "button",
        {
          type: "button",
          class: "btn btn-quiet btn-sm",
          "data-bs-toggle": "dropdown",
          "aria-expanded": "false",
          "aria-label": gettext("Save the chart: {title}", { title: this.title }),
          "data-testid": "chart-save",
        },
        icon("download"),
        gettext("Save"),
      ),
      h(
        "ul",
        { class: "dropdown-menu" },
        item(gettext("Picture (PNG)"), () => this.saveImage("png")),
        item(gettext("Drawing (SVG)"), () => this.saveImage("svg")),
        item(gettext("Data (CSV)"), () => this.save(this.address({ format: "csv" }))),
      ),
    );
  }

  /** @param {Record<string, string>} query */
  address(query) {
    return `${this.panel.url}table/?${new URLSearchParams({ ...this.panel.options, ...query })}`;
  }

  /** @param {boolean} isTable */
  turn(isTable) {
    this.isTable = isTable;
    remember({ [this.key]: isTable ? "table" : null });
    this.show();
    if (!isTable) this.panel.seen();
  }

  show() {
    this.button.setAttribute("aria-pressed", String(this.isTable));
    this.table.box.hidden = !this.isTable;
    if (this.panel.body) this.panel.body.hidden = this.isTable;
    this.freshen();
  }

  /** What the chart shows has changed, or may have: a table that is looked at follows. */
  freshen() {
    if (this.isTable && this.table.box.offsetParent !== null) this.reread();
  }

  /** @param {"png" | "svg"} format */
  async saveImage(format) {
    if (this.isTable) {
      toast(gettext("Show the chart instead of its table to save a picture of it."));
      return;
    }
    try {
      this.save(await this.panel.image(format), `${fileStem(this.panel.root)}.${format}`);
    } catch (error) {
      toast(error instanceof Error ? error.message : String(error), "danger");
    }
  }

  /**
   * @param {string} address
   * @param {string} [name] else what the server says
   */
  save(address, name = "") {
    const link = h("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }
}
