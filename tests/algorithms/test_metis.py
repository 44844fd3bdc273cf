"""MetisTuner: its candidates, its choice among them and its switches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import MetisArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.metis import MetisTuner

LINE = SearchSpace.parse({"x": {"_type": "uniform", "_value": [-4, 4]}})
GRID = SearchSpace.parse({"x": {"_type": "quniform", "_value": [-4, 4, 0.25]}})


def done(number: int, params: dict[str, Any], loss: float) -> Observation:
    return Observation(number, params, Outcome.DONE, loss, completed=True)


def wave(params: Any) -> float:
    return math.sin(2 * params["x"]) + 0.1 * float(params["x"]) ** 2


def proposed(history: list[Observation], args: MetisArgs, seed: int = 0) -> float:
    (suggestion,) = MetisTuner(LINE, args, seed).propose(history, 1).suggestions
    assert suggestion.origin == "model"
    return float(suggestion.parameters["x"])


def test_it_finds_the_minimum_of_a_wave() -> None:
    history: list[Observation] = []
    for number in range(22):
        (suggestion,) = MetisTuner(LINE, MetisArgs(), 0).propose(history, 1).suggestions
        history.append(done(number, suggestion.parameters, wave(suggestion.parameters)))
    best = min(history, key=lambda o: o.loss or 0.0)
    assert best.parameters["x"] == pytest.approx(-0.7479, abs=0.02)


def half_known() -> list[Observation]:
    """A valley well known at -1, and a far side never seen."""
    return [done(n, {"x": -4 + 0.25 * n}, (-3 + 0.25 * n) ** 2 / 9) for n in range(18)]


@pytest.mark.parametrize(
    "args", [MetisArgs(no_candidates=True), MetisArgs(exploration_probability=0)]
)
def test_without_exploration_the_predicted_optimum_is_proposed(args: MetisArgs) -> None:
    assert proposed(half_known(), args) == pytest.approx(-1.0, abs=0.1)


def test_with_exploration_the_unknown_is_proposed_where_it_teaches_more() -> None:
    history = [done(n, {"x": -4 + 0.25 * n}, math.cos(-8 + 0.5 * n)) for n in range(18)]
    assert proposed(history, MetisArgs(exploration_probability=1.0)) > 0.3


def test_running_trials_are_not_proposed_again() -> None:
    history = half_known()
    proposal = MetisTuner(LINE, MetisArgs(exploration_probability=0), 0).propose(history, 3)
    places = {round(s.parameters["x"], 9) for s in proposal.suggestions}
    assert len(places) == 3


def noisy_history() -> list[Observation]:
    """Every place of a grid but a few, one with a result that cannot be true."""
    rng = np.random.default_rng(0)
    history = []
    for number, params in enumerate(GRID.grid()):
        if number % 8 == 3:
            continue
        loss = 0.1 * params["x"] ** 2 + 0.01 * float(rng.normal())
        history.append(done(number, params, loss - 1.5 * (params["x"] == 2.0)))
    return history


def test_an_outlier_is_tried_again_only_if_resampling_is_allowed() -> None:
    history = noisy_history()
    tried = {o.parameters["x"] for o in history}

    def places(args: MetisArgs) -> set[float]:
        tuners = [MetisTuner(GRID, args, seed) for seed in range(4)]
        return {t.propose(history, 1).suggestions[0].parameters["x"] for t in tuners}

    assert 2.0 in places(MetisArgs(no_resampling=False, exploration_probability=1.0))
    assert not places(MetisArgs(exploration_probability=1.0)) & tried


def test_nothing_is_tried_more_than_three_times_as_an_outlier() -> None:
    history = noisy_history()
    for extra in range(2):
        history.append(done(100 + extra, {"x": 2.0}, -1.1 - extra))
    args = MetisArgs(no_resampling=False, exploration_probability=1.0)
    (suggestion,) = MetisTuner(GRID, args, 0).propose(history, 1).suggestions
    assert suggestion.parameters["x"] != 2.0


def test_words_logarithms_and_branches_are_searched_too() -> None:
    space = SearchSpace.parse(
        {
            "lr": {"_type": "loguniform", "_value": [1e-5, 1]},
            "opt": {
                "_type": "choice",
                "_value": [
                    {"_name": "sgd", "momentum": {"_type": "uniform", "_value": [0, 1]}},
                    "adam",
                ],
            },
        }
    )

    def loss(params: dict[str, Any]) -> float:
        away = abs(math.log10(params["lr"]) + 3)
        return away + (0.5 if params["opt"] == "adam" else abs(params["opt"]["momentum"] - 0.9))

    history: list[Observation] = []
    for number in range(30):
        (suggestion,) = MetisTuner(space, MetisArgs(), 0).propose(history, 1).suggestions
        history.append(done(number, suggestion.parameters, loss(suggestion.parameters)))
    assert min(o.loss or 0.0 for o in history) < 0.15


def test_the_smallest_settings_work() -> None:
    args = MetisArgs(cold_start_num=1, selection_num_starting_points=1)
    history: list[Observation] = []
    for number in range(15):
        (suggestion,) = MetisTuner(LINE, args, 0).propose(history, 1).suggestions
        history.append(done(number, suggestion.parameters, wave(suggestion.parameters)))
    assert len({o.parameters["x"] for o in history}) == 15


def test_a_space_of_one_point_goes_on() -> None:
    space = SearchSpace.parse({"x": {"_type": "choice", "_value": ["only"]}})
    history = [done(number, {"x": "only"}, 0.1 * number) for number in range(15)]
    proposal = MetisTuner(space, MetisArgs(), 0).propose(history, 2)
    assert [s.parameters for s in proposal.suggestions] == [{"x": "only"}] * 2
