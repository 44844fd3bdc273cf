"""The little language that picks trials."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.algorithms.space.flat import flat, flat_names
from experiments.algorithms.space.search_space import SearchSpace
from experiments.problems import ProblemsError
from experiments.selectors.trial_filter import (
    Facts,
    Names,
    parse_orders,
    parse_where,
    sort_facts,
    split_names,
    unquoted,
)


def facts(
    number: int = 0,
    *,
    parameters: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    **fields: Any,
) -> Facts:
    """One trial."""
    fields = {"number": number, "state": "RUNNING", "value": None, "excluded": False, **fields}
    columns = {name: [value] for name, value in fields.items()}
    return Facts([number], columns, [flat(parameters or {})], [metrics or {}])


def together(*each: Facts) -> Facts:
    """Several trials."""
    return Facts(
        [one.pks[0] for one in each],
        {name: [one.fields[name][0] for one in each] for name in each[0].fields},
        [one.parameters[0] for one in each],
        [one.metrics[0] for one in each],
    )


def picked(expression: str, trials: Facts, names: Names) -> list[int]:
    flags = parse_where(expression, names)(trials)
    return [pk for pk, is_picked in zip(trials.pks, flags, strict=True) if is_picked]


def in_order(trials: Facts, order: str, names: Names) -> list[int]:
    places = sort_facts(trials, range(len(trials)), parse_orders([order], names))
    return [trials.pks[place] for place in places]


TRIAL = facts(
    3,
    state="SUCCEEDED",
    value=0.9,
    parameters={
        "lr": 1e-3, "opt": "adam", "amp": True, "size": "512", "my rate": 2, "value": 7,
        "layers": {"_name": "deep", "n": 3},
    },
    metrics={"default": 0.9, "acc": 0.95, "loss": "NaN"},
)  # fmt: skip
NAMES = Names.of(TRIAL, ["units"])


@pytest.mark.parametrize(
    "expression",
    [
        "lr = 0.001", "lr == 1e-3", "lr<0.01", "lr <= 1e-3", "lr > 0", "lr>=0.001", "lr != 0.1",
        "lr <> 0.1", "opt = adam", "opt = 'adam'", 'opt = "adam"', "opt != sgd", "opt ~ ADA",
        "value >= 0.9", "param:value = 7", "acc > 0.9", "metric:acc > 0.9", "loss = NaN",
        "amp = true", "amp = True", "amp != false", "size = 512", "number = 3",
        "state = SUCCEEDED", "state in (FAILED, SUCCEEDED)", "not state = FAILED",
        'param:"my rate" = 2', '"my rate" = 2', "units = none", "lr != none", "excluded = false",
        "lr < 1 and value > 0.5", "lr < 1, value > 0.5", "lr > 1 or value > 0.5",
        "lr > 1 and lr > 2 or value > 0.5", "value > 0.5 or lr > 1 and lr > 2",
        "(lr > 1 or value > 0.5) and opt = adam", "not (lr > 1)",
        "layers ~ deep", "  ",
    ],
)  # fmt: skip
def test_holds(expression: str) -> None:
    assert picked(expression, TRIAL, NAMES) == [3]


@pytest.mark.parametrize(
    "expression",
    [
        "lr > 0.001", "lr = adam", "opt < 3", "units = 32", "units != 32", "units < 1",
        "loss < 1", "loss > 1", "amp > 0", "value = none", "opt = ADAM", "amp = 1",
        "state in (FAILED, LOST)", "not lr < 1", "lr > 1 and value > 0.5",
        "(lr > 1 or value > 0.5) and opt = sgd",
    ],
)  # fmt: skip
def test_does_not_hold(expression: str) -> None:
    assert picked(expression, TRIAL, NAMES) == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("lr", "Expected =, !=, <, <=, >, >=, ~ or 'in', but got the end at character 3"),
        ("lr <", "Expected a value, but got the end at character 5"),
        ("lr < adam", "< compares numbers, but got 'adam' at character 6"),
        ("lr < nan", "compares numbers"),
        ("= 3", "Expected a name, but got '=' at character 1"),
        ("and lr < 1", "Expected a name"),
        ("lr < 1 lr < 2", "Expected 'and', 'or' or the end, but got 'lr' at character 8"),
        ("(lr < 1", "A closing parenthesis is missing"),
        ("lr < 1)", "but got ')'"),
        ("opt = 'adam", 'Cannot read "\'adam" at character 7'),
        ("opt in adam", "Expected '(' after 'in'"),
        ("opt in (adam", "A closing parenthesis is missing"),
        ("param:lrr < 1", "No parameter is named 'lrr'"),
        ("metric:lr < 1", "No metric is named 'lr'"),
        ("foo.bar() < 1", "No field, parameter or metric is named 'foo.bar'"),
        ("(" * 25 + "lr<1" + ")" * 25, "levels of parentheses"),
        ("not " * 5000 + "lr<1", "at most 2000 characters"),
        ("x" * 3000, "at most 2000 characters"),
    ],
)
def test_nonsense_is_explained_with_its_place(expression: str, words: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        parse_where(expression, NAMES)
    (problem,) = caught.value.problems
    assert problem.path == "where"
    assert problem.hint
    assert words in problem.message


def test_a_misspelt_name_suggests_the_right_one() -> None:
    with pytest.raises(ProblemsError) as caught:
        parse_where("vlaue > 1", NAMES)
    assert caught.value.problems[0].hint == "Did you mean 'value'?"


def test_sorting_puts_numbers_before_text_and_what_is_missing_last() -> None:
    rows = together(
        facts(0, parameters={"x": "b"}), facts(1, parameters={"x": 2}), facts(2),
        facts(3, parameters={"x": 1}), facts(4, parameters={"x": "a"}),
    )  # fmt: skip
    names = Names.of(rows)
    assert in_order(rows, "x", names) == [3, 1, 4, 0, 2]
    assert in_order(rows, "-x", names) == [0, 4, 1, 3, 2]


def test_equal_values_keep_the_order_of_numbers() -> None:
    rows = together(facts(2, value=1.0), facts(0, value=1.0), facts(1, value=2.0))
    assert in_order(rows, "-value", Names.of(rows)) == [1, 0, 2]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("lr,-value", ["lr", "-value"]),
        ('-param:"learning rate, fast",number', ['-param:"learning rate, fast"', "number"]),
        ('"a,b" , "c\\"d,e"', ['"a,b"', '"c\\"d,e"']),
        ('param:6" nails,number', ['param:6" nails', "number"]),
        ("param:lr-x y", ["param:lr-x y"]),
    ],
)
def test_lists_of_names_are_taken_apart_outside_quotes(text: str, names: list[str]) -> None:
    assert split_names(text) == names


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ('param:"learning rate"', "param:learning rate"),
        ('"a\\"b\\\\c"', 'a"b\\c'),
        ("param:lr", "param:lr"),
        ('param:6" nails', 'param:6" nails'),
    ],
)
def test_a_quoted_name_is_the_name(order: str, name: str) -> None:
    assert unquoted(order) == name


def test_a_nested_parameter_is_picked_and_sorted_by_its_dotted_name() -> None:
    nested = together(
        *(
            facts(n, parameters=flat({"opt": {"_name": name, "lr": lr}, "a.b": 1}))
            for n, (name, lr) in enumerate([("adam", 0.1), ("sgd", 0.001), ("adam", 0.005)])
        )
    )
    names = Names.of(nested, ["opt.momentum"])
    assert picked("opt.lr < 0.01", nested, names) == [1, 2]
    assert picked("param:opt.lr < 0.01 and opt = adam", nested, names) == [2]
    assert picked("opt in (sgd)", nested, names) == [1]
    assert picked("opt.momentum = none", nested, names) == [0, 1, 2]
    assert in_order(nested, "-param:opt.lr", names) == [0, 2, 1]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}),  # a plain member of a choice: one value
        ({"a": {"_name": "n"}}, {"a": "n"}),
        (
            {"a": {"_name": "n", "b": {"_name": "m", "c": [1]}}, "d": None},
            {"a": "n", "a.b": "m", "a.b.c": [1], "d": None},
        ),
        ({"a": {"_name": "n", "b": 1}, "a.b": 2}, {"a": "n", "a.b": 2}),
        ({"a.b": 2, "a": {"_name": "n", "b": 1}}, {"a.b": 2, "a": "n"}),
    ],
)
def test_parameters_side_by_side(parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flat(parameters) == expected


def test_names_of_branches_are_known_before_there_is_a_trial() -> None:
    branch = {"_name": "adam", "lr": {"_type": "uniform", "_value": [0, 1]}}
    inner = {"_name": "x", "deep": {"_type": "choice", "_value": [1]}}
    other = {"_name": "sgd", "lr": branch["lr"], "in": {"_type": "choice", "_value": [inner]}}
    space = SearchSpace.parse({"opt": {"_type": "choice", "_value": [branch, other, "none"]}})
    assert flat_names(space.parameters) == ["opt", "opt.lr", "opt.in", "opt.in.deep"]


def test_integers_are_compared_exactly() -> None:
    trials = together(*(facts(n, parameters={"seed": 2**53 + n}) for n in range(3)))
    names = Names.of(trials)
    assert picked("seed = 9007199254740993", trials, names) == [1]
    assert picked("seed >= 9007199254740993", trials, names) == [1, 2]
    assert picked("seed != 9007199254740993", trials, names) == [0, 2]
    assert picked("seed in (9007199254740993, 9007199254740994)", trials, names) == [1, 2]
    assert picked("seed < " + "9" * 400, trials, names) == [0, 1, 2]


def test_lists_are_compared_as_they_are_shown() -> None:
    trial = facts(parameters={"layers": ["conv", "relu"]})
    names = Names.of(trial)
    assert picked("""layers = '["conv", "relu"]'""", trial, names) == [0]
    assert picked('layers ~ "conv"', trial, names) == [0]
