"""Our covariance matrix adaptation against the ``cma`` package, and CMA-ES over search spaces."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.arguments import CMAESArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.cma_es import CMA, Strategy, default_population
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.cmaes import CMAESTuner

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses matplotlib
    import cma
    from cma.utilities.math import Mh


def ellipsoid(point: Any) -> float:
    scaled = (np.asarray(point) - 0.4) * np.array([1.0, 3.0, 10.0, 30.0])
    return float((scaled**2).sum() + 0.5 * scaled[0] * scaled[1])


def test_the_state_after_generations_is_that_of_the_cma_package() -> None:
    options = {"CMA_active": False, "seed": 3, "verbose": -9, "popsize": 8}
    theirs = cma.CMAEvolutionStrategy([0.3] * 4, 0.2, options)
    ours = CMA(np.full(4, 0.3), 0.2, 8)
    # where the package's constants have moved on from the tutorial's, take the package's
    s = ours.strategy
    assert s.weights == pytest.approx(theirs.sp.weights.positive_weights)
    assert s.mu_eff == pytest.approx(theirs.sp.weights.mueff)
    for number in range(25):
        points = theirs.ask()
        losses = [ellipsoid(point) for point in points]
        theirs.tell(points, losses)
        if number == 0:  # some are set at the first update
            s.c_1, s.c_mu, s.c_c = theirs.sp.c1, theirs.sp.cmu, theirs.sp.cc
            s.c_sigma, s.d_sigma = theirs.adapt_sigma.cs, theirs.adapt_sigma.damps
            s.chi = Mh.chiN(4)
            s.settle()
        ours.update(np.array(points)[np.argsort(losses)])
        # the package starts with a covariance some 1e-4 off the identity, to break ties
        assert ours.mean == pytest.approx(theirs.mean, rel=1e-6)
        assert ours.sigma == pytest.approx(theirs.sigma, rel=1e-4)
        assert ours.covariance == pytest.approx(theirs.C, rel=1e-4, abs=1e-4)
    assert ours.deviations() == pytest.approx(theirs.stds, rel=1e-3)


def test_the_constants_are_the_tutorials() -> None:
    """Table 1 by hand for 10 columns and the default population of 10."""
    assert default_population(10) == 10
    s = Strategy(10, 10)
    assert s.weights == pytest.approx([0.4563, 0.2708, 0.1622, 0.0852, 0.0255], abs=1e-4)
    assert s.mu_eff == pytest.approx(3.167, abs=1e-3)
    assert s.c_sigma == pytest.approx(5.167 / 18.167, abs=1e-4)
    assert s.d_sigma == pytest.approx(1 + s.c_sigma)
    assert s.c_c == pytest.approx(4.3167 / 14.6334, abs=1e-4)
    assert s.c_1 == pytest.approx(2 / (127.69 + 3.167), abs=1e-5)
    assert s.c_mu == pytest.approx(2 * (3.167 - 2 + 1 / 3.167) / (144 + 3.167), abs=1e-4)
    assert s.chi == pytest.approx(math.sqrt(10) * (1 - 1 / 40 + 1 / 2100), rel=1e-3)


def run(
    raw: dict[str, Any], loss: Any, n_trials: int, seed: int = 0, args: CMAESArgs | None = None
) -> list[Observation]:
    tuner = CMAESTuner(SearchSpace.parse(raw), args or CMAESArgs(), seed)
    history: list[Observation] = []
    for number in range(n_trials):
        (suggestion,) = tuner.propose(history, 1).suggestions
        value = loss(suggestion.parameters)
        history.append(Observation(number, suggestion.parameters, Outcome.DONE, value))
    return history


BOX = {f"x{i}": {"_type": "uniform", "_value": [-4, 1]} for i in range(4)}


@pytest.mark.long
def test_it_converges_and_starts_again_elsewhere() -> None:
    def bowl(p: dict[str, float]) -> float:
        return sum((x + 1.0) ** 2 for x in p.values())

    history = run(BOX, bowl, 400)
    losses = [o.loss or 0.0 for o in history]
    assert min(losses[:250]) < 1e-3
    # after that some are far away again
    assert max(losses[-100:]) > 1.0


@pytest.mark.long
def test_whole_numbers_and_categories_get_to_the_optimum() -> None:
    raw = {
        "n": {"_type": "randint", "_value": [0, 40]},
        "m": {"_type": "quniform", "_value": [0, 1, 0.05]},
        "c": {"_type": "choice", "_value": ["a", "b", "c", "d"]},
    }

    def loss(p: dict[str, Any]) -> float:
        return abs(p["n"] - 31) / 40 + abs(p["m"] - 0.15) + 0.3 * "cdab".index(p["c"])

    for seed in range(3):
        history = run(raw, loss, 120, seed)
        assert min(o.loss or 0.0 for o in history) < 0.05
        late = [o.parameters["c"] for o in history[20:60]]
        assert late.count("c") > len(late) / 2


def test_categories_alone_are_enough() -> None:
    raw = {f"c{i}": {"_type": "choice", "_value": ["a", "b", "c"]} for i in range(5)}
    history = run(raw, lambda p: float(sum(v != "b" for v in p.values())), 60)
    assert min(o.loss or 0.0 for o in history) == 0.0


def test_a_given_population_is_the_length_of_a_generation() -> None:
    history = run(BOX, lambda p: float(sum(p.values())), 10 + 2 * 30)
    space = SearchSpace.parse(BOX)
    tuner = CMAESTuner(space, CMAESArgs(population_size=30), 0)
    # within a generation more results change nothing
    one, two = tuner.propose(history[:41], 1), tuner.propose([*history[:40], *history[50:51]], 1)
    assert one == two
    assert tuner.propose(history[:69], 1) != tuner.propose([*history[:20], *history[21:70]], 1)
