"""Failures in groups, and the values at which they happen."""

from __future__ import annotations

import random
from typing import Any

import pytest

from experiments.engine.triage import Failure, Group, Where, groups, where
from tests.many_cases import each


def test_failures_alike_are_one_group_whatever_their_numbers_and_paths() -> None:
    failures = [
        Failure(1, 1, "exit code 1: CUDA out of memory. Tried to allocate 2.00 GiB"),
        Failure(2, 1, "exit code 1: No module named 'numpy'"),
        Failure(3, 1, "exit code 1: CUDA out of memory. Tried to allocate 12.50 GiB"),
        Failure(4, 137, "exit code 137: CUDA out of memory. Tried to allocate 1 GiB"),
        Failure(5, 1, "exit code 1: No module named 'torch'"),
    ]
    assert groups(failures) == [
        Group(1, "exit code 1: CUDA out of memory. Tried to allocate 12.50 GiB", (3, 1)),
        Group(1, "exit code 1: No module named 'torch'", (5,)),
        Group(137, "exit code 137: CUDA out of memory. Tried to allocate 1 GiB", (4,)),
        Group(1, "exit code 1: No module named 'numpy'", (2,)),
    ]
    assert groups([]) == []


def trials(fails: Any, n: int = 120, seed: int = 0) -> tuple[list[Any], list[Any]]:
    draw = random.Random(seed)
    failed: list[Any] = []
    well: list[Any] = []
    for _ in range(n):
        parameters = {
            "lr": 10 ** draw.uniform(-5, 0),
            "units": draw.choice([16, 32, 64]),
            "act": draw.choice(["relu", "tanh", True, 1]),
        }
        if parameters["act"] == "relu":
            parameters["act.slope"] = draw.random()
        (failed if fails(parameters, draw) else well).append(parameters)
    return failed, well


def test_a_range_that_fails_is_told() -> None:
    told = where(*trials(lambda p, _: p["lr"] > 0.1))
    assert [(w.parameter, w.high, w.values) for w in told] == [("lr", None, ())]
    assert told[0].low is not None
    assert 0.05 < told[0].low < 0.3
    assert told[0].failed / told[0].of > 0.8
    assert told[0].elsewhere_failed / told[0].elsewhere_of < 0.1


def test_low_values_are_found_as_well_and_one_value_of_a_choice() -> None:
    (told,) = where(*trials(lambda p, _: p["units"] < 20))
    assert (told.parameter, told.low, told.high) == ("units", None, 16)
    (told,) = where(*trials(lambda p, _: p["act"] is True))
    assert (told.parameter, told.values, told.elsewhere_failed) == ("act", (True,), 0)


def test_a_conditional_parameter_is_looked_at_where_it_is() -> None:
    told = where(*trials(lambda p, _: p.get("act.slope", 0) > 0.5, n=300))
    assert "act.slope" in [w.parameter for w in told]
    inner = next(w for w in told if w.parameter == "act.slope")
    assert inner.of + inner.elsewhere_of < 150  # of 300


@each("seed", range(20))
def test_chance_is_not_taken_for_a_cause(seed: int) -> None:
    assert where(*trials(lambda _, draw: draw.random() < 0.3, n=200, seed=seed)) == []


def test_too_few_tell_nothing() -> None:
    assert where([{"x": 1}] * 2, [{"x": 0}] * 500) == []
    assert where([{"x": 1}] * 3, [{"x": 0}] * 4) == []
    assert [w.of for w in where([{"x": 1}] * 3, [{"x": 0}] * 500)] == [3]
    assert where([{"x": 1}] * 50, [{"x": 0}] * 4) == []
    assert where([], []) == []


def test_how_sure_it_is_is_fishers_exact_test() -> None:
    """A tea tasting: 3 of 4 against 1 of 4 is 0.243; far from enough."""
    from experiments.engine.triage import _chance

    assert _chance(3, 4, 4, 8) == pytest.approx(17 / 70)
    assert _chance(4, 4, 4, 8) == pytest.approx(1 / 70)
    assert _chance(0, 4, 4, 8) == pytest.approx(1)
    assert where([{"x": 1}] * 5 + [{"x": 0}], [{"x": 0}] * 6) == []
    assert where([{"x": 1}] * 9, [{"x": 0}] * 9) == [
        Where("x", 1, None, (), failed=9, of=9, elsewhere_failed=0, elsewhere_of=9)
    ]
