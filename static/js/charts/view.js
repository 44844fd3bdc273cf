// What a person has zoomed to. It outlives every update of the figure; without it a chart shows
// what the figure says. Pure.

/**
 * Every axis of a layout, those of small multiples too.
 * @param {Layout} layout
 */
export const axesOf = (layout) => Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));

/** @typedef {{ range?: Ends, autorange: boolean }} Part of an axis that is looked at */

/**
 * A zoom of a logarithmic axis or of steps means nothing on another one.
 * @param {Layout} layout
 */
const kindOf = (layout) => `${layout.meta.x ?? ""} ${layout.xaxis?.type} ${layout.yaxis?.type}`;

export class View {
  constructor() {
    /** @type {Record<string, Part>} by the axis's name */
    this.parts = {};
    this.kind = "";
  }

  get isZoomed() {
    return Object.keys(this.parts).length > 0;
  }

  forget() {
    this.parts = {};
  }

  /**
   * The person moved an axis: remember where it is now.
   * @param {Record<string, unknown>} changes what Plotly says was changed, such as "xaxis.range[0]"
   * @param {Layout} shown the layout as it is on the screen now
   * @param {Layout} given the figure's
   */
  note(changes, shown, given) {
    for (const name of axesOf(given)) {
      if (!Object.keys(changes).some((key) => key.startsWith(`${name}.`))) continue;
      const { range, autorange } = /** @type {Axis} */ (shown[name] ?? {});
      if (!range) continue;
      this.kind = kindOf(given);
      this.parts[name] = { range: [range[0], range[1]], autorange: autorange === true };
    }
  }

  /** Everything there is, wherever it lies. */
  /** @param {Layout} given */
  showAll(given) {
    this.kind = kindOf(given);
    this.parts = Object.fromEntries(
      axesOf(given)
        .filter((name) => !(/** @type {Axis} */ (given[name]).fixedrange))
        .map((name) => [name, { autorange: true }]),
    );
  }

  /**
   * The axis as it is to be drawn.
   * @param {string} name
   * @param {Layout} given
   * @returns {Axis}
   */
  axis(name, given) {
    const axis = { .../** @type {Axis} */ (given[name]) };
    if (this.kind !== kindOf(given)) this.parts = {};
    const part = this.parts[name];
    if (!part) return axis;
    if (part.range && !part.autorange) return { ...axis, range: part.range, autorange: false };
    const { range: _, ...free } = axis;
    return { ...free, autorange: true };
  }
}
