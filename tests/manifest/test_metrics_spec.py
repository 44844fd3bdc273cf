"""``spec.metrics``: what is taken, what is refused with its field, what is foretold of it."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.manifest.forecast import forecast_of
from experiments.manifest.metrics_spec import MetricsSpec
from experiments.manifest.spec import ProblemsError, parse_manifest, to_manifest
from tests.manifest.manifests import ABSENT, CONTAINER, small


def parsed(metrics: Any, **changes: Any) -> Any:
    return parse_manifest(small({"spec.metrics": metrics, **changes})).spec


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"objective": "loss"}, MetricsSpec("loss")),
        ({"objective": "loss", "stdout": {}}, MetricsSpec("loss", stdout=True)),
        ({"objective": "loss", "file": "a.csv"}, MetricsSpec("loss", file="a.csv")),
        (
            {"objective": "loss", "stdout": {"pattern": r"(\w+): (.+)"}, "file": "a"},
            MetricsSpec("loss", r"(\w+): (.+)", "a", True),
        ),
    ],
)
def test_what_is_given_is_kept_and_written_back(given: Any, found: MetricsSpec) -> None:
    spec = parsed(given)
    assert spec.metrics == found
    assert parse_manifest(to_manifest(spec)).spec == spec
    assert to_manifest(spec)["spec"]["metrics"] == given


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({}, "", "is required"),
        ([], "", "must be a mapping"),
        ({"stdout": {}}, ".objective", "is required"),
        ({"objective": 3}, ".objective", "must be text"),
        ({"objective": "loss", "stdin": {}}, ".stdin", "no field 'stdin'"),
        ({"objective": "loss", "stdout": "x"}, ".stdout", "must be a mapping"),
        ({"objective": "loss", "stdout": {"patern": "x"}}, ".stdout.patern", "no field"),
        (
            {"objective": "loss", "stdout": {"pattern": "("}},
            ".stdout.pattern",
            "regular expression",
        ),
        ({"objective": "loss", "stdout": {"pattern": "x"}}, ".stdout.pattern", "have a group"),
        ({"objective": "loss", "stdout": {"pattern": "(?P<name>.)"}}, ".stdout.pattern", "'value'"),
        ({"objective": "loss", "stdout": {"pattern": "x" * 1001}}, ".stdout.pattern", "at most"),
        ({"objective": "loss", "file": ["a"]}, ".file", "must be text"),
        ({"objective": "loss", "tensorboard": 7}, ".tensorboard", "must be text"),
        ({"objective": "a", "tensorboard": "b", "file": "c"}, ".tensorboard", "must stand alone"),
        ({"objective": "a", "tensorboard": "b", "stdout": {}}, ".tensorboard", "must stand alone"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(given: Any, path: str, words: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parsed(given)
    assert [(p.path, words in p.message) for p in caught.value.problems] == [
        (f"spec.metrics{path}", True)
    ]


def test_a_cluster_collects_none_and_a_file_of_all_trials_is_warned_of() -> None:
    for named in ({"file": "a.csv"}, {"stdout": {}}, {"tensorboard": "runs"}):
        spec = parsed({"objective": "loss", **named})
        said = [p.path for p in forecast_of(spec, runs_here=False).problems]
        assert said == ["spec.metrics"]
    logs = forecast_of(parsed({"objective": "loss"}), runs_here=False)  # to a tracker, perhaps
    assert logs.problems == ()
    assert "spec.metrics" in [w.path for w in logs.warnings]
    here = {f"{CONTAINER}.image": ABSENT, f"{CONTAINER}.workingDir": "/tmp"}
    for file, count in (("a.csv", 1), ("$(TUNER_TRIAL_JOB_ID).csv", 0)):
        found = forecast_of(parsed({"objective": "loss", "file": file}, **here)).warnings
        assert len([w for w in found if w.path == "spec.metrics.file"]) == count


@pytest.mark.parametrize(
    ("objective", "mode", "is_warned"),
    [
        ("val_loss", "maximize", True), ("test/RMSE", "maximize", True),
        ("val_loss", "minimize", False), ("gloss", "maximize", False),
        ("accuracy", "maximize", False), ("errors_found", "maximize", False),
    ],
)  # fmt: skip
def test_a_loss_that_is_maximized_is_warned_of(objective, mode, is_warned) -> None:
    tuner = {"builtinTunerName": "TPE", "classArgs": {"optimize_mode": mode}}
    found = forecast_of(parsed({"objective": objective}, **{"spec.tuner": tuner})).warnings
    assert ("spec.metrics.objective" in {each.path for each in found}) == is_warned
