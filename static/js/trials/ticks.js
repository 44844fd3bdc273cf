// Which trials are ticked, as it stands in the address: "3-9,12". Pure.

export const MOST_TICKED = 500; // more would not fit into an address that can be sent on

export class Ticks {
  /** @param {string | null} [text] */
  constructor(text) {
    /** @type {Set<number>} in the order of ticking */
    this.numbers = new Set(unpacked(text ?? ""));
  }

  get size() {
    return this.numbers.size;
  }

  /** @param {number} number */
  has(number) {
    return this.numbers.has(number);
  }

  /**
   * Tick or untick some. False where there is no room for more: then nothing changes.
   * @param {number[]} numbers
   * @param {boolean} isOn
   */
  set(numbers, isOn) {
    if (!isOn) {
      for (const number of numbers) this.numbers.delete(number);
      return true;
    }
    if (new Set([...this.numbers, ...numbers]).size > MOST_TICKED) return false;
    for (const number of numbers) this.numbers.add(number);
    return true;
  }

  clear() {
    this.numbers.clear();
  }

  /** Null where nothing is ticked. */
  forAddress() {
    return packed([...this.numbers]) || null;
  }

  /** Sorted by number. */
  sorted() {
    return [...this.numbers].sort((a, b) => a - b);
  }
}

/**
 * Numbers as text, runs of three and more as "3-9".
 * @param {number[]} numbers
 */
export function packed(numbers) {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  /** @type {[first: number, last: number][]} */
  const runs = [];
  for (const number of sorted) {
    const run = runs.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  const words = runs.flatMap(([first, last]) => {
    if (first === last) return [String(first)];
    return last === first + 1 ? [String(first), String(last)] : [`${first}-${last}`];
  });
  return words.join(",");
}

/**
 * What `packed` made, read again; what is no number is left out.
 * @param {string} text
 */
export function unpacked(text) {
  const found = new Set();
  for (const word of text.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(word.trim());
    if (!match) continue;
    const last = Number(match[2] ?? match[1]);
    for (let number = Number(match[1]); number <= last && found.size < MOST_TICKED; number++) {
      found.add(number);
    }
  }
  return [...found];
}
