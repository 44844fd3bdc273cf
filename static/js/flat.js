// Nested parameters side by side: {opt: {_name: "adam", lr: 0.1}} as opt and opt.lr. Pure.
// The server does the same in experiments/algorithms/space/flat.py.

/** @param {any} value */
const own = (value) =>
  value !== null && typeof value === "object" && "_name" in value ? value._name : value;

/**
 * Every parameter by its dotted name; a nested choice itself stands as its `_name`.
 * @param {Record<string, any>} parameters
 * @returns {Record<string, any>}
 */
export function flat(parameters) {
  /** @type {Record<string, any>} */
  const found = {};
  walk(parameters, "", found);
  for (const [name, value] of Object.entries(parameters)) found[name] = own(value);
  return found;
}

/**
 * @param {Record<string, any>} parameters
 * @param {string} above
 * @param {Record<string, any>} found
 */
function walk(parameters, above, found) {
  for (const [name, value] of Object.entries(parameters)) {
    if (!(above + name in found)) found[above + name] = own(value);
    if (own(value) === value) continue;
    const { _name, ...below } = value;
    walk(below, `${above}${name}.`, found);
  }
}

/**
 * The dotted names that configurations of a search space may have.
 * @param {Record<string, any>} space
 * @param {string} [above]
 * @returns {string[]}
 */
export function flatNames(space, above = "") {
  const found = new Set();
  for (const [name, node] of Object.entries(space)) {
    if (node?._type === undefined) continue; // a branch's `_name`
    found.add(above + name);
    for (const member of Array.isArray(node._value) ? node._value : []) {
      if (own(member) === member) continue;
      for (const inner of flatNames(member, `${above}${name}.`)) found.add(inner);
    }
  }
  return [...found];
}
