import assert from "node:assert/strict";
import test from "node:test";

import { SvgContext } from "../../static/js/charts/svg_context.js";

test("what is painted becomes a drawing, and words stay words", () => {
  const { document } = globalThis;
  globalThis.document = /** @type {any} */ ({ createElement: () => ({ getContext: () => ({}) }) });
  const drawing = new SvgContext({ width: 40, height: 20 }, "#fff");
  globalThis.document = document;
  drawing.globalAlpha = 0.5;
  drawing.strokeStyle = "#123456";
  drawing.beginPath();
  drawing.lineTo(1.004, 2);
  drawing.lineTo(3, 4);
  drawing.stroke();
  drawing.textAlign = "right";
  drawing.fillText('<b> & "x"', 5, 6);
  assert.equal(
    drawing.svg,
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" viewBox="0 0 40 20">' +
      '<rect x="0" y="0" width="40" height="20" fill="#fff"></rect>' +
      '<path d="M1 2L3 4" fill="none" stroke="#123456" stroke-width="1" stroke-linejoin="miter" opacity="0.5"></path>' +
      '<text x="5" y="6" text-anchor="end" dominant-baseline="auto" style="font:12px sans-serif" fill="#fff" opacity="0.5">' +
      "&lt;b&gt; &amp; &quot;x&quot;</text></svg>",
  );
});
