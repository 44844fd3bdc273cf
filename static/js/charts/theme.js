// Figures carry no colour of the page: its theme and the room there is are put on here.

const NARROW = 560; // pixels; below that margins shrink
const ROOM_FOR_LEGEND = 900;

/** @returns {Theme} */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    dark: document.documentElement.dataset.bsTheme === "dark",
    font: token("--font"),
    text: token("--text"),
    muted: token("--muted"),
    grid: token("--border"),
    strong: token("--border-strong"),
    surface: token("--surface"),
    accent: token("--accent"),
  };
}

/**
 * A copy of the figure's layout with the page's fonts and colours, where it has none of its own.
 * @param {Layout} original
 * @param {Theme} look
 * @returns {Layout}
 */
export function themed(original, { font, text, muted, grid, strong, surface }) {
  const layout = { ...original };
  if (original.meta.own_look) return layout;
  layout.font = { ...layout.font, family: font, color: muted };
  layout.hoverlabel = {
    bgcolor: surface,
    bordercolor: strong,
    align: "left",
    font: { family: font, size: 12, color: text },
  };
  layout.modebar = {
    bgcolor: "rgba(0,0,0,0)",
    color: strong,
    activecolor: muted,
    orientation: "h",
  };
  for (const key of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    const axis = /** @type {Axis} */ (layout[key]);
    layout[key] = {
      gridcolor: grid,
      linecolor: strong,
      tickcolor: strong,
      zerolinecolor: strong,
      ...axis,
      tickfont: { size: 11, color: muted },
      ...(axis.title && { title: { ...axis.title, font: { size: 11, color: muted } } }),
    };
  }
  return layout;
}

/**
 * A copy of the trace with the colours of its scale that the page's theme calls for.
 * @param {Trace} trace
 * @param {Theme} look
 * @returns {Trace}
 */
export function dressed(trace, { dark }) {
  const { colorscale_dark, colorscale_light } = trace.meta ?? {};
  const colorscale = dark ? colorscale_dark : colorscale_light;
  if (!colorscale) return { ...trace };
  if (!trace.marker) return { ...trace, colorscale };
  return { ...trace, marker: { ...trace.marker, colorscale } };
}

/**
 * On a phone the plot gets the width that legend and margins would take.
 * @param {Layout} layout changed in place
 * @param {number} width of the plot in pixels
 */
export function fit(layout, width) {
  const hasRoom = width > ROOM_FOR_LEGEND || layout.legend?.orientation === "h";
  // Traces are told apart by pointing at them; the list would take a third of the width.
  if (!hasRoom) layout.showlegend = false;
  const isNarrow = width <= NARROW;
  layout.legend = { ...layout.legend, font: { size: isNarrow ? 10 : 11 } };
  if (!isNarrow) return;
  const { l = 46, r = 12 } = layout.margin ?? {};
  layout.margin = { ...layout.margin, l: Math.min(l, 46), r: Math.min(r, 12) };
}
