"""Evolution by hand: the covering start, the tournament, crossing and mutation."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.algorithms.arguments import EvolutionArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Column, Domain
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.evolution import EvolutionTuner, breed, mutate

LINE = SearchSpace.parse({"x": {"_type": "uniform", "_value": [0, 1]}})


def xs(history: list[Observation], count: int, seed: int = 0, size: int = 32) -> list[float]:
    tuner = EvolutionTuner(LINE, EvolutionArgs(population_size=size), seed)
    return [s.parameters["x"] for s in tuner.propose(history, count).suggestions]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_generation_covers_the_space_evenly(seed: int) -> None:
    places = sorted(int(8 * x) for x in xs([], 8, seed))
    assert places == list(range(8))  # one in each eighth


def test_children_descend_from_the_best_of_the_population_only() -> None:
    history = [Observation(n, {"x": 0.9}, Outcome.DONE, 5.0 + n, completed=True) for n in range(20)]
    history += [Observation(20 + n, {"x": 0.4}, Outcome.DONE, 1.0) for n in range(4)]
    history += [Observation(24, {"x": 0.1}, Outcome.FAILED)]
    history += [Observation(25 + n, {"x": 0.1}, Outcome.RUNNING) for n in range(6)]
    children = [xs(history, 1, seed, size=4)[0] for seed in range(100)]
    assert all(0.0 < abs(x - 0.4) < 5 * 0.2 for x in children)
    assert float(np.median(np.abs(np.array(children) - 0.4))) < 0.1
    assert abs(float(np.median(children)) - 0.4) < 0.05


@pytest.mark.parametrize(
    ("n_results", "steps"), [(20, (0.02, 0.06)), (11, (0.05, 0.12)), (1, (0.2, 0.5))]
)
def test_steps_are_longer_the_more_results_repeat(
    n_results: int, steps: tuple[float, float]
) -> None:
    history = [
        Observation(n, {"x": 0.5}, Outcome.DONE, float(min(n, n_results - 1))) for n in range(20)
    ]
    children = np.array([xs(history, 1, seed, size=1)[0] for seed in range(200)])
    typical = float(np.median(np.abs(children - 0.5)))
    assert steps[0] < typical < steps[1]


def test_the_best_wins_as_often_as_a_tournament_of_a_half_lets_it() -> None:
    domain = Domain([Column() for _ in range(20)])
    rows = np.repeat(np.arange(32.0)[:, None] / 32, 20, axis=1)
    n_children, n_best = 1000, 0
    for seed in range(n_children):
        child = breed(domain, rows, 0.01, np.random.default_rng(seed))
        n_best += bool((child == rows[0]).any())  # about 11 of 20 columns stay as inherited
    wins = 1 - (31 / 32) ** 16
    by_hand = 0.7 * wins + 0.3 * (1 - (1 - wins) ** 2)
    # a deviation of a mean of 1,000 is 0.014
    assert n_best / n_children == pytest.approx(by_hand, abs=0.05)


def test_mutation_moves_some_columns_and_discrete_ones_by_a_step_at_least() -> None:
    domain = Domain(
        [
            *[Column() for _ in range(4)],
            *[Column(np.array([0.1, 0.5, 0.9])) for _ in range(3)],
            *[Column(np.arange(3.0), categorical=True) for _ in range(3)],
        ]
    )
    row = np.array([0.0, 0.3, 0.7, 1.0, 0.1, 0.5, 0.9, 0.0, 1.0, 2.0])
    children = np.array(
        [mutate(domain, row, 0.05, np.random.default_rng(seed)) for seed in range(500)]
    )
    assert (children[:, :4] >= 0.0).all()
    assert (children[:, :4] <= 1.0).all()
    assert (domain.snap(np.where(domain.categorical, children / 3, children)) == children).all()
    n_changed = (children != row).sum(axis=1)
    assert n_changed.min() >= 1
    # one column for sure, and of the others two fifths of numbers and 0.05 of categories
    assert n_changed.mean() == pytest.approx(1 + 0.9 * (7 * 0.4 + 3 * 0.05), abs=0.3)
    # from the lowest level only to the next, from the middle to both
    assert set(children[:, 4]) == {0.1, 0.5}
    assert set(children[:, 5]) == {0.1, 0.5, 0.9}
    assert {tuple(np.unique(children[:, c])) for c in (7, 8, 9)} == {(0.0, 1.0, 2.0)}


def test_a_branch_that_is_newly_taken_gets_values() -> None:
    domain = Domain(
        [Column(np.arange(2.0), categorical=True), Column(parent=0, branch=1.0), Column()]
    )
    row = domain.tidy(np.array([[0.0, 0.9, 0.2]]))[0]
    children = [mutate(domain, row, 0.05, np.random.default_rng(seed)) for seed in range(200)]
    taken = [child[1] for child in children if child[0] == 1.0]
    assert len(set(taken)) == len(taken) > 50
    assert all(child[1] == 0.5 for child in children if child[0] == 0.0)
