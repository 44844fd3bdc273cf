"""``./autotune`` on machines that are not ready, with a Python that only notes what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import ROOT

TOOLS = ("sh", "cat", "cmp", "dirname", "readlink", "sed", "cp", "mkdir", "rm", "chmod")
# Says what it is told into $NOTES; makes an environment with itself in it; breaks where asked to.
PYTHON = """#!/bin/sh
echo "$@" >>"$NOTES"
case "$*" in
-c*) exit "${OLD:-0}" ;;
"-m venv"*)
    for last in "$@"; do :; done
    mkdir -p "$last/bin"
    cp "$0" "$last/bin/python"
    [ -z "${NO_VENV:-}" ] || exit 1
    echo yes >"$last/pip" ;;
"-m pip --version") [ -f "${0%/bin/python}/pip" ] ;;
"-m pip install"*) [ -z "${OFFLINE:-}" ] ;;
esac
"""


class Machine:
    """A copy of the script, its requirements, and a PATH of our own."""

    def __init__(self, directory: Path) -> None:
        self.checkout = directory / "check out"
        self.bin = directory / "bin"
        self.notes = directory / "notes"
        self.checkout.mkdir()
        self.bin.mkdir()
        words = "experiments/shell/commands.txt"
        (self.checkout / words).parent.mkdir(parents=True)
        for name in ("autotune", "requirements.txt", "requirements-dev.txt", words):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in TOOLS:
            found = shutil.which(name)
            assert found, f"{name} is needed"
            (self.bin / name).symlink_to(found)
        self.add_python("python3")

    def add_python(self, name: str, text: str = PYTHON) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def autotune(self, *argv: str, script: Path | None = None, **env: str) -> Any:
        self.notes.write_text("")
        return subprocess.run(
            ["sh", str(script or self.checkout / "autotune"), *argv],
            env={"PATH": str(self.bin), "NOTES": str(self.notes), **env},
            cwd=self.bin.parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    @property
    def told(self) -> list[str]:
        """What any Python was told since the last call, checks left out."""
        lines = self.notes.read_text().splitlines()
        return [line for line in lines if not line.startswith("-c") and "--version" not in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_start_makes_the_environment_and_the_second_needs_no_network(machine):
    answer = machine.autotune("up", "--port", "1")
    assert answer.returncode == 0, answer.stderr
    venv, install, command = machine.told
    assert venv == f"-m venv --clear {machine.checkout}/.venv"
    assert install.endswith(f"-r {machine.checkout}/requirements.txt")
    assert command == f"{machine.checkout}/manage.py up --port 1"
    answer = machine.autotune("up", OFFLINE="1")
    assert machine.told == [f"{machine.checkout}/manage.py up"]
    assert answer.stderr == ""


def test_changed_requirements_are_installed_again(machine):
    machine.autotune("up")
    with (machine.checkout / "requirements.txt").open("a") as file:
        file.write("# newer\n")
    machine.autotune("up")
    assert next(line[:14] for line in machine.told) == "-m pip install"
    machine.autotune("up")
    assert len(machine.told) == 1


def test_without_python_it_says_what_is_needed_and_nothing_else(machine):
    (machine.bin / "python3").unlink()
    answer = machine.autotune("up")
    assert answer.returncode == 1
    assert answer.stderr.startswith("AutoTune Web needs Python 3.11 or newer")
    assert len(answer.stderr.splitlines()) == 2
    assert not (machine.checkout / ".venv").exists()


def test_a_python_that_is_too_old_will_not_do(machine):
    answer = machine.autotune("up", OLD="1")
    assert answer.returncode == 1
    assert "3.11" in answer.stderr


def test_a_named_python_that_is_none_is_not_replaced_in_silence(machine):
    answer = machine.autotune("up", AUTOTUNE_PYTHON="/nowhere/python")
    assert answer.returncode == 1
    assert "/nowhere/python" in answer.stderr
    assert machine.told == []


def test_an_environment_that_was_left_half_made_is_made_anew(machine):
    answer = machine.autotune("up", NO_VENV="1")
    assert answer.returncode == 1
    assert "python3-venv" in answer.stderr
    assert (machine.checkout / ".venv/bin/python").exists()
    assert machine.autotune("up").returncode == 0
    assert machine.told[0].startswith("-m venv --clear")


def test_a_failed_installation_is_said_and_tried_again(machine):
    answer = machine.autotune("up", OFFLINE="1")
    assert answer.returncode == 1
    assert "network" in answer.stderr
    assert machine.autotune("up").returncode == 0
    assert machine.told[0].startswith("-m pip install")


def test_what_the_user_exports_reaches_the_program_as_it_was(machine):
    exported = {
        name: "mine"
        for name in (
            "here",
            "venv",
            "stamp",
            "python",
            "command",
            "name",
            "VIRTUAL_ENV",
            "PYTHONPATH",
        )
    }
    machine.autotune("up")  # the first time sets up, which uses every variable
    shutil.rmtree(machine.checkout / ".venv")
    machine.add_python("python3", PYTHON + 'env >>"$NOTES"\n')
    (machine.bin / "env").symlink_to(shutil.which("env"))
    machine.autotune("up", **exported)
    last = machine.notes.read_text().rpartition("manage.py up\n")[2].splitlines()
    assert {f"{name}={value}" for name, value in exported.items()} <= set(last)
    assert f"PATH={machine.bin}" in last


def test_a_link_to_the_script_finds_the_checkout(machine):
    link = machine.bin.parent / "at"
    link.symlink_to(machine.checkout / "autotune")
    assert machine.autotune("validate", "a b.yaml", script=link).returncode == 0
    assert machine.told[-1] == f"{machine.checkout}/manage.py validate a b.yaml"
    assert not (machine.bin.parent / ".venv").exists()


def test_the_environment_may_be_elsewhere_by_a_relative_name_too(machine):
    assert machine.autotune("test", "-k", "x", AUTOTUNE_VENV="en v").returncode == 0
    assert machine.told[0] == f"-m venv --clear {machine.bin.parent}/en v"
    assert machine.told[-1].startswith("-m pytest")


def test_an_unknown_command_is_refused_with_the_known_ones(machine):
    answer = machine.autotune("upp")
    assert answer.returncode == 2
    assert "Unknown command 'upp'" in answer.stderr
    assert "./autotune up" in answer.stderr
    assert os.listdir(machine.checkout).count(".venv") == 0


def test_help_needs_no_environment_and_names_every_command(machine):
    answer = machine.autotune("help")
    assert answer.returncode == 0
    assert "./autotune ls " in answer.stdout
    assert "./autotune test " in answer.stdout
    assert "\nautotune " not in answer.stdout
    assert machine.told == []


@pytest.mark.parametrize("word", ["ls", "top", "completion", "complete-words"])
def test_the_shell_s_commands_go_to_the_program(machine, word):
    assert machine.autotune(word, "--json").returncode == 0
    assert machine.told[-1] == f"{machine.checkout}/manage.py {word} --json"


@pytest.mark.parametrize("word", ["COMMAND", "autotune", "FILE.yaml", "*", "-x"])
def test_what_only_stands_in_the_help_is_no_command(machine, word):
    answer = machine.autotune(word)
    assert answer.returncode == 2
    assert f"Unknown command '{word}'" in answer.stderr
