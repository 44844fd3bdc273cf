// Reads again when there is news: one read at a time, seldom enough, none while nobody looks.

/**
 * @param {() => Promise<unknown>} read
 * @param {number} pause milliseconds before each read
 * @param {{ atOnce?: boolean }} [options] atOnce: the first of a row of news does not wait
 * @returns {() => Promise<void>} to be called at every piece of news
 */
export function steadily(read, pause, { atOnce = false } = {}) {
  let isUnderWay = false;
  let isWanted = false;
  let readAt = Number.NEGATIVE_INFINITY;
  async function refresh() {
    isWanted = true;
    if (isUnderWay) return;
    isUnderWay = true;
    while (isWanted && !document.hidden) {
      const wait = atOnce ? Math.max(0, readAt + pause - performance.now()) : pause;
      await new Promise((resolve) => setTimeout(resolve, wait));
      isWanted = false;
      readAt = performance.now();
      try {
        await read();
      } catch {
        // the server is away for a moment; the next news asks again
      }
    }
    isUnderWay = false;
  }
  document.addEventListener("visibilitychange", () => {
    if (isWanted && !document.hidden) refresh();
  });
  return refresh;
}
