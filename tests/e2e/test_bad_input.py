"""Everything that people and trials do wrong, against the running product.

One started product; every trial that misbehaves is an experiment of its own, all of them created at
once, so that each test only looks at how one of them ended.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.e2e.stack import Stack, manage, manifest, running_stack, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("bad-input")]

LONG = 5_000_000  # characters
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
GOOD = yaml.safe_dump(manifest())

# what it is: (text, words of the refusal)
BAD_TEXTS = {
    "broken YAML": ("a: [1,\nb: }", "is not valid YAML"),
    "a tab": ("metadata:\n\tname: x\n", "tabs can't indent"),
    "5 MB": ("#" + "x" * LONG, "at most 1 MiB, but it is 4.8 MiB"),
    "an alias bomb": (BOMB, "aliases"),
    "a duplicate key": (GOOD + "kind: Other\n", "'kind' is given twice"),
    "a deep nest": ("[" * 5000, "nested deeper"),
    "a Python object": ("!!python/object/apply:os.system [id]", "is not allowed"),
    "nothing": ("", "is empty"),
}

# path in spec, value: (path of the problem, words of it)
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"maxTrialNum": "50"}, "spec.maxTrialNum", "but got the text '50'"),
    ({"maxTrialNum": -1}, "spec.maxTrialNum", "at least 1"),
    ({"maxTrialNum": 10**12}, "spec.maxTrialNum", "at most"),
    ({"trialConcurrency": -3}, "spec.trialConcurrency", "at least 1"),
    ({"trialConcurrency": 10**9}, "spec.trialConcurrency", "at most"),
    ({"maxExecSeconds": 0}, "spec.maxExecSeconds", "at least 1"),
    ({"maxExecSeconds": 10**15}, "spec.maxExecSeconds", "at most"),
    (
        {"searchSpace": {"x": {"_type": "uniform", "_value": [5, 1]}}},
        "spec.searchSpace.x._value",
        "must not exceed",
    ),
    (
        {"searchSpace": {"x": {"_type": "unifrom", "_value": [0, 1]}}},
        "spec.searchSpace.x._type",
        "must be one of",
    ),
    (
        {
            "searchSpace": {"x": {"_type": "normal", "_value": [0, 1]}},
            "tuner": {"builtinTunerName": "GridSearch"},
        },
        "spec.searchSpace.x._type",
        "GridSearch cannot search normal",
    ),
]

CONTAINER = "spec.trainingConfig.tasks[0].template.spec.containers[0]"


def container(**fields: Any) -> dict[str, Any]:
    """A trainingConfig whose container is exactly this."""
    task = {"type": "worker", "replicas": 1}
    pod = {"spec": {"containers": [{"name": "pytorch", **fields}]}}
    return {"trainingConfig": {"type": "pytorch", "tasks": [{**task, "template": pod}]}}


def script(lines: str) -> dict[str, Any]:
    """A trainingConfig whose trial runs this Python, with the client at hand."""
    head = "import autotune_trial as trial, os, sys, time\nx = trial.get_parameters()['x']\n"
    return container(command=["python3", "-c", head + lines])


FINAL = "\ntrial.report_final(x)"
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
DEAF = IGNORE + "trial.report(1)\nprint('deaf', flush=True)\ntime.sleep(1000)"
RAW = """
import json, urllib.error, urllib.request
def send(**fields):
    body = {"trial_job_id": os.environ["TUNER_TRIAL_JOB_ID"], "sequence": 0, **fields}
    url = os.environ["AUTO_TUNE_SERVER_ADDR"] + "/apis/v1/metric"
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
            print(answer.status, answer.read().decode(), flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode(), flush=True)
