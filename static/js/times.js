// How long ago something was: the words, and keeping those of the page true.

import { all } from "./dom.js";

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const MONTH = 2592000; // seconds; what is older is shown as a date

/** Of the page, which need not be the browser's. */
export const language = () => globalThis.document?.documentElement.lang || "en";

/** @type {Intl.RelativeTimeFormat | undefined} */
let words;

/**
 * "3 min. ago"
 * @param {Date} date
 */
export function ago(date, now = Date.now()) {
  const seconds = (date.getTime() - now) / 1000;
  if (Math.abs(seconds) >= MONTH) {
    return date.toLocaleDateString(language(), { day: "numeric", month: "short", year: "numeric" });
  }
  words ??= new Intl.RelativeTimeFormat(language(), { numeric: "auto", style: "short" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(Math.trunc(seconds / 5) * 5, "second");
}

/**
 * Says a date so, in the page's language; nothing of one that is none.
 * @param {Intl.DateTimeFormatOptions} options
 */
function saying(options) {
  /** @type {Intl.DateTimeFormat | undefined} making one costs as much as fifty dates */
  let format;
  return (/** @type {Date} */ date) => {
    format ??= new Intl.DateTimeFormat(language(), options);
    return Number.isNaN(date.getTime()) ? "" : format.format(date);
  };
}

/** Date and time of day, in full. */
export const moment = saying({
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
  timeZoneName: "short",
});

/** Day and time of day, for what lies seconds apart. */
export const clock = saying({
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/**
 * Bring every <time datetime="…" data-ago> up to date.
 * @param {ParentNode} root
 */
export function refreshTimes(root = document) {
  for (const element of all(root, "time[data-ago]", HTMLTimeElement)) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const text = ago(date);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = moment(date);
  }
}
