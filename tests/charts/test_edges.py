"""Charts at the edge of what may be reported or chosen: drawn, told apart, finite."""

from __future__ import annotations

import itertools
import json
import math
import sys
from typing import Any

import numpy as np
import pytest

from experiments.charts import CHARTS, axes, curves, parallel, scale, style
from experiments.problems import ProblemsError
from tests.charts.records import curve, record, trial

LARGEST = sys.float_info.max
EDGES = [0.0, -0.0, -1.0, 0.5, 5e-324, 2.3e-308, 1e300, LARGEST, -LARGEST, 2.0**53, 2.0**53 + 2]


def drawn(kind: str, values: tuple[float, ...], mode: str, options: dict[str, str]) -> Any:
    trials = [trial(n, value) for n, value in enumerate(values)]
    lines = [curve(n, [value, 0.5, *values]) for n, value in enumerate(values)]
    found = CHARTS[kind].draw(record(trials, lines, mode), options)
    json.dumps(found, allow_nan=False)
    for name, axis in found["layout"].items():
        is_axis = name.startswith(("xaxis", "yaxis"))
        if is_axis and "range" in axis and axis.get("type") != "date":
            low, high = axis["range"]
            assert low < high
            assert math.isfinite(high - low)  # what the browser divides by
    dimensions = found["data"][0].get("dimensions", ()) if found["data"] else ()
    for dimension in dimensions:
        low, high = dimension["range"]
        assert 0 < high - low < math.inf
        assert all(low <= place <= high for place in dimension["values"])
        assert len(set(dimension["ticktext"])) == len(set(dimension["tickvals"]))
    return found


@pytest.mark.parametrize("kind", CHARTS)
@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_every_chart_draws_every_finite_number(kind: str, mode: str) -> None:
    for values in itertools.combinations(EDGES, 2):
        for options in ({}, {"log": "1"}, {"clip": "0"}, {"log": "1", "clip": "0"}):
            drawn(kind, values, mode, options)


@pytest.mark.parametrize("kind", CHARTS)
@pytest.mark.parametrize("log", ["0", "1"])
def test_every_chart_draws_many_of_them(kind: str, log: str) -> None:
    drawn(kind, tuple(EDGES * 3), "maximize", {"log": log})
    drawn(kind, tuple(v for v in EDGES * 3 if v > 0), "maximize", {"log": log})
    drawn(kind, (0.5,) * 10 + (LARGEST,), "minimize", {"log": log})


def test_a_value_beyond_the_axis_is_drawn_at_its_edge_and_told_in_full() -> None:
    found = drawn("history", (0.5, 0.4, LARGEST), "maximize", {})
    (star,) = [t for t in found["data"] if t["uid"] == "star"]
    assert star["y"] == [scale.DRAWABLE]
    assert star["hovertext"] == ["1.797693e+308"]
    assert found["layout"]["meta"]["clipped"] == 1


@pytest.mark.parametrize("low", [5e-324, 1e-300, 1.0, 1e16, 1e299])
@pytest.mark.parametrize("high", [1e-323, 1e-299, 1.0000000000000002, 1e16 + 4, 1e300])
def test_ticks_are_finite_ordered_and_told_apart(low: float, high: float) -> None:
    if low >= high:
        return
    for ticks in (scale.linear_ticks(low, high), scale.log_ticks(low, high)):
        assert ticks == sorted(ticks)
        assert all(math.isfinite(t) for t in ticks)
        assert 1 <= len(ticks) <= 20
        assert len(set(scale.tick_texts(ticks))) == len(set(ticks))


def test_numbers_that_differ_late_stay_different_on_the_way_to_the_browser() -> None:
    """Seven digits made one of 1700000001 and 1700000002, and steps of a flat loss."""
    times = np.array([1_700_000_001.0, 1_700_000_002.0, 1_700_000_003.0])
    assert scale.rounded(times) == times.tolist()
    assert scale.rounded(np.array([1e6 + 0.125, 1e6 + 0.25])) == [1e6 + 0.125, 1e6 + 0.25]
    assert scale.rounded(np.array([0.123456789, 1.0])) == [0.1234568, 1.0]
    largest = np.array([2.0**53 - 1, 2.0**53])  # rounding would add more than it takes away
    assert scale.rounded(largest) == largest.tolist()
    assert scale.rounded(np.array([LARGEST, -LARGEST, np.nan])) == [
        1.797693e308,
        -1.797693e308,
        None,
    ]
    space = {"t": {"_type": "randint", "_value": [1_700_000_000, 1_700_000_009]}}
    trials = [trial(n, 0.1 * n, parameters={"t": 1_700_000_000 + n}) for n in range(8)]
    figure = parallel.draw(record(trials, space=space), {})
    assert len(set(figure["data"][0]["dimensions"][1]["values"])) == 8


# ---- choices are told apart by their values

ALIKE = [
    (["a" * 30 + "x", "a" * 30 + "y"], ["aaaaaaaaaa…aaaaaaaaaax", "aaaaaaaaaa…aaaaaaaaaay"]),
    ([1, "1"], ["1", '"1"']),
    ([None, "null"], ["null", '"null"']),
    ([True, "true"], ["true", '"true"']),
    ([[1, 2], "[1, 2]"], ["[1, 2]", '"[1, 2]"']),
    ([2**53, 2**53 + 1], ["9007199254740992", "9007199254740993"]),
    (["", " "], ['""', '" "']),
    (["b" * 40 + "x" + "b" * 40, "b" * 81], [f"{'b' * 21}… (1)", f"{'b' * 21}… (2)"]),
]


