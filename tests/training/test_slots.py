"""Slots live as long as the processes that hold them: whatever kills those, and however."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import BackendUnavailable, NotYet
from experiments.training.local.placing import Device, Machine, Request
from experiments.training.local.slots import Slots
from experiments.training.local.wrapper import hold

ONE = Machine((Device("0", 0),), 4.0, 2**30)
EIGHT = Machine(tuple(Device(str(i), i) for i in range(8)), 4.0, 2**30)


def asks(job: str, *gpus: int, **fields: Any) -> Request:
    return Request(job=job, experiment="x", trial=0, gpus=gpus or (1,), **fields)


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(tmp_path / "slots")


def test_a_slot_is_held_until_it_is_let_go(slots: Slots) -> None:
    granted = slots.take(asks("/a"), ONE)
    assert granted.claim.devices == (("0",),)
    assert [claim.request.job for claim in Slots(slots.directory).claims()] == ["/a"]
    with pytest.raises(NotYet, match="x #0"):
        slots.take(asks("/b"), ONE)
    granted.let_go()
    assert slots.claims() == []
    slots.take(asks("/b"), ONE).let_go()


def test_a_job_that_still_holds_a_slot_gets_no_second_one(slots: Slots) -> None:
    first = slots.take(asks("/a"), EIGHT)
    with pytest.raises(NotYet, match="started for it before"):
        slots.take(asks("/a"), EIGHT)
    assert [claim.request.job for claim in slots.claims()] == ["/a"]
    first.let_go()


def test_a_slot_passes_from_who_launches_to_who_runs(slots: Slots) -> None:
    granted = slots.take(asks("/a"), ONE)
    descriptor = hold(str(granted.path))
    granted.let_go()
    assert [claim.request.job for claim in slots.claims()] == ["/a"]
    assert os.get_inheritable(descriptor)
    os.close(descriptor)
    assert slots.claims() == []


def test_a_slot_whose_launcher_died_is_not_taken_by_its_late_supervisor(slots: Slots) -> None:
    granted = slots.take(asks("/a"), ONE)
    late = os.open(granted.path, os.O_RDONLY)
    granted.let_go()  # it dies
    other = slots.take(asks("/b"), ONE)
    assert hold(str(granted.path)) == -1
    fcntl.flock(late, fcntl.LOCK_SH)  # opened before, locked after: `hold` looks at this
    assert os.fstat(late).st_nlink == 0
    os.close(late)
    other.let_go()


def test_who_waits_keeps_its_place_as_long_as_it_asks(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = slots.take(asks("/a"), ONE)
    for job in ("/b", "/c", "/b"):
        with pytest.raises(NotYet):
            slots.take(asks(job), ONE)
    assert [each.job for each in slots.queue()] == ["/b", "/c"]
    first.let_go()
    with pytest.raises(NotYet, match="Waits for a GPU"):
        slots.take(asks("/c"), ONE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)  # nobody of /b's server asks any more
    granted = slots.take(asks("/c"), ONE)
    assert [each.job for each in slots.queue()] == []
    granted.let_go()


def test_who_asked_before_the_clock_was_put_back_holds_nobody_up(slots: Slots) -> None:
    first = slots.take(asks("/a"), ONE)
    with pytest.raises(NotYet):
        slots.take(asks("/b"), ONE)
    (ticket,) = (slots.directory / "waiting").iterdir()
    os.utime(ticket, (time.time() + 3600,) * 2)
    assert slots.queue() == []
    first.let_go()
    slots.take(asks("/c"), ONE).let_go()


def test_higher_priority_goes_first(slots: Slots) -> None:
    first = slots.take(asks("/a"), ONE)
    for job, priority in (("/b", 0), ("/c", 50)):
        with pytest.raises(NotYet):
            slots.take(asks(job, priority=priority), ONE)
    first.let_go()
    with pytest.raises(NotYet):
        slots.take(asks("/b"), ONE)
    slots.take(asks("/c", priority=50), ONE).let_go()


def test_files_that_nobody_can_read_hold_nothing_up(slots: Slots) -> None:
    slots.take(asks("/a"), ONE).let_go()
    for folder in ("claims", "waiting"):
        for text in ("", "[]", '{"request": 1}', "\0"):
            (slots.directory / folder / f"x{len(text)}.json").write_text(text)
    slots.take(asks("/b"), ONE).let_go()
    assert slots.queue() == []


@pytest.mark.parametrize("squat", ["link", "dangling link", "file", "somebody else's"])
def test_a_directory_of_somebody_else_is_refused(
    squat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "slots"
    if squat == "file":
        there.touch()
    elif squat == "somebody else's":
        there.mkdir()
        monkeypatch.setattr(os, "geteuid", lambda: there.stat().st_uid + 1)
    else:
        if squat == "link":
            (tmp_path / "real").mkdir()
        there.symlink_to(tmp_path / "real")
    with pytest.raises(BackendUnavailable, match="of this user's own; AUTOTUNE_SLOTS"):
        Slots(tmp_path / "slots").take(asks("/a"), ONE)


@pytest.mark.long
@pytest.mark.parametrize("limit", [1, 2])
def test_simulated_trials_with_random_kills_never_overlap_on_a_device(
    tmp_path: Path, limit: int
) -> None:
    """500 trials of two servers over eight GPUs, with SIGKILL at any moment."""
    words = [sys.executable, "-m", "tests.training.simulated_trials", str(tmp_path), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    told = json.loads(done.stdout)
    assert told["overlaps"] == []
    assert told["started"] == 500
    assert told["killed"] > 50
    assert told["most_at_once"] == 8, "the GPUs were in use"
    assert Slots(tmp_path / "slots").claims() == []
