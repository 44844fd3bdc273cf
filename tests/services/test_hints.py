"""Hints go from process to process over a real Redis, and without it only speed is lost."""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from experiments.live import relay
from tests.e2e.stack import ROOT, Stack, environment, running_stack, wait_for
from tests.services.conftest import Redis

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("services")]


class Committer:
    """Another process of the installation, which commits when told to."""

    def __init__(self, data: Path, redis_url: str) -> None:
        data.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("committer.py"))],
            env=environment(data, REDIS_URL=redis_url, PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.experiment_id = self._answer()

    def commit(self) -> float:
        """Record an event; returns the seconds it took."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def committer(tmp_path: Path, mortal_redis: Redis) -> Iterator[Committer]:
    found = Committer(tmp_path / "data", mortal_redis.url)
    yield found
    found.end()


@pytest.fixture
def heard(mortal_redis: Redis, settings: Any) -> Iterator[queue.Queue[str]]:
    """What a web process hears of others."""
    settings.REDIS_URL = mortal_redis.url
    found: queue.Queue[str] = queue.Queue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(relay.hear(found.put))

    def listen() -> None:  # to its end here: a browser test may have a loop in the main thread
        loop.run_until_complete(asyncio.wait([task]))
        loop.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield found
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)
    assert not thread.is_alive()


def test_a_commit_in_another_process_is_heard_and_redis_may_go_and_come(
    committer: Committer, heard: queue.Queue[str], mortal_redis: Redis
):
    def is_heard() -> bool:
        """Commit once; whether that was heard within half a second."""
        while not heard.empty():
            heard.get()
        committer.commit()
        try:
            return heard.get(timeout=0.5) == committer.experiment_id
        except queue.Empty:
            return False

    wait_for("a hint over Redis", is_heard, 20)
    delays = []
    for _ in range(20):
        begun = time.monotonic()
        assert is_heard()
        delays.append(time.monotonic() - begun)
    print(f"commit to hint: median {sorted(delays)[10] * 1000:.1f} ms, most {max(delays):.3f} s")
    assert sorted(delays)[10] < 0.1

    mortal_redis.kill()
    took = [committer.commit() for _ in range(20)]
    assert sorted(took)[10] < 0.1, "who commits does not wait for Redis"
    assert heard.empty()

    mortal_redis.start()
    wait_for("a hint over the new Redis", is_heard, 20)


def test_websockets_live_on_without_redis_and_new_ones_open(tmp_path: Path, mortal_redis: Redis):
    settings = {"REDIS_URL": mortal_redis.url, "CELERY_BROKER_URL": "folder://localhost"}
    with running_stack(tmp_path / "data", "--no-sample", **settings) as stack:
        experiment = stack.create(maxTrialNum=60, trialConcurrency=2, arguments=[20, 0.1])
        cookie = sign_in(stack)
        with open_socket(stack, experiment, cookie) as old:
            last = seq_after(old, 0)
            mortal_redis.kill()
            last = seq_after(old, last)
            with open_socket(stack, experiment, cookie) as new:
                assert seq_after(new, last) > last
                mortal_redis.start()
                assert seq_after(old, last) > last
                assert seq_after(new, last) > last
        log = (stack.data / "logs" / "web.log").read_text()
    assert "Traceback" not in log, log


def sign_in(stack: Stack) -> str:
    """The cookies of a browser that followed the sign-in link."""
    with requests.Session() as browser:
        page = browser.get(stack.link, timeout=20).text
        token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        browser.post(stack.link, {"csrfmiddlewaretoken": token}, timeout=20).raise_for_status()
        return "; ".join(f"{each.name}={each.value}" for each in browser.cookies)


def open_socket(stack: Stack, experiment_id: str, cookie: str) -> ClientConnection:
    url = f"{stack.url.replace('http', 'ws')}/ws/experiments/{experiment_id}/?after=0"
    return connect(
        url, origin=stack.url, additional_headers={"Cookie": cookie}, max_size=None, proxy=None
    )


def seq_after(socket: ClientConnection, last: int) -> int:
    """The first ``seq`` beyond ``last`` that it is told."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        seq = int(json.loads(socket.recv(20))["seq"])
        if seq > last:
            return seq
    raise AssertionError(f"nothing beyond {last} was told")
