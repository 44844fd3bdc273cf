"""The command line as its contract says: exit codes, what stands on stdout, one supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.e2e.stack import (
    ROOT,
    TRIAL_SCRIPT,
    Stack,
    environment,
    free_port,
    manage,
    manifest,
    running_stack,
    trial_processes,
    wait_for,
    write_manifest,
)

pytestmark = pytest.mark.stack


def test_run_goes_to_done_and_prints_the_export_alone(tmp_path):
    file = write_manifest(tmp_path)
    answer = manage(tmp_path / "data", "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    export = json.loads(answer.stdout)
    assert export["experiment"]["phase"] == "DONE"
    assert export["experiment"]["optimize_mode"] == "maximize"
    assert [trial["number"] for trial in export["trials"]] == list(range(6))
    assert {trial["state"] for trial in export["trials"]} == {"SUCCEEDED"}
    values = [trial["value"] for trial in export["trials"]]
    assert export["best"]["value"] == max(values)
    for trial in export["trials"]:
        assert trial["value"] == -((trial["parameters"]["x"] - 1.0) ** 2)
        points = [p for p in trial["intermediate"] if p["name"] == "default"]
        assert [p["step"] for p in points] == [0, 10, 20]
        assert [p["sequence"] for p in points] == [0, 1, 2]
    assert "6/6 trials" in answer.stderr
    assert not {"\x1b", "\r"} & set(answer.stderr)
    assert not trial_processes(tmp_path / "data")


def test_run_takes_a_file_of_several_objects_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "run #1"
    folder.mkdir()
    (tmp_path / "run").mkdir()  # what YAML would have made of the name
    (folder / "here.sh").write_text(f"#!/bin/sh\nexec python3 {TRIAL_SCRIPT}\n")
    (folder / "here.sh").chmod(0o755)
    documents = [{"kind": "ConfigMap", "metadata": {"name": "other"}}]
    for name in ("one", "two"):
        made = manifest(name, maxTrialNum=1)
        task = made["spec"]["trainingConfig"]["tasks"][0]
        task["template"]["spec"]["containers"][0] |= {"command": ["./here.sh"], "workingDir": "."}
        documents.append(made)
    file = folder / "all.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    answer = manage(tmp_path / "data", "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    assert "ConfigMap 'other' is left out" in answer.stderr
    ended = [(e["experiment"]["name"], e["experiment"]["phase"]) for e in json.loads(answer.stdout)]
    assert ended == [("one", "DONE"), ("two", "DONE")]


def test_run_says_timeout_with_exit_code_3_and_keeps_what_was_reported(tmp_path):
    file = write_manifest(tmp_path, maxExecSeconds=2, arguments=[1000, 0.05])
    begun = time.monotonic()
    answer = manage(tmp_path / "data", "run", str(file), "--json")
    assert answer.returncode == 3, answer.stderr
    export = json.loads(answer.stdout)
    assert export["experiment"]["phase"] == "TIMEOUT"
    assert 2.0 <= export["experiment"]["active_seconds"] <= 8.0
    assert export["trials"]
    assert all(trial["state"] == "CANCELED" for trial in export["trials"])
    assert all(trial["intermediate"] for trial in export["trials"])
    assert time.monotonic() - begun < 60
    assert not trial_processes(tmp_path / "data"), "running trials were stopped"


def test_run_says_error_with_exit_code_4_and_why(tmp_path):
    spec = write_manifest(tmp_path)
    spec.write_text(spec.read_text().replace("python3", "no-such-program"))
    answer = manage(tmp_path / "data", "run", str(spec))
    assert answer.returncode == 4, answer.stderr
    assert "no-such-program" in answer.stdout


def test_a_script_that_fails_at_once_costs_three_trials_and_not_a_hundred(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print('loading')\nimport no_such_module\n")
    file = write_manifest(tmp_path, maxTrialNum=100)
    file.write_text(file.read_text().replace(str(ROOT / "tests/e2e/trial.py"), str(script)))
    answer = manage(tmp_path / "data", "run", str(file))
    assert answer.returncode == 4, answer.stderr
    assert "no_such_module" in answer.stderr, "pre-flight warned of it"
    assert answer.stdout.startswith("SUSPENDED: quick")
    why = "exit code 1: ModuleNotFoundError: No module named 'no_such_module'"
    assert f"The first 3 trials failed alike: {why}." in answer.stdout
    assert "\nloading\n" in answer.stdout
    assert len(list((tmp_path / "data" / "trials").glob("at-*"))) <= 5


def test_run_of_trials_that_all_fail_says_so_with_exit_code_4(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("raise SystemExit('bad luck')\n")
    file = write_manifest(tmp_path, maxTrialNum=4, breaker={"alike": 0})
    file.write_text(file.read_text().replace(str(ROOT / "tests/e2e/trial.py"), str(script)))
    answer = manage(tmp_path / "data", "run", str(file))
    assert answer.returncode == 4, answer.stderr
    assert answer.stdout.startswith("DONE: quick")
    assert "No trial succeeded." in answer.stdout


LATER = """
import autotune_trial as trial
number = len(list(__import__("pathlib").Path({folder!r}).iterdir()))
open(f"{folder}/{{number}}", "w").close()
trial.get_parameters()
if number:
    raise MemoryError("the disk is full")
