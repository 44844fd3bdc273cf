// Plotly's labels hold <b> and entities; what we draw and list ourselves wants the words.

/** @param {string} label */
export const wordsIn = (label) =>
  new DOMParser().parseFromString(label, "text/html").body.textContent ?? "";
