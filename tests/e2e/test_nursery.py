"""Roles forked from one process: each as clean as an interpreter of its own, however others end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stack import ROOT, environment, wait_for

pytestmark = pytest.mark.stack


class Owner:
    """A process that has a nursery; ``tell`` it what to do."""

    def __init__(self, directory: Path, **env: str) -> None:
        self.directory = directory
        more = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "autotune_web.settings", **env}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("owner.py")), str(directory)],
            env=environment(directory / "data", **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._answer()

    def tell(self, *words: object) -> Any:
        assert self.process.stdin
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def found(self, name: str) -> dict[str, Any]:
        """What a role said first."""
        log = self.directory / f"{name}.log"
        wait_for("its words", lambda: log.exists() and "\n" in log.read_text(), 30)
        return dict(json.loads(log.read_text().splitlines()[0]))

    def nursery(self) -> psutil.Process:
        (only,) = psutil.Process(self.pid).children()
        return only


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(tmp_path)
    yield owner
    owner.process.kill()
    owner.process.communicate()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_role_is_as_clean_as_an_interpreter_of_its_own(owner: Owner):
    owner.tell("prepare", "AUTOTUNE_PUBLIC_URL=https://tune.example:81", "ALLOWED_HOSTS=a,b")
    pid = owner.tell("start", "one", "wait", "more words")
    found = owner.found("one")
    assert found.pop("parent") == owner.nursery().pid
    files = found.pop("files")
    log = str(owner.directory / "one.log")
    assert files[:3] == ["/dev/null", log, log]
    assert not [name for name in files[3:] if "/" in name and not name.startswith("/proc/")], (
        "nothing of its owner's is open in it"
    )
    assert found == {
        "argv": ["wait", "more", "words"],
        "public_url": "https://tune.example:81",
        "trusted": ["https://tune.example:81"],
        "secure": True,
        "hosts": ["a", "b"],
        "session": True,
        "cwd": str(ROOT),
        "threads": ["MainThread"],
        "connections": [],
        "sigint": True,
        "sigterm": True,
        "web": True,
    }
    title = " ".join(psutil.Process(pid).cmdline()).strip()
    assert title == "autotune one: tests.e2e.role wait more words"
    assert owner.tell("poll", pid) is None
    owner.tell("terminate", pid)
    assert owner.tell("wait", pid) == -signal.SIGTERM


@pytest.mark.parametrize(("how", "code"), [("exit", 7), ("fail", 1), ("end", 0)])
def test_how_a_role_ended_is_told_and_its_last_words_are_in_the_log(
    owner: Owner, how: str, code: int
):
    owner.tell("prepare")
    first = owner.tell("start", "one", how)
    assert owner.tell("wait", first) == code
    assert ("RuntimeError: on purpose" in (owner.directory / "one.log").read_text()) == (code == 1)
    again = owner.tell("start", "one", how)  # the log goes on
    assert owner.tell("wait", again) == code
    assert owner.tell("poll", first) == code
    assert (owner.directory / "one.log").read_text().count('"argv"') == 2


def test_roles_end_with_their_owner_however_it_dies(owner: Owner):
    owner.tell("prepare")
    pids = [owner.nursery().pid, *(owner.tell("start", name, "wait") for name in ("a", "b"))]
    for name in ("a", "b"):
        owner.found(name)
    owner.process.kill()
    wait_for("the end of all", lambda: all(map(is_gone, pids)), 10)


def test_a_nursery_that_dies_takes_its_roles_along_and_another_takes_over(owner: Owner):
    owner.tell("prepare", "AUTOTUNE_PUBLIC_URL=http://tune.example:82")
    old = owner.tell("start", "one", "wait")
    first = owner.nursery()
    first.kill()
    assert owner.tell("wait", old) == -signal.SIGKILL
    wait_for("its end", lambda: is_gone(old), 10)
    new = owner.tell("start", "two", "wait")
    found = owner.found("two")
    assert found["parent"] == owner.nursery().pid != first.pid
    assert (found["public_url"], found["web"]) == ("http://tune.example:82", True)
    assert not [name for name in found["files"] if "opened later" in name]
    owner.tell("terminate", new)
    assert owner.tell("wait", new) == -signal.SIGTERM
    owner.tell("close")
    assert psutil.Process(owner.pid).children() == []


def test_signals_of_the_terminal_are_for_the_owner(owner: Owner):
    owner.tell("prepare")
    pid = owner.tell("start", "one", "wait")
    owner.found("one")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(owner.nursery().pid, number)
    assert owner.tell("poll", pid) is None
    assert os.getsid(owner.nursery().pid) == owner.nursery().pid


def test_imports_that_fail_are_told(tmp_path: Path):
    (tmp_path / "httptools.py").write_text("raise RuntimeError('not today')\n")
    owner = Owner(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    try:
        owner.tell("prepare")
        assert "RuntimeError: not today" in owner.tell("start", "one", "wait")
    finally:
        owner.process.kill()
        owner.process.communicate()
