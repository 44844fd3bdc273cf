"""A server whose code is replaced or removed under it: a checkout of another branch, an upgrade."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, Stack, trial_processes, wait_for

pytestmark = pytest.mark.stack


def copy_of_the_code(folder: Path) -> Path:
    for name in ("autotune_web", "experiments", "templates", "static", "locale", "examples"):
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
        stack.create(arguments=[1000, 0.05])
        wait_for("two running trials", lambda: len(trial_processes(stack.data)) >= 2)
        pids = stack.pids().values()
        change(stack.root)
        assert stack.process is not None
        stack.process.send_signal(number)
        assert stack.process.wait(timeout=15) == 0
        words = (stack.data / "up.out").read_text()
        assert "2 running trials will start anew next time." in words
        assert "Traceback" not in words
        wait_for("no trial to be left", lambda: not trial_processes(stack.data), 30)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.kill()
        stack.end_trials()
