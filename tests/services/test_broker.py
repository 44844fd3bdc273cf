"""A worker that somebody started by hand never gives up on its broker."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.e2e.stack import ROOT, environment, free_port, manage, wait_for
from tests.e2e.test_units import exec_start
from tests.groups import need

pytestmark = [pytest.mark.stack, pytest.mark.services]


class Redis:
    """A server that the test kills and starts as it likes."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server")
        need("services", program is not None, "redis-server (Debian: redis-server)")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._argv = [
            *(str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(directory)),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port, protocol=2)
        wait_for("Redis", self._answers, 20)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_a_worker_outlives_its_broker_however_that_fails(tmp_path: Path):
    data = tmp_path / "data"
    assert manage(data, "migrate", "--no-input").returncode == 0
    broker = Redis(tmp_path)
    env = environment(data, REDIS_URL=broker.url, DJANGO_SETTINGS_MODULE="autotune_web.settings")
    log = (tmp_path / "worker.log").open("w")
    worker = subprocess.Popen(
        exec_start("autotune-worker"), env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
    )
    log.close()

    def takes_a_message() -> None:
        code = (
            "import django; django.setup(); from experiments import wake;"
            "wake.reconcile_soon('abcd1234')"
        )
        subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, check=True, timeout=60)
        taken = "experiments.tasks.reconcile_experiment"
        wait_for(
            f"{taken} to be taken",
            lambda: worker.poll() is not None or not broker.client.llen("autotune"),
            60,
        )
        assert worker.poll() is None, (tmp_path / "worker.log").read_text()[-3000:]

    try:
        takes_a_message()
        broker.kill()
        time.sleep(3)
        broker.start()
        takes_a_message()
        broker.client.replicaof("127.0.0.1", 1)  # a failover: it answers, but with errors
        time.sleep(3)
        broker.client.replicaof("NO", "ONE")
        takes_a_message()
        broker.process.send_signal(signal.SIGSTOP)  # it hangs: the line is up, nobody answers
        time.sleep(15)
        broker.process.send_signal(signal.SIGCONT)
        takes_a_message()
    finally:
        worker.terminate()
        worker.wait(timeout=30)
        broker.kill()


def test_who_asks_for_a_look_does_not_wait_for_a_broker_that_hangs(tmp_path: Path):
    broker = Redis(tmp_path)
    code = (
        "import django, time; django.setup(); from experiments import wake\n"
        "for name in ('one', 'two', 'three'):\n"
        "    begun = time.monotonic(); wake.reconcile_soon(name)\n"
        "    print(time.monotonic() - begun)"
    )
    env = environment(
        tmp_path / "data", REDIS_URL=broker.url, DJANGO_SETTINGS_MODULE="autotune_web.settings"
    )
    broker.process.send_signal(signal.SIGSTOP)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", code],
            env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    finally:
        broker.kill()
    first, *others = map(float, asked.stdout.split())
    assert 2 < first < 15, "the time limit of the settings"
    assert max(others) < 0.5, "once is enough"


def test_it_tries_for_ever():
    from autotune_web.celery import app

    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_connection_retry_on_startup
    assert app.conf.broker_channel_error_retry
