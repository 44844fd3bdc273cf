"""The shell at a running server: by data directory or by address, at a terminal or not."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import (
    ROOT,
    Stack,
    environment,
    manage,
    running_stack,
    trial_processes,
    wait_for,
    write_manifest,
)
from tests.e2e.terminal import Terminal

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("shell")]

PROGRAM = [sys.executable, str(ROOT / "manage.py")]
EVIL = "\x1b]0;gone\x07\x1b[2J实验"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), "--no-sample") as stack:
        yield stack


@pytest.fixture(scope="module")
def done(stack: Stack) -> str:
    """An experiment that has ended, whose name would clear the screen."""
    experiment = stack.create(maxTrialNum=3)
    assert stack.api("PATCH", f"experiments/{experiment}/", {"name": EVIL})[0] == 200
    stack.wait_for_phase(experiment, "DONE")
    return experiment


@pytest.fixture
def running(stack: Stack) -> Iterator[str]:
    """An experiment whose two trials go on and on, of such a name too."""
    experiment = stack.create(arguments=[10_000, 0.05], maxTrialNum=2)
    assert stack.api("PATCH", f"experiments/{experiment}/", {"name": f"quick{EVIL}"})[0] == 200
    yield experiment
    stack.api("POST", f"experiments/{experiment}/finish/", {})
    stack.wait_for_phase(experiment, "DONE")


def test_a_command_asks_the_server_of_its_data_directory_and_leaves_no_token(stack, done):
    answer = manage(stack.data, "ls", "--json")
    assert answer.returncode == 0, answer.stderr
    assert done in [each["id"] for each in json.loads(answer.stdout)]
    shown = json.loads(manage(stack.data, "show", EVIL, "--json").stdout)
    assert shown["id"] == done
    best = json.loads(manage(stack.data, "best", done, "--json").stdout)
    assert best["value"] == shown["best"]["value"]
    assert stack.token  # the only one that anybody made
    counted = "from experiments.models import ApiToken; print(ApiToken.objects.count())"
    assert manage(stack.data, "shell", "-v", "0", "-c", counted).stdout.strip() == "1"


def test_another_server_is_asked_by_address_and_token(stack, done, tmp_path):
    there = {"AUTOTUNE_URL": stack.url, "AUTOTUNE_TOKEN": stack.token}
    answer = manage(tmp_path / "none", "trials", done, "--where", "value < 0", "--json", **there)
    assert len(json.loads(answer.stdout)) == 3, answer.stderr
    refused = manage(tmp_path / "none", "ls", AUTOTUNE_URL=stack.url, AUTOTUNE_TOKEN="at_x")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Unknown or withdrawn API token" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_decisions_reach_what_runs(stack, running, tmp_path):
    wait_for("two trials", lambda: len(trial_processes(stack.data)) == 2)
    assert json.loads(manage(stack.data, "suspend", running, "--json").stdout)["suspended"] is True
    stopped = manage(stack.data, "stop", running, "0")
    assert stopped.stdout == "Being stopped: 0.\n", stopped.stderr
    wait_for("the trial's end", lambda: stack.trials(running)[0]["state"] == "CANCELED")
    assert manage(stack.data, "retry", running, "0").stdout == "Tried again as 2.\n"
    out = tmp_path / "out.csv"
    assert manage(stack.data, "export", running, "--format", "csv", "-o", str(out)).returncode == 0
    assert out.read_text().startswith("number,id,state")
    assert "goes on" in manage(stack.data, "resume", running).stdout
    assert manage(stack.data, "finish", running, "--json").returncode == 0
    stack.wait_for_phase(running, "DONE")
    assert manage(stack.data, "finish", running).returncode == 2


def test_a_log_is_followed_to_the_end_of_its_trial(stack):
    experiment = stack.create(maxTrialNum=1, arguments=[20, 0.1])
    wait_for("a trial", lambda: [t for t in stack.trials(experiment) if t["started_at"]])
    answer = manage(stack.data, "logs", experiment, "-f")
    assert answer.returncode == 0, answer.stderr
    assert stack.trials(experiment)[0]["state"] == "SUCCEEDED"
    assert "trial 0" in answer.stderr
    whole = json.loads(manage(stack.data, "logs", experiment, "0", "--json").stdout)
    assert whole["text"] == answer.stdout
    assert whole["text"]


def test_a_server_that_is_killed_is_not_asked(stack, tmp_path):
    with running_stack(tmp_path / "data", "--no-sample") as other:
        experiment = other.create(maxTrialNum=1)
        other.wait_for_phase(experiment, "DONE")
        other.kill()
        answer = manage(other.data, "ls", "--json")
        assert [each["id"] for each in json.loads(answer.stdout)] == [experiment], answer.stderr
        nothing = manage(other.data, "run", "--detach", str(write_manifest(tmp_path)))
        assert nothing.returncode == 2
        assert "up --data" in nothing.stderr


def test_a_page_is_opened_by_a_link_that_signs_in(stack, done):
    answer = manage(stack.data, "open", done)
    assert re.fullmatch(
        rf"{stack.url}/sign-in/\S+/\?next=%2Fexperiments%2F{done}%2F\n", answer.stdout
    ), answer.stderr
    plain = json.loads(manage(stack.data, "open", done, "--json").stdout)
    assert plain == {"url": f"{stack.url}/experiments/{done}/"}


def test_run_detach_leaves_it_to_the_server(stack, tmp_path):
    file = write_manifest(tmp_path, name="handed-over", maxTrialNum=1)
    answer = manage(stack.data, "run", "--detach", "--python", sys.executable, str(file))
    assert answer.returncode == 0, answer.stderr
    experiment, url = answer.stdout.split()
    assert url == f"{stack.url}/experiments/{experiment}/"
    assert stack.wait_for_phase(experiment, "DONE")["origin"] == "cli"
    # the server was started with another one, or none
    kept = json.loads(manage(stack.data, "export", experiment).stdout)["experiment"]["manifest"]
    assert kept["spec"]["local"] == {"python": sys.executable}
    there = {"AUTOTUNE_URL": stack.url, "AUTOTUNE_TOKEN": stack.token}
    again = manage(tmp_path / "none", "run", "--detach", "--json", str(file), **there)
    assert again.returncode == 0, again.stderr
    head = json.loads(again.stdout)
    assert head["url"] == f"{stack.url}/experiments/{head['id']}/"
    assert manage(stack.data, "rm", head["id"]).returncode == 0
    file.write_text(file.read_text().replace("maxTrialNum: 1", "maxTrialNum: 0"))
    bad = manage(tmp_path / "none", "run", "--detach", str(file), **there)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "spec.maxTrialNum: " in bad.stderr
    alone = manage(tmp_path / "none", "run", str(file), "--url", stack.url)
    assert alone.returncode == 2
    assert "--detach" in alone.stderr
    assert manage(stack.data, "rm", "handed-over").stdout.startswith("handed-over (")
    assert stack.api("GET", f"experiments/{experiment}/")[0] == 404


@pytest.mark.parametrize("columns", [80, 40])
def test_top_is_live_and_leaves_the_terminal_as_it_was(stack, running, columns):
    wait_for("two trials", lambda: len(trial_processes(stack.data)) == 2)
    keys = {80: "q", 40: "\x03"}[columns]
    env = environment(stack.data, LANG="C.UTF-8")
    with Terminal([*PROGRAM, "top"], env, columns) as terminal:
        terminal.wait_for("RUNNING")
        terminal.wait_for("quick")
        terminal.wait_for("[▁▂▃▄▅▆▇█]{4}")  # a trial's curve
        terminal.wait_for("q ends")
        terminal.wait_for("q ends")  # it is drawn again
        terminal.press(keys)
        assert terminal.end() == 0
        assert "\x1b[?1049l" in terminal.everything
        assert "\x1b[2J实验" not in terminal.everything
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.everything).splitlines()
        assert any("实验" in line for line in lines)


def test_top_prints_once_into_a_pipe(stack, running):
    answer = manage(stack.data, "top", running)
    assert answer.stdout.startswith("RUNNING  quick")
    assert "\x1b" not in answer.stdout
    whole = json.loads(manage(stack.data, "top", "--json").stdout)
    assert whole["experiments"][0]["id"] == running


def test_run_draws_a_bar_and_ctrl_c_asks_what_it_means(tmp_path):
    file = write_manifest(tmp_path, maxTrialNum=50, arguments=[3, 0.05])
    env = environment(tmp_path / "data", LANG="C.UTF-8")
    with Terminal([*PROGRAM, "run", str(file)], env, 60) as terminal:
        terminal.wait_for(r"RUNNING  █+░+  [1-9]\d?/50  best -\d", timeout_s=120)
        terminal.press("\x03")
        terminal.wait_for("or .l.eave it for later")
        terminal.press("c\n")
        terminal.wait_for(r"RUNNING  █+░+")
        terminal.press("\x03")
        terminal.wait_for("or .l.eave it for later")
        terminal.press("f\n")
        assert terminal.end() == 0
        assert "DONE: quick" in terminal.said
        assert "Best value" in terminal.said


def test_a_second_ctrl_c_leaves_a_run_for_later(tmp_path):
    file = write_manifest(tmp_path, maxTrialNum=50, arguments=[1000, 0.05])
    with Terminal([*PROGRAM, "run", str(file)], environment(tmp_path / "data"), 40) as terminal:
        terminal.wait_for("2 running|RUNNING", timeout_s=120)
        terminal.press("\x03")
        terminal.wait_for("or .l.eave")
        terminal.press("\x03")
        assert terminal.end() == 130
        assert "goes on with ./autotune up" in terminal.said
    wait_for("no trial to be left", lambda: not trial_processes(tmp_path / "data"))
    phase = json.loads(manage(tmp_path / "data", "ls", "--json").stdout)[0]["phase"]
    assert phase == "RUNNING"


def test_deleting_at_a_terminal_is_asked_first(stack):
    experiment = stack.create(maxTrialNum=1)
    with Terminal([*PROGRAM, "rm", experiment], environment(stack.data)) as terminal:
        terminal.wait_for(r"its \d+ trials? and their logs\? \[y/N\] ")
        terminal.press("\n")
        assert terminal.end() == 2
    assert stack.api("GET", f"experiments/{experiment}/")[0] == 200


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_shell_completes_ids_and_names(stack, done, name, tmp_path):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
    program = tmp_path / "autotune"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    script = manage(stack.data, "completion", name).stdout
    asks = {
        "bash": f"COMP_WORDS=(autotune show {done[:4]}); COMP_CWORD=2; _autotune;"
        ' printf "%s\\n" "${COMPREPLY[@]}"; COMP_WORDS=(autotune show ""); _autotune;'
        ' printf "%s\\n" "${COMPREPLY[@]}"',
        "zsh": f"words=(autotune show {done[:4]}); CURRENT=3; compadd() {{ print -l $found }};"
        " _autotune; words=(autotune show ''); _autotune",
    }
    compdef = "compdef() { :; }\n" if name == "zsh" else ""
    answer: Any = subprocess.run(
        [name, *(["-f"] if name == "zsh" else ["--norc"]), "-c", compdef + script + asks[name]],
        env={**environment(stack.data), "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    first, *others = answer.stdout.splitlines()
    assert first == done, answer.stderr
    assert {done, "handed-over"} & set(others) == {done}, "the deleted one is not offered"


def test_a_killed_reader_ends_a_command_quietly(stack, done):
    with subprocess.Popen(
        [*PROGRAM, "trials", done],
        env=environment(stack.data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 128 + signal.SIGPIPE


def test_a_directory_that_is_none_is_not_made(tmp_path: Path):
    answer = manage(tmp_path / "none", "ls")
    assert answer.returncode == 2
    assert "There is nothing in" in answer.stderr
    assert "./autotune up" in answer.stderr
    assert not (tmp_path / "none").exists()
