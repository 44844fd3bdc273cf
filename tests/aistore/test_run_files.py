"""The files of a Run, read back the way the SDK's reader does: with PyYAML."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from experiments.aistore.run_files import (
    MAX_NAME,
    ExperimentFacts,
    Report,
    RunFacts,
    alternative_name,
    folder_description,
    folder_extra,
    folder_labels,
    folder_name,
    other_folder_name,
    run_description,
    run_files,
    run_labels,
    run_name,
    to_yaml,
)
from tests.many_cases import each

START = datetime(2023, 10, 25, 7, 33, 39, 123456, tzinfo=UTC)
NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,38}[A-Za-z0-9])?\Z")  # the SDK's rule
REQUIRED = {
    "metadata.yaml", "index.yaml", "hyperparameters.yaml", "platform.yaml", "git.yaml",
    "stdout.log",
}  # fmt: skip


def point(sequence: int, value: float | str, name: str = "default", step: Any = "x") -> Report:
    reported = sequence * 100 + 100 if step == "x" else step
    return Report(name, value, sequence, reported, START + timedelta(seconds=sequence))


def a_run(**changes: Any) -> RunFacts:
    facts = RunFacts(
        experiment_id="abcd1234",
        experiment_name="keras-mnist",
        key="0x1y2",
        number=7,
        state="SUCCEEDED",
        reason="",
        parameters={"lr": 1e-05, "units": 32, "act": "relu"},
        started_at=START,
        finished_at=START + timedelta(minutes=2),
        intermediate=(point(0, 0.5), point(1, 0.75)),
        final=(Report("default", 0.8, 0, 0.0, START),),
        log=b"epoch 1\n",
    )
    return dataclasses.replace(facts, **changes)


def read(facts: RunFacts) -> dict[str, Any]:
    return {
        key: yaml.safe_load(content) if key.endswith(".yaml") else content
        for key, content in run_files(facts)
    }


# ---- what is there


def test_everything_that_the_reader_requires_is_there_and_metadata_comes_last():
    keys = [key for key, _ in run_files(a_run())]
    assert set(keys) >= REQUIRED
    assert keys[-1] == "metadata.yaml"
    assert {k for k in keys if k.startswith("metrics/")} == {
        "metrics/val.yaml",
        "metrics/test.yaml",
    }


def test_a_run_without_reports_has_what_is_required_and_no_metrics():
    found = read(a_run(intermediate=(), final=()))
    assert set(found) == REQUIRED
    assert found["index.yaml"]["metrics"] == {}


def test_the_index_names_the_files_there_are():
    found = read(a_run(final=()))
    assert found["index.yaml"] == {
        "hyperparameters": "hyperparameters.yaml",
        "metrics": {"val": "metrics/val.yaml"},
        "platform": "platform.yaml",
        "git": "git.yaml",
        "log": "stdout.log",
    }


def test_metadata_is_what_the_sdk_writes():
    metadata = read(a_run())["metadata.yaml"]
    assert metadata == {
        "kind": "Run",
        "name": "trial-0007-0x1y2",
        "labels": ["autotune", "experiment:keras-mnist", "trial:0x1y2", "status:SUCCEEDED"],
        "description": "SUCCEEDED: trial 7 of the experiment keras-mnist.",
        "startTimestamp": "2023-10-25T07:33:39.123456+00:00",
        "endTimestamp": "2023-10-25T07:35:39.123456+00:00",
        "status": "Complete",
        "alternativeName": alternative_name(a_run()),
        "associations": {"input": [], "output": []},
        "remote": [],
    }
    assert datetime.fromisoformat(metadata["startTimestamp"]) == START


@pytest.mark.parametrize("state", ["FAILED", "EARLY_STOPPED", "CANCELED", "LOST"])
def test_what_did_not_succeed_is_an_error_with_its_reason(state: str):
    metadata = read(a_run(state=state, reason="Exit code 1."))["metadata.yaml"]
    assert metadata["status"] == "Error"
    assert f"status:{state}" in metadata["labels"]
    assert metadata["description"].endswith("Exit code 1.")


# ---- metrics


def test_reports_become_points_at_their_steps_and_the_final_one_stands_at_the_last():
    found = read(a_run())
    assert [(p["value"], p["sequence"]["step"]) for p in found["metrics/val.yaml"]] == [
        ({"default": 0.5}, 100),
        ({"default": 0.75}, 200),
    ]
    (final,) = found["metrics/test.yaml"]
    assert (final["value"], final["sequence"]["step"]) == ({"default": 0.8}, 200)
    assert final["sequence"]["epoch"] is None
    assert datetime.fromisoformat(final["sequence"]["timestamp"]) == START


def test_several_numbers_of_one_report_are_one_point():
    rows = (point(0, 0.5), point(0, 2.0, "loss"), point(1, 0.6), point(1, 1.5, "loss"))
    found = read(a_run(intermediate=rows))["metrics/val.yaml"]
    assert [p["value"] for p in found] == [
        {"default": 0.5, "loss": 2.0},
        {"default": 0.6, "loss": 1.5},
    ]


@pytest.mark.parametrize("steps", [(None, None), (0.5, 1.0), (None, 3.0)])
def test_where_steps_are_missing_or_broken_the_sequence_counts(steps: tuple[Any, Any]):
    rows = (point(0, 0.5, step=steps[0]), point(4, 0.6, step=steps[1]))
    found = read(a_run(intermediate=rows))
    assert [p["sequence"]["step"] for p in found["metrics/val.yaml"]] == [0, 4]
    assert found["metrics/test.yaml"][0]["sequence"]["step"] == 4


def test_what_is_not_finite_is_left_out_and_named():
    rows = (point(0, "NaN"), point(1, 0.5), point(1, "Infinity", "loss"))
    facts = a_run(intermediate=rows, final=(Report("default", "NaN", 0, 0.0, START),))
    found = read(facts)
    assert [p["value"] for p in found["metrics/val.yaml"]] == [{"default": 0.5}]
    assert "metrics/test.yaml" not in found
    assert "not finite: default (NaN), loss (Infinity)." in run_description(facts)


# ---- YAML 1.1


TRAPS = [
    1e-05, 1e20, 1e300, 5e-324, 0.1, -0.0, 3.0, 123456789.125, 2**70, -1, True, False, None,
    "yes", "no", "on", "y", "null", "~", "", "012", "0x1f", "1e-05", ".nan", "1:30", "2024-01-02",
    "=", "<<", "- a", "a: b", "#no", "'", '"', "\\", "{}", "[", "&a", "*a", "!x", "%", "@", "`",
    " lead", "trail ", "two\nlines", "tab\t", "\x00\x07\x7f\x85", "\u2028\u2029\ufeff",
    "学习率", "😀", "\r\n", "a" * 5000, "line " * 500,
]  # fmt: skip


@each("value", TRAPS)
def test_every_value_comes_back_equal_and_of_its_type(value: Any):
    data = {"v": value, "list": [value, {"in": value}]}
    back = yaml.safe_load(to_yaml(data))
    assert back == data
    assert type(back["v"]) is type(value)
    assert math.copysign(1, back["v"]) == math.copysign(1, value) if value == 0.0 else True
    if isinstance(value, str):
        assert yaml.safe_load(to_yaml({value: 1})) == {value: 1}


def test_numbers_that_are_none_stay_numbers():
    text = to_yaml({"a": math.nan, "b": math.inf, "c": -math.inf}).decode()
    assert (".nan" in text, ".inf" in text, "-.inf" in text) == (True, True, True)
    back = yaml.safe_load(text)
    assert math.isnan(back["a"])
    assert (back["b"], back["c"]) == (math.inf, -math.inf)


def test_small_floats_are_written_with_a_point():
    assert b"1.0e-05" in to_yaml({"lr": 1e-05})


def test_half_a_character_does_not_stop_an_upload():
    assert yaml.safe_load(to_yaml({"a": "x\ud800y"})) == {"a": "x?y"}


def test_the_same_object_twice_is_written_twice():
    shared = [1, 2]
    assert b"&" not in to_yaml({"a": shared, "b": shared})


def test_nested_parameters_stay_nested():
    parameters = {"model": {"_name": "svm", "C": 1e-4}, "layers": [1, "2", None]}
    assert read(a_run(parameters=parameters))["hyperparameters.yaml"] == parameters


# ---- names


def test_the_same_trial_has_the_same_name_again_and_others_have_others():
    name = alternative_name(a_run())
    assert re.fullmatch(r"trial-0007-0x1y2_231025_073339_[a-z0-9]{6}", name)
    assert alternative_name(a_run(state="FAILED", log=b"other")) == name
    assert alternative_name(a_run(attempt=2)) != name
    assert alternative_name(a_run(experiment_id="zzzz9999")) != name


@pytest.mark.parametrize("number", [0, 7, 9999, 10**6])
def test_names_of_runs_follow_the_rule(number: int):
    name = run_name(a_run(number=number))
    assert NODE_NAME.match(name)
    assert name.endswith("-0x1y2")


@pytest.mark.parametrize(
    "name",
    ["a", "keras-mnist-autotune", "x" * 63, "a.b.c", "x" * 28 + "-y", "学习 率!", "...", "a b"],
)
def test_names_of_folders_follow_the_rule(name: str):
    facts = ExperimentFacts("abcd1234", name, "RUNNING", START)
    for made in (folder_name(facts), other_folder_name(facts)):
        assert NODE_NAME.match(made), made
        assert len(made) <= MAX_NAME
    assert folder_name(facts).endswith("_1698219219")
    assert folder_name(facts) != other_folder_name(facts)


def test_a_folder_says_whose_it_is_and_how_it_ended():
    facts = ExperimentFacts(
        "abcd1234", "mnist", "DONE", START, best="Best: trial 3.", counts={"SUCCEEDED": 4}
    )
    assert folder_labels(facts) == ["autotune", "id:abcd1234", "name:mnist"]
    assert folder_extra(facts)["createdTimestamp"] == "2023-10-25T07:33:39.123456+00:00"
    assert folder_description(facts) == "DONE. Best: trial 3. Trials: 4 SUCCEEDED."


def test_the_label_of_the_best_is_the_nodes_alone():
    assert run_labels(a_run(), is_best=True)[-1] == "best"
    assert "best" not in read(a_run())["metadata.yaml"]["labels"]
