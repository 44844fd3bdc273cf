"""How quickly the dashboard shows a large experiment, in Chromium and over REST.

    python benchmarks/dashboard.py [--trials 10000] [--points 100] [--experiments 1000]
                                   [--rounds 5] [--seed 1] [--data DIR]

A real ``autotune up`` on SQLite serves a made-up experiment of finished trials and a project with
many small ones. Every figure is the median of the rounds, each from an empty browser cache; the
charts' answers are asked for so that none comes from the server's own memory. Processor times say
what it takes without regard to who else is at the machine. ``--data`` keeps the
data directory: the next run with the same sizes takes what is there. Exits with 1 where a figure
is over its target. A shared machine makes everything slower: run it twice.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.charts import CHARTS
from tests.e2e.stack import Stack, manage

TARGETS = {
    "drawn": 2.5, "drawn, large": 4.0, "chart ms": 400, "chart kB": 300, "block ms": 200,
    "table ms": 50, "list ms": 150,
}  # fmt: skip
LARGE = 1_000_000  # reports; above that the page may take longer
SMALL = ("--trials", "12", "--points", "0", "--stopped", "0")  # of the many experiments

# In the page, before anything else of it: what is drawn when, and the longest block.
WATCH = """
window.seen = {}; window.blocks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.blocks.push([entry.startTime, entry.duration]);
}).observe({ type: "longtask", buffered: true });
const look = () => {
  const note = (name) => { window.seen[name] ??= performance.now(); };
  if (document.querySelector('[data-testid="trial-row"]')) note("table");
  for (const chart of document.querySelectorAll(".chart[data-kind]")) {
    const plot = chart.querySelector(".chart-plot");
    const empty = chart.querySelector(".chart-empty");
    if (plot?.dataset.drawn || (empty && !empty.hidden)) note(chart.dataset.kind);
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
let library;
Object.defineProperty(window, "Plotly", {
  configurable: true,
  get: () => library,
  set(value) { library = value; window.library = performance.now(); },
});
"""
LIBRARY = """() => [performance.getEntriesByType("resource")
  .find((entry) => entry.name.includes("plotly")).responseEnd, window.library]"""
ALL_DRAWN = """() => window.seen.table && [...document.querySelectorAll(".chart[data-kind]")]
  .filter((chart) => !chart.hidden).every((chart) => window.seen[chart.dataset.kind])"""
CLICK = """() => new Promise((done) => {
  const body = document.querySelector("#trial-rows");
  const first = () => [...body.children].map((row) => row.dataset.number).join();
  const before = first(), start = performance.now();
  const answered = () => requestAnimationFrame(() =>
    first() === before ? answered() : done(performance.now() - start));
  document.querySelector("#trial-head th.value button, #trial-head th button").click();
  answered();
})"""


class Figures:
    """What was measured, each beside its target."""

    def __init__(self) -> None:
        self.is_over = False

    def say(self, name: str, value: float, unit: str, target: float | None = None) -> None:
        words = ""
        if target is not None:
            self.is_over |= value > target
            words = f"target {target:8g}   {'OVER' if value > target else 'ok'}"
        print(f"{name:44}{value:10.2f} {unit:4} {words}".rstrip(), flush=True)


class Client:
    """One kept connection with a token."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.headers = {"Authorization": f"Token {token}", "Accept-Encoding": "gzip"}

    def get(self, path: str) -> tuple[float, float, int, bytes]:
        """Milliseconds to the first byte and to the last, bytes on the wire, the body."""
        self.connection.close()  # the server closes those that wait
        self.connection.connect()
        start = time.perf_counter()
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read(1)
        first = time.perf_counter()
        body += answer.read()
        last = time.perf_counter()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:500]!r}")
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
        text = gzip.decompress(body) if is_packed else body
        return (first - start) * 1000, (last - start) * 1000, len(body), text

    def median(self, path: Callable[[int], str], rounds: int) -> tuple[float, float]:
        """Milliseconds to the last byte, kB on the wire."""
        got = [self.get(path(n)) for n in range(rounds)]
        return (
            statistics.median(last for _, last, _, _ in got),
            statistics.median(size for _, _, size, _ in got) / 1000,
        )


