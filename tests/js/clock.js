// Timers that run when a test says so; the ones of node:test are not in every Node we support.

export class Clock {
  constructor() {
    this.now = 0;
    this.n = 0;
    /** @type {Map<number, { due: number, every: number, run: () => void }>} */
    this.timers = new Map();
  }

  /** What stands in for the globals of these names. */
  get functions() {
    const clear = (/** @type {number} */ id) => this.timers.delete(id);
    return {
      setTimeout: (/** @type {() => void} */ run, delay = 0) => this.add(run, delay, 0),
      setInterval: (/** @type {() => void} */ run, delay = 0) => this.add(run, delay, delay),
      clearTimeout: clear,
      clearInterval: clear,
    };
  }

  /**
   * @param {() => void} run
   * @param {number} delay
   * @param {number} every 0: once
   */
  add(run, delay, every) {
    this.n += 1;
    this.timers.set(this.n, { due: this.now + delay, every, run });
    return this.n;
  }

  /**
   * Let so many milliseconds pass.
   * @param {number} milliseconds
   */
  tick(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.due <= end);
      if (!due.length) break;
      const [id, timer] = due.reduce((a, b) => (b[1].due < a[1].due ? b : a));
      this.now = timer.due;
      if (timer.every) timer.due += timer.every;
      else this.timers.delete(id);
      timer.run();
    }
    this.now = end;
  }
}
