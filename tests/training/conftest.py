"""A local backend in a directory of its own, whose processes are gone after each test."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from experiments.training.base import ENDED, Handle, JobState, JobStatus, Launch, Task
from experiments.training.local import job, processes
from experiments.training.local.backend import LocalBackend
from experiments.training.local.gpus import Gpus

T = TypeVar("T")
CLIENT_DIR = Path(job.__file__).parents[1] / "client"
WORKER = "worker-0.log"


def until(condition: Callable[[], T], what: str = "", timeout_s: float = 20.0) -> T:
    """Return the first true answer of ``condition``, within a bounded time."""
    limit = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < limit, f"waited {timeout_s} s for {what or condition}"
        time.sleep(0.004)
    return answer


def is_running(pid: int) -> bool:
    return processes.read_stat(pid) is not None


def task(
    command: list[str] | None, type: str = "worker", replicas: int = 1, **container: Any
) -> Task:
    """One task with a single container; keywords are its further fields."""
    content = {"name": "main", **({"command": command} if command else {}), **container}
    return Task(type, replicas, {"spec": {"containers": [content]}})


class Jobs:
    """Launches trials under fresh numbers and remembers them."""

    def __init__(self, root: Path, gpus: Gpus | None = None, slots: Path | None = None) -> None:
        self.root = root
        self.backend = LocalBackend(
            root,
            CLIENT_DIR,
            grace_s=0.4,
            search_path=os.path.dirname(sys.executable),
            slots=slots or root.parent / "slots",
            gpus=gpus,
        )
        self.handles: list[Handle] = []
        self.count = 0

    def describe(self, *tasks: Task, framework: str = "tensorflow", **fields: Any) -> Launch:
        """Describe one trial; every call gives another one."""
        self.count += 1
        values: dict[str, Any] = {
            "experiment_id": "exp1",
            "experiment_name": "sample",
            "trial_key": "k3y0a",
            "trial_number": self.count,
            "attempt": 1,
            "framework": framework,
            "tasks": tasks,
            "parameters": {},
            "server_url": "http://127.0.0.1:9",
            "token": "T0K:en",
        }
        return Launch(**(values | fields))

    def launch(self, launch: Launch) -> Handle:
        handle = self.backend.launch(launch)
        self.handles.append(handle)
        return handle

    def start(self, command: list[str], **container: Any) -> Handle:
        """Start a trial of one worker."""
        return self.launch(self.describe(task(command, **container)))

    def shell(self, script: str) -> Handle:
        return self.start(["sh", "-c", script])

    def python(self, script: str) -> Handle:
        return self.start(["python", "-S", "-c", script.replace("$", "$$")])

    def status(self, handle: Handle) -> JobStatus:
        (status,) = self.backend.poll([handle])
        return status

    def end(self, handle: Handle) -> JobStatus:
        """Wait for the end of a trial."""

        def ended() -> JobStatus | None:
            status = self.status(handle)
            return status if status.state in ENDED else None

        return until(ended, f"the end of {handle}")

    def log(self, handle: Handle, name: str = WORKER) -> str:
        return self.backend.read_log(handle, name, 0, 1 << 20).decode()

    def said(self, handle: Handle, text: str, name: str = WORKER) -> str:
        """Wait until a trial has printed ``text``; return all it printed."""
        until(lambda: text in self.log(handle, name), f"{text!r} in {name}")
        return self.log(handle, name)

    def marked(self) -> list[int]:
        """Return the living processes that any of these jobs started, by their environment."""
        found = []
        for pid in processes.process_table():
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                if f"{job.JOB_MARK}={self.root}/".encode() in environment:
                    found.append(pid)
        return found


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path / "trials")
    yield jobs
    for handle in jobs.handles:
        jobs.backend.stop(handle)
    for handle in jobs.handles:
        if jobs.status(handle).state is JobState.RUNNING:
            jobs.end(handle)
    jobs.backend.leave("exp1")
    left = jobs.marked()
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"processes were left behind: {left}"
