"""What trials print: where it is kept, and what happens when that is too much."""

from __future__ import annotations

import json
import re
import resource
import time

import pytest

from experiments.training.base import Handle, JobState
from experiments.training.local.log import RETRY_S, TAIL_BYTES
from experiments.training.local.wrapper import RESULT_RESERVE
from tests.training.conftest import WORKER, Jobs, task, until


def test_stdout_and_stderr_are_one_log_in_their_order(jobs: Jobs) -> None:
    handle = jobs.shell("echo one; echo two >&2; echo three; printf '\\344\\270\\255\\377'")
    jobs.end(handle)
    content = jobs.backend.read_log(handle, WORKER, 0, 100)
    assert content == b"one\ntwo\nthree\n\xe4\xb8\xad\xff"
    assert [(log.name, log.size) for log in jobs.backend.logs(handle)] == [(WORKER, len(content))]


def test_a_log_is_read_in_pieces_and_from_its_end(jobs: Jobs) -> None:
    handle = jobs.shell("printf 0123456789")
    jobs.end(handle)

    def read(offset: int, limit: int) -> bytes:
        return jobs.backend.read_log(handle, WORKER, offset, limit)

    assert [read(0, 4), read(4, 4), read(8, 4), read(10, 4)] == [b"0123", b"4567", b"89", b""]
    assert [read(-3, 10), read(-3, 2), read(-99, 2)] == [b"789", b"78", b"01"]


def test_a_running_trial_s_log_can_be_followed(jobs: Jobs) -> None:
    handle = jobs.python("import time; print('line by line'); time.sleep(600)")
    assert jobs.said(handle, "line by line\n") == "line by line\n"


@pytest.mark.parametrize("name", ["../pid.json", "pid.json", "/etc/passwd", "worker-1.log", ""])
def test_only_logs_can_be_read(jobs: Jobs, name: str) -> None:
    handle = jobs.shell("echo hi")
    jobs.end(handle)
    assert jobs.backend.read_log(handle, name, 0, 100) == b""


def test_each_replica_has_its_log_the_deciding_one_first(jobs: Jobs) -> None:
    worker = task(["sh", "-c", "echo worker"], "worker", 2)
    chief = task(["sh", "-c", "sleep 0.1; echo chief"], "chief")
    handle = jobs.launch(jobs.describe(worker, chief))
    jobs.end(handle)
    names = [log.name for log in jobs.backend.logs(handle)]
    assert names == ["chief-0.log", "worker-0.log", "worker-1.log"]
    assert [jobs.log(handle, name) for name in names] == ["chief\n", "worker\n", "worker\n"]


def test_100_mb_of_output_cost_little(jobs: Jobs) -> None:
    began = time.monotonic()
    handle = jobs.shell("yes 0123456789abcdef | head -c 100000000; echo; echo end")
    status = jobs.end(handle)
    assert (status.state, status.message) == (JobState.SUCCEEDED, "")
    assert time.monotonic() - began < 10
    assert jobs.backend.logs(handle)[0].size == 100_000_005
    assert jobs.backend.read_log(handle, WORKER, -5, 9) == b"\nend\n"
    (jobs.root / handle["name"] / WORKER).unlink()


def test_over_the_limit_the_beginning_and_the_end_are_kept(jobs: Jobs) -> None:
    jobs.backend.log_limit_bytes = 1000
    handle = jobs.shell("seq 100000; echo the end; exit 1")
    status = jobs.end(handle)
    whole = "".join(f"{number}\n" for number in range(1, 100001)) + "the end\n"
    text = jobs.log(handle)
    missing = len(whole) - 1000 - TAIL_BYTES
    note = f"\n[{missing} bytes are missing here: the limit of 1000 bytes is reached]\n"
    assert text == whole[:1000] + note + whole[-TAIL_BYTES:]
    assert status.message == (
        f"exit code 1; last line: the end; {missing} bytes of {WORKER} were dropped: "
        "the limit of 1000 bytes is reached"
    )


def test_on_a_full_disk_the_trial_goes_on_and_the_loss_is_told(jobs: Jobs) -> None:
    launch = jobs.describe(task(["sh", "-c", "seq 100000; echo done >&2"]))
    directory = jobs.root / launch.name
    directory.mkdir(parents=True)
    (directory / WORKER).symlink_to("/dev/full")
    status = jobs.end(jobs.launch(launch))
    assert (status.state, status.exit_code) == (JobState.SUCCEEDED, 0)
    assert status.message == (
        f"{len(''.join(f'{n}' for n in range(1, 100001))) + 100000 + 5} bytes of {WORKER} "
        "were dropped: No space left on device"
    )


def limit_file_size(handle: Handle, size: int) -> None:
    """Let the supervisor's files grow no further: to it that is like a disk that is full."""
    resource.prlimit(handle["pid"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.long
def test_a_log_goes_on_when_the_disk_has_room_again(jobs: Jobs) -> None:
    wait = "while ! [ -e {} ]; do sleep 0.02; done;"
    handle = jobs.shell(
        f"echo up; {wait.format('full')} seq 20000; touch printed;"
        f"{wait.format('room')} echo room again; {wait.format('end')}"
    )
    work = jobs.root / handle["name"] / "work"
    jobs.said(handle, "up")
    limit_file_size(handle, 5000)
    (work / "full").touch()
    until((work / "printed").exists, "the trial to go on")
    assert jobs.backend.logs(handle)[0].size == 5000
    limit_file_size(handle, resource.RLIM_INFINITY)
    time.sleep(RETRY_S)  # it tries once a second
    (work / "room").touch()
    text = jobs.said(handle, "room again\n")
    assert "20000\nroom again\n" in text
    missing = re.search(r"\n\[(\d+) bytes are missing here: File too large\]\n", text)
    assert missing is not None
    assert len(text) - len(missing[0]) + int(missing[1]) == len("up\nroom again\n") + 108_894
    (work / "end").touch()
    status = jobs.end(handle)
    assert status.message == f"{missing[1]} bytes of {WORKER} were dropped: File too large"


def test_the_room_for_the_result_is_taken_before_the_trial_runs(jobs: Jobs) -> None:
    # So that a trial that fills the disk can still be told from one that was lost.
    handle = jobs.shell("while ! [ -e go ]; do sleep 0.02; done; exit 9")
    directory = jobs.root / handle["name"]
    taken = (directory / "result.json.tmp").stat()
    assert taken.st_blocks * 512 >= taken.st_size == RESULT_RESERVE
    (directory / "work" / "go").touch()
    assert jobs.end(handle).exit_code == 9
    written = (directory / "result.json").stat()
    assert (written.st_ino, written.st_size) == (taken.st_ino, taken.st_size)
    assert json.loads((directory / "result.json").read_text())["replicas"][0]["code"] == 9
