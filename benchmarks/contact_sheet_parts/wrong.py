"""What is wrong on a page by rule, as JavaScript; for ``benchmarks/contact_sheets.py``.

``FIND`` is evaluated in the page with whether it is Chinese, and answers [rule, what] pairs.
"""

FIND = r"""(chinese) => {
  const found = [];
  const note = (rule, what) =>
    found.push([rule, String(what).replace(/\s+/g, " ").slice(0, 90)]);
  const root = document.documentElement;
  const modal = document.querySelector("dialog:modal");
  if (root.scrollWidth > innerWidth + 1) note("wider than its window", location.pathname);
  const isShown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
    (!modal || modal.contains(e));
  const own = (e) => [...e.childNodes].filter((n) => n.nodeType === 3)
    .map((n) => n.textContent.trim()).filter(Boolean).join("\u25e6"); // what stands between
  const scrolls = (e) => { for (let p = e.parentElement; p; p = p.parentElement) {
    const { overflowX } = getComputedStyle(p);
    if (overflowX === "auto" || overflowX === "scroll") return true; } return false; };
  const FOREIGN = ".mono, code, pre, kbd, [lang=en], textarea, .editor, .timeline-data";

  // ---- colours
  const rgba = (css) => { const m = css.match(/[\d.]+/g)?.map(Number);
    return m ? [m[0], m[1], m[2], m[3] ?? 1] : [0, 0, 0, 0]; };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const ground = (e) => { const layers = [];
    for (let p = e; p; p = p.parentElement) { const style = getComputedStyle(p);
      if (style.backgroundImage !== "none" && !(p instanceof SVGElement)) return null;
      const colour = rgba(style.backgroundColor);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 1) break; }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]); };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05); };
  const opacity = (e) => { let all = 1;
    for (let p = e; p; p = p.parentElement) all *= +getComputedStyle(p).opacity; return all; };
  const faint = (e, text, css) => {
    if (e.closest(":disabled, [aria-disabled=true], .disabled, option")) return;
    const below = ground(e);
    if (!below) return;
    const [r, g, b, a] = rgba(css);
    const ratio = contrast(over([r, g, b, a * opacity(e)], below), below);
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.6 && +style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) note("faint", `${ratio.toFixed(1)}: ${text}`);
  };

  // ---- words of the page
  const pen = document.createElement("canvas").getContext("2d");
  const widthOf = (e, words) => { const { font, letterSpacing } = getComputedStyle(e);
    pen.font = font; return pen.measureText(words).width +
      (parseFloat(letterSpacing) || 0) * words.length; };
  const texts = [];
  const isBox = (e) => e.matches("[type=checkbox]:not(:checked), [type=radio]:not(:checked)");
  for (const e of document.body.querySelectorAll("*")) {
    if (e.closest("svg, script, style, .visually-hidden, [hidden], .swagger-ui")) continue;
    if (e instanceof HTMLInputElement && isBox(e) && isShown(e) && e.clientWidth && !e.disabled) {
      const below = ground(e.parentElement);
      const ratio = below && contrast(over(rgba(getComputedStyle(e).borderTopColor), below), below);
      const name = e.labels?.[0]?.textContent.trim() || e.ariaLabel;
      if (ratio && ratio < 3) note("faint box", `${ratio.toFixed(1)}: ${name}`);
    }
    if (e instanceof HTMLSelectElement || e instanceof HTMLInputElement) {
      if (!isShown(e) || /checkbox|radio|file|hidden|range/.test(e.type)) continue;
      const words = e instanceof HTMLSelectElement ? e.selectedOptions[0]?.textContent.trim() ?? ""
        : e.value || e.placeholder;
      const style = getComputedStyle(e);
      const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (e.clientWidth && widthOf(e, words) > room + 2 && !e.multiple && !e.title &&
          !(e.value && e.type === "text"))
        note("cut off in its field", `${words} (${e.ariaLabel ?? e.name ?? e.id})`);
      continue;
    }
    const text = own(e);
    if (!text || !isShown(e)) continue;
    const style = getComputedStyle(e);
    const cut = style.display !== "inline" && e.clientWidth > 0 &&
      ((e.scrollWidth > e.clientWidth + 1 && /hidden|clip/.test(style.overflowX)) ||
       (e.scrollHeight > e.clientHeight + 3 && /hidden|clip/.test(style.overflowY)));
    if (cut && !e.closest("[title]")) note("cut off", text);
    const box = e.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1 && !scrolls(e) && !e.closest("dialog, .editor"))
      note("beyond the right edge", text);
    if (!e.closest(".editor-gutter")) faint(e, text, style.color); // its marks lie below its words
    if (!e.closest(FOREIGN) &&
        /\b(undefined|null)\b|^-?(NaN|Infinity)|\[object |%\(|\{\w+\}/.test(text))
      note("no value", text);
    if (chinese && !e.closest(FOREIGN)) {
      // Names ("REST API", "Ray Tune") stand in Chinese sentences; four words are one of their own.
      const sentence = /[\u4e00-\u9fff]/.test(text) ? /[A-Za-z]{2,}( [A-Za-z]{2,}){3,}/
        : /[A-Za-z]{2,}( [A-Za-z]{2,})+/;
      if (sentence.test(text)) note("English", text);
      if (/[\u4e00-\u9fff]([,;!?:]| \()|[,;!?:][\u4e00-\u9fff]|[\u4e00-\u9fff]\.(\s|$)/.test(text))
        note("half-width mark", text);
      if (/[\u3001\u3002\uff0c\uff1a\uff1b] |[\u4e00-\u9fff] [\u4e00-\u9fff]/.test(text))
        note("space within Chinese", text);
    } else if (!chinese && /[\u4e00-\u9fff]/.test(text) && !e.closest(`${FOREIGN}, [lang^=zh]`))
      note("Chinese", text);
    if (!e.closest("td.sticky, thead, .help-text")) {
      const range = document.createRange();
      for (const node of e.childNodes) if (node.nodeType === 3 && node.textContent.trim()) {
        range.selectNodeContents(node);
        for (const r of range.getClientRects())
          if (r.width > 2 && r.height > 2) texts.push([text, r, e]);
      }
    }
  }
  // Words on words: only where both are to be seen at the point they share.
  texts.sort(([, a], [, b]) => a.top - b.top);
  const told = new Set();
  for (let i = 0; i < texts.length; i += 1) for (let j = i + 1; j < texts.length; j += 1) {
    const [one, a, e] = texts[i], [other, b, f] = texts[j];
    if (b.top > a.bottom - 4) break;
    if (e === f || Math.min(a.right, b.right) - Math.max(a.left, b.left) < 4) continue;
    if (Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) < 5) continue;
    const place = (x) => getComputedStyle(x).position;
    const lifted = (x) => { for (let p = x; p && p !== document.body; p = p.parentElement)
      if (["fixed", "sticky"].includes(place(p)) ||
          (place(p) === "absolute" && p.matches(".dropdown-menu, .toast"))) return true;
      return false; };
    const clips = (x, r) => { for (let p = x.parentElement; p; p = p.parentElement) {
      if (getComputedStyle(p).overflow === "visible") continue;
      const c = p.getBoundingClientRect();
      if (r.right > c.right + 1 || r.left < c.left - 1 || r.bottom > c.bottom + 1 ||
          r.top < c.top - 1) return true; } return false; };
    const key = `${one} | ${other}`;
    if (told.has(key) || lifted(e) || lifted(f) || clips(e, a) || clips(f, b)) continue;
    told.add(key);
    note("words on words", key);
  }
  if (chinese) for (const name of ["title", "aria-label", "placeholder", "alt"])
    for (const e of document.body.querySelectorAll(`[${name}]:not(.swagger-ui *)`)) {
      const text = e.getAttribute(name);
      if (/[A-Za-z]{3,}( [a-z]{2,}){2,}/.test(text) && !e.closest(FOREIGN))
        note("English " + name, text);
      if (/[\u4e00-\u9fff][,;!?:]/.test(text) && !e.closest(FOREIGN))
        note("half-width mark in " + name, text);
    }

  // ---- charts
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    if (!isShown(plot)) continue;
    const kind = plot.closest("[data-kind]")?.dataset.kind ?? "?";
    const words = [...plot.querySelectorAll("text")].filter((t) => t.textContent.trim() &&
      !t.closest(".hoverlayer, .modebar, .legendtoggle") && isShown(t) &&
      +getComputedStyle(t).opacity);
    for (const t of words.slice(0, 250)) faint(t, `${kind}: ${t.textContent}`,
      getComputedStyle(t).fill);
    const boxes = words.slice(0, 250).map((t) => [t.textContent, t.getBoundingClientRect(), t]);
    const frame = plot.getBoundingClientRect();
    const bars = [...plot.querySelectorAll(".bars .point path")]
      .map((bar) => bar.getBoundingClientRect()).filter(({ width, height }) => width && height);
    for (let i = 0; i < boxes.length; i += 1) {
      const [one, a, t] = boxes[i];
      const tilt = t.transform.baseVal.consolidate()?.matrix;
      if (tilt && Math.abs(tilt.b) > 0.05 && Math.abs(tilt.a) > 0.05)
        note("aslant", `${kind}: ${one}`);
      const isOut = a.right > Math.min(innerWidth, frame.right) + 2 ||
        a.left < Math.max(0, frame.left) - 2 || a.bottom > frame.bottom + 3 ||
        a.top < frame.top - 3;
      if (a.width && isOut && !scrolls(plot) && !t.closest(".legend"))
        note("chart words beyond the edge", `${kind}: ${one}`);
      if (t.closest(".annotation")) for (const bar of bars)
        if (Math.min(a.right, bar.right) - Math.max(a.left, bar.left) > 3 &&
            Math.min(a.bottom, bar.bottom) - Math.max(a.top, bar.top) > 3) {
          note("words on a bar", `${kind}: ${one}`);
          break;
        }
      for (let j = i + 1; j < boxes.length; j += 1) {
        const [other, b, u] = boxes[j];
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 3 && down > 5) note("words overlap", `${kind}: ${one} | ${other}`);
        else if (down > 5 && across > -2 && t.closest(".xtick") && u.closest(".xtick"))
          note("words touch", `${kind}: ${one} | ${other}`);
      }
      if (/\b(undefined|null|NaN)\b|\{\w+\}/.test(one)) note("no value", `${kind}: ${one}`);
      if (chinese && /[A-Za-z]{2,}( [A-Za-z]{2,})+/.test(one)) note("English", `${kind}: ${one}`);
    }
  }
  return found;
}"""
