"""What a trial promises, per second that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import AutoArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.durations import Durations, Quickness
from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.gaussian_process import GaussianProcess, Hyper
from experiments.algorithms.numerics.search import Product
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace
from experiments.algorithms.tuners.auto import AutoTuner

SPACE = SearchSpace.parse({n: {"_type": "uniform", "_value": [0, 1]} for n in ("size", "x")})


def history_of(n_trials: int, **fixed: Any) -> list[Observation]:
    """The size makes a trial up to a hundred times as long, and no better."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(n_trials):
        params = SPACE.sample(rng)
        seconds = fixed.get("seconds", 10.0 ** (2 * params["size"]))
        loss = (params["x"] - 0.4) ** 2
        found.append(Observation(number, params, Outcome.DONE, loss, seconds=seconds))
    return found


def sizes(history: list[Observation], aware: bool) -> list[float]:
    tuner = AutoTuner(SPACE, AutoArgs(costAware=aware), 1)
    return [s.parameters["size"] for s in tuner.propose(history, 4).suggestions]


@pytest.mark.long
def test_auto_prefers_short_trials_only_if_asked_to() -> None:
    history = history_of(20)
    assert np.mean(sizes(history, aware=True)) < 0.2 < np.mean(sizes(history, aware=False))
    # where all take equally long, or nobody knows, it makes no difference
    for seconds in (60.0, None):
        known = history_of(20, seconds=seconds)
        assert sizes(known, aware=True) == sizes(known, aware=False)


def test_the_gradient_is_the_slope() -> None:
    vectors = VectorSpace(SPACE)
    rows = np.random.default_rng(1).random((12, 2))
    process = GaussianProcess(
        rows, rows[:, 0], np.zeros(2, dtype=bool), 2.5, Hyper(np.ones(2), 1.0, 0.01)
    )
    plain = Acquisition(process, "ei", np.array([0.3]))
    objective = Durations(vectors).per_second(plain, history_of(20))
    assert isinstance(objective, Product)
    assert isinstance(objective.second, Quickness)
    row = np.array([0.4, 0.7])
    value, gradient = objective.with_gradient(row)
    assert value == pytest.approx(objective(row[None, :])[0])
    for index in range(2):
        moved = row.copy()
        moved[index] += 1e-6
        slope = (objective.with_gradient(moved)[0] - value) / 1e-6
        assert slope == pytest.approx(gradient[index], abs=1e-3)
