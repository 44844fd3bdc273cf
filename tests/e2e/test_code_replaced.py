"""A server whose code is replaced or removed under it: a checkout of another branch, an upgrade."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import (
    ROOT,
    Stack,
    environment,
    free_port,
    running_stack,
    trial_processes,
    wait_for,
)

pytestmark = pytest.mark.stack


def copy_of_the_code(folder: Path) -> Path:
    for name in ("autotune_web", "experiments", "templates", "static", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    return folder


def remove(code: Path) -> None:
    shutil.rmtree(code)


def break_every_module(code: Path) -> None:
    for path in code.rglob("*.py"):
        path.write_text("raise ImportError('of another version')\n")


@pytest.mark.parametrize("change", [remove, break_every_module])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_orderly_end_needs_no_code_that_was_not_read(
    tmp_path: Path, change: Callable[[Path], None], number: signal.Signals
):
    stack = Stack(tmp_path / "data")
    stack.root = copy_of_the_code(tmp_path / "code")
    try:
        stack.start("--no-sample")
        experiment = stack.create(arguments=[1000, 0.05])

        def reported() -> list[int]:
            return [trial["n_reports"] for trial in stack.trials(experiment)]

        wait_for("reports of two trials", lambda: len(reported()) == 2 and min(reported()) > 0)
        pids = stack.pids().values()
        change(stack.root)
        assert stack.process is not None
        stack.process.send_signal(number)
        assert stack.process.wait(timeout=15) == 0
        words = (stack.data / "up.out").read_text()
        assert "2 running trials will start anew next time." in words, words
        assert "Traceback" not in words
        wait_for("no trial to be left", lambda: not trial_processes(stack.data), 30)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.kill()
        stack.end_trials()


def test_a_process_of_roles_that_hangs_does_not_hold_up_the_end(tmp_path: Path):
    """Its code lies on a disk that is gone, say: reading that never ends."""
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        experiment = stack.create(arguments=[1000, 0.05])
        wait_for("two trials", lambda: len(trial_processes(stack.data)) >= 2)
        assert stack.process is not None
        (roles,) = psutil.Process(stack.process.pid).children()
        roles.suspend()
        time.sleep(1)  # until somebody waits for its answer
        assert stack.stop() < 15
        assert "Stopping" in (stack.data / "up.out").read_text()
        wait_for("no trial to be left", lambda: not trial_processes(stack.data), 30)
        stack.start("--no-sample")
        assert {trial["state"] for trial in stack.trials(experiment)} <= {"WAITING", "RUNNING"}


def test_a_server_whose_code_cannot_be_imported_says_so_and_ends(tmp_path: Path):
    code = copy_of_the_code(tmp_path / "code")
    (code / "autotune_web" / "asgi.py").write_text("import no_such_module\n")
    answer = subprocess.run(
        [sys.executable, str(code / "manage.py"), "up", "--port", str(free_port()), "--no-sample"],
        env=environment(tmp_path / "data"), cwd=code, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert "No module named 'no_such_module'" in answer.stderr


def test_a_server_that_never_comes_up_ends_when_it_is_told_to(tmp_path: Path):
    code = copy_of_the_code(tmp_path / "code")
    (code / "autotune_web" / "asgi.py").write_text("import time\ntime.sleep(1000)\n")
    process = subprocess.Popen(
        [sys.executable, str(code / "manage.py"), "up", "--port", str(free_port()), "--no-sample"],
        env=environment(tmp_path / "data"), cwd=code, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lock = tmp_path / "data" / "lock"
        wait_for("its start", lambda: lock.exists() and lock.read_text(), 30)
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        words, _ = process.communicate(timeout=20)
        assert "Stopping" in words
        assert "AutoTune Web is running" not in words
    finally:
        process.kill()
        process.communicate()
