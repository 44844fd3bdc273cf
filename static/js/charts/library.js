// The chart library: fetched once, and made ready a little at a time, so that the page answers
// meanwhile. The server has cut it into parts (autotune_web/plotly_parts.py).

import { gettext } from "../language.js";

const SLICE = 30; // milliseconds at work before the page has a turn
const PIECE = 20; // the same, of a drawing: its longest steps take twice that and more

/** @type {Promise<void> | undefined} */
let library;
/**
 * @param {string} url
 */
export function loadPlotly(url) {
  library ??= fetched(url).then(evaluated);
  return library;
}

/**
 * @param {string} url
 * @returns {Promise<void>}
 */
const fetched = (url) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(gettext("The chart library could not be loaded.")));
    document.head.append(script);
  });

/** A bundle that the server could not cut is there already. */
async function evaluated() {
  await pause();
  const parts = window.PlotlyParts;
  if (parts) window.Plotly = await inSlices(parts);
}

/**
 * Call each of them, with a pause where it took long. Returns what the last one made.
 * @template T
 * @param {(() => T)[]} parts
 * @returns {Promise<T>}
 */
export async function inSlices(parts, now = () => performance.now()) {
  let began = now();
  let made;
  for (const part of parts) {
    if (now() - began > SLICE) {
      await pause();
      began = now();
    }
    made = part();
  }
  return /** @type {T} */ (made);
}

/**
 * Have Plotly pause between the steps of a drawing: it waits for what a step promises, and takes
 * here what to do in place of the steps that it knows (the server has put that into the bundle:
 * plotly_parts.py). One without that draws in one go. Returns what ends this.
 * @param {Pick<PlotElement, "inPieces">} element
 */
export function inPieces(element, now = () => performance.now()) {
  let began = now();
  const rested = () => {
    if (now() - began < PIECE) return;
    return pause().then(() => {
      began = now();
    });
  };
  element.inPieces = (steps) => steps.flatMap((step) => [step, rested]);
  return () => {
    delete element.inPieces;
  };
}

/** Let everything else of the page have its turn, for so many milliseconds at least. */
export const pause = (least = 0) => new Promise((resolve) => setTimeout(resolve, least));
