// The page's address holds what is being looked at, so that a reload shows the same.

export const params = new URLSearchParams(globalThis.location?.search);

/** @param {Record<string, string | null>} changes null or "": take it out */
export function remember(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(key);
    else params.set(key, value);
  }
  const query = params.toString();
  const address = query ? `?${query}` : "";
  if (address !== location.search) history.replaceState(null, "", address || location.pathname);
}
