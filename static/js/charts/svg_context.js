// A drawing of what is painted on a canvas.

/**
 * A canvas' drawing instructions as an SVG drawing: of a 2D context what our painters use.
 */
export class SvgContext {
  /**
   * @param {{ width: number, height: number }} size
   * @param {string} background
   */
  constructor({ width, height }, background) {
    this.size = { width, height };
    this.lineWidth = 1;
    this.strokeStyle = "#000";
    this.fillStyle = "#000";
    this.globalAlpha = 1;
    this.lineJoin = "miter";
    this.font = "12px sans-serif";
    this.textAlign = "start";
    this.textBaseline = "alphabetic";
    /** @type {string[]} */
    this.parts = [];
    /** @type {string[]} */
    this.path = [];
    this.meter = /** @type {CanvasRenderingContext2D} */ (
      document.createElement("canvas").getContext("2d")
    );
    this.fillStyle = background;
    this.fillRect(0, 0, width, height);
  }

  beginPath() {
    this.path = [];
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  moveTo(x, y) {
    this.path.push(`M${short(x)} ${short(y)}`);
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  lineTo(x, y) {
    this.path.push(`${this.path.length ? "L" : "M"}${short(x)} ${short(y)}`);
  }

  stroke() {
    this.add("path", { d: this.path.join(""), fill: "none", ...this.stroking() });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  fillRect(x, y, width, height) {
    this.add("rect", { x: short(x), y: short(y), width, height, fill: this.fillStyle });
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  strokeRect(x, y, width, height) {
    const box = { x: short(x), y: short(y), width, height };
    this.add("rect", { ...box, fill: "none", ...this.stroking() });
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  fillText(text, x, y) {
    this.write(text, x, y, { fill: this.fillStyle });
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  strokeText(text, x, y) {
    this.write(text, x, y, { fill: "none", ...this.stroking() });
  }

  /** @param {string} text */
  measureText(text) {
    this.meter.font = this.font;
    return this.meter.measureText(text);
  }

  stroking() {
    return {
      stroke: this.strokeStyle,
      "stroke-width": this.lineWidth,
      "stroke-linejoin": this.lineJoin,
    };
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   * @param {Record<string, string | number>} paint
   */
  write(text, x, y, paint) {
    const anchors = { center: "middle", right: "end", end: "end" };
    const anchor = anchors[/** @type {keyof typeof anchors} */ (this.textAlign)] ?? "start";
    const baseline = this.textBaseline === "middle" ? "central" : "auto";
    const place = { x: short(x), y: short(y), "text-anchor": anchor };
    this.add(
      "text",
      { ...place, "dominant-baseline": baseline, style: `font:${this.font}`, ...paint },
      text,
    );
  }

  /**
   * @param {string} tag
   * @param {Record<string, string | number>} attributes
   * @param {string} [text]
   */
  add(tag, attributes, text = "") {
    const opacity = this.globalAlpha < 1 ? { opacity: short(this.globalAlpha) } : {};
    const given = Object.entries({ ...attributes, ...opacity });
    const words = given.map(([name, value]) => ` ${name}="${escaped(String(value))}"`).join("");
    this.parts.push(`<${tag}${words}>${escaped(text)}</${tag}>`);
  }

  get svg() {
    const { width, height } = this.size;
    const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"`;
    return `${head} viewBox="0 0 ${width} ${height}">${this.parts.join("")}</svg>`;
  }
}

/** @param {number} n */
const short = (n) => Math.round(n * 100) / 100;

/** @param {string} text */
const escaped = (text) =>
  text.replace(
    /[&<>"]/g,
    (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c,
  );
