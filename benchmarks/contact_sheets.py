"""Every page and chart in every state, on sheets to be looked at, and what can be found by rule.

    python benchmarks/contact_sheets.py [--out DIR] [--data DIR] [--states empty one …]
                                        [--shots experiment importance …] [--ways 1440-light-en …]

Needs Chromium and the packages of requirements-dev.txt. ``manage generate`` makes an experiment of
each state, the web role alone serves them (so that running ones stay as they are), and every shot
is taken in every way: 1440, 1280 and 390 wide, light and dark, English and Chinese. A sheet holds
one shot in one state, its ways side by side. Whole, it takes hours: name what you changed.
``--data`` keeps the experiments for the next run.

Beside the sheets it prints what is wrong by rule, with where: a page wider than its window, text
cut off without a way to read it, words on top of each other or of bars, aslant, or too faint,
English or half-width marks on a Chinese page, errors on the console. Exits with 1 where there is
any.
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
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contact_sheet_parts.shots import PAGES, SHOTS, Camera, Site
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
PUT_ROWS = "from benchmarks.contact_sheet_parts.rows import put; put()"  # in manage shell
WIDTHS = {"1440": (1440, 900), "1280": (1280, 800), "390": (390, 844)}
LOCALES = {"en": "en-US", "zh": "zh-CN"}
THEMES = ("light", "dark")
WAYS = ["-".join(way) for way in itertools.product(WIDTHS, THEMES, LOCALES)]
# Each width, theme and language is on the first sheet of a shot; the rest on its second.
FIRST_HALF = [
    "1440-light-en", "1440-dark-zh", "1280-dark-en", "1280-light-zh",
    *(way for way in WAYS if way.startswith("390")),
]  # fmt: skip
SHEET_WIDTH = 1560  # pixels
SCALES = {"1440": 0.52, "1280": 0.52, "390": 0.95}
SHEET_HEIGHT = 1560
MOST_PIECES = 3  # of one shot; what is longer is cut off


def sheet(shots: dict[str, bytes], file: Path) -> None:
    """The ways one after the other, in rows; what is tall is cut, and goes on in the next column.

    What one file has no room for is in further ones: ``NAME-2.png``.
    """
    pieces = [piece for way, shot in shots.items() for piece in _pieces(way, shot)]
    files: list[list[tuple[int, int, Image.Image, str]]] = [[]]
    left = top = row = 0
    for part, words in pieces:
        if left and left + part.width > SHEET_WIDTH:
            left, top, row = 0, top + row + 20, 0
        if top and top + part.height + 20 > SHEET_HEIGHT:
            files.append([])
            left = top = row = 0
        files[-1].append((left, top, part, words))
        left, row = left + part.width + 8, max(row, part.height)
    file.parent.mkdir(parents=True, exist_ok=True)
    for nth, placed in enumerate(files, start=1):
        size = max(x + p.width for x, _, p, _ in placed), max(y + p.height for _, y, p, _ in placed)
        whole = Image.new("RGB", (size[0], size[1] + 20), "#777777")
        draw = ImageDraw.Draw(whole)
        for x, y, part, words in placed:
            draw.text((x + 4, y + 4), words, fill="white")
            whole.paste(part, (x, y + 20))
        whole.save(file if nth == 1 else file.with_stem(f"{file.stem}-{nth}"))


def _pieces(way: str, shot: bytes) -> Iterator[tuple[Image.Image, str]]:
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    width, scale = WIDTHS[way.split("-")[0]][0], SCALES[way.split("-")[0]]
    factor = scale * min(1.0, width / image.width)
    small = image.resize((max(1, int(image.width * factor)), max(1, int(image.height * factor))))
    height = SHEET_HEIGHT - 20
    for nth, y in enumerate(range(0, min(small.height, MOST_PIECES * height), height), start=1):
        words = way if nth == 1 else f"{way} ({nth})"
        yield small.crop((0, y, small.width, min(small.height, y + height))), words


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


@contextmanager
def new_one() -> Iterator[tuple[str, Path]]:
    """Address and data of an installation where nobody has made anything."""
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        manage(data, "migrate")
        with served(data) as url:
            yield url, data


def _answers(url: str) -> bool:
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/healthz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout == "200"


def parts(way: str) -> tuple[str, str, str]:
    width, theme, language = way.split("-")
    return width, theme, language


def numbered(page: Page, experiment_id: str) -> dict[str, int]:
    """The first trial of each kind, by the name of its shot."""
    found = {}
    kinds = {
        "trial": "SUCCEEDED", "trial-failed": "FAILED", "trial-running": "RUNNING",
        "trial-stopped": "EARLY_STOPPED",
    }  # fmt: skip
    for name, state in kinds.items():
        url = f"/api/v1/experiments/{experiment_id}/trials/?state={state}&page_size=1"
        rows = page.request.get(url).json()["results"]
        if rows:
            found[name] = rows[0]["number"]
    return found


def signed_in(browser: Browser, url: str, data: Path) -> Site:
    link = manage(data, "sign_in_link", AUTOTUNE_URL=url).stdout
    words = re.search(r"/sign-in/\S+", link)
    if words is None:
        raise SystemExit(f"No sign-in link in {link!r}.")
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.goto(words[0])
    page.wait_for_url(f"{url}/")
    state = context.storage_state()
    context.close()
    return Site(url, data, state)


def photograph(browser: Browser, site: Site, new: Site, asked: argparse.Namespace) -> bool:
    """Take the sheets; whether anything was found."""
    ids = made(site.data, asked.states)
    done = manage(site.data, "shell", "-c", PUT_ROWS)
    if done.returncode:
        raise SystemExit(done.stderr)
    url = site.url
    first = browser.new_context(base_url=url, storage_state=site.signed_in)
    page = first.new_page()
    numbers = {state: numbered(page, ids[state]) for state in asked.states}
    first.close()
    cameras = {}
    for width, language in dict.fromkeys((w, lang) for w, _, lang in map(parts, asked.ways)):
        size = WIDTHS[width]
        context = browser.new_context(
            base_url=url, viewport={"width": size[0], "height": size[1]},
            locale=LOCALES[language], reduced_motion="reduce", storage_state=site.signed_in,
        )  # fmt: skip
        context.set_default_timeout(SLOW)
        cameras[width, language] = Camera(context, ids, numbers, site, new)
    wanted = [(name, state) for state in asked.states for name in asked.shots if name not in PAGES]
    wanted = [(name, "") for name in asked.shots if name in PAGES] + wanted
    problems: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, state in wanted:
        place = f"{state or 'page'}-{name}"
        taken: dict[str, bytes] = {}
        for (width, language), camera in cameras.items():
            themes = [t for t in THEMES if f"{width}-{t}-{language}" in asked.ways]
            camera.chinese = language == "zh"
            for theme, shot, wrong in camera.take(name, state, themes):
                way = f"{width}-{theme}-{language}"
                taken[way] = shot
                for problem in wrong:
                    problems[problem].append(f"{place}/{way}")
        for half, ways in {
            "": FIRST_HALF,
            "-more": [w for w in WAYS if w not in FIRST_HALF],
        }.items():
            shots = {way: taken[way] for way in ways if way in taken}
            if shots:
                sheet(shots, asked.out / f"{place}{half}.png")
        print(f"{place}: {len(taken)} shots", flush=True)
    for (rule, what), places in sorted(problems.items()):
        print(f"{rule}: {what}\n    {len(places)}: {', '.join(places[:4])}")
    return bool(problems)


def main() -> None:
    parser = argparse.ArgumentParser(description="Takes every page in every state onto sheets.")
    parser.add_argument("--out", type=Path, default=Path("contact-sheets"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--shots", nargs="+", choices=SHOTS, default=list(SHOTS))
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
        with served(data) as url, new_one() as new, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program, args=CHROMIUM_ARGUMENTS, chromium_sandbox=False
            )
            sites = [signed_in(browser, *there) for there in ((url, data), new)]
            found = photograph(browser, *sites, asked)
            browser.close()
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