trial.report_final(0.5)
"""


def test_the_breaker_after_a_success_leaves_results_with_exit_code_3(tmp_path):
    folder = tmp_path / "ran"
    folder.mkdir()
    script = tmp_path / "train.py"
    script.write_text(LATER.format(folder=str(folder)))
    file = write_manifest(tmp_path, maxTrialNum=20, trialConcurrency=1)
    file.write_text(file.read_text().replace(str(ROOT / "tests/e2e/trial.py"), str(script)))
    answer = manage(tmp_path / "data", "run", str(file))
    assert answer.stdout.startswith("SUSPENDED: quick"), answer.stdout
    assert "The last 3 trials failed alike: exit code 1: MemoryError: the disk is full." in (
        answer.stdout
    )
    assert "Best value 0.5 (trial 0)" in answer.stdout
    assert answer.returncode == 3, answer.stderr
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_bad_manifest_is_refused_with_path_and_line_and_exit_code_2(command, tmp_path):
    file = write_manifest(tmp_path, maxTrialNum="50", searchSpace={"x": {"_type": "unifrom"}})
    answer = manage(tmp_path / "data", command, str(file))
    assert answer.returncode == 2
    assert "spec.maxTrialNum" in answer.stderr
    assert "uniform" in answer.stderr, "the nearest known name is suggested"
    line = next(
        n for n, text in enumerate(file.read_text().splitlines(), start=1) if "maxTrialNum" in text
    )
    assert f"{file}:{line}: error: spec.maxTrialNum" in answer.stderr
    assert answer.stdout == ""


def test_validate_accepts_the_specification_s_manifest(tmp_path):
    answer = manage(tmp_path / "data", "validate", str(ROOT / "examples" / "specification.yaml"))
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment in which nothing is installed."""
    folder = tmp_path_factory.mktemp("home") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def test_which_python_trials_run_is_said_with_what_it_lacks(tmp_path, bare):
    script = tmp_path / "train.py"
    script.write_text("import numpy\nimport autotune_trial\n")
    file = write_manifest(tmp_path)
    file.write_text(file.read_text().replace(str(ROOT / "tests/e2e/trial.py"), str(script)))
    named = manage(tmp_path / "data", "validate", str(file), "--python", str(bare))
    active = {"VIRTUAL_ENV": str(bare), "PATH": f"{bare}/bin:{os.environ['PATH']}"}
    found = manage(tmp_path / "data", "validate", str(file), **active)
    for answer in (named, found):
        assert answer.returncode == 0, answer.stderr
        assert f"python3 is {bare}/bin/python3 (Python 3." in answer.stderr
        assert "lacks what the script imports: numpy." in answer.stderr
        assert "warning: spec.trainingConfig.tasks[0]" in answer.stderr
    with_numpy = manage(tmp_path / "data", "validate", str(file), f"--python={sys.executable}")
    assert "lacks" not in with_numpy.stderr


