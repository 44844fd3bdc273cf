"""Parzen densities against scipy.stats and by counting draws; TPE by hand on top of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.algorithms.arguments import TPEArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Column, Domain, Floats
from experiments.algorithms.numerics.parzen import Cells, Parzen, scott_scales
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.tpe import N_START_UP, TPETuner

LEVELS = np.array([0.1, 0.3, 0.8])
MIXED = Domain([Column(), Column(LEVELS), Column(np.arange(3.0), categorical=True)])
CENTRES = np.array([[0.2, 0.3, 1.0], [0.9, 0.8, 2.0]])
SCALES = np.array([0.1, 0.25, 1.0])
WEIGHTS = np.array([2.0, 1.0])


def mixed() -> Parzen:
    return Parzen(Cells(MIXED), CENTRES, WEIGHTS, SCALES, 0.5)


def by_scipy(row: Floats) -> float:
    """The density of ``mixed()`` relative to the even one, column by column."""
    edges = np.array([0.0, 0.2, 0.55, 1.0])
    level = int(np.flatnonzero(row[1] == LEVELS)[0])
    total = 0.5  # the prior is 1 everywhere
    for weight, centre in zip(WEIGHTS, CENTRES, strict=True):
        normals = [
            stats.truncnorm(-c / s, (1 - c) / s, loc=c, scale=s)
            for c, s in zip(centre[:2], SCALES[:2], strict=True)
        ]
        width = edges[level + 1] - edges[level]
        mass = normals[1].cdf(edges[level + 1]) - normals[1].cdf(edges[level])
        leak = 1.5 / (2 + 1.5)  # two kernels, and half a trial for each of three categories
        category = (leak / 3 + (1 - leak if row[2] == centre[2] else 0)) / (1 / 3)
        total += weight * normals[0].pdf(row[0]) * mass / width * category
    return float(total / 3.5)


def test_the_density_is_what_scipy_computes() -> None:
    rng = np.random.default_rng(0)
    rows = MIXED.snap(rng.random((50, 3)))
    expected = [np.log(by_scipy(row)) for row in rows]
    assert mixed().log_density(rows) == pytest.approx(expected)


def test_the_density_sums_to_one() -> None:
    grid = [
        [x, level, float(category)]
        for x in (np.arange(400) + 0.5) / 400
        for level in LEVELS
        for category in range(3)
    ]
    rows = np.array(grid)
    widths = {0.1: 0.2, 0.3: 0.35, 0.8: 0.45}
    even = np.array([widths[level] / 3 / 400 for level in rows[:, 1]])
    assert float((np.exp(mixed().log_density(rows)) * even).sum()) == pytest.approx(1.0, abs=1e-4)


def test_draws_follow_the_density() -> None:
    n_rows = 20_000
    rows = mixed().sample(n_rows, np.random.default_rng(1))
    evenly = MIXED.snap(np.random.default_rng(2).random((n_rows, 3)))
    ratio = np.exp(mixed().log_density(evenly))
    for where in (
        lambda r: r[:, 0] < 0.3,
        lambda r: r[:, 1] == 0.8,
        lambda r: (r[:, 2] == 1.0) & (r[:, 0] < 0.5),
    ):
        expected = float((ratio * where(evenly)).mean())
        # both sides are means of 20,000 draws of a number below 13: 0.02 is over four deviations
        assert float(where(rows).mean()) == pytest.approx(expected, abs=0.02)


def test_a_column_that_does_not_count_holds_the_prior() -> None:
    domain = Domain(
        [Column(np.arange(2.0), categorical=True), Column(parent=0, branch=1.0), Column()]
    )
    rows = domain.tidy(np.array([[0.0, 0.7, 0.5], [1.0, 0.2, 0.5]]))
    density = Parzen(Cells(domain), rows, np.ones(2), np.full(3, 0.1), 1.0)
    draws = density.sample(4000, np.random.default_rng(0))
    assert (draws == domain.tidy(draws.copy())).all()
    # given the branch, two of three sources draw it even, yet most are of its own kernel
    under = draws[draws[:, 0] == 1.0]
    assert 0.5 < float((np.abs(under[:, 1] - 0.2) < 0.2).mean()) < 0.9
    assert np.ptp(under[:, 1]) > 0.8
    # without the branch, where its column would stand makes no difference
    alone = Parzen(Cells(domain), rows[:1], np.ones(1), np.full(3, 0.1), 0.0)
    at = np.array([[1.0, 0.1, 0.5], [1.0, 0.9, 0.5]])
    assert alone.log_density(at)[0] == alone.log_density(at)[1]


def test_scales_follow_scotts_rule() -> None:
    domain = Domain([Column(), Column(), Column(np.linspace(0.1, 0.9, 5))])
    rows = np.array([[0.0, 0.5, 0.1], [0.5, 0.5, 0.1], [1.0, 0.5, 0.1]])
    scales = scott_scales(Cells(domain), rows, np.ones(3))
    # one trial of the prior's variance is added to the three
    spread = np.sqrt([(3 * (1 / 6) + 1 / 12) / 4, (1 / 12) / 4])
    assert scales[:2] == pytest.approx(spread * 3 ** (-1 / 7))
    assert scales[2] >= 0.1  # half a level


def line_history(n_trials: int) -> list[Observation]:
    return [
        Observation(n, {"x": n / n_trials}, Outcome.DONE, abs(n / n_trials - 0.3), completed=True)
        for n in range(n_trials)
    ]


LINE = SearchSpace.parse({"x": {"_type": "uniform", "_value": [0, 1]}})


def test_tpe_proposes_where_the_good_trials_are() -> None:
    history = line_history(40)
    proposals = [
        TPETuner(LINE, TPEArgs(), seed).propose(history, 1).suggestions[0].parameters["x"]
        for seed in range(40)
    ]
    assert abs(float(np.median(proposals)) - 0.3) < 0.05
    assert np.ptp(proposals) > 0.02


def test_tpe_keeps_away_from_running_trials_unless_the_liar_is_an_optimist() -> None:
    history = line_history(40)
    running = [Observation(40 + n, {"x": 0.3}, Outcome.RUNNING) for n in range(6)]

    def distance(args: TPEArgs, trials: list[Observation]) -> float:
        found = [TPETuner(LINE, args, s).propose(trials, 1) for s in range(60)]
        return float(np.mean([abs(p.suggestions[0].parameters["x"] - 0.3) for p in found]))

    nobody = distance(TPEArgs(), history)
    worst = distance(TPEArgs(constant_liar_type="max"), history + running)
    best = distance(TPEArgs(constant_liar_type="min"), history + running)
    assert worst > 1.1 * nobody
    assert worst > best


@pytest.mark.parametrize("engine", ["parzen", "hyperopt"])
def test_running_trials_do_not_end_the_start_up(engine: str) -> None:
    tuner = TPETuner(LINE, TPEArgs(engine=engine), 0)
    crowd: list[Any] = [Observation(100 + n, {"x": 0.5}, Outcome.RUNNING) for n in range(50)]
    short = line_history(N_START_UP - 1)
    assert tuner.propose([*short, *crowd], 1).suggestions[0].origin == "start-up"
    assert tuner.propose([*line_history(30), *crowd], 1).suggestions[0].origin == "model"


def test_tpe_leaves_a_plateau_and_searches_wider_while_it_finds_nothing_better() -> None:
    """Thirty trials on one level around 0.3, found at once or only just now."""
    rng = np.random.default_rng(3)
    start = [Observation(n, {"x": x}, Outcome.DONE, 1.0 + x) for n, x in enumerate(rng.random(10))]
    level = [
        Observation(10 + n, {"x": float(x)}, Outcome.DONE, 0.5)
        for n, x in enumerate(rng.normal(0.3, 0.01, 30))
    ]
    fresh = [Observation(10, {"x": 0.3}, Outcome.DONE, 0.5)]

    def spread(trials: list[Observation]) -> float:
        found = [TPETuner(LINE, TPEArgs(), s).propose(trials, 1) for s in range(60)]
        return float(np.median([abs(p.suggestions[0].parameters["x"] - 0.3) for p in found]))

    assert spread(start + level) > 0.1
    assert spread(start + level) > 1.5 * spread(line_history(40))
    assert spread(start + fresh) < spread(start + level)
