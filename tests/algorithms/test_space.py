"""The search space: what is accepted, what each type means, what is refused and how."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.space.search_space import SearchSpace
from experiments.problems import Problem, ProblemsError
from tests.algorithms.spaces import EVERY_TYPE


def parse_one(type_name: str, value: Any) -> Any:
    return SearchSpace.parse({"x": {"_type": type_name, "_value": value}}).parameters["x"]


def problems_of(raw: Any) -> tuple[Problem, ...]:
    with pytest.raises(ProblemsError) as caught:
        SearchSpace.parse(raw)
    return caught.value.problems


def only_problem_of(type_name: str, value: Any) -> Problem:
    (problem,) = problems_of({"x": {"_type": type_name, "_value": value}})
    return problem


# -- meaning of the specification's table --------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("quniform", [0, 10, 2.5], [0.0, 2.5, 5.0, 7.5, 10.0]),
        ("quniform", [2, 10, 5], [2, 5, 10]),
        ("quniform", [0, 0.5, 0.1], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("quniform", [3, 10, 5], [5, 10]),  # round(3 / 5) is 1: 3 itself never comes up
        ("quniform", [1, 2, 10], [1]),
        ("quniform", [-1, 1, 1], [-1, 0, 1]),
        ("qloguniform", [1, 5, 3], [1, 3, 5]),
        ("randint", [1, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("randint", [5, 6], [5]),
        ("choice", [512, "a", 512, None], [512, "a", None]),
        ("uniform", [2, 2], [2.0]),
        ("layer_choice", ["a", "b"], [{"_value": "a", "_idx": 0}, {"_value": "b", "_idx": 1}]),
        (
            "input_choice",
            {"candidates": ["", ""], "n_chosen": 1},
            [{"_value": [""], "_idx": [0]}, {"_value": [""], "_idx": [1]}],
        ),
    ],
)
def test_finite_types_have_exactly_the_specified_values(
    type_name: str, value: Any, expected: list[Any]
) -> None:
    parameter = parse_one(type_name, value)
    found = list(parameter.grid())
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]
    assert parameter.n_distinct() == len(expected)
    rng = np.random.default_rng(0)
    drawn = [parameter.sample(rng) for _ in range(300)]
    assert {json.dumps(v) for v in drawn} == {json.dumps(v) for v in expected}


def test_quniform_draws_as_its_formula_does() -> None:
    low, high, q = 2, 11, 4
    parameter = parse_one("quniform", [low, high, q])
    rng = np.random.default_rng(1)
    drawn = [parameter.sample(rng) for _ in range(4000)]
    u = np.random.default_rng(2).uniform(low, high, 200_000)
    expected = np.clip(np.round(u / q) * q, low, high)
    for value in np.unique(expected):
        share, wanted = drawn.count(value) / 4000, float(np.mean(expected == value))
        # 6 sigma of a binomial share: false alarm below 1e-8
        assert abs(share - wanted) < 6 * math.sqrt(wanted * (1 - wanted) / 4000)


@pytest.mark.parametrize(
    ("type_name", "value", "to_standard"),
    [
        ("uniform", [-2, 6], lambda v: (v + 2) / 8),
        ("loguniform", [1e-4, 1], lambda v: math.log(v / 1e-4) / math.log(1e4)),
        ("normal", [3, 2], lambda v: 0.5 * (1 + math.erf((v - 3) / 2 / math.sqrt(2)))),
        ("lognormal", [1, 0.5], lambda v: 0.5 * (1 + math.erf((math.log(v) - 1) / 0.5 / 2**0.5))),
    ],
)
def test_continuous_types_follow_their_distribution(
    type_name: str, value: Any, to_standard: Any
) -> None:
    """Kolmogorov-Smirnov distance of 2000 draws; 2.5 / sqrt(n) fails by chance below 1e-5."""
    parameter = parse_one(type_name, value)
    rng = np.random.default_rng(3)
    levels = np.sort([to_standard(parameter.sample(rng)) for _ in range(2000)])
    assert np.max(np.abs(levels - np.arange(2000) / 2000)) < 2.5 / math.sqrt(2000)


def test_qnormal_and_qlognormal_are_whole_multiples_without_dust() -> None:
    rng = np.random.default_rng(4)
    tenths = parse_one("qnormal", [0, 1, 0.1])
    for _ in range(200):
        value = tenths.sample(rng)
        assert len(repr(abs(value))) <= 4  # 0.3, never 0.30000000000000004
    counts = parse_one("qlognormal", [0, 1, 1])
    drawn = [counts.sample(rng) for _ in range(200)]
    assert all(type(v) is int and v >= 0 for v in drawn)
    assert 0 in drawn


def test_a_nested_choice_gives_the_name_and_the_branch_own_parameters() -> None:
    space = SearchSpace.parse({"net": EVERY_TYPE["net"]})
    rng = np.random.default_rng(5)
    drawn = [space.sample(rng)["net"] for _ in range(100)]
    assert {"_name": "empty"} in drawn
    assert "plain" in drawn
    conv = next(v for v in drawn if isinstance(v, dict) and v["_name"] == "conv")
    assert set(conv) == {"_name", "kernel", "drop"}
    assert space.types() == {"choice", "uniform"}


def test_deeply_nested_finite_choices_are_counted_and_listed() -> None:
    inner = {
        "_type": "choice",
        "_value": [{"_name": "p", "k": {"_type": "randint", "_value": [0, 3]}}, 9],
    }
    space = SearchSpace.parse(
        {
            "a": {"_type": "choice", "_value": [{"_name": "q", "in": inner}, "z"]},
            "b": {"_type": "randint", "_value": [0, 2]},
        }
    )
    everything = list(space.grid())
    assert space.n_distinct() == len(everything) == (3 + 1 + 1) * 2
    assert everything[0] == {"a": {"_name": "q", "in": {"_name": "p", "k": 0}}, "b": 0}
    assert everything[1]["b"] == 1  # the last parameter runs fastest
    assert [space.index_of(c) for c in everything] == list(range(10))


def test_input_choice_takes_several_in_every_combination() -> None:
    parameter = parse_one("input_choice", {"candidates": ["a", "b", "c", "d"], "n_chosen": [0, 2]})
    places = [tuple(v["_idx"]) for v in parameter.grid()]
    assert len(places) == len(set(places)) == 1 + 4 + 6
    assert [parameter.index_of(v) for v in parameter.grid()] == list(range(11))
    assert parse_one("input_choice", {"candidates": [1, 2, 3], "n_chosen": None}).n_distinct() == 8


def test_the_specifications_misspelt_type_is_accepted_with_a_note() -> None:
    space = SearchSpace.parse({"x": {"_type": "qlognoraml", "_value": [0, 1, 1]}})
    assert space.types() == {"qlognormal"}
    assert "qlognormal" in space.warnings[0].message


# -- round trips ---------------------------------------------------------------------------------


def test_a_space_comes_back_as_it_was_written() -> None:
    space = SearchSpace.parse(EVERY_TYPE)
    assert json.loads(json.dumps(space.as_json())) == EVERY_TYPE
    assert list(space.parameters) == list(EVERY_TYPE)
    assert SearchSpace.parse(space.as_json()).as_json() == space.as_json()


def test_samples_survive_json_and_lie_inside() -> None:
    space = SearchSpace.parse(EVERY_TYPE)
    rng = np.random.default_rng(6)
    for _ in range(200):
        params = space.sample(rng)
        again = json.loads(json.dumps(params, allow_nan=False))
        assert again == params
        assert space.contains(again) == []
        assert space.holds(again)
        assert space.key(again) == space.key(params)


@pytest.mark.parametrize("name", list(EVERY_TYPE))
def test_units_lead_back_to_the_value(name: str) -> None:
    parameter = SearchSpace.parse(EVERY_TYPE).parameters[name]
    rng = np.random.default_rng(7)
    for _ in range(100):
        value = parameter.sample(rng)
        unit = parameter.to_unit(value)
        assert 0.0 <= unit <= 1.0
        again = parameter.from_unit(unit)
        if isinstance(value, float):
            assert again == pytest.approx(value, rel=1e-6, abs=1e-6)
        elif name != "net":  # a branch's own parameters have units of their own
            assert again == value
    for unit in (0.0, 0.5, 1.0):
        assert parameter.contains(parameter.from_unit(unit))


@pytest.mark.parametrize("name", list(EVERY_TYPE))
def test_a_neighbour_is_inside_and_another_value(name: str) -> None:
    parameter = SearchSpace.parse(EVERY_TYPE).parameters[name]
    rng = np.random.default_rng(8)
    for _ in range(100):
        value = parameter.sample(rng)
        moved = parameter.perturb(value, rng, 0.05)
        assert parameter.contains(moved)
        assert parameter.key(moved) != parameter.key(value)


def test_log_types_say_so() -> None:
    logs = {name for name, p in SearchSpace.parse(EVERY_TYPE).parameters.items() if p.is_log}
    assert logs == {"lu", "qlu", "ln", "qln"}


# -- inside or outside ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "inside"),
    [
        ("whole", 3, True),
        ("whole", 3.0, True),
        ("whole", 4, False),  # the upper bound is excluded
        ("whole", 0.5, False),
        ("whole", True, False),
        ("u", 1.5, True),
        ("u", 1.6, False),
        ("u", "1", False),
        ("u", math.nan, False),
        ("u", 10**400, False),
        ("qu", 2, True),
        ("qu", 5.0, True),
        ("qu", 3, False),
        ("qn", 0.1 + 0.2, True),  # imported with the dust of float arithmetic
        ("qn", 0.35, False),
        ("ln", 0, False),
        ("qln", 0, True),
        ("qln", -1, False),
        ("n", 1e300, True),
        ("qn", 1e15, True),
        ("mixed", True, True),
        ("mixed", 1.0, True),
        ("mixed", 0, False),
        ("mixed", [1, 2], True),
        ("mixed", [2, 1], False),
        ("net", {"_name": "empty"}, True),
        ("net", {"_name": "empty", "kernel": 1}, False),
        ("net", {"_name": "conv", "kernel": 3}, False),
        ("net", {"_name": "conv", "kernel": 3, "drop": 0.1}, True),
        ("net", {"_name": "other"}, False),
        ("layer", {"_value": "conv5x5", "_idx": 0}, True),
        ("layer", {"_value": "conv5x5", "_idx": 1}, False),
        ("layer", "conv5x5", False),
        ("skip", {"_value": [""], "_idx": [1]}, True),
        ("skip", {"_value": ["", ""], "_idx": [0, 1]}, False),
    ],
)
def test_membership(name: str, value: Any, inside: bool) -> None:
    parameter = SearchSpace.parse(EVERY_TYPE).parameters[name]
    assert parameter.contains(value) is inside
    assert (parameter.problems(value, "x") == []) is inside


def test_missing_and_unknown_parameters_are_named() -> None:
    space = SearchSpace.parse(
        {"lr": {"_type": "uniform", "_value": [0, 1]}, "n": {"_type": "randint", "_value": [1, 3]}}
    )
    found = {p.path: p.message for p in space.contains({"lr": 2, "momentum": 0.9})}
    assert set(found) == {"parameters.lr", "parameters.momentum", "parameters.n"}
    assert "from 0 to 1" in found["parameters.lr"]
    assert "not a parameter" in found["parameters.momentum"]
    assert "missing" in found["parameters.n"]
    assert not space.holds({"lr": 0.5, "n": 1, "momentum": 0.9})


def test_keys_tell_true_from_one_but_not_one_from_one_point_zero() -> None:
    parameter = parse_one("choice", [1, True, "1"])
    assert parameter.n_distinct() == 3
    assert parameter.key(1) == parameter.key(1.0) != parameter.key(True)
    assert parameter.key("nowhere") != parameter.key(1)


def test_a_grid_of_a_billion_points_is_numbered_not_listed() -> None:
    raw = {f"p{i}": {"_type": "randint", "_value": [0, 1000]} for i in range(3)}
    space = SearchSpace.parse(raw)
    assert space.n_distinct() == 10**9
    assert space.at(123_456_789) == {"p0": 123, "p1": 456, "p2": 789}
    assert space.index_of({"p0": 123, "p1": 456, "p2": 789}) == 123_456_789


def test_an_infinite_space_has_no_grid() -> None:
    space = SearchSpace.parse(EVERY_TYPE)
    assert space.n_distinct() is None
    with pytest.raises(ValueError, match="no end"):
        space.grid()


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "value", "path", "words"),
    [
        ("uniform", [0, 1, 2], "_value", "[low, high]: 2 numbers, but got 3"),
        ("uniform", [0], "_value", "but got 1"),
        ("uniform", 5, "_value", "must be [low, high], but got 5"),
        ("uniform", {"low": 0}, "_value", "must be [low, high]"),
        ("uniform", [1, 0], "_value", "must not exceed"),
        ("uniform", [0, math.nan], "_value[1]", "finite"),
        ("uniform", [-math.inf, 0], "_value[0]", "finite"),
        ("uniform", [True, 2], "_value[0]", "must be a number, but got true"),
        ("uniform", [0, "0.1"], "_value[1]", 'the text "0.1"'),
        ("uniform", [0, None], "_value[1]", "must be a number, but got null"),
        ("uniform", [0, 10**400], "_value[1]", "must lie within"),
        ("uniform", [-1e308, 0], "_value[0]", "must lie within"),
        ("quniform", [0, 1, 0], "_value[2]", "q must be above 0, but got 0"),
        ("quniform", [0, 1, -0.1], "_value[2]", "q must be above 0"),
        ("quniform", [0, 1e30, 1e-5], "_value[2]", "q must be large enough"),
        ("quniform", [0, 1], "_value", "3 numbers, but got 2"),
        ("loguniform", [0, 1], "_value[0]", "must be above 0, but got 0"),
        ("loguniform", [-1, 1], "_value[0]", "must be above 0"),
        ("qloguniform", [0, 1, 0.1], "_value[0]", "must be above 0"),
        ("randint", [1, 1], "_value", "lower must be below upper"),
        ("randint", [5, 1], "_value", "lower must be below upper"),
        ("randint", [1, 2.5], "_value[1]", "must be whole, but got 2.5"),
        ("randint", [0, 2**60], "_value[1]", "within"),
        ("normal", [0, 0], "_value[1]", "sigma must be above 0"),
        ("normal", [0, -1], "_value[1]", "sigma must be above 0"),
        ("lognormal", [0, 200], "_value", "must stay finite"),
        ("qnormal", [0, 1, 0], "_value[2]", "q must be above 0"),
        ("choice", [], "_value", "at least one choice"),
        ("choice", 3, "_value", "must be a list"),
        ("choice", "abc", "_value", "must be a list"),
        ("choice", [1, math.inf], "_value[1]", "finite"),
        ("choice", [[1, [math.nan]]], "_value[0][1][0]", "finite"),
        ("choice", [{"__class__": 1}], "_value[0].__class__", "reserved"),
        ("layer_choice", [], "_value", "at least one layer"),
        ("layer_choice", [None], "_value[0]", "must be a name"),
        ("input_choice", ["a"], "_value", "must be an object"),
        ("input_choice", {"candidates": ["a"]}, "_value.n_chosen", "missing"),
        ("input_choice", {"candidates": ["a"], "n_chosen": 2}, "_value.n_chosen", "from 0 to 1"),
        ("input_choice", {"candidates": ["a"], "n_chosen": True}, "_value.n_chosen", "got true"),
    ],
)
def test_each_bad_value_has_its_own_error(
    type_name: str, value: Any, path: str, words: str
) -> None:
    problem = only_problem_of(type_name, value)
    assert problem.path == f"spec.searchSpace.x.{path}"
    assert words in problem.message


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({}, "spec.searchSpace", "at least one parameter"),
        ([], "spec.searchSpace", "must be an object"),
        ({"": {"_type": "randint", "_value": [0, 1]}}, 'spec.searchSpace[""]', "not be empty"),
        (
            {3: {"_type": "randint", "_value": [0, 1]}},
            "spec.searchSpace",
            "must be text, but got 3",
        ),
        ({"_name": {"_type": "randint", "_value": [0, 1]}}, "spec.searchSpace._name", "reserved"),
        ({"x": 5}, "spec.searchSpace.x", '"_type" and "_value", but got 5'),
        ({"x": {"_value": [0, 1]}}, "spec.searchSpace.x._type", "missing"),
        ({"x": {"_type": "uniform"}}, "spec.searchSpace.x._value", "missing"),
        ({"x": {"_type": ["uniform"], "_value": 1}}, "spec.searchSpace.x._type", "must be one of"),
        ({"a.b": {"_type": "nope", "_value": 1}}, 'spec.searchSpace["a.b"]._type', "nope"),
    ],
)
def test_each_bad_shape_has_its_own_error(raw: Any, path: str, words: str) -> None:
    (problem,) = problems_of(raw)
    assert problem.path == path
    assert words in problem.message


def test_a_typo_of_a_type_or_a_field_is_answered_with_the_nearest_name() -> None:
    (problem,) = problems_of({"lr": {"_type": "logunifrom", "_value": [0.1, 1]}})
    assert problem.path == "spec.searchSpace.lr._type"
    assert problem.hint == "Did you mean loguniform?"
    extra = problems_of({"lr": {"_type": "uniform", "_value": [0, 1], "_values": 3}})
    assert [(p.path, p.hint) for p in extra] == [
        ("spec.searchSpace.lr._values", "Did you mean _value?")
    ]
    (quoted,) = problems_of({"lr": {"_type": "uniform", "_value": [0, "0.1"]}})
    assert quoted.hint == "Write it without quotes: 0.1"


def test_all_problems_come_at_once() -> None:
    found = problems_of(
        {
            "a": {"_type": "uniform", "_value": ["x", math.nan]},
            "b": {"_type": "loguniform", "_value": [0, 1]},
            "c": {
                "_type": "choice",
                "_value": [{"_name": "n", "k": {"_type": "randint", "_value": [3, 1]}}, math.inf],
            },
        }
    )
    assert [p.path.removeprefix("spec.searchSpace.") for p in found] == [
        "a._value[0]",
        "a._value[1]",
        "b._value[0]",
        "c._value[0].k._value",
        "c._value[1]",
    ]


def test_branches_need_distinct_names() -> None:
    nested = {"k": {"_type": "randint", "_value": [0, 3]}}
    assert "needs a name" in only_problem_of("choice", [nested]).message
    assert "must be text" in only_problem_of("choice", [{"_name": 3, **nested}]).message
    twice = only_problem_of("choice", [{"_name": "a"}, {"_name": "a", **nested}])
    assert twice.path == "spec.searchSpace.x._value[1]._name"


def test_bottomless_nesting_is_refused_rather_than_followed() -> None:
    raw: dict[str, Any] = {"_type": "choice", "_value": [1]}
    for _ in range(200):
        raw = {"_type": "choice", "_value": [{"_name": "down", "x": raw}]}
    assert "nest deeper" in problems_of({"x": raw})[0].message
    member: list[Any] = []
    for _ in range(200):
        member = [member]
    assert "nest deeper" in only_problem_of("choice", [member]).message


def test_what_is_odd_but_clear_is_a_warning() -> None:
    space = SearchSpace.parse(
        {
            "c": {"_type": "choice", "_value": [1, 2, 1.0]},
            "u": {"_type": "uniform", "_value": [3, 3]},
            "q": {"_type": "quniform", "_value": [1, 2, 10]},
        }
    )
    assert [w.path.removeprefix("spec.searchSpace.") for w in space.warnings] == [
        "c._value[2]",
        "u._value",
        "q._value[2]",
    ]


def test_a_parameter_s_name_has_at_most_200_characters():
    entry = {"_type": "uniform", "_value": [0, 1]}
    SearchSpace.parse({"x" * 200: entry})
    with pytest.raises(ProblemsError, match="at most 200 characters, but this has 201"):
        SearchSpace.parse({"x" * 201: entry})


@pytest.mark.parametrize("name", [{}, {"_name": None}, {"_name": ""}, {"_name": 5}])
def test_a_branch_without_a_name_has_one_problem_and_that_is_the_name(name: dict[str, Any]) -> None:
    """Two of them were once said to be named "None" both."""
    branch = {**name, "lr": {"_type": "uniform", "_value": [0, 1]}, "n": 5}
    with pytest.raises(ProblemsError) as caught:
        SearchSpace.parse({"a": {"_type": "choice", "_value": [branch, branch]}})
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [f"spec.searchSpace.a._value[{i}]._name" for i in (0, 1)]
