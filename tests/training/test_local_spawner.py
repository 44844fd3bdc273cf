"""The process that forks supervisors: it is replaced when it died, and dies with its owner."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from experiments.training.base import BackendUnavailable, JobState
from experiments.training.local import processes, spawner
from experiments.training.local.backend import LocalBackend
from tests.training.conftest import CLIENT_DIR, Jobs, is_running, task, until
from tests.training.test_local_survival import answer, kill, launcher


def spawners_of(owner: int) -> list[int]:
    """Children of ``owner`` that run ``spawner.serve``."""
    return [
        pid
        for pid, (parent, _session, _ticks) in processes.process_table().items()
        if parent == owner and b"local.spawner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_one_spawner_serves_all_launches_and_leaves_no_zombies(jobs: Jobs) -> None:
    first = jobs.shell("exit 0")
    spawners = spawners_of(os.getpid())
    assert len(spawners) == 1
    second = jobs.shell("exit 0")
    assert spawners_of(os.getpid()) == spawners
    assert {jobs.end(handle).state for handle in (first, second)} == {JobState.SUCCEEDED}
    children = Path(f"/proc/{spawners[0]}/task/{spawners[0]}/children").read_text()
    assert children == "", "supervisors are nobody's children"


def test_a_spawner_that_was_killed_is_replaced_and_its_trials_go_on(jobs: Jobs) -> None:
    handle = jobs.shell("echo up; while ! [ -e go ]; do sleep 0.02; done; exit 4")
    jobs.said(handle, "up")
    (spawner,) = spawners_of(os.getpid())
    os.kill(spawner, signal.SIGKILL)
    until(lambda: not is_running(spawner), "the spawner's death")

    assert jobs.end(jobs.shell("exit 3")).exit_code == 3
    assert spawners_of(os.getpid()) != [spawner]
    (jobs.root / handle["name"] / "work" / "go").touch()
    assert jobs.end(handle).exit_code == 4


def test_the_spawner_ends_when_its_owner_is_killed_and_the_trial_goes_on(jobs: Jobs) -> None:
    process = launcher(jobs, jobs.describe(task(["sleep", "600"])))
    jobs.handles.append(json.loads(answer(process)))
    (spawner,) = spawners_of(process.pid)
    kill(process)
    until(lambda: not is_running(spawner), "the spawner's end")
    assert jobs.status(jobs.handles[-1]).state is JobState.RUNNING


def test_half_a_job_starts_nothing_and_frees_the_lock(jobs: Jobs) -> None:
    """As when the server is killed while it tells the job."""
    jobs.end(jobs.shell("exit 0"))  # so that there is a spawner
    control = spawner.spawner(jobs.backend.python)._control
    assert control is not None
    lock, holder = socket.socketpair()
    ours, theirs = socket.socketpair()
    with lock, ours:
        with holder, theirs:
            socket.send_fds(control, [b"job"], [holder.fileno(), theirs.fileno()])
        ours.sendall(b'{"directory": "')
        ours.shutdown(socket.SHUT_WR)
        ours.settimeout(20)
        lock.settimeout(20)
        assert ours.recv(100) == b"", "no answer"
        assert lock.recv(1) == b"", "nobody holds the lock"


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("/no/such/python", r"/no/such/python cannot be started: .*No such"),
        ("/bin/true", r"ends at once|said nothing"),  # and no endless loop
    ],
)
def test_an_interpreter_that_serves_nothing_is_said(
    tmp_path: Path, python: str, words: str
) -> None:
    backend = LocalBackend(tmp_path / "trials", CLIENT_DIR, python=python, slots=tmp_path / "slots")
    launch = Jobs(tmp_path / "trials").describe(task(["true"]))
    with pytest.raises(BackendUnavailable, match=words):
        backend.launch(launch)
    assert backend.find(launch) is None
