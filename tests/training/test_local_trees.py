"""Stopping, and what becomes of all the processes of a trial."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from experiments.training.base import BackendUnavailable, Handle, JobState, LaunchError
from tests.training.conftest import Jobs, is_running, task, until

pytestmark = pytest.mark.long  # each starts programs of its own

# Forks twice with a session of its own, forgets its environment, ignores SIGTERM: a real daemon.
DAEMON = """
import os, signal, sys
def daemon(stubborn):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import os, signal, time; print('daemon', os.getpid(), flush=True); time.sleep(600)"
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code], {})
"""


def daemons_of(jobs: Jobs, handle: Handle, count: int) -> list[int]:
    """Wait for the daemons of a trial to have said who they are."""

    def said() -> list[int]:
        words = [line.split() for line in jobs.log(handle).splitlines()]
        return [int(each[1]) for each in words if each[:1] == ["daemon"]]

    return until(lambda: found if len(found := said()) == count else [], f"{count} daemons")


def test_a_hanging_trial_is_stopped(jobs: Jobs) -> None:
    handle = jobs.shell("echo up; exec sleep 600")
    jobs.said(handle, "up")
    began = time.monotonic()
    jobs.backend.stop(handle)
    assert time.monotonic() - began < 0.2  # it asks, it does not wait
    status = jobs.end(handle)
    assert (status.state, status.exit_code) == (JobState.STOPPED, 128 + signal.SIGTERM)
    jobs.backend.stop(handle)
    assert jobs.status(handle) == status


def test_a_trial_may_end_cleanly_when_stopped(jobs: Jobs) -> None:
    handle = jobs.shell("trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    jobs.said(handle, "up")
    jobs.backend.stop(handle)
    status = jobs.end(handle)
    assert (status.state, status.exit_code) == (JobState.STOPPED, 0)
    assert "saved" in jobs.log(handle)


def test_a_trial_that_ignores_sigterm_is_killed_after_the_grace(jobs: Jobs) -> None:
    handle = jobs.shell("trap '' TERM; echo up; while :; do sleep 0.02; done")
    jobs.said(handle, "up")
    began = time.monotonic()
    jobs.backend.stop(handle)
    status = jobs.end(handle)
    assert (status.state, status.exit_code) == (JobState.STOPPED, 128 + signal.SIGKILL)
    assert time.monotonic() - began >= jobs.backend.grace_s


def test_a_trial_stopped_at_once_after_its_launch_ends(jobs: Jobs) -> None:
    handle = jobs.start(["sleep", "600"])
    jobs.backend.stop(handle)
    assert jobs.end(handle).state is JobState.STOPPED


def test_stopping_reaches_children_and_daemons_too(jobs: Jobs) -> None:
    handle = jobs.python(
        DAEMON + "daemon(True); daemon(False); os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '600');"
        "print('up', flush=True); signal.pause()"
    )
    jobs.said(handle, "up")
    daemons = daemons_of(jobs, handle, 2)
    assert all(map(is_running, daemons))
    jobs.backend.stop(handle)
    assert jobs.end(handle).state is JobState.STOPPED
    assert [pid for pid in daemons if is_running(pid)] == []
    assert jobs.marked() == []


def test_what_a_finished_trial_left_running_is_ended(jobs: Jobs) -> None:
    handle = jobs.python(
        DAEMON + "import time\ndaemon(True); time.sleep(0.3); print('done', flush=True)"
    )
    (daemon,) = daemons_of(jobs, handle, 1)
    status = jobs.end(handle)
    assert (status.state, status.exit_code) == (JobState.SUCCEEDED, 0)
    assert not is_running(daemon)


def test_a_stopped_process_is_killed_too(jobs: Jobs) -> None:
    handle = jobs.shell("echo up; kill -STOP $$$$")
    jobs.said(handle, "up")
    jobs.backend.stop(handle)
    assert jobs.end(handle).state is JobState.STOPPED


def test_a_running_job_is_not_forgotten_but_stopped(jobs: Jobs) -> None:
    handle = jobs.start(["sleep", "600"])
    with pytest.raises(BackendUnavailable, match="has not ended yet"):
        jobs.backend.forget(handle)
    assert jobs.end(handle).state is JobState.STOPPED
    jobs.backend.forget(handle)
    assert not (jobs.root / handle["name"]).exists()


def test_when_the_chief_ends_the_parameter_server_is_ended(jobs: Jobs) -> None:
    server = task(["sh", "-c", "echo serving; exec sleep 600"], "ps")
    handle = jobs.launch(jobs.describe(server, task(["sh", "-c", "exit 0"], "chief")))
    status = jobs.end(handle)
    assert (status.state, status.exit_code, status.message) == (JobState.SUCCEEDED, 0, "")
    assert jobs.marked() == []


def test_the_deciding_replica_decides_and_the_others_failures_are_told(jobs: Jobs) -> None:
    broken = task(["sh", "-c", "echo no data; exit 3"], "node")
    handle = jobs.launch(
        jobs.describe(task(["sleep", "0.2"], "worker"), broken, framework="pytorch")
    )
    status = jobs.end(handle)
    assert status.state is JobState.SUCCEEDED
    assert status.message == "node-0: exit code 3; last line: no data"


def test_a_failed_worker_is_told_while_the_deciding_replica_hangs(jobs: Jobs) -> None:
    broken = task(["sh", "-c", "exit 4"], "worker")
    handle = jobs.launch(
        jobs.describe(task(["sleep", "600"], "master"), broken, framework="xgboost")
    )
    until(lambda: jobs.status(handle).message, "the remark")
    status = jobs.status(handle)
    assert status.state is JobState.RUNNING
    assert status.message == "worker-0 failed (exit code 4); master-0 goes on"


def test_other_replicas_may_finish_just_after_the_deciding_one(jobs: Jobs) -> None:
    late = task(["sh", "-c", "sleep 0.1; echo last words"], "late")
    handle = jobs.launch(jobs.describe(task(["true"]), late, framework="pytorch"))
    assert jobs.end(handle).state is JobState.SUCCEEDED
    assert jobs.log(handle, "late-0.log") == "last words\n"


def test_a_replica_that_cannot_start_takes_the_others_with_it(jobs: Jobs, tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    tasks = [task(["sleep", "600"]), task([str(script)], "node")]
    launch = jobs.describe(*tasks, framework="pytorch")
    with pytest.raises(LaunchError, match=r"node-0: .*broken cannot be started: No such file"):
        jobs.launch(launch)
    until(lambda: not jobs.marked(), "the end of the first replica")
    assert until(jobs.backend.take_exits, "the hint") == [launch.name]
