"""Acknowledged reports per second through the trial API, against an endpoint that does nothing.

    python benchmarks/ingest.py [--client http|lean] [--clients 16] [--rounds 5] [--seconds 2]

One uvicorn process serves both: the product, and ``/null``, which reads the body and answers 200.
The same clients (keep-alive, each sends its next report when the last is answered) send the same
bodies to one and the other in turn; rates are medians over the rounds. Target: ratio >= 0.5.

``http`` clients are what trials are: Python's http.client, here in two processes that share the
machine with the server. ``lean`` clients are bare sockets on one event loop: they cost next to
nothing, so they show what the server alone can do; the ratio is lower, because a null endpoint has
no disk to wait for.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.serving import make_trials, percentile, serve, set_up

TARGET = 0.5


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The product with ``/null`` beside it; served by uvicorn in a process of its own."""
    if scope["type"] == "http" and scope["path"] == "/null":
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
        return
    from autotune_web.asgi import application

    await application(scope, receive, send)


class Client(asyncio.Protocol):
    """One keep-alive connection that reports without pause until ``until``."""

    def __init__(self, path: str, key: str, first: int, until: float) -> None:
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        )
        self._key = key
        self._sequence = first
        self._until = until
        self._got = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        n = self._sequence
        self._sequence += 1
        body = body_of(self._key, n)
        self._sent_at = time.perf_counter()
        self._transport.write(f"{self._head}{len(body)}\r\n\r\n{body}".encode())

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._got.endswith(b"\r\n\r\nok"):
            if b"\r\n\r\n" in self._got and not self._got.startswith(b"HTTP/1.1 200"):
                self._end(RuntimeError(self._got.decode()))
            return
        self._got = b""
        now = time.perf_counter()
        self.latencies.append(now - self._sent_at)
        if now < self._until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("The server closed the connection."))

    def _end(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)
        self._transport.close()


async def round_of(port: int, targets: list[tuple[str, str, int]], seconds: float) -> list[float]:
    """Report to every target at once for ``seconds``; the latencies of all answers."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    clients = []
    for path, key, first in targets:
        _, client = await loop.create_connection(
            lambda path=path, key=key, first=first: Client(path, key, first, until),
            "127.0.0.1",
            port,
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    return [latency for client in clients for latency in client.latencies]


def report_by_http(port: int, targets: list[tuple[str, str, int]], seconds: float) -> list[float]:
    """The same as ``round_of`` with http.client, a thread for each client."""

    def run(path: str, key: str, first: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        latencies = []
        n = first
        now = time.perf_counter()
        until = now + seconds
        while now < until:
            connection.request("POST", path, body_of(key, n), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {text.decode()}")
            n += 1
            began, now = now, time.perf_counter()
            latencies.append(now - began)
        connection.close()
        return latencies

    with ThreadPoolExecutor(len(targets)) as pool:
        return [latency for each in pool.map(run, *zip(*targets, strict=True)) for latency in each]


def body_of(key: str, n: int) -> str:
    return (
        f'{{"parameter_id": 0, "trial_job_id": "{key}", "type": "PERIODICAL", '
        f'"sequence": {n}, "value": "{n / 7}", "step": {n}}}'
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--client", choices=("http", "lean"), default="http")
    options.add_argument("--clients", type=int, default=16)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0)
    chosen = options.parse_args()

    import uvloop

    with (
        set_up(),
        serve("benchmarks.ingest:app") as port,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes,
    ):
        from experiments.access import tokens
        from experiments.models import Metric

        trials = make_trials(chosen.clients)
        paths = [f"/t/{tokens.trial_token(trial)}/apis/v1/metric" for trial in trials]
        rates: dict[str, list[float]] = {"null": [], "reports": []}
        latencies: dict[str, list[float]] = {"null": [], "reports": []}
        n_acknowledged = 0
        for n in range(-1, chosen.rounds):  # the first is a warm-up
            for kind in ("null", "reports"):
                targets = [
                    ("/null" if kind == "null" else path, trial.key, (n + 1) * 1_000_000)
                    for trial, path in zip(trials, paths, strict=True)
                ]
                seconds = chosen.seconds if n >= 0 else 0.5
                if chosen.client == "lean":
                    found = runner.run(round_of(port, targets, seconds))
                else:
                    halves = [
                        processes.submit(report_by_http, port, targets[half::2], seconds)
                        for half in range(2)
                    ]
                    found = [latency for half in halves for latency in half.result()]
                n_acknowledged += len(found) if kind == "reports" else 0
                if n >= 0:
                    rates[kind].append(len(found) / seconds)
                    latencies[kind] += found
        n_stored = Metric.objects.count()

    for kind in ("null", "reports"):
        print(
            f"{kind:8} {statistics.median(rates[kind]):8.0f} per s"
            f"   p50 {percentile(latencies[kind], 50) * 1000:6.2f} ms"
            f"   p99 {percentile(latencies[kind], 99) * 1000:6.2f} ms"
        )
    ratio = statistics.median(rates["reports"]) / statistics.median(rates["null"])
    print(f"ratio    {ratio:8.2f}   (target {TARGET})")
    print(f"stored   {n_stored:8}   of {n_acknowledged} acknowledged")
    return 0 if ratio >= TARGET and n_stored == n_acknowledged else 1


if __name__ == "__main__":
    sys.exit(main())
