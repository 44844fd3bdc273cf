"""What the parts of ``benchmarks/dashboard.py`` share: targets, a client, a browser, processors."""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

TARGETS = {
    "drawn": 2.5, "drawn, large": 4.0, "chart ms": 400, "chart kB": 300, "block ms": 200,
    "table ms": 50, "filter ms": 50, "list ms": 150, "more queries": 0, "export first ms": 250,
    "export MB": 64, "frame ms": 50, "heap MB": 150, "times sooner": 50,
}  # fmt: skip
LARGE = 1_000_000  # reports; above that the page may take longer


class Figures:
    """What was measured, each beside its target."""

    def __init__(self) -> None:
        self.is_over = False

    def say(
        self,
        name: str,
        value: float,
        unit: str,
        target: float | None = None,
        *,
        at_least: bool = False,
    ) -> None:
        words = ""
        if target is not None:
            is_over = value < target if at_least else value > target
            self.is_over |= is_over
            words = f"target {'>' if at_least else ' '}{target:7g}   {'OVER' if is_over else 'ok'}"
        print(f"{name:48}{value:10.2f} {unit:6} {words}".rstrip(), flush=True)

    def head(self, title: str) -> None:
        """Begin a part; a wall clock says little on a machine that others use too."""
        print(f"\n{title} (load {os.getloadavg()[0]:.1f})", flush=True)


class Client:
    """One kept connection with a token."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.headers = {"Authorization": f"Token {token}", "Accept-Encoding": "gzip"}

    def ask(self, method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
        self.connection.close()  # the server closes those that wait
        self.connection.connect()
        headers = (
            self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        )
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        if answer.status >= 400:
            raise SystemExit(f"{path}: {answer.status} {answer.read()[:500]!r}")
        return answer

    def get(self, path: str) -> tuple[float, int, bytes]:
        """Milliseconds to the last byte, bytes on the wire, the body."""
        start = time.perf_counter()
        answer = self.ask("GET", path)
        body = answer.read()
        took = time.perf_counter() - start
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
        return took * 1000, len(body), gzip.decompress(body) if is_packed else body

    def median(self, path: Callable[[int], str], rounds: int) -> tuple[float, float]:
        """Milliseconds to the last byte, kB on the wire."""
        got = [self.get(path(n)) for n in range(rounds)]
        return (
            statistics.median(took for took, _, _ in got),
            statistics.median(size for _, size, _ in got) / 1000,
        )


class Server:
    """Processor time of the web process: what does not depend on who else is at the machine."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def megabytes(self) -> float:
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=arguments, chromium_sandbox=False
        )
        yield browser
        browser.close()


def ticks(session: Any) -> dict[str, float]:
    """What Chromium counts of the page: seconds of its main thread's processor, and so on."""
    return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
