// Figures that people made, dressed for our pages: the theme's ground and colours, unless a figure
// has a template of its own; the title stands in the card's head. Pure.

const COLOURS = [
  ...["#2f86dd", "#d09a10", "#14a37c", "#cf6ba9", "#e0602b", "#38b3c9", "#8a7be0", "#8f9a1f"],
];
const CLEAR = "rgba(0,0,0,0)";

/**
 * A copy of the figure as a card draws it.
 * @param {Figure} figure
 * @returns {Figure}
 */
export function owned({ data, layout: given = /** @type {any} */ ({}) }) {
  const { title, height, template, ...rest } = given;
  const isThemed = !template;
  const isFlat = data.some(({ type }) => type !== "pie");
  const hasLegend = rest.showlegend ?? data.length > 1;
  const usual = isThemed ? { paper_bgcolor: CLEAR, plot_bgcolor: CLEAR, colorway: COLOURS } : {};
  /** @type {Layout} */
  const layout = {
    ...usual,
    margin: { l: 56, r: 16, t: hasLegend ? 48 : 20, b: 44 },
    ...rest,
    ...(isFlat ? withRoom(rest) : {}),
    ...(template ? { template } : {}),
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", ...rest.legend },
    uirevision: "own",
    meta: /** @type {FigureMeta} */ ({ kind: "own", seq: 0, redrawn_at: [] }),
  };
  if (!isThemed) layout.meta.own_look = true;
  if (typeof height === "number") layout.meta.height = height;
  return { data, layout };
}

/**
 * The axes, with as much room as their words take.
 * @param {Record<string, any>} layout
 */
function withRoom(layout) {
  const names = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter(isAxis)]);
  return Object.fromEntries([...names].map((n) => [n, { automargin: true, ...layout[n] }]));
}

/** @param {string} name */
const isAxis = (name) => /^[xy]axis\d*$/.test(name);
