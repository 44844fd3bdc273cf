// What pictures of charts are called.

/**
 * What a picture of the chart is called: after the experiment (and trial) and what it shows.
 * @param {Element} element
 */
export function fileStem(element) {
  const card = element.closest("[data-kind], [data-chart]");
  const kind = card?.getAttribute("data-kind") ?? card?.getAttribute("data-chart") ?? "chart";
  const name = document.title.replace(/^\d+\/\d+ · /, "").replace(/ · AutoTune$/, "");
  return `${name}-${kind}`;
}
