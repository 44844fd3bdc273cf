"""Every page and chart in every state, on sheets to be looked at, and what can be found by rule.

    python benchmarks/contact_sheets.py [--out DIR] [--data DIR] [--states empty one …]
                                        [--shots experiment importance …] [--ways 1440-light-en …]

Needs Chromium and the packages of requirements-dev.txt. ``manage generate`` makes an experiment of
each state, the web role alone serves them (so that running ones stay as they are), and every shot
is taken in every way: 1440, 1280 and 390 wide, light and dark, English and Chinese. A sheet holds
one shot in one state, its ways side by side. Whole, it takes the better part of an hour: name what
you changed. ``--data`` keeps the experiments for the next run.

Beside the sheets it prints what is wrong by rule, with where: a page wider than its window, text
cut off without a way to read it, words on top of each other in a chart, English on a Chinese page,
errors on the console. Exits with 1 where there is any.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.charts import CHARTS
from tests.e2e.conftest import CHROMIUM_ARGUMENTS
from tests.e2e.stack import ROOT, environment, free_port, manage, wait_for

SLOW = 120_000  # milliseconds
STATES = {
    "empty": "--trials 0 --phase running",
    "one": "--trials 1 --failed 0 --stopped 0",
    "running": "--trials 60 --running 8 --phase running --space nested --failed 0.1",
    "thousand": "--trials 1000 --points 20 --retried 0.3 --excluded 0.02",
    "ten-thousand": "--trials 10000 --points 20",
    "all-failed": "--trials 60 --failed 1 --stopped 0",
    "odd": "--trials 200 --points 15 --space odd --metrics 6 --diverged 0.05 --lost 0.05 "
    "--excluded 0.05 --canceled 0.05 --minimize",
}
WIDTHS = {"1440": (1440, 900), "1280": (1280, 800), "390": (390, 844)}
LOCALES = {"en": "en-US", "zh": "zh-CN"}
WAYS = ["-".join(way) for way in itertools.product(WIDTHS, ("light", "dark"), LOCALES)]
# Of no experiment: one sheet each.
PAGES = {
    "list": "/",
    "empty-list": "/?q=nothing+like+this",
    "new": "/experiments/new/",
    "tokens": "/tokens/",
    "notifications": "/notifications/",
    "help": "/help/why-better/",
    "reference": "/help/reference/algorithms/",
    "nothing-there": "/nothing/",
}
ALONE = [kind for kind in CHARTS if kind != "curves"] + ["curves"]
SHOTS = ["experiment", *ALONE, "trial", "compare", "winner"]
SHEET_WIDTH = 3200  # pixels
MOST_HEIGHT = 2200  # of one shot on a sheet

READY = """() => {
  const shown = [...document.querySelectorAll(".chart[data-kind]")].filter((c) => !c.hidden);
  return shown.every((chart) => chart.querySelector("[data-drawn]") ||
    (chart.querySelector(".chart-empty") && !chart.querySelector(".chart-empty").hidden));
}"""
# What is wrong by rule, as [rule, what] pairs; ``chinese``: no English sentence may stand there.
FIND = r"""(chinese) => {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth + 1) found.push(["wider than its window", location.pathname]);
  const isShown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const own = (e) => [...e.childNodes].filter((n) => n.nodeType === 3)
    .map((n) => n.textContent.trim()).filter(Boolean).join(" ");
  const scrolls = (e) => { for (let p = e.parentElement; p; p = p.parentElement) {
    const { overflowX } = getComputedStyle(p);
    if (overflowX === "auto" || overflowX === "scroll") return true; } return false; };
  for (const e of document.body.querySelectorAll("*")) {
    const text = own(e);
    if (!text || e.closest("svg, script, style, .visually-hidden, [hidden]")) continue;
    if (!isShown(e)) continue;
    const style = getComputedStyle(e);
    const cut = e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 &&
      /hidden|clip/.test(style.overflowX) && style.display !== "inline";
    if (cut && !e.closest("[title]")) found.push(["cut off", text.slice(0, 60)]);
    const box = e.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1 && !scrolls(e) && !e.closest("dialog"))
      found.push(["beyond the right edge", text.slice(0, 60)]);
    if (chinese && !e.closest(".mono, code, pre, kbd, [lang=en], textarea, .timeline-data"))
      if (/[A-Za-z]{2,}( [A-Za-z]{2,}){1,}/.test(text)) found.push(["English", text.slice(0, 80)]);
  }
  if (chinese) for (const name of ["title", "aria-label", "placeholder", "alt"])
    for (const e of document.body.querySelectorAll(`[${name}]`)) {
      const text = e.getAttribute(name);
      if (/[A-Za-z]{3,}( [a-z]{2,}){2,}/.test(text) && !e.classList.contains("mono"))
        found.push(["English " + name, text.slice(0, 80)]);
    }
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    if (!isShown(plot)) continue;
    const kind = plot.closest("[data-kind]")?.dataset.kind ?? "?";
    const words = [...plot.querySelectorAll("text")].filter((t) => t.textContent.trim() &&
      !t.closest(".hoverlayer, .modebar, .legendtoggle") && isShown(t) &&
      +getComputedStyle(t).opacity);
    const boxes = words.map((t) => [t.textContent, t.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length && i < 250; i += 1) {
      const [one, a] = boxes[i];
      if (a.width && (a.right > innerWidth + 2 || a.left < -2) && !scrolls(plot))
        found.push(["chart words beyond the edge", `${kind}: ${one}`]);
      for (let j = i + 1; j < boxes.length && j < 250; j += 1) {
        const [other, b] = boxes[j];
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 3 && down > 5) found.push(["words overlap", `${kind}: ${one} | ${other}`]);
      }
      if (chinese && /[A-Za-z]{2,}( [A-Za-z]{2,})+/.test(one))
        found.push(["English", `${kind}: ${one}`]);
    }
  }
  return found;
}"""


class Camera:
    """Takes shots in one way, and notes what is wrong."""

    def __init__(self, context: BrowserContext, way: str, ids: dict[str, str]) -> None:
        self.page = context.new_page()
        self.way = way
        self.ids = ids
        self.found: list[tuple[str, str]] = []
        self.page.on("pageerror", lambda error: self.found.append(("error", str(error)[:200])))
        self.page.on("console", self._console)

    def _console(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        if kind == "error" and "404" not in text:
            self.found.append(("console", text[:200]))

    def open(self, path: str) -> Page:
        self.page.goto(path)
        self.page.wait_for_function(READY, timeout=SLOW)
        return self.page

    def shot(self, name: str, state: str) -> bytes | None:
        """PNG of a shot; None where the state has no such thing."""
        if name in PAGES:
            self.open(PAGES[name])
            self.page.wait_for_timeout(400)
            return self._taken(self.page.screenshot(full_page=True, animations="disabled"))
        home = f"/experiments/{self.ids[state]}/"
        if name == "experiment":
            self.open(home)
            self.page.wait_for_timeout(600)
            return self._taken(self.page.screenshot(full_page=True, animations="disabled"))
        if name in CHARTS:
            self.open(f"{home}?chart={name}")
            self.page.wait_for_timeout(300)
            figure = self.page.locator(f"figure[data-kind={name}]")
            return self._taken(figure.screenshot(animations="disabled"))
        if state == "empty":
            return None
        if name == "winner":
            self.open(home)
            self.page.wait_for_timeout(600)
            button = self.page.get_by_test_id("winner-open")
            if not button.is_visible():
                return None
            button.click()
        elif name == "trial":
            self.open(f"{home}trials/0/")
        elif state == "one":
            return None
        else:
            self.open(f"{home}compare/?trials=0,1,2,3")
        self.page.wait_for_timeout(500)
        return self._taken(self.page.screenshot(full_page=True, animations="disabled"))

    def _taken(self, image: bytes) -> bytes:
        chinese = self.way.endswith("zh")
        self.found += [(rule, what) for rule, what in self.page.evaluate(FIND, chinese)]
        return image


def sheet(shots: dict[str, bytes], file: Path) -> None:
    """The ways side by side, each as wide as its window is to the others'."""
    widths = {way: WIDTHS[way.split("-")[0]][0] for way in shots}
    scale = min(1.0, SHEET_WIDTH / sum(widths.values()))
    parts = []
    for way, shot in shots.items():
        image = Image.open(io.BytesIO(shot)).convert("RGB")
        factor = min(scale, scale * widths[way] / image.width)
        small = image.resize(
            (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
        )
        parts.append((way, small.crop((0, 0, small.width, min(small.height, MOST_HEIGHT)))))
    whole = Image.new(
        "RGB",
        (sum(p.width + 8 for _, p in parts), max(p.height for _, p in parts) + 20),
        "#777777",
    )
    draw, left = ImageDraw.Draw(whole), 0
    for way, part in parts:
        draw.text((left + 4, 4), way, fill="white")
        whole.paste(part, (left, 20))
        left += part.width + 8
    file.parent.mkdir(parents=True, exist_ok=True)
    whole.save(file)


def made(data: Path, states: list[str]) -> dict[str, str]:
    """An experiment of each state, by its id; those of an earlier run are taken as they are."""
    kept = data / "contact-sheets.json"
    ids: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    for state in states:
        if state not in ids:
            done = manage(
                data, "generate", "--name", state, *STATES[state].split(), timeout_s=3600
            )  # fmt: skip
            if done.returncode:
                raise SystemExit(done.stderr)
            ids[state] = done.stdout.split()[-1]
    kept.write_text(json.dumps(ids))
    return ids


@contextmanager
def served(data: Path) -> Iterator[str]:
    """The web role alone on these data; its address."""
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "web", "--port", str(port)]
    env = environment(data)
    with (data / "web.out").open("w") as out:
        web = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for("the web role", lambda: _answers(url), timeout_s=120)
            yield url
        finally:
            web.terminate()
            web.wait(timeout=60)