"""

TRIALS: dict[str, dict[str, Any]] = {
    "crashes": script("raise RuntimeError('out of ideas')"),
    "hangs and is killed": script(DEAF),
    "hangs and is out of time": {**script(DEAF), "maxExecSeconds": 4},
    "forks": script(
        "import subprocess\n"
        "subprocess.Popen(['setsid', 'sleep', '98765'], start_new_session=True)" + FINAL
    ),
    "prints 100 MB": script("for _ in range(100): print('x' * 2**20)" + FINAL),
    "reports NaN as its result": script("trial.report_final(float('nan'))"),
    "reports NaN on its way": script(
        "trial.report(float('nan')); trial.report(0.5); trial.report(float('inf'))" + FINAL
    ),
    "reports text": script(RAW + "send(type='PERIODICAL', value='\"good\"')" + FINAL),
    "reports after its end": script(
        RAW + FINAL + "\nsend(type='PERIODICAL', sequence=7, value='9')\n"
        "send(type='FINAL', value='99')"
    ),
    "reports 4,000 points": script(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: list(pool.map(trial.report, range(4_000)))" + FINAL
    ),
    "never reports": script("pass"),
    "uses another trial's id": script(
        RAW + "send(trial_job_id='zzzzz', type='FINAL', value='99')" + FINAL
    ),
    "no such directory": container(command=["true"], workingDir="/no/such/directory"),
    "no such command": container(command=["/no/such/command"]),
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("bad") / "data", "--no-sample") as stack:
        yield stack


@pytest.fixture(scope="module")
def created(product: Stack) -> dict[str, str]:
    """Id of the experiment of each misbehaviour; one trial each."""
    one = {"maxTrialNum": 1, "trialConcurrency": 1}
    return {name: product.create(**{**one, **spec}) for name, spec in TRIALS.items()}


def ended(product: Stack, experiment_id: str) -> tuple[str, dict[str, Any]]:
    """Phase of an ended experiment, and its one trial."""
    head = product.wait_for_phase(experiment_id, "DONE", "TIMEOUT", "ERROR", timeout_s=90)

    def over() -> Any:
        trial = product.trials(experiment_id)[0]
        return trial if trial["state"] not in ("WAITING", "RUNNING") else None

    return head["phase"], wait_for("the trial to end", over)


def log(product: Stack, experiment_id: str, query: str = "") -> str:
    status, text = product.api("GET", f"experiments/{experiment_id}/trials/0/log/{query}")
    assert status == 200
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def post(product: Stack, text: str, kind: str = "application/yaml") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{product.url}/api/v1/experiments/",
        text.encode(),
        {"Authorization": f"Bearer {product.token}", "Content-Type": kind},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# ---------------------------------------------------------------- manifests


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_text_that_is_no_manifest_is_refused_with_words(product: Stack, name: str):
    text, words = BAD_TEXTS[name]
    status, answer = post(product, text)
    assert status == 400
    assert words in answer["errors"][0]["message"]


@pytest.mark.parametrize("name", ["a tab", "5 MB", "an alias bomb"])
def test_the_command_line_refuses_it_in_one_line(tmp_path: Path, name: str):
    text, words = BAD_TEXTS[name]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    answer = manage(tmp_path / "data", "run", str(file))
    assert answer.returncode == 2
    assert words in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path):
    answer = manage(tmp_path, "validate", "/dev/zero", timeout_s=90)
    assert answer.returncode == 2
    assert "at most 1 MiB" in answer.stderr


@pytest.mark.parametrize(("spec", "path", "words"), BAD_FIELDS)
def test_a_wrong_field_is_named_by_its_path(product: Stack, spec: Any, path: str, words: str):
    status, answer = post(product, json.dumps(manifest(**spec)), "application/json")
    assert status == 400
    assert [e["path"] for e in answer["errors"]] == [path]
    assert words in answer["errors"][0]["message"]


def test_a_container_without_a_command_is_refused(product: Stack):
    status, answer = product.api("POST", "experiments/", manifest(**container()))
    assert status == 400
    assert answer["errors"][0]["path"] == f"{CONTAINER}.command"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no such directory", "directory /no/such/directory does not exist"),
        ("no such command", "command not found: /no/such/command"),
    ],
)
def test_what_cannot_start_is_an_error_with_the_reason(
    product: Stack, created: dict[str, str], name: str, words: str
):
    phase, trial = ended(product, created[name])
    assert phase == "ERROR"
    assert words in product.experiment(created[name])["message"]
    assert words in trial["reason"]


# ---------------------------------------------------------------- trials


def test_a_crash_says_how(product: Stack, created: dict[str, str]):
    phase, trial = ended(product, created["crashes"])
    assert (phase, trial["state"], trial["exit_code"]) == ("DONE", "FAILED", 1)
    assert "RuntimeError: out of ideas" in trial["reason"]
    assert "Traceback" in log(product, created["crashes"])


def test_a_trial_deaf_to_signals_can_be_killed(product: Stack, created: dict[str, str]):
    experiment = created["hangs and is killed"]
    wait_for("it to be deaf", lambda: product.trials(experiment) and log(product, experiment))
    status, _ = product.api("POST", f"experiments/{experiment}/trials/0/kill/")
    assert status == 200
    phase, trial = ended(product, experiment)
    assert (phase, trial["state"], trial["reason"]) == ("DONE", "CANCELED", "Killed by the user.")


def test_a_trial_deaf_to_signals_ends_with_the_time(product: Stack, created: dict[str, str]):
    phase, trial = ended(product, created["hangs and is out of time"])
    assert (phase, trial["state"]) == ("TIMEOUT", "CANCELED")
    assert 4.0 <= product.experiment(created["hangs and is out of time"])["active_seconds"] <= 6.0
    assert trial["latest_value"] == 1.0, "it keeps what it reported"


def test_children_that_hide_end_with_their_trial(product: Stack, created: dict[str, str]):
    phase, trial = ended(product, created["forks"])
    assert (phase, trial["state"]) == ("DONE", "SUCCEEDED")
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "98765"] not in commands


def test_a_hundred_megabytes_of_output_are_kept_and_read_in_pieces(
    product: Stack, created: dict[str, str]
):
    experiment = created["prints 100 MB"]
    assert ended(product, experiment)[1]["state"] == "SUCCEEDED"
    _, logs = product.api("GET", f"experiments/{experiment}/trials/0/logs/")
    assert [entry["size"] for entry in logs] == [100 * (2**20 + 1)]
    assert log(product, experiment, "?offset=-4") == "xxx\n"
    assert len(log(product, experiment, "?limit=1000")) == 1000


def test_nan_is_no_result_but_may_stand_in_a_curve(product: Stack, created: dict[str, str]):
    phase, trial = ended(product, created["reports NaN as its result"])
    assert (phase, trial["state"], trial["value"]) == ("DONE", "FAILED", None)
    assert "NaN" in trial["reason"]
    phase, trial = ended(product, created["reports NaN on its way"])
    assert (trial["state"], trial["n_reports"]) == ("SUCCEEDED", 3)
    path = f"experiments/{created['reports NaN on its way']}/trials/0/metrics/?kind=PERIODICAL"
    values = [metric["value"] for metric in product.api("GET", path)[1]["results"]]
    assert values == ["NaN", 0.5, "Infinity"]


def test_text_for_a_number_is_refused_and_the_trial_goes_on(
    product: Stack, created: dict[str, str]
):
    experiment = created["reports text"]
    assert ended(product, experiment)[1]["state"] == "SUCCEEDED"
    assert "400 not stored: value must be a number" in log(product, experiment)
    _, events = product.api("GET", f"experiments/{experiment}/events/")
    assert "bad report" in [event["what"] for event in events["results"]]


def test_what_comes_after_the_result_changes_nothing(product: Stack, created: dict[str, str]):
    experiment = created["reports after its end"]
    _, trial = ended(product, experiment)
    assert trial["value"] == trial["parameters"]["x"]
    words = log(product, experiment)
    assert "200 stored, but not used" in words
    assert "200 not used: the first FINAL result" in words


def test_thousands_of_points_all_count(product: Stack, created: dict[str, str]):
    _, trial = ended(product, created["reports 4,000 points"])
    assert (trial["state"], trial["n_reports"]) == ("SUCCEEDED", 4_000)
    path = f"experiments/{created['reports 4,000 points']}/charts/curves/"
    status, figure = product.api("GET", path)
    assert status == 200
    assert 2 <= len(figure["data"][0]["x"]) < 2000, "a browser is not sent all of them"


def test_a_trial_without_a_result_has_failed(product: Stack, created: dict[str, str]):
    phase, trial = ended(product, created["never reports"])
    assert (phase, trial["state"], trial["exit_code"]) == ("DONE", "FAILED", 0)
    assert "no final result was reported" in trial["reason"]


def test_nobody_reports_for_another_trial(product: Stack, created: dict[str, str]):
    experiment = created["uses another trial's id"]
    _, trial = ended(product, experiment)
    assert trial["value"] == trial["parameters"]["x"]
    assert "403 not stored: the token is of trial" in log(product, experiment)


# ---------------------------------------------------------------- people


def test_of_two_people_who_edit_a_limit_at_once_one_is_told(product: Stack):
    experiment = product.create(maxTrialNum=5, arguments=[1000, 0.05])
    seen = {"max_trials": 5}

    def edit(value: int) -> int:
        body = {"max_trials": value, "expected": seen}
        return product.api("PATCH", f"experiments/{experiment}/", body)[0]

    with ThreadPoolExecutor(2) as both:
        statuses = list(both.map(edit, (7, 9)))
    assert sorted(statuses) == [200, 409]
    winner = (7, 9)[statuses.index(200)]
    assert product.experiment(experiment)["max_trials"] == winner


def test_deleting_what_runs_leaves_no_process_no_row_and_no_file(product: Stack):
    experiment = product.create(arguments=[1000, 0.05])
    trials = product.data / "trials"
    wait_for("trials to run", lambda: list(trials.glob(f"at-{experiment}-*/worker-0.log")))
    assert product.api("DELETE", f"experiments/{experiment}/")[0] == 204
    assert product.api("GET", f"experiments/{experiment}/")[0] == 404

    def left() -> list[str]:  # Path.glob fails where a folder goes while it looks
        found = (name for _, folders, files in os.walk(trials) for name in folders + files)
        return [name for name in found if name.startswith(f"at-{experiment}-")]

    wait_for("the files to go", lambda: not left())
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        named = [p for p in psutil.process_iter(["environ"]) if p.info["environ"]]
        if not [p for p in named if p.info["environ"].get("NNI_EXP_ID") == experiment]:
            return
    pytest.fail("a process of it is left")
