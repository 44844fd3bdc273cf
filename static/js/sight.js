// Whether a part of the page is in the window, or nearly: what nobody sees need not be drawn again
// with every piece of news.

const NEAR = "200px 0px"; // above and below the window

export class Sight {
  /**
   * @param {Element} element
   * @param {() => void} onCome it has come near, after it was away or hidden
   */
  constructor(element, onCome) {
    this.isNear = true; // until the browser has told
    const watcher = new IntersectionObserver(
      (entries) => {
        const wasNear = this.isNear;
        this.isNear = entries[entries.length - 1].isIntersecting;
        if (this.isNear && !wasNear) onCome();
      },
      { rootMargin: NEAR },
    );
    watcher.observe(element);
  }
}