def _answers(url: str) -> bool:
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/healthz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout == "200"


def photograph(browser: Browser, url: str, data: Path, asked: argparse.Namespace) -> bool:
    """Take the sheets; whether anything was found."""
    ids = made(data, asked.states)
    link = manage(data, "sign_in_link", AUTOTUNE_URL=url).stdout
    words = re.search(r"/sign-in/\S+", link)
    if words is None:
        raise SystemExit(f"No sign-in link in {link!r}.")
    first = browser.new_context(base_url=url)
    page = first.new_page()
    page.goto(words[0])
    page.wait_for_url(f"{url}/")
    signed_in = first.storage_state()
    first.close()
    cameras = {}
    for way in asked.ways:
        width, theme, language = way.split("-")
        size = WIDTHS[width]
        context = browser.new_context(
            base_url=url, viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light", locale=LOCALES[language],
            reduced_motion="reduce", storage_state=signed_in,
        )  # fmt: skip
        context.set_default_timeout(SLOW)
        cameras[way] = Camera(context, way, ids)
    wanted = [(name, state) for state in asked.states for name in asked.shots if name not in PAGES]
    wanted = [(name, "") for name in asked.shots if name in PAGES] + wanted
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, state in wanted:
        taken = {}
        for way, camera in cameras.items():
            camera.found.clear()
            shot = camera.shot(name, state)
            if shot is not None:
                taken[way] = shot
            for problem in dict.fromkeys(camera.found):
                problems[problem].append(f"{state or 'page'}/{name}/{way}")
        if taken:
            file = asked.out / f"{state or 'page'}-{name}.png"
            sheet(taken, file)
            print(file, flush=True)
    for (rule, what), places in sorted(problems.items()):
        print(f"{rule}: {what}\n    {len(places)}: {', '.join(places[:4])}")
    return bool(problems)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes every page in every state onto sheets.")
    parser.add_argument("--out", type=Path, default=Path("contact-sheets"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--shots", nargs="+", choices=[*PAGES, *SHOTS], default=[*PAGES, *SHOTS])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("Chromium is needed (Debian: chromium).")
    found = False
    with tempfile.TemporaryDirectory() as scratch:
        data = (asked.data or Path(scratch)).resolve()
        data.mkdir(parents=True, exist_ok=True)
        made(data, asked.states)
        with served(data) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=CHROMIUM_ARGUMENTS, chromium_sandbox=False
            )
            found = photograph(browser, url, data, asked)
            browser.close()
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
