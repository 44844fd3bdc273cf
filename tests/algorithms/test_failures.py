"""Failed trials are a constraint: learnt, avoided, and told with the trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.failures import Failures
from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.search import Product
from experiments.algorithms.registry import TUNERS, Entry
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace
from tests.algorithms.contract import over, tuner_of

LEARNING = [TUNERS[name] for name in ("Auto", "GPTuner", "MetisTuner", "TPE")]
TEN: dict[str, Any] = {f"x{i}": {"_type": "uniform", "_value": [0, 1]} for i in range(9)}
TEN["c"] = {"_type": "choice", "_value": ["a", "b", "c"]}
SPACE = SearchSpace.parse(TEN)


def fails(params: dict[str, Any]) -> bool:
    """By one parameter of ten."""
    return bool(params["x3"] > 0.7)


def history_of(n_trials: int, seed: int = 0, **known: Any) -> list[Observation]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_trials):
        params = SPACE.sample(rng)
        if fails(params):
            found.append(Observation(number, params, Outcome.FAILED, **known))
        else:
            loss = (params["x3"] - 0.5) ** 2 + 0.1 * params["x0"]
            found.append(Observation(number, params, Outcome.DONE, loss, completed=True))
    return found


def test_one_parameter_of_ten_is_found() -> None:
    vectors = VectorSpace(SPACE)
    known = Failures(vectors).learn(history_of(60))
    assert known is not None
    rng = np.random.default_rng(9)
    fresh = [SPACE.sample(rng) for _ in range(300)]
    likely = known.probability(vectors.encode_many(fresh)[0])
    does_fail = np.array([fails(params) for params in fresh])
    wrong = np.mean((likely > 0.5) == does_fail)
    assert wrong < 0.12
    assert 0.6 < likely.mean() < 0.8  # seven in ten run, and it says so


def test_the_gradient_is_the_slope() -> None:
    vectors = VectorSpace(SPACE)
    known = Failures(vectors).learn(history_of(30))
    assert known is not None
    whole = Product(Acquisition(known.process, "ei", np.array([0.5])), known)
    row = vectors.encode(SPACE.sample(np.random.default_rng(4)))
    assert row is not None
    for objective in (known.with_gradient, whole.with_gradient):
        value, gradient = objective(row)
        for index in range(9):
            moved = row.copy()
            moved[index] += 1e-6
            assert (objective(moved)[0] - value) / 1e-6 == pytest.approx(gradient[index], abs=1e-3)
    assert known.with_gradient(row)[0] == pytest.approx(known(row[None, :])[0])


def test_what_was_stopped_lost_or_excluded_teaches_nothing_and_the_newest_counts() -> None:
    vectors = VectorSpace(SPACE)
    assert Failures(vectors).learn(history_of(20, blameless=True)) is None
    assert Failures(vectors).learn([]) is None
    trials = history_of(20)
    again = [
        Observation(20 + n, o.parameters, Outcome.DONE, 1.0)  # all of them ran when tried again
        for n, o in enumerate(trials)
        if o.outcome is Outcome.FAILED
    ]
    assert Failures(vectors).learn(trials) is not None
    assert Failures(vectors).learn(trials + again) is None


@over(LEARNING)
def test_proposals_leave_the_region_that_fails_and_say_how_likely_they_run(entry: Entry) -> None:
    n_seeds = 6 if entry.name == "TPE" else 2
    found = []
    for seed in range(n_seeds):
        trials = history_of(40, seed)
        for suggestion in tuner_of(entry, SPACE, seed).propose(trials, 3).suggestions:
            assert 0.0 <= suggestion.note["likely"] <= 1.0
            found.append(fails(suggestion.parameters))
    assert np.mean(found) <= 0.12
    whole = [o for o in history_of(40) if o.outcome is Outcome.DONE]
    assert "likely" not in tuner_of(entry, SPACE).propose(whole, 1).suggestions[0].note