def generated(data: Path, name: str, project: str, *argv: str) -> None:
    start = time.perf_counter()
    done = manage(
        data, "generate", "--name", name, "--project", project, *argv, timeout_s=3600
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    print(f"made {name} in {time.perf_counter() - start:.0f} s", flush=True)


@contextmanager
def directory(given: str) -> Iterator[Path]:
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        yield Path(given).resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="autotune-benchmark-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def served(data: Path) -> Iterator[Stack]:
    stack = Stack(data)
    try:
        yield stack.start("--no-sample")
    finally:
        stack.stop()


def make(data: Path, chosen: argparse.Namespace) -> str:
    """The experiments that are not there yet; returns the large one's name."""
    large = f"b{chosen.trials}x{chosen.points} seed {chosen.seed}"
    mark = data / f"made {large} and {chosen.experiments}"
    if not mark.exists():
        argv = ["--trials", chosen.trials, "--points", chosen.points, "--seed", chosen.seed]
        mixture = ["--retried", "0.2", "--excluded", "0.01"]
        generated(data, large, "default", *map(str, argv), *mixture)
        many = ["--experiments", str(chosen.experiments), *SMALL]
        generated(data, f"small of {chosen.seed}", "default", *many)
        mark.touch()
    return large


class Server:
    """Processor time of the web process: what does not depend on who else is at the machine."""

    def __init__(self, stack: Stack) -> None:
        self.process = psutil.Process(stack.pids()["web"])

    def seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


def longest_of(blocks: list[list[float]], library: list[float]) -> dict[str, float]:
    """The longest block, and the longest of those before the library came and after it was read."""
    came, read = library
    others = [length for start, length in blocks if start + length < came or start > read]
    return {"block": max((b for _, b in blocks), default=0.0), "other": max(others, default=0.0)}


def in_browser(stack: Stack, pk: str, chosen: argparse.Namespace, figures: Figures) -> None:
    server = Server(stack)
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--disable-gpu", "--disable-background-networking", "--no-first-run"]
    rounds: list[dict[str, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=arguments, chromium_sandbox=False
        )
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(stack.link)
        page.wait_for_url(stack.url + "/")
        state = context.storage_state()
        context.close()
        for _ in range(chosen.rounds):
            context = browser.new_context(
                storage_state=state, viewport={"width": 1440, "height": 900}
            )
            page = context.new_page()
            watch = context.new_cdp_session(page)
            watch.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.add_init_script(WATCH)
            served_before = server.seconds()
            page.goto(f"{stack.url}/experiments/{pk}/", wait_until="commit")
            page.wait_for_function(ALL_DRAWN, timeout=120_000)
            click = page.evaluate(CLICK)
            seen = page.evaluate("window.seen")
            blocks = page.evaluate("window.blocks")
            library = page.evaluate(LIBRARY)
            ticks = {m["name"]: m["value"] for m in watch.send("Performance.getMetrics")["metrics"]}
            busy = {"server": server.seconds() - served_before, "main": ticks["TaskDuration"]}
            context.close()
            rounds.append({**seen, **busy, "click": click, **longest_of(blocks, library)})
        browser.close()
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    shown = {name: value for name, value in middle.items() if name in ("table", *CHARTS)}
    for name, value in shown.items():
        figures.say(f"page: {name} is there", value / 1000, "s")
    figures.say("page: a click is answered", middle["click"] / 1000, "s")
    whole = max(shown.values()) + middle["click"]
    is_large = chosen.trials * chosen.points > LARGE
    target = TARGETS["drawn, large" if is_large else "drawn"]
    figures.say("page: all drawn and the click answered", whole / 1000, "s", target)
    figures.say(
        "page: longest block of the main thread", middle["block"], "ms", TARGETS["block ms"]
    )
    figures.say("page: longest but the chart library's own", middle["other"], "ms")
    figures.say("page: processor time of the main thread", middle["main"], "s")
    figures.say("page: processor time of the server", middle["server"], "s")


def over_rest(
    stack: Stack, client: Client, pk: str, chosen: argparse.Namespace, figures: Figures
) -> None:
    server = Server(stack)
    api = f"/api/v1/experiments/{pk}/"
    for kind in CHARTS:
        before = server.seconds()
        fresh = time.time_ns()  # no figure kept by the server is one for these options
        ms, size = client.median(
            lambda n, kind=kind, fresh=fresh: f"{api}charts/{kind}/?_={fresh + n}", chosen.rounds
        )
        figures.say(f"chart {kind}: answer", ms, "ms", TARGETS["chart ms"])
        busy = (server.seconds() - before) / chosen.rounds
        figures.say(f"chart {kind}: processor time", busy * 1000, "ms")
        figures.say(f"chart {kind}: on the wire", size, "kB", TARGETS["chart kB"])
    page = {"page": chosen.trials // 100 + 1, "page_size": 50}
    for what, query in (
        ("a page in the middle", {**page, "order": "-number"}),
        ("by value", {**page, "order": "-value"}),
    ):
        ms, _ = client.median(lambda _, q=query: f"{api}trials/?{urlencode(q)}", chosen.rounds)
        figures.say(f"table: {what}", ms, "ms", TARGETS["table ms"])

    def filtered(n: int) -> str:
        return f"lr < 0.001 and value > {0.1 + (time.time_ns() % 1000 + n) / 1e6}"

    # the first time all trials are looked through; then the server knows which they are
    for what, asked in (
        ("by a parameter", lambda _: {**page, "order": "lr"}),
        ("filtered, for the first time", lambda n: {"where": filtered(n)}),
    ):
        ms, _ = client.median(lambda n, q=asked: f"{api}trials/?{urlencode(q(n))}", chosen.rounds)
        figures.say(f"table: {what}", ms, "ms")
    where = {"where": filtered(0), "order": "-param:lr"}
    client.get(f"{api}trials/?{urlencode(where)}")
    ms, _ = client.median(
        lambda n: f"{api}trials/?{urlencode({**where, 'page': n + 1})}", chosen.rounds
    )
    figures.say("table: filtered, its pages", ms, "ms", TARGETS["table ms"])
    start = time.perf_counter()
    for kind in ("history", "curves", "parcoords", "duration"):
        client.get(f"{api}charts/{kind}/?{urlencode({'where': filtered(1)})}")
    figures.say("overview of four charts, filtered", (time.perf_counter() - start) * 1000, "ms")
    first, last, size, text = client.get(f"{api}export/?format=json")
    json.loads(text)
    figures.say("export as JSON: first byte", first, "ms")
    figures.say("export as JSON: all of it", last / 1000, "s")
    figures.say("export as JSON: size", size / 1e6, "MB")


def of_the_list(client: Client, data: Path, chosen: argparse.Namespace, figures: Figures) -> None:
    ms, _ = client.median(lambda _: "/api/v1/experiments/?page_size=50", chosen.rounds)
    figures.say("list over REST, 50 of all", ms, "ms", TARGETS["list ms"])
    os.environ["AUTOTUNE_DATA"] = str(data)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
    os.environ.setdefault("AUTOTUNE_LOG_LEVEL", "WARNING")
    import django

    django.setup()
    from django.db import connection
    from django.test import Client as PageClient
    from django.test.utils import CaptureQueriesContext

    from experiments.access import accounts

    pages = PageClient(SERVER_NAME="127.0.0.1")
    user = accounts.find(accounts.ADMINISTRATOR)
    assert user is not None
    pages.force_login(user)
    took = []
    for _ in range(chosen.rounds + 1):  # the first one loads templates
        start = time.perf_counter()
        with CaptureQueriesContext(connection) as queries:
            answer = pages.get("/")
        took.append((time.perf_counter() - start) * 1000)
        assert answer.status_code == 200
    figures.say("list's page", statistics.median(took[1:]), "ms", TARGETS["list ms"])
    figures.say("list's page: queries", len(queries), "")


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=10_000)
    options.add_argument("--points", type=int, default=100)
    options.add_argument("--experiments", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--data", default="", help="a data directory to make and keep")
    chosen = options.parse_args()
    figures = Figures()
    with directory(chosen.data) as data:
        name = make(data, chosen)
        with served(data) as stack:
            token = manage(data, "token").stdout.strip()
            client = Client(stack.port, token)
            found = json.loads(client.get(f"/api/v1/experiments/?search={quote(name)}")[3])
            pk = found["results"][0]["id"]
            load = os.getloadavg()[0]
            print(f"{chosen.trials} trials x {chosen.points} points, load {load:.1f}", flush=True)
            in_browser(stack, pk, chosen, figures)
            over_rest(stack, client, pk, chosen, figures)
            of_the_list(client, data, chosen, figures)
    return 1 if figures.is_over else 0


if __name__ == "__main__":
    sys.exit(main())
