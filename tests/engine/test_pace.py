"""How long an experiment will take: checked by running the rest of it, many times, on paper."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import pytest

from experiments.engine.pace import Left, Stopped, saved_by_stopping, time_left

FOR_EVER = 1e9


def test_nothing_is_said_before_three_trials_have_ended_or_when_none_is_to_come() -> None:
    assert time_left([5, 5], [], n_to_come=9, at_once=1, limit_s=FOR_EVER) is None
    assert time_left([5, 5, 5], [], n_to_come=0, at_once=1, limit_s=FOR_EVER) is None


@pytest.mark.parametrize(
    ("n_to_come", "at_once", "seconds"),
    [(10, 1, 100), (1, 4, 10), (20, 4, 50), (21, 4, 60), (1000, 4, 2500)],
)
def test_trials_that_take_the_same_leave_no_doubt(
    n_to_come: int, at_once: int, seconds: float
) -> None:
    left = time_left([10] * 5, [], n_to_come=n_to_come, at_once=at_once, limit_s=FOR_EVER)
    assert left == Left(pytest.approx(seconds), pytest.approx(seconds), "trials")  # type: ignore[arg-type]


def test_a_running_trial_takes_what_those_took_that_ran_as_long() -> None:
    taken = [10, 10, 10, 100]
    left = time_left(taken, [50], n_to_come=0, at_once=1, limit_s=FOR_EVER)
    assert left == Left(50, 50, "trials")
    longer_than_all = time_left(taken, [200], n_to_come=0, at_once=1, limit_s=FOR_EVER)
    assert longer_than_all is not None
    assert 0 < longer_than_all.high_s <= 20


def test_the_time_limit_comes_first_or_cuts_the_range() -> None:
    of_ten = {"n_to_come": 10, "at_once": 1}
    assert time_left([10] * 5, [], **of_ten, limit_s=60) == Left(60, 60, "time")
    left = time_left([1, 20, 3, 18, 8, 10], [], **of_ten, limit_s=100)
    assert left is not None
    assert left.low_s < 100 == left.high_s
    assert time_left([10] * 5, [3], **of_ten, limit_s=0) == Left(0, 0, "time")


@pytest.mark.long
@pytest.mark.parametrize("at_once", [1, 4, 16])
@pytest.mark.parametrize(
    "duration",
    [
        lambda draw, n: draw.lognormal(3, 0.6, n),
        lambda draw, n: np.where(draw.random(n) < 0.5, 5.0, 60.0),  # half stopped early
        lambda draw, n: draw.normal(30, 2, n),
    ],
    ids=["lognormal", "two kinds", "alike"],
)
def test_it_mostly_ends_within_the_range(
    at_once: int, duration: Callable[[np.random.Generator, int], np.ndarray]
) -> None:
    """Of 200 experiments of 100 trials, seen when 40 have ended."""
    within = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        left = time_left(duration(draw, 40), [], n_to_come=60, at_once=at_once, limit_s=FOR_EVER)
        assert left is not None
        within += left.low_s <= makespan(duration(draw, 60), at_once) <= left.high_s
    assert 0.6 <= within / 200 <= 0.97


def makespan(durations: np.ndarray, at_once: int) -> float:
    slots = [0.0] * at_once
    for seconds in durations:
        heapq.heappush(slots, heapq.heappop(slots) + float(seconds))
    return max(slots)


def test_what_stopping_saved_is_what_each_had_left_at_its_own_pace() -> None:
    """A whole one starts for 100 s and reports ten times, every 10 s or every second."""
    whole = [200.0, 110.0], [10, 10]
    quick, slow = Stopped(102, 3, reporting_s=2), Stopped(120, 3, reporting_s=20)
    assert saved_by_stopping(*whole, [quick, slow]) == (7 * 1 + 7 * 10, 14)
    assert saved_by_stopping(*whole, [Stopped(105, 20, reporting_s=4)]) == (0, 0)


def test_what_stopping_saved_without_reports_is_measured_against_whole_trials() -> None:
    stopped = [Stopped(seconds) for seconds in (5, 12, 40)]
    assert saved_by_stopping([10, 20], [0, 0], stopped) == (10 + 3 + 0, 0)
    assert saved_by_stopping([], [], [Stopped(5)]) is None
    assert saved_by_stopping([10], [0], []) is None
