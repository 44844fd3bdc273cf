// What can be done with one axis of parallel coordinates, by keyboard as by mouse: scale, direction,
// place, and which lines are kept. A button below each axis opens it.

import { find, h } from "../dom.js";
import { gettext } from "../language.js";
import { wordsIn } from "./words.js";

/** @typedef {import("./parcoords.js").ParallelPlot} ParallelPlot */
/** @typedef {import("./parallel_frame.js").ParallelAxis} ParallelAxis */

const WIDTH = 220; // pixels of the menu

export class AxisMenus {
  /** @param {ParallelPlot} plot */
  constructor(plot) {
    this.plot = plot;
    this.row = h("div", { class: "axis-buttons" });
    this.menu = h("div", { class: "axis-menu", hidden: true, role: "dialog" });
    plot.element.append(this.row, this.menu);
    /** @type {string | null} key of the axis whose menu is open */
    this.open = null;
    this.menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close({ focus: true });
    });
    document.addEventListener("pointerdown", ({ target }) => {
      const isOurs =
        target instanceof Node && (this.menu.contains(target) || this.row.contains(target));
      if (!isOurs) this.close();
    });
  }

  /** A button below each axis, at its place; focus stays where it was. */
  draw() {
    const { axes } = this.plot.frame;
    const buttons = new Map(
      [...this.row.children].map((button) => [
        /** @type {HTMLElement} */ (button).dataset.key,
        button,
      ]),
    );
    const shown = axes.map((axis, k) => {
      const button = buttons.get(axis.key) ?? this.button(axis);
      const words = gettext("Axis {name}", { name: axis.label });
      button.setAttribute("aria-label", words);
      button.setAttribute("title", words);
      /** @type {HTMLElement} */ (button).style.left = `${this.plot.frame.x(k)}px`;
      return button;
    });
    const isSame =
      shown.length === this.row.children.length &&
      shown.every((b, k) => b === this.row.children[k]);
    if (!isSame) {
      const focused = document.activeElement;
      this.row.replaceChildren(...shown);
      if (focused instanceof HTMLElement && this.row.contains(focused)) focused.focus();
    }
    if (this.open !== null && !axes.some((axis) => axis.key === this.open)) this.close();
  }

  /** @param {ParallelAxis} axis */
  button({ key }) {
    return h(
      "button",
      {
        type: "button",
        class: "axis-button",
        "aria-haspopup": "dialog",
        "aria-expanded": "false",
        dataset: { key, testid: "axis-menu" },
        onclick: () => (this.open === key ? this.close() : this.show(key)),
      },
      "⋯",
    );
  }

  /** @param {string} key */
  show(key) {
    this.close();
    const { frame } = this.plot;
    const k = frame.axes.findIndex((axis) => axis.key === key);
    if (k < 0) return;
    this.open = key;
    this.menu.setAttribute("aria-label", gettext("Axis {name}", { name: frame.axes[k].label }));
    this.menu.replaceChildren(...this.entries(frame.axes[k], k));
    this.menu.hidden = false;
    const left = Math.min(Math.max(frame.x(k) - WIDTH / 2, 0), Math.max(frame.width - WIDTH, 0));
    this.menu.style.left = `${left}px`;
    this.expanded(key, true);
    find(this.menu, "button, input, select").focus();
  }

  /** @param {{ focus?: boolean }} [options] focus: back to the button */
  close({ focus = false } = {}) {
    const { open } = this;
    if (open === null) return;
    this.open = null;
    this.menu.hidden = true;
    const button = this.expanded(open, false);
    if (focus) button?.focus();
  }

  /**
   * @param {string} key
   * @param {boolean} isOpen
   */
  expanded(key, isOpen) {
    const buttons = /** @type {HTMLElement[]} */ ([...this.row.children]);
    const button = buttons.find((each) => each.dataset.key === key);
    button?.setAttribute("aria-expanded", String(isOpen));
    return button;
  }

  /**
   * @param {ParallelAxis} axis
   * @param {number} k its place
   */
  entries(axis, k) {
    const { frame } = this.plot;
    const { scales = {}, flipped = [] } = this.plot.meta;
    const named = Object.entries(scales).find(([name]) => wordsIn(name) === axis.key);
    const scale = named?.[1] ?? "only";
    const isFlipped = flipped.some((name) => wordsIn(name) === axis.key);
    /** @type {HTMLElement[]} */
    const found = [
      this.item(isFlipped ? gettext("Turn it back round") : gettext("Upside down"), () =>
        this.choose("flip", axis.key, !isFlipped),
      ),
    ];
    if (scale === "log")
      found.push(this.item(gettext("Linear scale"), () => this.rescale(axis, "linear")));
    if (scale === "linear")
      found.push(this.item(gettext("Logarithmic scale"), () => this.rescale(axis, "log")));
    if (k > 0) found.push(this.item(gettext("Move left"), () => this.move(k, k - 1)));
    if (k < frame.axes.length - 1)
      found.push(this.item(gettext("Move right"), () => this.move(k, k + 1)));
    found.push(scale === "choice" ? this.choices(axis, k) : this.limits(axis, k));
    if (frame.brushes.has(axis.key)) {
      found.push(this.item(gettext("Keep all lines"), () => this.plot.keep(k, null)));
    }
    return found;
  }

  /**
   * @param {string} words
   * @param {() => void} act
   */
  item(words, act) {
    const done = () => {
      this.close({ focus: true });
      act();
    };
    return h("button", { type: "button", class: "dropdown-item", onclick: done }, words);
  }

  /**
   * Only lines with one choice.
   * @param {ParallelAxis} axis
   * @param {number} k
   */
  choices(axis, k) {
    const options = axis.ticks.map(([place, words]) =>
      h("option", { value: String(place) }, words),
    );
    const all = h("option", { value: "" }, gettext("all"));
    const select = h("select", { class: "form-select form-select-sm" }, all, options);
    select.addEventListener("change", (event) => {
      event.stopPropagation();
      const place = Number(select.value);
      this.plot.keep(k, select.value === "" ? null : [place - 0.4, place + 0.4]);
    });
    return h("label", { class: "axis-limit" }, gettext("Keep only"), select);
  }

  /**
   * Only lines between two values.
   * @param {ParallelAxis} axis
   * @param {number} k
   */
  limits(axis, k) {
    const isLog = axis.label.endsWith("(log)");
    const [low, high] = axis.range[0] < axis.range[1] ? axis.range : [axis.range[1], axis.range[0]];
    const inputs = [gettext("from"), gettext("to")].map((words) =>
      h("input", {
        type: "number",
        step: "any",
        class: "form-control form-control-sm",
        placeholder: words,
        "aria-label": gettext("Keep only {words}", { words }),
      }),
    );
    const place = (/** @type {HTMLInputElement} */ { value }, /** @type {number} */ otherwise) => {
      if (value === "" || Number.isNaN(Number(value))) return otherwise;
      return isLog ? Math.log10(Math.max(Number(value), 5e-324)) : Number(value);
    };
    for (const input of inputs) {
      input.addEventListener("change", (event) => {
        event.stopPropagation();
        const ends = /** @type {Ends} */ ([place(inputs[0], low), place(inputs[1], high)]);
        this.plot.keep(k, inputs.every(({ value }) => value === "") ? null : ends);
      });
    }
    return h("div", { class: "axis-limit" }, gettext("Keep only"), inputs);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  move(from, to) {
    const { frame } = this.plot;
    const { key } = frame.axes[from];
    frame.moveAxis(from, frame.x(to));
    this.plot.draw();
    this.expanded(key, false)?.focus();
  }

  /**
   * @param {ParallelAxis} axis
   * @param {"log" | "linear"} scale
   */
  rescale({ key }, scale) {
    const other = scale === "log" ? "linear" : "log";
    // One of the two says what differs from the space's own scale.
    const back = this.named(`${other}_axes`).includes(key);
    this.choose(`${back ? other : scale}_axes`, key, !back);
  }

  /**
   * The axes that an option names.
   * @param {string} option
   * @returns {string[]}
   */
  named(option) {
    const input = this.input(option);
    return input.value ? JSON.parse(input.value) : [];
  }

  /**
   * @param {string} option
   * @param {string} key
   * @param {boolean} isIn
   */
  choose(option, key, isIn) {
    const names = this.named(option).filter((name) => name !== key);
    if (isIn) names.push(key);
    const input = this.input(option);
    input.value = names.length ? JSON.stringify(names) : "";
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** @param {string} option */
  input(option) {
    const card = /** @type {HTMLElement} */ (this.plot.element.closest(".chart"));
    return find(card, `[data-option="${option}"]`, HTMLInputElement);
  }
}