@pytest.mark.parametrize(("members", "labels"), ALIKE)
@pytest.mark.parametrize("declared", [True, False])
def test_choices_that_look_alike_are_still_two(
    members: list[Any], labels: list[str], declared: bool
) -> None:
    space = {"p": {"_type": "choice", "_value": members}} if declared else {}
    trials = [trial(n, 0.1 * n, parameters={"p": members[n % 2]}) for n in range(8)]
    found = parallel.info(record(trials, space=space), {})
    assert found.hidden == ()
    (axis,) = found.axes
    assert tuple(axis.places) == (0.0, 1.0) * 4
    assert [words for _, words in axis.ticks] == labels


def test_texts_in_a_hover_box_are_told_from_what_they_look_like() -> None:
    given = {"a": "1", "b": 1, "c": "null", "d": None, "e": "", "f": "relu", "g": "NaN"}
    shown = style.parameters_text(given).split("<br>")
    assert shown == ['a = "1"', "b = 1", 'c = "null"', "d = null", 'e = ""', "f = relu", "g = NaN"]


def test_a_nested_choice_is_keyed_by_its_name_alone() -> None:
    space = {"opt": {"_type": "choice", "_value": [{"_name": "adam"}, {"_name": "sgd"}]}}
    given = [{"opt": {"_name": name, "lr": lr}} for name in ("sgd", "adam") for lr in (1, 2)]
    (axis, *_) = axes.axes(space, given)
    assert tuple(axis.places) == (1.0, 1.0, 0.0, 0.0)


def test_a_custom_trials_integer_that_no_float_holds_is_drawn() -> None:
    (axis,) = axes.axes({}, [{"n": 10**400}, {"n": 1}])
    assert axis.kind == "choice"
    assert tuple(axis.places) == (0.0, 1.0)


# ---- a trial's own page


def test_on_its_own_page_a_trial_sets_the_range() -> None:
    """Its curve was off scale where its values lay outside what the others do."""
    others = [curve(n, [0.5 + 0.01 * n, 0.6]) for n in range(12)]
    trials = [trial(n, 0.6) for n in range(12)] + [trial(12, 5000.0)]
    far = curve(12, [4900.0, 5000.0])
    found = curves.info(record(trials, [*others, far]), {"trial": "12"})
    assert found.view == (4900.0, 5000.0)
    assert found.n_outside == 24  # the others' points, which are said to be off scale
    shared = curves.info(record(trials, [*others, far]), {})
    assert shared.view is not None
    assert shared.view[1] < 1.0
    # the others are in sight where they leave the trial readable
    near = curve(12, [0.55, 0.62])
    seen = curves.info(record(trials, [*others, near]), {"trial": "12"})
    assert seen.view == pytest.approx((0.5, 0.62))
    assert not seen.n_outside
    # a trial that has reported no number leaves the range to the others
    blank = curve(12, [math.nan])
    assert curves.info(record(trials, [*others, blank]), {"trial": "12"}).view is not None


# ---- many parameters


def many(n_parameters: int) -> Any:
    """Only p7 (a number) and p9 (a word) have to do with the value."""
    rng = np.random.default_rng(0)
    space: dict[str, Any] = {
        f"p{i}": {"_type": "uniform", "_value": [0, 1]} for i in range(n_parameters)
    }
    space["p9"] = {"_type": "choice", "_value": ["a", "b", "c"]}
    trials = []
    for number in range(200):
        values: dict[str, Any] = {name: float(rng.random()) for name in space}
        values["p9"] = "abc"[int(rng.integers(3))]
        # not monotone: the middle of p7 is best
        value = -((values["p7"] - 0.5) ** 2) * 8 + {"a": 0.0, "b": 0.6, "c": 0.1}[values["p9"]]
        trials.append(trial(number, value, parameters=values))
    return record(trials, space=space)


def labels(figure: Any) -> list[str]:
    return [d["label"] for d in figure["data"][0]["dimensions"][1:]]


def test_of_400_parameters_the_most_telling_are_shown_first() -> None:
    figure = parallel.draw(many(400), {})
    assert len(labels(figure)) == parallel.MOST_AXES
    assert set(labels(figure)[:2]) == {"p7", "p9"}
    offered = figure["layout"]["meta"]["axes"]
    assert len(offered) == 400  # all others can be asked for
    assert [label for label, _ in offered][: parallel.MOST_AXES] == labels(figure)
    assert offered[1][1] > 2 * offered[2][1]


def test_few_parameters_stay_in_the_spaces_order() -> None:
    figure = parallel.draw(many(parallel.MOST_AXES), {})
    assert labels(figure) == [f"p{i}" for i in range(parallel.MOST_AXES)]


def test_any_parameter_can_be_asked_for() -> None:
    figure = parallel.draw(many(400), {"axes": '["p300", "p7", "nobody", "p300"]'})
    assert labels(figure) == ["p300", "p7"]


@pytest.mark.parametrize("text", ["p1,p2", "[1]", '{"a": 1}', "[" * 2000])
def test_what_is_no_list_of_parameters_is_named(text: str) -> None:
    with pytest.raises(ProblemsError, match="axes: must be a JSON list"):
        parallel.draw(many(3 + 7), {"axes": text})
