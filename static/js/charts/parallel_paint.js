// Paints parallel coordinates on a canvas.

import { BOTTOM, colourAt, TOP } from "./parallel_frame.js";

/** @typedef {import("./parallel_frame.js").Frame} Frame */
/** @typedef {CanvasRenderingContext2D} Context */

const MANY = 200; // lines; above that they are drawn fainter

/**
 * A cleared canvas of the frame's size, sharp on every screen.
 * @param {HTMLCanvasElement} canvas
 * @param {Frame} frame
 */
export function cleared(canvas, { width, height }) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = /** @type {Context} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {ColourScale} scale
 * @param {Theme} theme
 */
export function paint(context, frame, scale, theme) {
  const isMany = frame.numbers.length > MANY;
  context.lineJoin = "round";
  for (const keep of [false, true]) {
    // worst first, so the best lie on top; what a brush drops is hardly there
    frame.numbers.forEach((_, i) => {
      if (frame.kept[i] !== keep) return;
      const shade = frame.shades[i];
      // of very many, those that are nearly the best must not be one dark patch
      const alpha = isMany ? 0.1 + 0.65 * shade ** 8 : 0.55 + 0.4 * shade;
      context.globalAlpha = keep ? alpha : 0.25;
      context.strokeStyle = keep ? colourAt(scale, shade) : theme.grid;
      context.lineWidth = keep ? (isMany ? 0.8 : 1.4) + 0.6 * shade : 1;
      strokeLine(context, frame, i);
    });
  }
  context.globalAlpha = 1;
  for (let k = 0; k < frame.axes.length; k += 1) paintAxis(context, frame, k, theme);
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} i
 */
function strokeLine(context, frame, i) {
  context.beginPath();
  frame.axes.forEach((axis, k) => {
    context.lineTo(frame.x(k), frame.y(axis, axis.values[i]));
  });
  context.stroke();
}

/**
 * One line lifted over the others.
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} i
 * @param {Theme} theme
 */
export function paintPointed(context, frame, i, theme) {
  context.lineJoin = "round";
  for (const [width, colour] of /** @type {[number, string][]} */ ([
    [6, theme.surface],
    [3, theme.accent],
  ])) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    strokeLine(context, frame, i);
  }
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} k
 * @param {Theme} theme
 */
function paintAxis(context, frame, k, theme) {
  const x = frame.x(k);
  context.strokeStyle = theme.strong;
  context.lineWidth = 1.2;
  context.beginPath();
  context.moveTo(x, TOP);
  context.lineTo(x, frame.height - BOTTOM);
  context.stroke();
  paintBrush(context, frame, k, theme);
  paintTicks(context, frame, k, theme);
  paintLabel(context, frame, k, theme);
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} k
 * @param {Theme} theme
 */
function paintBrush(context, frame, k, theme) {
  const axis = frame.axes[k];
  const brush = frame.brushes.get(axis.key);
  if (!brush) return;
  const ends = brush.map((place) => frame.y(axis, place));
  const [top, bottom] = [Math.min(...ends), Math.max(...ends)]; // an axis may be upside down
  const left = frame.x(k) - 5;
  context.fillStyle = theme.accent;
  context.globalAlpha = 0.35;
  context.fillRect(left, top, 10, bottom - top);
  context.globalAlpha = 1;
  context.strokeStyle = theme.accent;
  context.strokeRect(left, top, 10, bottom - top);
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} k
 * @param {Theme} theme
 */
function paintTicks(context, frame, k, theme) {
  const x = frame.x(k);
  const axis = frame.axes[k];
  const isRightmost = k > 0 && k === frame.axes.length - 1;
  const textX = isRightmost ? x - 7 : x + 7;
  // The words of the last two axes stand in the same gap.
  const share = k > 0 && k >= frame.axes.length - 2 ? 0.4 : 0.62;
  context.textBaseline = "middle";
  context.textAlign = isRightmost ? "right" : "left";
  context.font = `400 11px ${theme.font}`;
  let last = Infinity;
  for (const [place, text] of axis.ticks) {
    const y = frame.y(axis, place);
    if (Math.abs(last - y) < 12) continue; // labels would touch
    last = y;
    context.fillStyle = theme.strong;
    context.fillRect(x - 3, y - 0.5, 6, 1);
    const cut = fitted(context, text, Math.max(34, frame.room * share));
    context.lineWidth = 3.5; // a halo, so that lines do not run through the words
    context.strokeStyle = theme.surface;
    context.strokeText(cut, textX, y);
    context.fillStyle = theme.muted;
    context.fillText(cut, textX, y);
  }
}

/**
 * @param {Context} context
 * @param {Frame} frame
 * @param {number} k
 * @param {Theme} theme
 */
function paintLabel(context, frame, k, theme) {
  const x = frame.x(k);
  const isTight = frame.room < 84;
  const edge = Math.min(x, frame.width - x) * 2 - 4;
  const width = Math.min(edge, Math.max(60, frame.room * (isTight ? 1.8 : 0.96)));
  context.textAlign = "center";
  context.font = `${k === 0 ? 600 : 500} 12px ${theme.font}`;
  context.fillStyle = theme.text;
  const y = isTight && k % 2 === 1 ? 12 : 26; // every other one higher
  context.fillText(fitted(context, frame.axes[k].label, width), x, y);
}

/**
 * The text, cut in its middle so that it fits: long names and numbers differ at their ends.
 * @param {Pick<Context, "measureText">} context
 * @param {string} text
 * @param {number} width
 */
export function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const letters = [...text];
  for (let kept = letters.length - 1; kept > 1; kept -= 1) {
    const head = letters.slice(0, Math.floor(kept / 3)).join("");
    const cut = `${head}…${letters.slice(Math.floor(kept / 3) - kept).join("")}`;
    if (context.measureText(cut).width <= width) return cut;
  }
  return `${letters[0]}…`;
}
