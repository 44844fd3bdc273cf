// How states and events look: what experiments/looks.py says, as every page hands it over.

/** @typedef {{ label: string, icon: string, tone: string, colour: string }} Look */
/**
 * @typedef {object} Looks
 * @property {Record<TrialState, Look>} states in the order of the segments of the progress bar
 * @property {Record<Phase, Look>} phases
 * @property {Look} all_failed done, and not one succeeded
 * @property {Look} none_succeeded done, and nothing came of it
 * @property {Look} suspended
 * @property {Look} finishing
 * @property {Record<string, Look>} events by what, "what to" where that says more; new: a trial
 * @property {Record<Upload["state"], Look>} uploads
 * @property {TrialState[]} finished
 * @property {Phase[]} ended
 */

const handed = globalThis.document?.getElementById("looks")?.textContent;

/** @type {Looks} */
export const LOOKS = JSON.parse(handed ?? "{}");

/**
 * How what the server does not know yet, or knows no more, is shown: in its own words.
 * @param {string} label
 * @returns {Look}
 */
export const plainLook = (label) => ({ label, icon: "info", tone: "waiting", colour: "" });

/**
 * @param {{ what: string, from: string, to: string }} event
 * @returns {Look}
 */
export function eventLook({ what, from, to }) {
  const { events } = LOOKS;
  if (what === "state" && !from) return events.new;
  return events[`${what} ${to}`] ?? events[what] ?? plainLook(what);
}

/**
 * @param {{
 *   phase: Phase, finishing: boolean, suspended: boolean, best?: Best | null, message?: string,
 * }} experiment
 * @returns {Look}
 */
export function experimentLook({ phase, finishing, suspended, best, message }) {
  if (!LOOKS.ended.includes(phase)) {
    if (finishing) return LOOKS.finishing;
    if (suspended) return LOOKS.suspended;
  }
  if (phase === "DONE" && best === null) return message ? LOOKS.all_failed : LOOKS.none_succeeded;
  return LOOKS.phases[phase] ?? plainLook(phase);
}