def test_the_first_example_runs_without_anything_installed(tmp_path, bare):
    active = {"VIRTUAL_ENV": str(bare), "PATH": f"{bare}/bin:{os.environ['PATH']}"}
    answer = manage(tmp_path / "data", "validate", str(ROOT / "examples/digits-mlp.yaml"), **active)
    assert answer.returncode == 0
    assert f"python3 is {os.path.dirname(sys.executable)}/python3" in answer.stderr
    assert "AutoTune's own, as yours lacks what this example imports" in answer.stderr
    assert "warning" not in answer.stderr


@pytest.mark.parametrize("command", ["up", "run", "validate"])
def test_a_python_that_is_none_is_refused_before_anything_runs(tmp_path, command):
    answer = manage(tmp_path / "data", command, "x.yaml", "--python", "/nowhere/python")
    assert answer.returncode == 1
    assert "--python (AUTOTUNE_TRIAL_PYTHON) must be a Python interpreter" in answer.stderr
    assert "/nowhere/python" in answer.stderr


def test_a_file_that_is_not_there_is_said_plainly(tmp_path):
    answer = manage(tmp_path / "data", "run", str(tmp_path / "nothing.yaml"))
    assert answer.returncode == 2
    assert "nothing.yaml" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_interrupted_run_leaves_no_process_and_can_be_taken_up_again(tmp_path):
    file = write_manifest(tmp_path, maxTrialNum=2, arguments=[1000, 0.05])
    data = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "run", str(file)],
        env=environment(data),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for("trials to run", lambda: len(trial_processes(data)) >= 2)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        assert time.monotonic() - begun < 30
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, words
    wait_for("no trial to be left", lambda: not trial_processes(data), timeout_s=60)


def test_two_supervisors_on_one_data_directory_are_not_possible(tmp_path):
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        answer = manage(stack.data, "up", "--port", "0", timeout_s=90)
        assert answer.returncode != 0
        assert "is in use by process" in answer.stderr
        assert stack.url in answer.stderr
        # the one that runs is none the worse, and takes what `run` has for it
        file = write_manifest(tmp_path, maxTrialNum=2)
        answer = manage(stack.data, "run", str(file))
        assert answer.returncode == 0, answer.stderr
        assert "Best value" in answer.stdout


def test_ctrl_c_stops_everything(tmp_path):
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        experiment = stack.create(arguments=[1000, 0.05])
        wait_for("two running trials", lambda: len(trial_processes(stack.data)) >= 2)
        pids = stack.pids().values()
        assert stack.stop() < 30
        wait_for("no trial to be left", lambda: not trial_processes(stack.data), timeout_s=60)
        assert not [pid for pid in pids if is_alive(pid)]
        assert experiment


def test_a_closed_terminal_stops_everything_too(tmp_path):
    data = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "up", "--no-sample", "--port", str(free_port())],
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # whoever runs the tests by nohup ignores it
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    try:
        assert process.stdout
        assert process.stderr
        next(line for line in process.stdout if "Stop: Ctrl-C" in line)
        stack = Stack(data)
        file = write_manifest(tmp_path, maxTrialNum=2, arguments=[1000, 0.05])
        run = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "run", str(file)],
            env=environment(data),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for("trials to run", lambda: len(trial_processes(data)) >= 2)
        run.kill()
        run.wait()
        pids = stack.pids().values()
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        process.wait(timeout=20)
        assert process.stderr.read() == ""
        assert process.returncode == 0
        assert not [pid for pid in pids if is_alive(pid)]
        wait_for("no trial to be left", lambda: not trial_processes(data), timeout_s=60)
    finally:
        process.kill()
        with process:  # closes its streams
            pass


