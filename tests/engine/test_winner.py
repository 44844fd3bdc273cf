"""Is the winner real, and would more trials help: verdicts on values that are known to be so."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from experiments.engine.outlook import _best_of, outlook
from experiments.engine.winner import Run, Verdict, judge


def runs(*values: Sequence[float | None]) -> list[Run]:
    """Trials of several parameters: each one's first run, then each one's second, and so on."""
    rounds = itertools.zip_longest(*([(key, v) for v in vs] for key, vs in enumerate(values)))
    flat = [pair for one in rounds for pair in one if pair is not None]
    return [Run(number, key, value) for number, (key, value) in enumerate(flat)]


@pytest.mark.parametrize(
    ("values", "verdict", "likeliest"),
    [
        ([], Verdict.NOTHING, None),
        ([[None]], Verdict.NOTHING, None),
        ([[0.9], [0.8]], Verdict.NOT_REPEATED, None),
        # what ran again is not the best: nothing is known of that one
        ([[0.9], [0.8, 0.79, 0.81]], Verdict.NOT_REPEATED, None),
        ([[0.9, 0.88], [0.8]], Verdict.TOO_FEW, None),
        ([[0.9, 0.9, 0.9], [0.8, 0.8]], Verdict.IDENTICAL, 0),
        ([[0.9, 0.88, 0.89], [0.8]], Verdict.ALONE, None),
        ([[0.9, 0.89, 0.9, 0.91], [0.8, 0.79, 0.8, 0.81]], Verdict.CONFIRMED, 0),
        ([[0.9, 0.85, 0.88, 0.86], [0.88, 0.85, 0.86, 0.87]], Verdict.OPEN, 1),
        ([[0.95, 0.7, 0.72, 0.71], [0.9, 0.89, 0.9, 0.88]], Verdict.LUCKY, 1),
    ],
)
@pytest.mark.parametrize("maximize", [True, False])
def test_the_verdict(
    values: list[list[float | None]], verdict: Verdict, likeliest: int | None, maximize: bool
) -> None:
    sign = 1 if maximize else -1
    turned = [[v if v is None else sign * v for v in vs] for vs in values]
    found = judge(runs(*turned), maximize=maximize)
    if verdict is Verdict.OPEN:  # nearly even
        assert found.verdict in (Verdict.OPEN, Verdict.LUCKY, Verdict.LIKELY)
        assert max(c.chance or 0 for c in found.contenders) < 0.8
        return
    assert (found.verdict, found.likeliest) == (verdict, likeliest)


def test_the_first_run_tells_nothing_of_itself() -> None:
    """It was chosen for its value; only what came later is fair."""
    found = judge(runs([0.99, 0.8, 0.8, 0.83], [0.9, 0.86, 0.88, 0.87]), maximize=True)
    best = found.contenders[0]
    assert (best.trial, best.value, best.again) == (0, 0.99, (2, 4, 6))
    assert best.mean == pytest.approx(0.81)
    # by hand: (0.02^2 + 0.01^2 + 0.01^2 of the one, 0.01^2 twice of the other) / (2 + 2)
    assert found.noise == pytest.approx(math.sqrt((0.0006 + 0.0002) / 4))
    assert best.low == pytest.approx(0.81 - 2.7764451 * found.noise / math.sqrt(3))
    assert found.gap == pytest.approx(0.09)


def test_a_failed_repeat_is_told_and_no_result() -> None:
    found = judge(runs([0.9, None, 0.9, 0.91], [0.8]), maximize=True)
    assert (found.contenders[0].n_failed, len(found.contenders[0].again)) == (1, 2)


def test_chances_come_true() -> None:
    """Where said to be the best with p, it is so in about p of the cases."""
    draw = np.random.default_rng(3)
    said, true = [], []
    for _ in range(200):
        means = draw.normal(size=4)
        drawn = [[*(m + 0.7 * draw.normal(size=5))] for m in means]
        for contender in judge(runs(*drawn), maximize=True).contenders:
            said.append(contender.chance)
            true.append(contender.trial == int(means.argmax()))
    places = np.array(said, dtype=float)
    for low, high in ((0.0, 0.1), (0.2, 0.5), (0.5, 0.8), (0.9, 1.0)):
        inside = (places >= low) & (places <= high)
        share = float(np.array(true)[inside].mean())
        spread = math.sqrt(0.25 / inside.sum())
        assert abs(share - places[inside].mean()) < 4 * spread, (low, high)


def test_the_best_of_some_is_what_all_choices_give() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=9))[::-1]
    for k in (1, 4, 9):
        by_hand = np.mean([max(chosen) for chosen in itertools.combinations(values, k)])
        assert _best_of(values, k) == pytest.approx(float(by_hand))


@pytest.mark.parametrize("kind", ["normal", "uniform", "distance"])
def test_random_draws_gain_what_is_told(kind: str) -> None:
    draw = np.random.default_rng(5)

    def values(n: int) -> np.ndarray:
        if kind == "normal":
            return draw.normal(size=n)
        if kind == "uniform":
            return draw.random(n)
        return -((draw.random((n, 4)) - 0.4) ** 2).sum(axis=1)

    told, true, chances, better = [], [], [], []
    for _ in range(300):
        drawn = values(120)
        found = outlook(drawn[:60].tolist(), n_more=60, maximize=True)
        assert found is not None
        gain = max(0.0, float(drawn[60:].max() - drawn[:60].max()))
        told.append(found.gain)
        true.append(gain)
        chances.append(found.chance)
        better.append(gain > 0)
    assert 0.6 < np.mean(told) / np.mean(true) < 1.7
    assert abs(np.mean(chances) - np.mean(better)) < 0.12


def test_minimizing_is_the_same_turned_round() -> None:
    values = np.random.default_rng(2).normal(size=50)
    up = outlook(values.tolist(), n_more=10, maximize=True)
    down = outlook((-values).tolist(), n_more=10, maximize=False)
    assert up == down
    assert up is not None
    assert 0 < up.chance < 1


def test_too_few_values_and_equal_ones() -> None:
    assert outlook([1.0] * 19, n_more=10, maximize=True) is None
    assert outlook([1.0] * 40, n_more=0, maximize=True) is None
    flat = outlook([1.0] * 40, n_more=40, maximize=True)
    assert flat is not None
    assert (flat.gain, flat.gained) == (0.0, 0.0)
    huge = outlook([1.7e308, -1.7e308] * 20, n_more=40, maximize=True)
    assert huge is not None
    assert 0 <= huge.gain < 1e298
    assert judge([Run(n, n % 3, 1.7e308 * (-1) ** n) for n in range(12)], maximize=True)
