"""How a trial ends whose numbers came by a tracker's client."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.access.tokens import TrialClaim
from experiments.models import Experiment, Metric, TrackedTrial, Trial
from experiments.reports import rows
from experiments.reports.tracking import MLFLOW, Entry, Tracked
from tests.loop.passes import look


@pytest.fixture
def experiment(make_experiment: Any) -> Experiment:
    return make_experiment({"metrics": {"objective": "loss"}})


def log(trial: Trial, name: str, *values: float) -> None:
    claim = TrialClaim(trial.pk, trial.key, trial.number, trial.experiment_id)
    entries = tuple(Entry(name, value, float(step)) for step, value in enumerate(values))
    rows.write([(claim, Tracked(MLFLOW, entries=entries, progress=0.5, seconds_left=60))])


def first() -> Trial:
    return Trial.objects.get(number=0)


def test_the_objectives_last_value_is_the_result_of_an_exit_with_code_0(experiment, backend):
    look(experiment)
    log(first(), "loss", 3, 2, 1.5)
    log(first(), "acc", 0.1, float("nan"))
    backend.end(0, exit_code=0)
    look(experiment)

    trial = first()
    assert (trial.state, trial.value, trial.has_final) == ("SUCCEEDED", 1.5, True)
    assert trial.metrics == {"default": 1.5, "acc": "NaN"}
    final = Metric.objects.filter(trial=trial, kind="FINAL")
    assert {metric.name: metric.json_value for metric in final} == trial.metrics
    assert {metric.seq for metric in final} <= set(range(1, trial.seq + 1))


@pytest.mark.parametrize(
    ("name", "values", "code", "state", "words"),
    [
        ("loss", [float("inf")], 0, "FAILED", "The final result is Infinity, not a finite"),
        ("loss", [1.0], 1, "FAILED", "exited with code 1"),
        ("val_loss", [1.0], 0, "FAILED", "It logged val_loss, but not 'loss'."),
    ],
)
def test_no_result_says_why(experiment, backend, name, values, code, state, words):
    look(experiment)
    log(first(), name, *values)
    backend.end(0, exit_code=code)
    look(experiment)

    assert (first().state, words in first().reason) == (state, True), first().reason


def test_where_no_objective_is_named_the_reason_lists_what_there_was(make_experiment, backend):
    experiment = make_experiment()
    look(experiment)
    log(first(), "val_loss", 1.0)
    backend.end(0, exit_code=0)
    look(experiment)

    assert first().reason.endswith("It logged val_loss: name one as spec.metrics.objective.")


def test_another_attempt_begins_without_what_was_logged(experiment, backend):
    look(experiment)
    log(first(), "loss", 3)
    assert first().logged_by == "mlflow"
    backend.lose(0)
    look(experiment)

    assert (first().attempt, first().logged_by, first().progress) == (2, "", None)
    assert first().expected_end is None
    assert not TrackedTrial.objects.exists()
