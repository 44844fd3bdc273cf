"""Every algorithm that learns beats Random, and goes on after a thousand trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.base import BUDGET_KEY, Observation, Suggestion
from experiments.algorithms.registry import ADVISORS, TUNERS, Entry
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.contract import (
    ENUMERATING,
    EXPENSIVE,
    MODELS,
    done,
    every_model,
    every_tuner,
    loss_of,
    over,
    run,
    searched,
    tuner_of,
)

pytestmark = pytest.mark.long

SMOOTH = {
    "x": {"_type": "uniform", "_value": [-5, 5]},
    "lr": {"_type": "loguniform", "_value": [1e-6, 1]},
    "n": {"_type": "randint", "_value": [0, 100]},
    "c": {"_type": "choice", "_value": ["a", "b", "c"]},
}


def smooth(params: dict[str, Any]) -> float:
    return float(
        ((params["x"] - 2) / 5) ** 2
        + ((math.log10(params["lr"]) + 2) / 3) ** 2
        + ((params["n"] - 30) / 50) ** 2
        + 0.5 * "bca".index(params["c"])
    )


# PPOTuner and PBTTuner beat Random where they are meant to be used: see test_ppo and test_pbt
FULL_BUDGET = 27
BUDGETS: dict[str, dict[str, Any]] = {
    "Hyperband": {"R": FULL_BUDGET},
    "BOHB": {"max_budget": float(FULL_BUDGET)},
    "ASHA": {"max_budget": float(FULL_BUDGET)},
}


def geometric_mean(losses: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(losses))))


def best_of(entry: Entry, n_trials: int, seed: int) -> float:
    history = run(entry, SearchSpace.parse(SMOOTH), n_trials, seed, smooth, rebuild=False)
    return min(o.loss or 1e-9 for o in history)


@every_model
def test_a_model_beats_random_on_a_smooth_function(entry: Entry) -> None:
    # those need half of Random's trials, and two seeds are beyond doubt
    n_seeds, n_trials = (2, 30) if entry in EXPENSIVE else (6, 60)
    found = geometric_mean([best_of(entry, n_trials, seed) for seed in range(n_seeds)])
    randoms = geometric_mean([best_of(TUNERS["Random"], 60, seed) for seed in range(40)])
    assert found < 0.7 * randoms


@over(list(ADVISORS.values()))
def test_an_advisor_beats_random_for_the_same_budget(entry: Entry) -> None:
    """Thirty whole trainings, or many more that end early and are worse by what they lack."""
    space, args = SearchSpace.parse(SMOOTH), entry.args(**BUDGETS[entry.name])

    def best(seed: int) -> float:
        history: list[Observation] = []
        spent, best = 0, math.inf
        advisor = entry.load()(space, args, seed)
        while spent < 30 * FULL_BUDGET:
            (suggestion,) = advisor.propose(history, 1).suggestions
            budget = suggestion.parameters[BUDGET_KEY]
            lacks = 1.0 - budget / FULL_BUDGET
            loss = smooth(suggestion.parameters) + lacks
            history.append(done(len(history), suggestion, loss))
            spent += budget
            best = min(best, loss) if not lacks else best
        return best

    found = geometric_mean([best(seed) for seed in range(4)])
    randoms = geometric_mean([best_of(TUNERS["Random"], 30, seed) for seed in range(40)])
    assert found < 0.7 * randoms


# at least 1,001 configurations of whatever the ones that end with their space can search
THOUSANDS: dict[str, Any] = {"c": {"_type": "choice", "_value": list(range(1010))}}
MANY_THOUSANDS = {
    f"layer{i}": {"_type": "layer_choice", "_value": ["w", "x", "y", "z"]} for i in range(9)
}


@every_tuner
def test_1000_trials(entry: Entry) -> None:
    """Of its own until then, or drawn at random for those whose own would take minutes."""
    raw = THOUSANDS if entry in ENUMERATING else SMOOTH
    space = SearchSpace.parse(MANY_THOUSANDS if entry.name == "PPOTuner" else raw)
    rng = np.random.default_rng(0)
    history: list[Observation] = []
    while len(history) < 1000:
        if entry in MODELS:
            proposed = [Suggestion(space.sample(rng)) for _ in range(100)]
        else:
            proposed = list(tuner_of(entry, space).propose(history, 100).suggestions)
        assert proposed
        for suggestion in proposed:
            loss = loss_of(searched(entry, suggestion.parameters))
            history.append(done(len(history), suggestion, loss))
    proposal = tuner_of(entry, space).propose(history, 3)
    assert len(proposal.suggestions) == 3
    for suggestion in proposal.suggestions:
        assert space.contains(searched(entry, suggestion.parameters)) == []
    if entry in MODELS:
        assert [s.origin for s in proposal.suggestions] == ["model"] * 3
