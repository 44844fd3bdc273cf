"""How a local trial ends, what is told of it, and why one cannot start."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from experiments.training.base import JobState, LaunchError
from tests.training.conftest import Jobs, task, until


def test_a_command_that_ends_well_succeeds_and_tells_when(jobs: Jobs) -> None:
    before = time.time()
    handle = jobs.shell("echo hello")
    status = jobs.end(handle)
    assert (status.state, status.exit_code, status.message) == (JobState.SUCCEEDED, 0, "")
    assert status.started_at is not None
    assert status.finished_at is not None
    assert before <= status.started_at <= status.finished_at <= time.time()
    assert jobs.log(handle) == "hello\n"


def test_a_crash_fails_with_its_exit_code_and_last_line(jobs: Jobs) -> None:
    status = jobs.end(
        jobs.python("print('epoch 1'); raise ValueError('lr is \\x1b[1;31mbad\\x1b[0m\\a')")
    )
    assert (status.state, status.exit_code) == (JobState.FAILED, 1)
    assert status.message == "exit code 1: ValueError: lr is bad"


@pytest.mark.parametrize("code", [2, 77, 127, 255])
def test_exit_codes_pass_through(jobs: Jobs, code: int) -> None:
    status = jobs.end(jobs.shell(f"exit {code}"))
    assert (status.state, status.exit_code) == (JobState.FAILED, code)
    assert status.message == f"exit code {code}"


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (9, "killed by signal 9 (SIGKILL): out of memory?"),
        (11, "killed by signal 11 (SIGSEGV)"),
        (15, "killed by signal 15 (SIGTERM)"),
    ],
)
def test_a_death_by_signal_fails_with_the_code_kubernetes_gives(
    jobs: Jobs, signal: int, message: str
) -> None:
    # "$$$$" is "$$" after the expansion of Kubernetes, and the shell's own pid after the shell's.
    status = jobs.end(jobs.shell(f"kill -{signal} $$$$"))
    assert (status.state, status.exit_code, status.message) == (
        JobState.FAILED,
        128 + signal,
        message,
    )


def test_signals_have_their_default_meaning_in_a_trial(jobs: Jobs) -> None:
    # With SIGPIPE ignored, as Python leaves it, `yes` would report an error instead.
    handle = jobs.shell("yes | head -n 1; kill -INT $$$$")
    assert jobs.end(handle).exit_code == 130
    assert jobs.log(handle) == "y\n"


def test_a_running_trial_is_running_and_polling_changes_nothing(jobs: Jobs) -> None:
    handle = jobs.shell("echo up; exec sleep 60")
    jobs.said(handle, "up")
    kept = sorted(os.listdir(jobs.root / handle["name"]))
    assert [jobs.status(handle).state for _ in range(3)] == [JobState.RUNNING] * 3
    assert jobs.status(handle).started_at == pytest.approx(time.time(), abs=20)
    assert sorted(os.listdir(jobs.root / handle["name"])) == kept


def test_poll_answers_in_the_order_of_the_handles(jobs: Jobs) -> None:
    good, bad = jobs.shell("exit 0"), jobs.shell("exit 5")
    jobs.end(good)
    jobs.end(bad)
    codes = [status.exit_code for status in jobs.backend.poll([bad, good, bad])]
    assert codes == [5, 0, 5]


def test_a_command_that_does_not_exist_is_refused_with_its_path(jobs: Jobs) -> None:
    launch = jobs.describe(task(["no-such-command", "--help"]))
    with pytest.raises(LaunchError) as caught:
        jobs.backend.launch(launch)
    assert str(caught.value) == (
        "spec.trainingConfig.tasks[0].template.spec.containers[0].command[0]: "
        "command not found: no-such-command"
    )
    assert not (jobs.root / launch.name).exists()


def test_a_file_that_cannot_be_executed_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text("echo hi")
    with pytest.raises(LaunchError, match=r"command not found: .*train.sh"):
        jobs.backend.launch(jobs.describe(task([str(script)])))
    script.chmod(0o755)
    with pytest.raises(LaunchError, match=r"(?s)Exec format error .*names its interpreter"):
        jobs.launch(jobs.describe(task([str(script)])))


def test_a_working_directory_that_does_not_exist_is_refused(jobs: Jobs) -> None:
    launch = jobs.describe(task(["true"], workingDir="/no/such/place"))
    with pytest.raises(LaunchError) as caught:
        jobs.backend.launch(launch)
    assert str(caught.value) == (
        "spec.trainingConfig.tasks[0].template.spec.containers[0].workingDir: "
        "directory /no/such/place does not exist"
    )


def test_all_problems_are_told_at_once(jobs: Jobs) -> None:
    launch = jobs.describe(
        task(["nope"], workingDir="relative"),
        task(
            None,
            "ps",
            args=["x"],
            env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        ),
        task(["true"], "../../etc"),
        framework="pytorch",
    )
    with pytest.raises(LaunchError) as caught:
        jobs.backend.launch(launch)
    text = str(caught.value)
    container = "template.spec.containers[0]"
    for expected in (
        f"tasks[0].{container}.workingDir: must be an absolute path, but got 'relative'",
        f"tasks[0].{container}.command[0]: command not found: nope",
        f"tasks[1].{container}.command: must be given for local trials",
        f"tasks[1].{container}.env[0].valueFrom: is not available to local trials",
        "tasks[2].type: must be a DNS label that no other task has, but got '../../etc'",
    ):
        assert expected in text
    assert len(text.splitlines()) == 5


def test_the_framework_s_container_is_the_one_that_runs(jobs: Jobs) -> None:
    launch = jobs.describe(task(["false"]))
    containers = launch.tasks[0].template["spec"]["containers"]
    containers.append({"name": "tensorflow", "command": ["sh"], "args": ["-c", "echo main"]})
    handle = jobs.launch(launch)
    assert jobs.end(handle).state is JobState.SUCCEEDED
    assert jobs.log(handle) == "main\n"


def test_nothing_of_a_manifest_reaches_a_shell(jobs: Jobs) -> None:
    handle = jobs.start(["echo", "a; touch /tmp/x", "$HOME", "`id`"], args=["$$(id)", "*"])
    jobs.end(handle)
    assert jobs.log(handle) == "a; touch /tmp/x $HOME `id` $(id) *\n"


def test_a_trial_runs_where_its_manifest_says_or_in_its_own_directory(
    jobs: Jobs, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train").write_text("#!/bin/sh\npwd -P\n")
    (tmp_path / "code" / "train").chmod(0o755)
    given = jobs.start(["./train"], workingDir=str(tmp_path / "code"))
    own = jobs.shell("pwd -P; echo 1 > result.txt")
    assert jobs.end(given).state is jobs.end(own).state is JobState.SUCCEEDED
    assert jobs.log(given) == f"{(tmp_path / 'code').resolve()}\n"
    assert jobs.log(own) == f"{(jobs.root / own['name'] / 'work').resolve()}\n"


def test_an_end_leaves_a_hint_once(jobs: Jobs) -> None:
    handles = [jobs.shell("exit 0"), jobs.shell("exit 1")]
    for handle in handles:
        jobs.end(handle)
    names = {handle["name"] for handle in handles}
    taken: set[str] = set()
    until(lambda: taken.update(jobs.backend.take_exits()) or taken == names, "the hints")
    assert jobs.backend.take_exits() == []


def test_a_forgotten_job_is_gone_and_then_lost(jobs: Jobs) -> None:
    handle = jobs.shell("echo hi")
    jobs.end(handle)
    until(lambda: (jobs.root / "exits" / handle["name"]).exists(), "the hint")
    jobs.backend.forget(handle)
    jobs.backend.forget(handle)
    assert not (jobs.root / handle["name"]).exists()
    assert jobs.backend.take_exits() == []
    assert jobs.status(handle).state is JobState.LOST
    assert jobs.backend.logs(handle) == []
    jobs.backend.stop(handle)


def test_the_handle_of_another_backend_is_lost_not_an_error(jobs: Jobs) -> None:
    assert jobs.status({"name": "at-exp1-0-1", "namespace": "demo"}).state is JobState.LOST
    jobs.backend.stop({"name": "at-exp1-0-1", "namespace": "demo"})


def test_wandbs_client_finds_the_parameters_as_an_agent_gives_them(jobs: Jobs) -> None:
    env = [{"name": "WANDB_SWEEP_PARAM_PATH", "value": "$(AUTOTUNE_SWEEP_PARAMETERS)"}]
    words = ["sh", "-c", 'cat "$WANDB_SWEEP_PARAM_PATH"']
    parameters = {"lr": 0.5, "net.depth": 3, "net.act.name": "relu"}
    handle = jobs.launch(jobs.describe(task(words, env=env), parameters=parameters))
    jobs.end(handle)
    assert json.loads(jobs.log(handle)) == {
        "wandb_version": 1,
        "lr": {"value": 0.5},
        "net": {"value": {"depth": 3, "act": {"name": "relu"}}},
    }
