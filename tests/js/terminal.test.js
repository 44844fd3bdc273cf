// What static/js/trial/terminal.js makes of what programs print, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Terminal } from "../../static/js/trial/terminal.js";

/** @param {string} printed @param {number} size */
function seen(printed, size = printed.length || 1) {
  const terminal = new Terminal();
  const lines = [];
  for (let at = 0; at < printed.length; at += size) {
    lines.push(...terminal.feed(printed.slice(at, at + size)));
  }
  return [...lines, ...terminal.lines].map((line) => line.text).join("\n");
}

/** @param {string} printed */
function styled(printed) {
  const terminal = new Terminal();
  terminal.feed(printed);
  return terminal.lines[0].runs().map(([style, text]) => [terminal.styles[style], text]);
}

const CASES = [
  ["plain", "one\ntwo\n", "one\ntwo\n"],
  ["CR LF", "one\r\ntwo\r\n", "one\ntwo\n"],
  ["a progress bar", "  0%|    |\r 50%|##  |\r100%|####|\ndone\n", "100%|####|\ndone\n"],
  ["a shorter line leaves the rest", "loading 100\rdone", "doneing 100"],
  ["erase to the end", "loading 100\rdone\x1b[K", "done"],
  ["erase the line", "loading\x1b[2K\rdone", "done"],
  ["erase to the cursor", "abcdef\x1b[3D\x1b[1K", "    ef"],
  ["Keras: backspaces", "1/3\b\b\b2/3\b\b\b3/3\n", "3/3\n"],
  ["backspace stops at the margin", "a\b\b\b\bb", "b"],
  ["two bars, cursor up", "a 0%\nb 0%\n\x1b[2Aa 9%\nb 8%\n", "a 9%\nb 8%\n"],
  ["erase below", "a\nb\nc\x1b[2A\r\x1b[JX", "X\n\n"],
  ["columns", "abcdef\x1b[3GX\x1b[2CY", "abXdeY"],
  ["deleted characters", "abcdef\x1b[2G\x1b[2P", "adef"],
  ["colours are no text", "\x1b[1;31mred\x1b[0m plain", "red plain"],
  ["a title", "\x1b]0;title\x07text", "text"],
  ["a link keeps its words", "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\.", "here."],
  ["a title without an end", "\x1b]0;title\ntext", "\ntext"],
  ["a character set", "\x1b(Btext", "text"],
  ["private modes", "\x1b[?25lbusy\x1b[?25h", "busy"],
  ["bells and NULs", "a\x07b\x00c\x7f", "abc"],
  ["a cleared screen keeps what was said", "one\n\x1b[2J\x1b[Htwo", "one\ntwo"],
  ["a broken sequence", "\x1b[12\nnext", "\nnext"],
  ["markup stays text", "<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
  ["wide text", "进度 10%\r进度 99%", "进度 99%"],
];

for (const [name, printed, expected] of CASES) {
  test(name, () => {
    assert.equal(seen(printed), expected);
    // wherever the pieces are cut
    for (const size of [1, 2, 3, 5]) assert.equal(seen(printed, size), expected);
  });
}

test("colours and marks", () => {
  assert.deepEqual(styled("\x1b[1;31mred\x1b[39m bold\x1b[22m plain"), [
    [{ bold: true, fg: 1 }, "red"],
    [{ bold: true }, " bold"],
    [{}, " plain"],
  ]);
  assert.deepEqual(styled("\x1b[38;5;208mo\x1b[48;2;1;2;3mb\x1b[m."), [
    [{ fg: 208 }, "o"],
    [{ fg: 208, bg: "#010203" }, "b"],
    [{}, "."],
  ]);
  assert.deepEqual(styled("\x1b[38:2::255:0:9mx"), [[{ fg: "#ff0009" }, "x"]]);
  assert.deepEqual(styled("\x1b[38;2;999;0;0mx"), [[{}, "x"]]);
  assert.deepEqual(styled("\x1b[4:3mx\x1b[4:0my"), [
    [{ underline: true }, "x"],
    [{}, "y"],
  ]);
  // the colour of a line under the text is no row of marks
  assert.deepEqual(styled("\x1b[58;2;1;3;9;31mx"), [[{ fg: 1 }, "x"]]);
  assert.deepEqual(styled("\x1b[58:5:4;31mx"), [[{ fg: 1 }, "x"]]);
  assert.deepEqual(styled("\x1b[97;104mx"), [[{ fg: 15, bg: 12 }, "x"]]);
});

test("what is overwritten takes the new colour only", () => {
  assert.deepEqual(styled("abcd\r\x1b[32mXY"), [
    [{ fg: 2 }, "XY"],
    [{}, "cd"],
  ]);
});

test("a line that no cursor reaches any more is settled, once", () => {
  const terminal = new Terminal();
  const settled = terminal.feed(Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(""));
  assert.deepEqual([settled.length, settled[0].text], [41, "line 0"]);
  assert.equal(terminal.feed("\x1b[999Atop").length, 0);
  assert.equal(terminal.lines[0].text, "tope 41"); // the last line that a cursor reaches
});

test("a line without an end is broken, so that it can settle", () => {
  const terminal = new Terminal();
  const settled = [];
  for (let i = 0; i < 100; i++) settled.push(...terminal.feed("x".repeat(100_000)));
  assert.ok(terminal.lines.every((line) => line.text.length <= 32768));
  const all = [...settled, ...terminal.lines].map((line) => line.text).join("");
  assert.equal(all, "x".repeat(10_000_000));
  assert.ok(settled.length > 200);
});

test("a sequence without an end does not hold the log up", () => {
  const text = seen(`\x1b[${"1".repeat(10_000)}`, 100);
  assert.ok(text.length > 0);
  assert.ok(seen(`\x1b]${"x".repeat(10_000)}`, 100).length > 0);
});

test("20 MB of log and of one progress bar cost little", () => {
  const began = performance.now();
  const terminal = new Terminal();
  const log = `${"epoch 1 loss 0.25 ".repeat(5)}\n`.repeat(2000);
  for (let i = 0; i < 100; i++) terminal.feed(log);
  const bar = " 50%|#########         | 50/100 [00:01<00:01]\r".repeat(4000);
  for (let i = 0; i < 20; i++) terminal.feed(bar);
  assert.ok(performance.now() - began < 5000);
});
