// Figures and reports for the tests, as small as they can be.

/**
 * @param {Partial<Trace>[]} data
 * @param {Partial<FigureMeta>} meta
 * @param {Partial<Layout>} [layout]
 * @returns {Figure}
 */
export function figure(data, meta, layout = {}) {
  const traces = data.map((trace) => ({ type: "scatter", uid: "", x: [], y: [], ...trace }));
  return { data: traces, layout: { meta: { kind: "curves", seq: 10, ...meta }, ...layout } };
}

/**
 * @param {Partial<Metric>} given
 * @returns {Metric}
 */
export function report(given) {
  return {
    trial: 0,
    kind: "PERIODICAL",
    sequence: 3,
    step: null,
    name: "default",
    value: 0.5,
    time: "2026-01-01T00:00:10+00:00",
    seq: 11,
    ...given,
  };
}

/**
 * @param {Partial<HappenedEvent>} given
 * @returns {HappenedEvent}
 */
export function event(given) {
  return {
    seq: 11,
    trial: 0,
    what: "state",
    from: "RUNNING",
    to: "SUCCEEDED",
    reason: "",
    data: null,
    time: "2026-01-01T00:00:10+00:00",
    ...given,
  };
}
