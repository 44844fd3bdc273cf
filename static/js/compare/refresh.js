// Reads again when there is news: one read at a time, a pause before each, none while nobody looks.

/**
 * @param {() => Promise<unknown>} read
 * @param {number} pause milliseconds
 * @returns {() => Promise<void>} to be called at every piece of news
 */
export function steadily(read, pause) {
  let isUnderWay = false;
  let isWanted = false;
  async function refresh() {
    isWanted = true;
    if (isUnderWay) return;
    isUnderWay = true;
    while (isWanted && !document.hidden) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      isWanted = false;
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
