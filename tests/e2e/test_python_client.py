"""autotune_client without a server: one of its own, shared, and everything killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import autotune_client as at
from tests.e2e.stack import ROOT, environment, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.long]

PROGRAM = Path(__file__).with_name("tuning_program.py")
N_TRIALS = 24


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; whatever still serves it is ended."""
    folder = tmp_path / "data"
    yield folder
    end_server(folder)


def owner(data: Path) -> dict:
    try:
        return dict(json.loads((data / "lock").read_text()))
    except (OSError, ValueError):
        return {}


def end_server(data: Path) -> None:
    pid = owner(data).get("pid")
    if pid and psutil.pid_exists(pid):
        kill_tree(pid)


def kill_tree(pid: int) -> None:
    """``kill -9`` of a process and all that it started."""
    process = psutil.Process(pid)
    for each in [process, *process.children(recursive=True)]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def start(data: Path, log: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(PROGRAM), str(log), *words]
    env = environment(data, PYTHONPATH=str(ROOT))
    with (data.parent / "program.out").open("ab") as out:
        return subprocess.Popen(command, env=env, stdout=out, stderr=out)


def lines(log: Path, kind: str) -> list[list[str]]:
    text = log.read_text() if log.exists() else ""
    return [line.split() for line in text.splitlines() if line.startswith(kind)]


def began(log: Path, at_least: int) -> None:
    wait_for(f"{at_least} trials", lambda: len(lines(log, "began")) >= at_least, 150)


def test_kills_in_the_middle_neither_double_nor_lose_a_trial(data: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start(data, log, str(N_TRIALS))
    began(log, 6)
    kill_tree(first.pid)  # the program and its four processes
    first.wait()
    second = start(data, log, str(N_TRIALS))
    began(log, len(lines(log, "began")) + 5)
    kill_tree(owner(data)["pid"])  # the server, web, worker and ticker
    began(log, len(lines(log, "began")) + 3)
    victim = psutil.Process(second.pid).children(recursive=True)
    children = [child for child in victim if "tuning_program" in " ".join(child.cmdline())]
    children[0].kill()  # one of the four
    assert second.wait(240) == 0, (tmp_path / "program.out").read_text()[-3000:]
    (best,) = lines(log, "best")

    with at.Client(data=data) as client:
        experiment = client.get(best[2])
        info = experiment.refresh()
        trials = list(experiment.trials())
        assert (info.phase, info.n_finished, len(trials)) == ("DONE", N_TRIALS, N_TRIALS)
        assert [trial.number for trial in trials] == list(range(N_TRIALS))
        assert {trial.state for trial in trials} == {"SUCCEEDED"}
        assert min(t.value for t in trials if t.value is not None) == float(best[1])
        for trial in trials:
            assert trial.value == (trial.parameters["x"] - 0.3) ** 2
            finals = experiment.metrics(trial.number, kind="FINAL")
            assert len(finals) == 1, "told once"
        events = list(client.pages(f"experiments/{experiment.id}/events/"))
        ends = [e["trial"] for e in events if e["what"] == "state" and e["to"] == "SUCCEEDED"]
        assert sorted(ends) == list(range(N_TRIALS)), "each ended once"
    attempts = [(words[1], words[2]) for words in lines(log, "began")]
    assert len(set(attempts)) == len(attempts), "no attempt was given to two"
    assert len(attempts) > N_TRIALS, "something was killed at work"


def test_programs_share_a_server_that_ends_with_the_last(data: Path, tmp_path: Path) -> None:
    logs = [tmp_path / "a", tmp_path / "b"]
    programs = [start(data, log, "6") for log in logs]
    pids = set()
    while any(program.poll() is None for program in programs):
        if "url" in (found := owner(data)):
            pids.add(found["pid"])
            assert found["for"] == "tune"
        time.sleep(0.05)
    assert [program.returncode for program in programs] == [0, 0]
    assert len(pids) == 1, "one server"
    (a,), (b,) = (lines(log, "best") for log in logs)
    assert a == b, "one study: both made the same call"
    numbers = [words[1] for log in logs for words in lines(log, "began")]
    assert sorted(numbers, key=int) == [str(n) for n in range(6)]
    (pid,) = pids
    wait_for("its end", lambda: not psutil.pid_exists(pid), 60)


def test_the_package_alone_imports_and_says_what_is_missing(tmp_path: Path) -> None:
    """Copied to where nothing else is, with the standard library only."""
    shutil.copytree(ROOT / "autotune_client", tmp_path / "autotune_client")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import autotune_client as at\n"
        f"try: at.Client(data={str(tmp_path / 'data')!r}).get('x')\n"
        "except at.NoServer as error: print(error)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('django', 'experiments')))"
    )
    env = {"PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    words, modules = done.stdout.splitlines()
    assert "pip install autotune-web" in words
    assert modules == "[]"


def test_a_process_that_its_parent_leaves_ends(data: Path, tmp_path: Path) -> None:
    program = start(data, tmp_path / "log", "1000")
    began(tmp_path / "log", 2)
    children = psutil.Process(program.pid).children()
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    workers = [child for child in children if "tuning_program" in " ".join(child.cmdline())]
    wait_for("their end", lambda: not any(child.is_running() for child in workers), 30)
