"""How long a report takes from the trial's POST to the browser's websocket message.

    python benchmarks/live.py [--reports 300] [--per-second 20] [--load 0]

One uvicorn process serves the product; one websocket watches an experiment with 16 running trials;
reports are posted at random moments, each over a connection of its own as T9k's SDK does it.
``--load`` adds so many clients that report without pause meanwhile, to another experiment.
Targets: p50 <= 150 ms, p99 <= 400 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.ingest import round_of
from benchmarks.serving import make_trials, percentile, serve, set_up

TARGET_P50, TARGET_P99 = 0.150, 0.400  # seconds


async def post(port: int, path: str, trial: Any, sequence: int) -> None:
    body = json.dumps(
        {
            "parameter_id": trial.number,
            "trial_job_id": trial.key,
            "type": "PERIODICAL",
            "sequence": sequence,
            "value": str(sequence / 7),
            "step": sequence,
        }
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode())


async def measure(
    port: int, cookie: str, trials: list[Any], n_reports: int, per_second: float
) -> list[float]:
    """Seconds from POST to message, for each report."""
    import websockets

    from experiments.access import tokens

    paths = [f"/t/{tokens.trial_token(trial)}/apis/v1/metric" for trial in trials]
    sent: dict[tuple[int, int], float] = {}
    took: list[float] = []
    address = f"ws://127.0.0.1:{port}/ws/experiments/{trials[0].experiment_id}/?after=0"

    async def listen(socket: Any) -> None:
        while len(took) < n_reports:
            message = json.loads(await asyncio.wait_for(socket.recv(), 30))
            now = time.perf_counter()
            took.extend(now - sent[m["trial"], m["sequence"]] for m in message["metrics"])

    async with websockets.connect(
        address,
        origin=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]
        additional_headers={"Cookie": cookie},
        max_size=None,
        proxy=None,
    ) as socket:
        await socket.recv()
        listener = asyncio.create_task(listen(socket))
        draw = random.Random(1)
        posts = []
        for n in range(n_reports):
            trial = trials[n % len(trials)]
            sent[trial.number, n] = time.perf_counter()
            posts.append(asyncio.create_task(post(port, paths[n % len(trials)], trial, n)))
            await asyncio.sleep(draw.expovariate(per_second))
        await asyncio.gather(*posts)
        await listener
    return took


def sign_in() -> str:
    """Cookie header of a signed-in browser."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model().objects.create(username="benchmark"))
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--reports", type=int, default=300)
    options.add_argument("--per-second", type=float, default=20.0)
    options.add_argument("--load", type=int, default=0)
    chosen = options.parse_args()

    with set_up(), serve("autotune_web.asgi:application") as port:
        from experiments.access import tokens

        trials = make_trials(16)
        busy = make_trials(chosen.load) if chosen.load else []
        cookie = sign_in()
        targets = [(f"/t/{tokens.trial_token(t)}/apis/v1/metric", t.key, 0) for t in busy]

        async def run() -> list[float]:
            seconds = chosen.reports / chosen.per_second
            load = asyncio.create_task(round_of(port, targets, seconds))
            took = await measure(port, cookie, trials, chosen.reports, chosen.per_second)
            await load
            return took

        took = asyncio.run(run())

    p50, p99 = percentile(took, 50), percentile(took, 99)
    print(f"reports  {len(took):8}   beside {chosen.load} clients that report without pause")
    print(f"p50      {p50 * 1000:8.0f} ms   (target {TARGET_P50 * 1000:.0f})")
    print(f"p99      {p99 * 1000:8.0f} ms   (target {TARGET_P99 * 1000:.0f})")
    return 0 if p50 <= TARGET_P50 and p99 <= TARGET_P99 else 1


if __name__ == "__main__":
    sys.exit(main())
