"""Two hundred running trials that report four times a second, on a page that is open for long."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.dashboard_parts.figures import TARGETS, Figures, Server, chromium, ticks
from benchmarks.dashboard_parts.page import ALL_DRAWN, SIZE, WATCH
from tests.e2e.stack import ROOT, environment, free_port, manage, wait_for

CURVES = 200
PER_SECOND = 4.0  # reports of each
SETTLE_S = 5.0
LOOK_S = 10.0  # between two looks at the heap
FOR_S = 600.0  # what the target of the heap is about

# Time between two frames, but for those in which we had garbage collected.
FRAMES = """() => {
  window.frames = []; window.last = undefined;
  const frame = (at) => {
    if (window.last !== undefined) window.frames.push(at - window.last);
    window.last = window.isCollecting ? undefined : at;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def measure(data: Path, figures: Figures, *, seconds: float, seed: int) -> None:
    """On the web process alone: a worker would find the trials lost. Django is set up on data."""
    figures.head(
        f"{CURVES} running curves, {PER_SECOND:g} reports a second each, for {seconds:g} s"
    )
    made = manage(
        data, "generate", "--name", "running", "--phase", "running", "--trials", str(CURVES + 100),
        "--running", str(CURVES), "--concurrency", str(CURVES), "--points", "100", "--failed", "0",
        "--seed", str(seed), timeout_s=600,
    )  # fmt: skip
    if made.returncode:
        raise SystemExit(made.stderr)
    from experiments.models import Experiment, Metric

    pk = made.stdout.split()[-1]
    try:
        with _web(data) as (url, pid), _reporting(pk, url) as sent:
            _watched(pk, url, Server(pid), sent, figures, seconds)
    finally:
        Metric.objects.filter(experiment_id=pk).delete()
        Experiment.objects.filter(pk=pk).delete()


@contextmanager
def _web(data: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "web", "--port", str(port)]
    with (data / "web.out").open("w") as out:
        web = subprocess.Popen(command, env=environment(data), cwd=ROOT, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        import urllib.request

        def answers() -> bool:
            try:
                return bool(urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200)
            except OSError:
                return False

        wait_for("the web process", answers)
        yield url, web.pid
    finally:
        web.terminate()
        web.wait(30)


@contextmanager
def _reporting(pk: str, url: str) -> Iterator[list[float]]:
    """Every running trial reports until the end; yields the times of the answers."""
    from experiments.access import tokens
    from experiments.models import Trial

    trials = list(Trial.objects.filter(experiment_id=pk, state="RUNNING"))
    targets = [(tokens.trial_token(trial), trial.key, trial.n_reports) for trial in trials]
    answered: list[float] = []
    over = threading.Event()
    port = int(url.rsplit(":", 1)[1])

    async def all_of_them() -> None:
        each = (
            _report(
                port, *target, delay=n / len(targets) / PER_SECOND, over=over, answered=answered
            )
            for n, target in enumerate(targets)
        )
        await asyncio.gather(*each)

    reporter = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    reporter.start()
    try:
        yield answered
    finally:
        over.set()
        reporter.join()


async def _report(
    port: int, token: str, key: str, n: int, *, delay: float, over: threading.Event,
    answered: list[float],
) -> None:  # fmt: skip
    """As a trial does it, on a kept connection; never behind the clock by more than a report."""
    await asyncio.sleep(delay)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.monotonic()
    while not over.is_set():
        value = 1 - math.exp(-n / 500) + 0.02 * math.sin(n * 1.7 + len(key))
        body = json.dumps(
            {"parameter_id": 0, "trial_job_id": key, "type": "PERIODICAL", "sequence": n,
             "step": n, "value": str(value)}
        )  # fmt: skip
        writer.write(
            f"POST /t/{token}/apis/v1/metric HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await reader.readuntil(b"\r\n\r\nok")
        answered.append(time.monotonic())
        n += 1
        due = max(due + 1 / PER_SECOND, time.monotonic() - 1 / PER_SECOND)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    writer.close()


def _watched(
    pk: str, url: str, server: Server, sent: list[float], figures: Figures, seconds: float
) -> None:
    cookies = [{**cookie, "url": url} for cookie in _cookies()]
    with chromium() as browser:
        context = browser.new_context(viewport=SIZE)
        context.add_cookies(cookies)
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.add_init_script(WATCH)
        page.goto(f"{url}/experiments/{pk}/", wait_until="commit")
        page.wait_for_function(ALL_DRAWN, timeout=300_000)
        page.wait_for_timeout(SETTLE_S * 1000)
        page.evaluate("window.blocks = []")
        page.evaluate(FRAMES)
        start, n_before = time.monotonic(), len(sent)
        busy, served = ticks(session)["TaskDuration"], server.seconds()
        heap = [(0.0, _heap(page, session))]
        while (past := time.monotonic() - start) < seconds:
            page.wait_for_timeout(min(LOOK_S, seconds - past) * 1000)
            heap.append((time.monotonic() - start, _heap(page, session)))
        past = time.monotonic() - start
        frames, blocks = page.evaluate("[window.frames, window.blocks]")
        busy = ticks(session)["TaskDuration"] - busy
        served = server.seconds() - served
        context.close()
    percentiles = statistics.quantiles(frames, n=100)
    grows = (
        statistics.linear_regression(*zip(*heap[1:], strict=True)).slope if len(heap) > 2 else 0.0
    )
    figures.say("reports taken", (len(sent) - n_before) / past, "per s")
    figures.say("time between two frames, p95", percentiles[94], "ms", TARGETS["frame ms"])
    figures.say("the same, p50", percentiles[49], "ms")
    figures.say("longest block", max((length for _, length in blocks), default=0.0), "ms")
    figures.say("processor of the main thread", 100 * busy / past, "%")
    figures.say("processor of the server", 100 * served / past, "%")
    figures.say("heap at the end", heap[-1][1], "MB", TARGETS["heap MB"])
    figures.say("it grows by", 60 * grows, "MB/min")
    after = heap[-1][1] + max(0.0, grows) * max(0.0, FOR_S - past)
    figures.say("so it has after ten minutes", after, "MB", TARGETS["heap MB"])


def _cookies() -> list[dict[str, str]]:
    from django.test import Client

    from experiments.access import accounts

    client = Client()
    user = accounts.find(accounts.ADMINISTRATOR)
    assert user is not None
    client.force_login(user)
    return [{"name": name, "value": cookie.value} for name, cookie in client.cookies.items()]


def _heap(page: Any, session: Any) -> float:
    """Megabytes of the page's objects that are still in use."""
    page.evaluate("window.isCollecting = true")
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    page.evaluate("window.isCollecting = false")
    return float(used)
