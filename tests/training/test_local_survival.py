"""Deaths of others: of the server that launched a trial, and of the trial's own supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.training.base import BackendUnavailable, JobState, Launch
from experiments.training.local import processes, records
from experiments.training.local.backend import LocalBackend
from tests.training.conftest import CLIENT_DIR, Jobs, is_running, task, until
from tests.training.test_local_trees import DAEMON, daemons_of

pytestmark = pytest.mark.long  # each starts programs of its own

# Launches the given job, tells the handle and waits to be killed.
LAUNCHER = """
import json, sys, time
from pathlib import Path
from experiments.manifest.local_spec import LocalSpec
from experiments.training.base import Launch, NotYet, Task
from experiments.training.local.backend import LocalBackend
fields = json.loads(sys.argv[2])
fields["tasks"] = tuple(Task(**each) for each in fields["tasks"])
fields["local"] = LocalSpec(**fields["local"])
root = Path(sys.argv[1])
backend = LocalBackend(root, Path(sys.argv[3]), grace_s=0.4, slots=root.parent / "slots")
if len(sys.argv) > 4:
    print("ready", flush=True)
    while not Path(sys.argv[4]).exists():
        time.sleep(0.001)
handle = None
while handle is None:
    try:
        handle = backend.launch(Launch(**fields))
    except NotYet:
        time.sleep(0.02)
