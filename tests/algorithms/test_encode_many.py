"""Many configurations to rows at once: as one by one, only quicker."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace
from tests.algorithms.spaces import EVERY_TYPE

MORE: dict[str, Any] = {
    "huge": {"_type": "randint", "_value": [0, 2**53]},
    "one": {"_type": "uniform", "_value": [2, 2]},
    "numbers": {"_type": "choice", "_value": [1, 2.5, 40]},
    "twice": {"_type": "choice", "_value": ["a", "b", "a", True]},
    "q": {"_type": "quniform", "_value": [0.05, 1, 0.1]},
    "fine": {"_type": "quniform", "_value": [0, 10_000, 1]},
}


@pytest.mark.parametrize("raw", [EVERY_TYPE, MORE], ids=["every type", "special"])
def test_many_rows_are_those_of_one_by_one(raw: dict[str, Any]) -> None:
    space = SearchSpace.parse(raw)
    vectors = VectorSpace(space)
    rng = np.random.default_rng(0)
    configurations = [space.sample(rng) for _ in range(200)]
    rows, is_inside = vectors.encode_many(json.loads(json.dumps(configurations)))
    assert is_inside.all()
    singly = np.array([vectors.encode(params) for params in configurations])
    assert rows == pytest.approx(singly, abs=1e-12)
    # levels exactly, so that equal configurations have equal rows
    discrete = vectors.domain.discrete
    assert (rows[:, discrete] == singly[:, discrete]).all()


OUTSIDE: list[tuple[str, Any]] = [
    ("mixed", "b"),
    ("net", {"_name": "conv", "kernel": 2, "drop": 0.1}),
    ("net", {"_name": "conv", "kernel": 1, "drop": 0.6}),
    ("net", {"_name": "conv", "kernel": 1}),
    ("net", {"_name": "conv", "kernel": 1, "drop": 0.1, "more": 1}),
    ("whole", 4),
    ("whole", 0.5),
    ("whole", True),
    ("u", 1.6),
    ("u", None),
    ("qu", 7),
    ("lu", 0),
    ("n", float("nan")),
    ("qn", 0.05),
    ("ln", -1.0),
    ("layer", {"_value": "conv5x5", "_idx": 1}),
]


@pytest.mark.parametrize(("name", "value"), OUTSIDE)
def test_what_lies_outside_is_told_apart(name: str, value: Any) -> None:
    space = SearchSpace.parse(EVERY_TYPE)
    vectors = VectorSpace(space)
    good = space.sample(np.random.default_rng(1))
    bad = {**good, name: value}
    assert vectors.encode(bad) is None
    assert vectors.encode_many([good, bad, good])[1].tolist() == [True, False, True]


def test_missing_and_unknown_parameters_lie_outside() -> None:
    space = SearchSpace.parse(MORE)
    good = space.sample(np.random.default_rng(1))
    short = {name: value for name, value in good.items() if name != "q"}
    broken: list[Any] = [short, {**good, "more": 1}, {}, None]
    assert VectorSpace(space).encode_many(broken)[1].tolist() == [False] * 4
    assert VectorSpace(space).encode_many([])[0].shape == (0, 5)


FINITE: dict[str, Any] = {
    name: EVERY_TYPE[name] for name in ("mixed", "whole", "qu", "qlu", "layer", "skip")
} | {
    "net": {
        "_type": "choice",
        "_value": [{"_name": "a", "k": {"_type": "randint", "_value": [0, 3]}}, "b", "b", None],
    },
    "inputs": {
        "_type": "input_choice",
        "_value": {"candidates": ["x", "y", "z"], "n_chosen": [0, 2]},
    },
}
HUGE = FINITE | {f"n{i}": {"_type": "randint", "_value": [0, 10**12]} for i in range(5)}
EXACT = FINITE | {"n": {"_type": "randint", "_value": [-(2**53), 2**53]}}


@pytest.mark.parametrize("raw", [FINITE, HUGE, EXACT], ids=["small", "huge", "exact"])
def test_many_numbers_are_those_of_one_by_one(raw: dict[str, Any]) -> None:
    space = SearchSpace.parse(raw)
    rng = np.random.default_rng(0)
    configurations = [space.sample(rng) for _ in range(200)]
    found = space.indices_of(json.loads(json.dumps(configurations)))
    assert found == [space.index_of(params) for params in configurations]
    assert [space.at(number) for number in found if number is not None] == configurations


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", 0.5),
        ("whole", True),
        ("mixed", "b"),
        ("net", {"_name": "a", "k": 3}),
        ("layer", {"_value": "conv5x5", "_idx": 1}),
        ("layer", {"_value": "conv3x3", "_idx": True}),
        ("layer", "conv3x3"),
        ("inputs", {"_value": ["x"], "_idx": [1]}),
        ("inputs", {"_value": ["y"], "_idx": [True]}),
        ("inputs", {"_value": ["y"], "_idx": [[1]]}),
        ("inputs", {"_value": ["y", "x"], "_idx": [1, 0]}),
        ("inputs", {"_idx": [1]}),
        ("inputs", None),
    ],
)
def test_what_lies_outside_has_no_number(name: str, value: Any) -> None:
    space = SearchSpace.parse(FINITE)
    good = space.sample(np.random.default_rng(1))
    number = space.index_of(good)
    bad = {**good, name: value}
    short = {key: inner for key, inner in good.items() if key != name}
    many = [good, bad, short, {**good, "more": 1}, good]
    assert space.indices_of(many) == [number, None, None, None, number]
