"""Objectives as Optuna's users write them, run as they are: the space grows as it is met."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
import pytest

import autotune_client as at
from autotune_client.suggest import _holds, _stepped
from experiments.models import Experiment
from tests.elsewhere.test_client import tuned


def grown(client: at.Client, objective: Any, trials: int = 12, **more: Any) -> at.Best:
    return tuned(client, objective, None, trials=trials, **more)


def space_of(best: at.Best) -> dict[str, Any]:
    row = Experiment.objects.get(pk=best.study.experiment.id)
    return dict(json.loads(row.manifest["spec"]["searchSpace"]))


# From Optuna's documentation and examples, word for word but for what is trained.


def quadratic(trial: Any) -> float:
    x = trial.suggest_float("x", -100, 100)
    y = trial.suggest_categorical("y", [-1, 0, 1])
    return x**2 + y


def conditional(trial: Any) -> float:
    classifier_name = trial.suggest_categorical("classifier", ["SVC", "RandomForest"])
    if classifier_name == "SVC":
        svc_c = trial.suggest_float("svc_c", 1e-10, 1e10, log=True)
        return abs(math.log10(svc_c))
    rf_max_depth = trial.suggest_int("rf_max_depth", 2, 32, log=True)
    return rf_max_depth


def layers(trial: Any) -> float:
    n_layers = trial.suggest_int("n_layers", 1, 3)
    total = 0
    for i in range(n_layers):
        total += trial.suggest_int(f"n_units_l{i}", 4, 128, step=4)
    return total + trial.suggest_float("dropout", 0.2, 0.5, step=0.1)


def pruned(trial: Any) -> float:
    for step in range(10):
        trial.report(1.0 if trial.number < 3 else 9.0, step)
        if trial.should_prune() or trial.number == 11:
            raise optuna.TrialPruned()
    return 1.0


def test_parameters_that_are_always_met(at_work: at.Client) -> None:
    best = grown(at_work, quadratic, trials=5)
    trials = list(best.study.experiment.trials())
    assert len(trials) == 5
    assert all(set(trial.parameters) == {"x", "y"} for trial in trials)
    assert all(-100 <= t.parameters["x"] <= 100 for t in trials)
    assert all(t.value == t.parameters["x"] ** 2 + t.parameters["y"] for t in trials)
    assert space_of(best) == {
        "x": {"_type": "uniform", "_value": [-100.0, 100.0]},
        "y": {"_type": "choice", "_value": [-1, 0, 1]},
    }


@pytest.mark.long
@pytest.mark.parametrize("tuner", ["TPE", "Auto"])
def test_conditional_parameters(at_work: at.Client, tuner: str) -> None:
    best = grown(at_work, conditional, trials=16, tuner=tuner)
    trials = list(best.study.experiment.trials())
    for trial in trials:
        other = {"SVC": "svc_c", "RandomForest": "rf_max_depth"}[trial.parameters["classifier"]]
        assert set(trial.parameters) == {"classifier", other}, trial
        assert trial.state == "SUCCEEDED"
    assert {t.parameters["classifier"] for t in trials} == {"SVC", "RandomForest"}
    assert set(space_of(best)) == {"classifier", "svc_c", "rf_max_depth"}
    assert best.value == min(t.value for t in trials if t.value is not None)


@pytest.mark.long
def test_as_many_parameters_as_a_parameter_says(at_work: at.Client) -> None:
    best = grown(at_work, layers)
    for trial in best.study.experiment.trials():
        n_layers = trial.parameters["n_layers"]
        units = [v for name, v in trial.parameters.items() if name.startswith("n_units")]
        assert len(units) == n_layers
        assert all(value % 4 == 0 and 4 <= value <= 128 for value in units)
        assert round(trial.parameters["dropout"], 6) in (0.2, 0.3, 0.4, 0.5)


@pytest.mark.long
def test_a_prune_is_an_early_stop(at_work: at.Client) -> None:
    best = grown(at_work, pruned, assessor={"name": "Medianstop", "classArgs": {"start_step": 1}})
    trials = list(best.study.experiment.trials())
    assert {t.state for t in trials[:3]} == {"SUCCEEDED"}
    assert {t.state for t in trials[3:]} == {"EARLY_STOPPED"}
    assert trials[11].value == 9.0


def test_a_parameter_that_changes_its_kind_fails_the_trial(at_work: at.Client) -> None:
    def objective(trial: Any) -> float:
        if trial.number % 2:
            return float(trial.suggest_int("x", 0, 3))
        return float(trial.suggest_float("x", 0, 3))

    best = grown(at_work, objective, trials=2)
    first, second = best.study.experiment.trials()
    assert (first.state, second.state) == ("SUCCEEDED", "FAILED")
    assert "space.x: is uniform [0.0, 3.0] in the search space already" in second.reason


def test_names_are_looked_up_where_the_study_has_a_space(at_work: at.Client) -> None:
    def objective(trial: Any) -> float:
        assert trial.suggest_float("x", 0, 1) == trial.parameters["x"]
        with pytest.raises(KeyError, match="'z' is not in the study's space; it has: x"):
            trial.suggest_int("z", 0, 1)
        return 0.0

    assert tuned(at_work, objective, {"x": at.uniform(0, 1)}, trials=1).value == 0.0


def test_categories_that_are_no_json_are_told_apart(at_work: at.Client) -> None:
    found = []

    def objective(trial: Any) -> float:
        found.append(trial.suggest_categorical("activation", [math.sin, math.cos, (1, 2)]))
        found.append(trial.suggest_categorical("flag", [True, 1, None]))
        return 0.0

    grown(at_work, objective, trials=4)
    assert all(any(each is option for option in (math.sin, math.cos)) or each == (1, 2)
               for each in found[::2])  # fmt: skip
    assert all(type(each) in (bool, int, type(None)) for each in found[1::2])


@pytest.mark.parametrize(
    ("low", "high", "step", "entry"),
    [
        (0, 1, 0.1, {"_type": "quniform", "_value": [0, 1.0, 0.1]}),
        (1, 10, 4, {"_type": "choice", "_value": [1, 5, 9]}),
        (0.2, 0.55, 0.1, {"_type": "quniform", "_value": [0.2, 0.5, 0.1]}),
    ],
)
def test_steps(low: float, high: float, step: float, entry: dict[str, Any]) -> None:
    made = _stepped(low, high, step)
    assert made["_type"] == entry["_type"]
    assert made["_value"] == pytest.approx(entry["_value"])


def test_a_proposed_value_is_taken_only_where_it_fits() -> None:
    assert _holds(at.uniform(0, 1), 0.5)
    assert not _holds(at.uniform(0, 1), 1.5)
    assert not _holds(at.randint(0, 3), 3)
    assert not _holds(at.choice(1, 2), True)
    assert not _holds(at.choice("a"), None)
