"""GPTuner and what it shares with MetisTuner: encoding, scaling, pending trials, its settings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.algorithms import surrogate
from experiments.algorithms.arguments import GPArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace, even_positions
from experiments.algorithms.tuners.gp import GPTuner
from tests.algorithms.spaces import EVERY_TYPE, FINITE_TYPES

LINE = SearchSpace.parse({"x": {"_type": "uniform", "_value": [-4, 4]}})


def done(number: int, params: dict[str, Any], loss: float) -> Observation:
    return Observation(number, params, Outcome.DONE, loss, completed=True)


def history_of(space: SearchSpace, loss: Any, n_trials: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    drawn = [space.sample(rng) for _ in range(n_trials)]
    return [done(number, params, loss(params)) for number, params in enumerate(drawn)]


def minimise(space: SearchSpace, loss: Any, n_trials: int, args: GPArgs, seed: int = 0) -> Any:
    history: list[Observation] = []
    for number in range(n_trials):
        (suggestion,) = GPTuner(space, args, seed).propose(history, 1).suggestions
        history.append(done(number, suggestion.parameters, loss(suggestion.parameters)))
    return history


# -- encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [EVERY_TYPE, FINITE_TYPES])
def test_encoding_is_undone_by_decoding(raw: Any) -> None:
    space = SearchSpace.parse(raw)
    vectors = VectorSpace(space)
    rng = np.random.default_rng(0)
    for _ in range(200):
        params = space.sample(rng)
        row = vectors.encode(params)
        assert row is not None
        back = vectors.decode(row)
        assert space.contains(back) == []
        again = vectors.encode(back)
        assert again is not None
        np.testing.assert_allclose(again, row, atol=1e-9)
        if space.n_distinct() is not None:
            assert back == params


@pytest.mark.parametrize("raw", [EVERY_TYPE, FINITE_TYPES])
def test_every_row_of_the_domain_is_a_configuration(raw: Any) -> None:
    space = SearchSpace.parse(raw)
    vectors = VectorSpace(space)
    rng = np.random.default_rng(0)
    rows = vectors.domain.sobol(64, rng)
    near = vectors.domain.around(rows, np.full(64, 0.2), rng)
    for row in np.concatenate([rows, near, vectors.domain.neighbours(rows[0])]):
        params = vectors.decode(row)
        assert space.contains(params) == []
        again = vectors.encode(params)
        assert again is not None
        exact = ~vectors.domain.continuous
        np.testing.assert_allclose(again[exact], row[exact])


def test_the_grid_of_a_small_domain_is_the_space() -> None:
    space = SearchSpace.parse(FINITE_TYPES)
    vectors = VectorSpace(space)
    grid = vectors.domain.grid(1000)
    assert grid is not None
    keys = {space.key(vectors.decode(row)) for row in grid}
    assert keys == {space.key(params) for params in space.grid()}
    assert len(grid) == space.n_distinct()
    assert vectors.domain.grid(10) is None


def test_a_configuration_outside_the_space_has_no_row() -> None:
    assert VectorSpace(LINE).encode({"x": 5}) is None
    assert VectorSpace(LINE).encode({}) is None


@pytest.mark.parametrize(
    ("numbers", "gaps"),
    [
        ([1, 2, 3, 4], [1, 1, 1]),
        ([1, 10, 100, 10_000], [1, 1, 2]),  # even in the logarithm
        ([0, 1e-4, 1e-3, 1e-2], [1, 1, 1]),  # even in neither: by rank
        ([8, 2, 32], [-1, 2]),  # in the order written
    ],
)
def test_numbers_to_choose_from_stand_on_the_scale_that_suits(
    numbers: list[float], gaps: list[float]
) -> None:
    positions = np.array(even_positions(numbers))
    assert positions.min() == pytest.approx(0.5 / len(numbers))
    assert positions.max() == pytest.approx(1 - 0.5 / len(numbers))
    found = np.diff(positions)
    np.testing.assert_allclose(found / abs(found[0]), np.array(gaps) / abs(gaps[0]), rtol=1e-6)


# -- the model's view of losses ------------------------------------------------------------------


def test_the_power_transform_is_about_scipy_s() -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=200)) - 1.0
    ours = surrogate.yeo_johnson(values)
    theirs, _ = stats.yeojohnson(values)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999
    assert abs(stats.skew(ours)) < 0.2
    assert (np.argsort(ours) == np.argsort(values)).all()


def test_targets_keep_the_order_and_failures_are_worst() -> None:
    losses = np.array([3.0, np.nan, 1e300, -2.0, 7.0, 8.0])
    targets = surrogate.to_targets(losses)
    assert np.isfinite(targets).all()
    assert targets[1] == targets[2] == targets.max()
    others = targets[[3, 0, 4, 5]]
    assert (np.diff(others) > 0.02).all()  # one absurd loss does not hide what the others say
    assert (surrogate.to_targets(np.array([np.nan, np.nan])) == 0).all()
    assert (surrogate.to_targets(np.array([4.0, 4.0, 4.0])) == 0).all()
    mostly_equal = surrogate.to_targets(np.array([4.0, 4.0, 4.0, 4.0, 4.0, 3.0]))
    assert np.argmin(mostly_equal) == 5


def test_thinning_keeps_the_best_and_the_latest() -> None:
    targets = np.random.default_rng(0).normal(size=1000)
    kept = surrogate.thinned(targets, 300)
    assert len(kept) == len(set(kept)) == 300
    assert set(np.argsort(targets)[:150]) <= set(kept)
    assert set(range(925, 1000)) <= set(kept)
    assert len(surrogate.thinned(targets[:200], 300)) == 200


# -- proposals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [GPArgs(), GPArgs(utility="poi", xi=0.01), GPArgs(utility="ucb", kappa=1.0)]
)
def test_every_utility_finds_the_minimum_of_a_wave(args: GPArgs) -> None:
    def loss(params: dict[str, Any]) -> float:
        return math.sin(2 * params["x"]) + 0.1 * params["x"] ** 2

    history = minimise(LINE, loss, 20, args)
    best = min(history, key=lambda o: o.loss)
    assert best.parameters["x"] == pytest.approx(-0.7479, abs=0.02)  # brute force on a fine grid


def test_kappa_and_xi_make_it_explore() -> None:
    """A valley well known and a far side never seen: the more exploration, the farther it goes."""
    history = [done(n, {"x": -4 + 0.25 * n}, (-3 + 0.25 * n) ** 2 / 9) for n in range(18)]

    def proposed(args: GPArgs) -> float:
        (suggestion,) = GPTuner(LINE, args, 0).propose(history, 1).suggestions
        assert suggestion.origin == "model"
        return float(suggestion.parameters["x"])

    near, far = GPArgs(utility="ucb", kappa=0.0), GPArgs(utility="ucb", kappa=1e4)
    assert proposed(near) == pytest.approx(-1.0, abs=0.2)
    assert proposed(far) > 2.0
    assert proposed(GPArgs(utility="poi", xi=0.0)) == pytest.approx(-1.0, abs=0.2)
    assert proposed(GPArgs(utility="poi", xi=1.0)) > 2.0


def test_the_least_noise_is_respected() -> None:
    vectors = VectorSpace(LINE)
    history = history_of(LINE, lambda p: p["x"] ** 2, 30)
    for alpha in (1e-6, 0.5):
        modeller = surrogate.Modeller(vectors, 2.5, alpha)
        noise = modeller.hyper(modeller.read(history)).noise
        assert noise >= alpha
        assert noise == pytest.approx(alpha, rel=0.5 if alpha == 0.5 else 1e3)


def test_proposals_of_one_moment_lie_apart() -> None:
    """Running trials count: four at once are not four times the same place."""
    history = history_of(LINE, lambda p: math.cos(p["x"]), 15)
    proposal = GPTuner(LINE, GPArgs(), 0).propose(history, 4)
    places = sorted(s.parameters["x"] for s in proposal.suggestions)
    assert min(np.diff(places)) > 1e-3


def test_running_trials_narrow_the_model_and_average_to_its_mean() -> None:
    vectors = VectorSpace(LINE)
    history = history_of(LINE, lambda p: math.cos(p["x"]), 8)
    modeller = surrogate.Modeller(vectors, 2.5, 1e-6)
    before = modeller.model(modeller.read(history), np.random.default_rng(0))
    history.append(Observation(8, {"x": 3.9}, Outcome.RUNNING))
    after = modeller.model(modeller.read(history), np.random.default_rng(0))
    row = vectors.encode({"x": 3.9})
    assert row is not None
    mean, deviation = before.process.predict(row[None, :])
    means, narrowed = after.process.predict(row[None, :])
    assert narrowed[0] < 0.5 * deviation[0]
    assert means.shape == (1, surrogate.N_FANTASIES)
    assert means.mean() == pytest.approx(mean[0, 0], abs=1e-6)  # fantasies come in opposite pairs
    assert after.thresholds.min() <= after.thresholds.max() <= before.thresholds[0] + 1e-9


def test_start_up_counts_finished_trials_and_covers_the_space() -> None:
    tuner = GPTuner(LINE, GPArgs(cold_start_num=8), 1)
    proposal = tuner.propose([], 8)
    assert {s.origin for s in proposal.suggestions} == {"start-up"}
    eighths = {int(s.parameters["x"] + 4) for s in proposal.suggestions}
    assert len(eighths) == 8
    history = [
        Observation(n, s.parameters, Outcome.RUNNING) for n, s in enumerate(proposal.suggestions)
    ]
    assert tuner.propose(history, 1).suggestions[0].origin == "start-up"
    history = [done(n, dict(o.parameters), o.parameters["x"]) for n, o in enumerate(history)]
    assert tuner.propose(history, 1).suggestions[0].origin == "model"
    failed = [Observation(o.number, o.parameters, Outcome.FAILED) for o in history]
    assert tuner.propose(failed, 1).suggestions[0].origin == "start-up"  # nothing to learn from


def test_a_fresh_tuner_and_one_that_remembers_its_fit_agree() -> None:
    space = SearchSpace.parse(FINITE_TYPES)
    history = history_of(space, lambda p: float(p["n"]) + float(p["q"]), 12)
    used = GPTuner(space, GPArgs(), 0)
    used.propose(history[:11], 1)
    assert used.propose(history, 2) == GPTuner(space, GPArgs(), 0).propose(history, 2)


def test_the_smallest_settings_work() -> None:
    args = GPArgs(cold_start_num=1, selection_num_warm_up=1, selection_num_starting_points=1)
    space = SearchSpace.parse(EVERY_TYPE)
    history = minimise(space, lambda p: float(p["u"]), 4, args)
    assert space.contains(history[-1].parameters) == []