print(json.dumps(handle), flush=True)
time.sleep(600)
"""


def launcher(jobs: Jobs, launch: Launch, go: Path | None = None) -> subprocess.Popen[str]:
    """Start another process that launches the job, as soon as ``go`` exists."""
    fields = {
        **vars(launch),
        "tasks": [vars(each) for each in launch.tasks],
        "local": vars(launch.local),
    }
    words = [str(jobs.root), json.dumps(fields), str(CLIENT_DIR), *([str(go)] if go else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *words], stdout=subprocess.PIPE, text=True
    )
    if go:
        assert answer(process) == "ready\n"
    return process


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_trial_outlives_its_launcher_and_is_adopted(jobs: Jobs) -> None:
    script = "echo up; while ! [ -e go ]; do sleep 0.02; done; echo went on; exit 6"
    launch = jobs.describe(task(["sh", "-c", script]))
    process = launcher(jobs, launch)
    handle = json.loads(answer(process))
    kill(process)

    fresh = LocalBackend(jobs.root, CLIENT_DIR, slots=jobs.root.parent / "slots")
    assert fresh.poll([handle])[0].state is JobState.RUNNING
    assert fresh.launch(launch) == handle  # a launch that is repeated finds it
    jobs.handles.append(handle)
    (jobs.root / launch.name / "work" / "go").touch()
    assert jobs.end(handle).exit_code == 6
    assert jobs.log(handle) == "up\nwent on\n"
    assert fresh.launch(launch) == handle  # also when it has ended: never twice
    assert jobs.log(handle) == "up\nwent on\n"


@pytest.mark.long
def test_a_launcher_killed_at_any_moment_leaves_one_run_or_none(jobs: Jobs) -> None:
    for delay in (0.0, 0.004, 0.008, 0.012, 0.016, 0.020, 0.030):
        launch = jobs.describe(task(["sh", "-c", "echo run; exec sleep 600"]))
        go = jobs.root.parent / f"go-{delay}"
        process = launcher(jobs, launch, go)
        go.touch()
        time.sleep(delay)
        kill(process)
        handle = jobs.launch(launch)
        assert jobs.said(handle, "run") == "run\n"
        sleeping = [pid for pid in jobs.marked() if str(launch.name) in _job_of(pid)]
        assert len(sleeping) == 1
        jobs.backend.stop(handle)


def _job_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().decode().partition("AUTOTUNE_JOB_DIR=")[2]


def test_two_that_launch_at_once_start_one_run(jobs: Jobs) -> None:
    go = jobs.root.parent / "go"
    launch = jobs.describe(task(["sh", "-c", "echo run; exec sleep 600"]))
    racers = [launcher(jobs, launch, go) for _ in range(3)]
    go.touch()
    answers = [json.loads(answer(racer)) for racer in racers]
    for racer in racers:
        kill(racer)
    jobs.handles.append(answers[0])
    assert answers[0] == answers[1] == answers[2]
    assert jobs.said(answers[0], "run") == "run\n"
    assert len(jobs.marked()) == 1


def test_another_attempt_is_another_run(jobs: Jobs) -> None:
    first = jobs.describe(task(["sh", "-c", "echo run"]), trial_number=7)
    second = jobs.describe(task(["sh", "-c", "echo again"]), trial_number=7, attempt=2)
    handles = [jobs.launch(first), jobs.launch(second)]
    for handle in handles:
        jobs.end(handle)
    assert [jobs.log(handle) for handle in handles] == ["run\n", "again\n"]


def test_when_the_supervisor_is_killed_the_trial_is_lost_and_its_processes_with_it(
    jobs: Jobs,
) -> None:
    handle = jobs.python(
        DAEMON + "daemon(True); os.spawnlp(os.P_NOWAIT, 'setsid', 'setsid', 'sleep', '600');"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    )
    jobs.said(handle, "up")
    daemons_of(jobs, handle, 1)
    until(lambda: len(jobs.marked()) == 2, "the child in its own session")
    os.kill(handle["pid"], signal.SIGKILL)
    until(lambda: not is_running(handle["pid"]), "the supervisor's death")

    status = jobs.status(handle)
    assert status.state is JobState.LOST
    assert status.message == (
        "the trial's supervisor process vanished (killed?); 2 processes it left were killed"
    )
    assert jobs.marked() == []
    assert jobs.status(handle) == status  # on record, not found out again
    # The daemon that forgot its environment and took a session of its own is known to nobody.
    for daemon in daemons_of(jobs, handle, 1):
        os.kill(daemon, signal.SIGKILL)


def test_a_process_without_our_mark_is_found_by_the_supervisor_s_session(jobs: Jobs) -> None:
    handle = jobs.start(["env", "-i", "/bin/sh", "-c", "echo pid $$$$; exec /bin/sleep 600"])
    pid = int(jobs.said(handle, "pid").split()[1])
    os.kill(handle["pid"], signal.SIGKILL)
    until(lambda: not is_running(handle["pid"]), "the supervisor's death")
    assert jobs.status(handle).state is JobState.LOST
    assert not is_running(pid)


def test_after_a_restart_of_the_machine_a_running_trial_is_lost(jobs: Jobs) -> None:
    handle = jobs.start(["sleep", "600"])
    jobs.backend.stop(handle)
    jobs.end(handle)
    earlier = {**handle, "boot": "another-boot"}
    assert jobs.status(earlier).state is JobState.STOPPED  # results stay valid
    (jobs.root / handle["name"] / "result.json").unlink()
    status = jobs.status(earlier)
    assert status.state is JobState.LOST
    assert status.message == "the machine was restarted while the trial ran"


def test_a_stranger_with_the_same_pid_is_neither_taken_for_ours_nor_signalled(jobs: Jobs) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        time.sleep(0.02)  # start times are told apart by hundredths of a second
        handle = jobs.shell("exit 0")
        jobs.end(handle)
        (jobs.root / handle["name"] / "result.json").unlink()
        recycled = {**handle, "pid": stranger.pid}
        jobs.backend.stop(recycled)
        assert jobs.status(recycled).state is JobState.LOST
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.05)
        stranger.kill()


def test_a_job_says_how_long_the_machine_had_slept_when_it_began(jobs: Jobs) -> None:
    """For the time that a trial may run; also to who adopts it, and not of a release before."""
    handle = jobs.shell("exec sleep 600")
    assert handle["slept"] == pytest.approx(processes.slept_s(), abs=1)
    assert jobs.backend.find(jobs.describe(task(["true"]))) is None
    assert records.find_job(jobs.root / handle["name"]) == handle
    record = json.loads((jobs.root / handle["name"] / "pid.json").read_text())
    del record["slept"]
    (jobs.root / handle["name"] / "pid.json").write_text(json.dumps(record))
    assert "slept" not in (records.find_job(jobs.root / handle["name"]) or {})


def test_a_job_known_by_its_name_alone_is_forgotten_once_it_has_ended(jobs: Jobs) -> None:
    handle = jobs.shell("exec sleep 600")
    directory = jobs.root / handle["name"]
    with pytest.raises(BackendUnavailable, match="has not ended yet"):
        jobs.backend.forget({"name": handle["name"]})
    jobs.end(handle)
    jobs.backend.forget({"name": handle["name"]})
    assert not directory.exists()
    (directory / "work").mkdir(parents=True)  # of one that waited for a slot
    jobs.backend.forget({"name": handle["name"]})
    assert not directory.exists()


def test_a_pid_file_that_is_broken_means_lost(jobs: Jobs) -> None:
    launch = jobs.describe(task(["true"]))
    (jobs.root / launch.name).mkdir(parents=True)
    (jobs.root / launch.name / "pid.json").write_text("")
    handle = jobs.backend.launch(launch)
    assert jobs.status(handle).state is JobState.LOST


def test_the_supervisor_inherits_nothing(jobs: Jobs) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    try:
        handle = jobs.shell("ls -l /proc/$$$$/fd; echo up; exec sleep 600")
        listing = jobs.said(handle, "up")
        os.close(write_end)
        os.set_blocking(read_end, False)
        assert os.read(read_end, 1) == b""  # nobody else has the other end
    finally:
        os.close(read_end)
    # 0 is /dev/null, 1 and 2 the log, and whatever `ls` and the shell opened themselves.
    assert "/dev/null" in listing
    assert str(jobs.root) not in listing
    stat = Path(f"/proc/{handle['pid']}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[3]) == handle["pid"]  # a session of its own
    assert int(stat[1]) != os.getpid()  # not our child
