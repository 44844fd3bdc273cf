"""Real processes that hold a lease are killed and stopped; their work is taken over, never doubled.

Runs on PostgreSQL too: see tests/services.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from experiments.aistore import outbox
from experiments.loop.lease import Lease
from experiments.models import Experiment, Upload, leases
from tests.e2e.stack import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]
ANOTHER_BOOT = "0b0e5d0e-0000-4000-8000-000000000000"


class Holder:
    """A process of holder.py."""

    def __init__(self, data: Path, **env: str) -> None:
        database = connection.settings_dict
        url = f"sqlite:///{database['NAME']}"
        if connection.vendor == "postgresql":
            place = f"{database['USER']}@{database['HOST']}:{database['PORT']}"
            url = f"postgresql://{place}/{database['NAME']}"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("holder.py"))],
            env=environment(data, DATABASE_URL=url, PYTHONPATH=str(ROOT), **env),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._answer() == "ready"

    def take(self, what: str, pk: str) -> bool:
        return self._say(f"{what} {pk}") == "held"

    def go_on(self) -> str:
        return self._say("")

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(timeout=10)

    def _say(self, line: str) -> str:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    started: list[Holder] = []

    def make(**env: str) -> Holder:
        started.append(Holder(tmp_path, **env))
        return started[-1]

    yield make
    for holder in started:
        holder.process.kill()
        holder.process.communicate()


@pytest.fixture
def experiment(make_experiment: Any) -> Experiment:
    experiment: Experiment = make_experiment(phase="RUNNING")
    Upload.objects.create(experiment=experiment, kind=Upload.Kind.FOLDER)
    return experiment


def lease(what: str, pk: str) -> leases.Lease:
    return Lease(pk) if what == "loop" else outbox.lease_of(pk)


def seconds_until_taken(what: str, pk: str, most: float) -> float:
    begun = time.monotonic()
    while True:
        mine = lease(what, pk)
        if mine.take():
            mine.drop()
            return time.monotonic() - begun
        assert time.monotonic() - begun < most, "the work of the dead is not taken over"
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["loop", "upload"])
def test_a_killed_holder_of_this_machine_is_followed_at_once(what, experiment, start):
    holder = start()
    assert holder.take(what, experiment.pk)
    assert not lease(what, experiment.pk).take()
    holder.signal(signal.SIGKILL)
    assert seconds_until_taken(what, experiment.pk, 3) < 1


def test_a_zombie_is_dead(experiment, start):
    holder = start()
    assert holder.take("loop", experiment.pk)
    os.kill(holder.process.pid, signal.SIGKILL)  # and nobody waits for it
    assert seconds_until_taken("loop", experiment.pk, 3) < 1
    assert holder.process.returncode is None


def test_a_killed_holder_of_another_machine_is_followed_within_its_term(
    experiment, start, monkeypatch
):
    """To the holder this machine is another one: it cannot look at its processes."""
    holder = start()
    assert holder.take("loop", experiment.pk)
    real = leases._process(os.getpid())
    monkeypatch.setattr(leases, "_process", lambda pid: real._replace(boot=ANOTHER_BOOT, pid=pid))
    time.sleep(3)
    assert not Lease(experiment.pk).take(), "it lives, and says so"
    holder.signal(signal.SIGKILL)
    took = seconds_until_taken("loop", experiment.pk, 10)
    assert 3 < took < leases.TERM_S + 0.5


def test_a_step_may_last_longer_than_the_term(experiment, start, monkeypatch):
    holder = start()
    assert holder.take("loop", experiment.pk)
    real = leases._process(os.getpid())
    monkeypatch.setattr(leases, "_process", lambda pid: real._replace(boot=ANOTHER_BOOT, pid=pid))
    until = time.monotonic() + leases.TERM_S + 3
    while time.monotonic() < until:
        assert not Lease(experiment.pk).take()
        time.sleep(0.2)
    assert holder.go_on() == "changed"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_who_was_stopped_and_goes_on_after_its_term_changes_nothing(
    where, experiment, start, monkeypatch
):
    holder = start()
    assert holder.take("loop", experiment.pk)
    holder.signal(signal.SIGSTOP)
    if where == "elsewhere":
        real = leases._process(os.getpid())
        other = real._replace(boot=ANOTHER_BOOT)
        monkeypatch.setattr(leases, "_process", lambda pid: other._replace(pid=pid))
    assert 3 < seconds_until_taken("loop", experiment.pk, 10) < leases.TERM_S + 0.5
    heir = Lease(experiment.pk)
    assert heir.take()
    holder.signal(signal.SIGCONT)
    assert holder.go_on() == "lost"
    assert not experiment.trials.exists()
    assert heir.renew()
    with heir.fence(experiment.pk):
        Experiment.objects.get(pk=experiment.pk).announce()


def test_who_was_stopped_for_a_moment_goes_on(experiment, start):
    holder = start()
    assert holder.take("loop", experiment.pk)
    holder.signal(signal.SIGSTOP)
    time.sleep(leases.TERM_S - 1)
    assert not Lease(experiment.pk).take(), "it is seen to live"
    holder.signal(signal.SIGCONT)
    assert holder.go_on() == "changed"
    assert experiment.trials.count() == 1


def test_of_several_processes_one_gets_the_work_of_the_dead(experiment, start):
    dead, *heirs = [start() for _ in range(4)]
    assert dead.take("loop", experiment.pk)
    dead.signal(signal.SIGKILL)
    for heir in heirs:
        print(f"loop {experiment.pk}", file=heir.process.stdin, flush=True)
    assert sorted(heir._answer() for heir in heirs) == ["held", "no", "no"]