def test_nohup_keeps_it_running_when_the_terminal_goes(tmp_path):
    script = "import signal, os, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    script += "os.execv(sys.executable, sys.argv[1:])"
    up = [sys.executable, str(ROOT / "manage.py"), "up", "--no-sample", "--port"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *up, str(free_port())],
        env=environment(tmp_path / "data"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        next(line for line in process.stdout if "Stop: Ctrl-C" in line)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        with process:  # closes its streams
            pass


def test_a_run_outlives_the_server_that_it_was_handed_to(tmp_path):
    file = write_manifest(tmp_path, maxTrialNum=2, trialConcurrency=1)
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        run = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "run", str(file), "--json"],
            env=environment(stack.data),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for("a trial", lambda: trial_processes(stack.data))
            stack.stop()
            words, progress = run.communicate(timeout=60)
        finally:
            run.kill()
            run.wait()
    assert run.returncode == 0, progress
    assert "Handing it to the server at" in progress
    export = json.loads(words)
    assert [trial["state"] for trial in export["trials"]] == ["SUCCEEDED", "SUCCEEDED"]


def test_output_that_nobody_reads_ends_quietly(tmp_path):
    with subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "validate", str(write_manifest(tmp_path))],
        env=environment(tmp_path / "data"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(timeout=20) == 128 + signal.SIGPIPE


def is_alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_secret_can_be_kept_before_the_first_start(tmp_path):
    data, key = tmp_path / "not" / "there", "01234567-89ab-cdef-0123-456789abcdef"
    empty = manage(data, "secret", "--list")
    assert (empty.returncode, empty.stdout) == (0, "")
    kept = manage(data, "secret", "my-key", stdin=f"{key}\n")
    assert (kept.returncode, kept.stdout) == (0, "The secret 'my-key' is set.\n"), kept.stderr
    assert manage(data, "secret", "--list").stdout.startswith("my-key  set ")
    token = manage(data, "token").stdout.strip()
    with running_stack(data) as stack:
        status, answer = stack.api("GET", "secrets/", Authorization=f"Bearer {token}")
        assert (status, [secret["name"] for secret in answer]) == (200, ["my-key"])


def test_run_tunes_a_script_that_only_takes_arguments_and_prints(tmp_path):
    made = manifest(
        "prints",
        maxTrialNum=3,
        searchSpace={
            "x": {"_type": "uniform", "_value": [-5, 5]},
            "net": {"_type": "choice", "_value": [{"_name": "a", "layers": {
                "_type": "randint", "_value": [1, 4]}}]},
        },
        metrics={"objective": "loss"},
        tuner={"builtinTunerName": "Random", "classArgs": {"optimize_mode": "minimize"}},
    )  # fmt: skip
    container = made["spec"]["trainingConfig"]["tasks"][0]["template"]["spec"]["containers"][0]
    script = str(ROOT / "tests" / "e2e" / "printing_trial.py")
    container["command"] = ["python3", script, "--x=$(params.x)", "--layers=$(params.net.layers)"]
    file = tmp_path / "prints.yaml"
    file.write_text(yaml.safe_dump(made))
    answer = manage(tmp_path / "data", "run", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    for trial in json.loads(answer.stdout)["trials"]:
        given = trial["parameters"]
        # the script adds in another order, and prints
        least = pytest.approx((given["x"] - 1.0) ** 2 + given["net"]["layers"], rel=1e-12)
        assert (trial["state"], trial["value"]) == ("SUCCEEDED", least)
        curve = [p for p in trial["intermediate"] if p["name"] == "default"]
        assert [(p["sequence"], p["step"], p["value"]) for p in curve] == [
            (n, n, pytest.approx(least.expected + 2 - n, rel=1e-12)) for n in range(3)
        ]  # fmt: skip
        assert trial["metrics"]["accuracy"] == pytest.approx(1 / (1 + least.expected), rel=1e-12)
