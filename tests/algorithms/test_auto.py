"""Auto's rule, and that its trials are those of the tuner it picks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import AutoArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.auto import AutoTuner, explored, pick

RAW: dict[str, Any] = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "net": {
        "_type": "choice",
        "_value": [{"_name": "a", "lr": {"_type": "loguniform", "_value": [1e-4, 1]}}, "b"],
    },
}


@pytest.mark.parametrize(
    ("n_parameters", "n_finished", "n_running", "name"),
    [
        (1, 0, 0, "GPTuner"),
        (20, 300, 32, "GPTuner"),
        (21, 0, 0, "TPE"),
        (3, 301, 0, "TPE"),
        (3, 0, 33, "TPE"),
    ],
)
def test_the_rule(n_parameters: int, n_finished: int, n_running: int, name: str) -> None:
    assert pick(n_parameters, n_finished, n_running) == name


def history(n_finished: int, n_running: int) -> list[Observation]:
    space = SearchSpace.parse(RAW)
    rng = np.random.default_rng(0)
    found = []
    for number in range(n_finished + n_running):
        params = space.sample(rng)
        if number < n_finished:
            found.append(Observation(number, params, Outcome.DONE, params["x"]))
        else:
            found.append(Observation(number, params, Outcome.RUNNING))
    return found


@pytest.mark.parametrize(
    ("n_finished", "n_running", "name"), [(30, 2, "GPTuner"), (301, 2, "TPE"), (30, 33, "TPE")]
)
def test_a_trial_is_the_one_of_the_tuner_picked(n_finished: int, n_running: int, name: str) -> None:
    space = SearchSpace.parse(RAW)
    trials = history(n_finished, n_running)
    (ours,) = AutoTuner(space, AutoArgs(), 4).propose(trials, 1).suggestions
    entry = TUNERS[name]
    (theirs,) = entry.load()(space, entry.args(), 4).propose(trials, 1).suggestions
    assert ours.parameters == theirs.parameters
    assert ours.origin == theirs.origin == "model"
    assert ours.note == {"tuner": name}


def test_it_changes_over_within_one_request() -> None:
    tuner = AutoTuner(SearchSpace.parse(RAW), AutoArgs(), 0)
    suggestions = tuner.propose([], 36).suggestions
    assert [s.note["tuner"] for s in suggestions] == ["GPTuner"] * 33 + ["TPE"] * 3


def test_parameters_of_branches_count() -> None:
    branch = {f"p{i}": {"_type": "uniform", "_value": [0, 1]} for i in range(20)}
    raw = {"net": {"_type": "choice", "_value": [{"_name": "a", **branch}, "b"]}}
    tuner = AutoTuner(SearchSpace.parse(raw), AutoArgs(), 0)
    assert tuner.propose([], 1).suggestions[0].note == {"tuner": "TPE"}


@pytest.mark.long
def test_a_model_that_does_not_predict_shares_its_trials() -> None:
    """One in twenty is explored where it predicts, one in three where it guesses."""
    assert explored(0.9, 10, None) == pytest.approx(0.05)
    assert explored(0.2, 10, None) == pytest.approx(0.19)
    assert explored(0.0, 10, None) == explored(-0.8, 10, None) == pytest.approx(0.33)
    # of a known number of trials more at the beginning, and never nothing
    assert explored(0.9, 0, 100) == pytest.approx(0.075)
    assert explored(0.9, 100, 100) == explored(0.9, 300, 100) == pytest.approx(0.025)

    def names(loss: Any) -> list[str]:
        space = SearchSpace.parse(RAW)
        rng = np.random.default_rng(1)
        found = []
        for n_trials in range(14, 44):
            drawn = [space.sample(rng) for _ in range(n_trials)]
            trials = [
                Observation(n, params, Outcome.DONE, float(loss(params, rng)))
                for n, params in enumerate(drawn)
            ]
            (suggestion,) = AutoTuner(space, AutoArgs(), 0).propose(trials, 1).suggestions
            found.append(suggestion.note["tuner"])
        return found

    smooth = names(lambda params, rng: params["x"])
    noise = names(lambda params, rng: rng.random())
    assert 0 < noise.count("TPE") < 20
    assert smooth.count("TPE") < noise.count("TPE")
