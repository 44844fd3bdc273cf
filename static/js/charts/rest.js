// How long the page is left alone after a chart was drawn, so that it answers on a slow machine
// and while much happens. Pure.

const LEAST = 350; // milliseconds between two drawings of one chart
const TIMES = 12; // as long as its drawing took one chart rests
const MOST = 2000; // milliseconds, where drawing took less

/** Of all charts of a page: together they draw half of the time at most. */
export class Rest {
  constructor() {
    this.over = 0;
  }

  /**
   * A chart was drawn; returns when it may be drawn again.
   * @param {number} began
   * @param {number} ended
   */
  drew(began, ended) {
    const took = ended - began;
    this.over = Math.max(this.over, ended + took);
    return ended + Math.max(LEAST, took, Math.min(TIMES * took, MOST));
  }

  /**
   * Milliseconds until any chart may be drawn again.
   * @param {number} now
   */
  left(now) {
    return Math.max(0, this.over - now);
  }
}
