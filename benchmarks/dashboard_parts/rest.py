"""The answers that pages are made of, asked for so that none is one that the server keeps."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlencode

from benchmarks.dashboard_parts.figures import TARGETS, Client, Figures, Server
from experiments.charts import CHARTS

PIECE = 64 * 1024  # bytes of an export, read at once


def measure(
    client: Client, server: Server, pk: str, figures: Figures, *, rounds: int, trials: int
) -> None:
    api = f"/api/v1/experiments/{pk}/"
    figures.head("Charts")
    for kind in CHARTS:
        before = server.seconds()
        fresh = time.time_ns()  # no figure kept by the server is one for these options
        ms, size = client.median(
            lambda n, kind=kind, fresh=fresh: f"{api}charts/{kind}/?_={fresh + n}", rounds
        )
        busy = (server.seconds() - before) / rounds
        figures.say(f"{kind}: answer", ms, "ms", TARGETS["chart ms"])
        figures.say(f"{kind}: processor time", busy * 1000, "ms")
        figures.say(f"{kind}: on the wire", size, "kB", TARGETS["chart kB"])
    figures.head("Table")
    page = {"page": trials // 100 + 1, "page_size": 50}
    n_asked = 0

    def where() -> str:
        nonlocal n_asked
        n_asked += 1
        return f"lr < 0.001 and value > {0.1 + (time.time_ns() % 1000 + n_asked) / 1e6}"

    for what, name, query in (
        ("a page in the middle", "table ms", lambda: {**page, "order": "-number"}),
        ("by value", "table ms", lambda: {**page, "order": "-value"}),
        ("by a parameter", "table ms", lambda: {**page, "order": "lr"}),
        ("filtered, for the first time", "filter ms", lambda: {"where": where()}),
    ):
        before = server.seconds()
        ms, _ = client.median(lambda _, q=query: f"{api}trials/?{urlencode(q())}", rounds)
        busy = (server.seconds() - before) / rounds
        figures.say(what, ms, "ms", TARGETS[name])
        figures.say(f"{what}: processor time", busy * 1000, "ms")
    kept = {"where": where(), "order": "-param:lr"}
    client.get(f"{api}trials/?{urlencode(kept)}")
    ms, _ = client.median(lambda n: f"{api}trials/?{urlencode({**kept, 'page': n + 1})}", rounds)
    figures.say("filtered, its pages", ms, "ms", TARGETS["table ms"])
    selected = where()
    start = time.perf_counter()
    for kind in ("history", "curves", "parcoords", "duration"):
        client.get(f"{api}charts/{kind}/?{urlencode({'where': selected})}")
    figures.say("the overview's four charts, filtered", (time.perf_counter() - start) * 1000, "ms")
    figures.head("Export as JSON")
    _export(client, server, f"{api}export/?format=json", figures)


def _export(client: Client, server: Server, path: str, figures: Figures) -> None:
    """How soon it begins, how long it takes, and that the server never holds all of it."""
    held = [server.megabytes()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            held.append(server.megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    answer = client.ask("GET", path)
    n_bytes = len(answer.read(1))
    first = time.perf_counter() - start
    while piece := answer.read(PIECE):
        n_bytes += len(piece)
    whole = time.perf_counter() - start
    over.set()
    watcher.join()
    figures.say("first byte", first * 1000, "ms", TARGETS["export first ms"])
    figures.say("all of it", whole, "s")
    figures.say("size on the wire", n_bytes / 1e6, "MB")
    figures.say("the server grows by", max(held) - held[0], "MB", TARGETS["export MB"])
