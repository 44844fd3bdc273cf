// Keeps the place of a person at the keyboard when a part of the page is drawn anew.

const STOPS = "a[href], button, input, select, textarea, [tabindex]";

/** Whether nothing has the focus: what had it was taken off the page, or was never there. */
export const isLost = () => !document.activeElement || document.activeElement === document.body;

/**
 * Draw, and give the focus to what then stands in the place of what had it.
 * @param {HTMLElement} root whose content is drawn
 * @param {() => void} draw
 */
export function keepingFocus(root, draw) {
  const focused = document.activeElement;
  const isInside = focused instanceof HTMLElement && root.contains(focused);
  const at = isInside ? [...root.querySelectorAll(STOPS)].indexOf(focused) : -1;
  draw();
  if (at < 0 || focused?.isConnected) return;
  const now = root.querySelectorAll(STOPS)[at];
  if (now instanceof HTMLElement) now.focus({ preventScroll: true });
}
