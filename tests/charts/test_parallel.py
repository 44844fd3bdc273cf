"""Axes made from the search space's types, and the lines between them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from experiments.charts import axes, parallel
from experiments.problems import ProblemsError
from tests.charts.records import record, trial


def axis_of(node: dict[str, Any], values: list[Any], name: str = "p") -> axes.Axis:
    found = axes.axes({name: node}, [{name: v} for v in values])
    assert [a.label for a in found] == [name]
    return found[0]


def dimensions(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {d["label"]: d for d in figure["data"][0]["dimensions"]}


@pytest.mark.parametrize("type_", ["loguniform", "qloguniform"])
def test_log_types_get_a_log_axis_over_the_whole_range(type_: str) -> None:
    axis = axis_of({"_type": type_, "_value": [0.0001, 0.1, 0.0001]}, [0.01, 0.001])
    assert axis.kind == "log"
    assert axis.places == pytest.approx((-2.0, -3.0))
    assert axis.low < -4 < -1 < axis.high
    assert [words for _, words in axis.ticks][::3] == ["0.0001", "0.001", "0.01", "0.1"]


def test_the_ends_are_padded_so_that_a_brush_can_reach_them() -> None:
    axis = axis_of({"_type": "uniform", "_value": [0, 1]}, [0.0, 1.0])
    assert axis.low < 0 < 1 < axis.high


def test_randint_ends_before_its_upper_bound() -> None:
    axis = axis_of({"_type": "randint", "_value": [0, 5]}, [0, 4])
    assert [words for _, words in axis.ticks][-1] == "4"


def test_choices_are_evenly_spaced_in_the_spaces_order() -> None:
    axis = axis_of({"_type": "choice", "_value": [8, 1, 128, "auto"]}, [128, "auto", 8])
    assert axis.ticks == ((0.0, "8"), (1.0, "1"), (2.0, "128"), (3.0, "auto"))
    assert tuple(axis.places) == (2.0, 3.0, 0.0)


def test_true_and_1_are_different_choices() -> None:
    axis = axis_of({"_type": "choice", "_value": [True, 1, "1"]}, [1, True])
    assert axis.places[0] != axis.places[1]


@pytest.mark.parametrize(
    ("type_", "low", "high"),
    [("normal", -6.0, 10.0), ("lognormal", -6 / math.log(10), 10 / math.log(10))],
)
def test_normal_types_cover_the_mean_and_four_sigmas(type_: str, low: float, high: float) -> None:
    value = 2.0 if type_ == "normal" else math.exp(2.0)
    axis = axis_of({"_type": type_, "_value": [2, 2]}, [value])
    width = high - low
    assert (axis.low, axis.high) == pytest.approx((low - 0.03 * width, high + 0.03 * width))


def test_a_value_outside_the_space_widens_its_axis() -> None:
    assert axis_of({"_type": "uniform", "_value": [0, 1]}, [7.0]).high > 7
    extra = axis_of({"_type": "choice", "_value": ["a"]}, ["b"])
    assert [words for _, words in extra.ticks] == ["a", "b"]


def test_nested_choices_become_axes_with_a_slot_for_those_without() -> None:
    space = {
        "model": {
            "_type": "choice",
            "_value": [
                {"_name": "cnn", "kernel": {"_type": "choice", "_value": [3, 5]}},
                {"_name": "mlp", "width": {"_type": "uniform", "_value": [0, 10]}},
            ],
        }
    }
    given = [{"model": {"_name": "cnn", "kernel": 5}}, {"model": {"_name": "mlp", "width": 4.0}}]
    model, kernel, width = axes.axes(space, given)
    assert [a.label for a in (model, kernel, width)] == ["model", "model.kernel", "model.width"]
    assert model.ticks == ((0.0, "cnn"), (1.0, "mlp"))
    assert kernel.ticks[0] == (kernel.places[1], "–")
    assert kernel.low < kernel.places[1] < kernel.places[0]
    assert width.places[0] < 0 < width.places[1]
    assert width.has_missing


def test_a_text_on_a_numeric_axis_does_not_break_it() -> None:
    axis = axis_of({"_type": "uniform", "_value": [0, 1]}, [0.5, "much", None])
    assert axis.kind == "choice"
    assert len(set(axis.places)) == 3


def test_a_log_axis_with_a_custom_zero_is_drawn_linear() -> None:
    assert axis_of({"_type": "loguniform", "_value": [0.1, 1]}, [0.0, 0.5]).kind == "linear"


def test_the_objective_is_the_first_axis() -> None:
    figure = parallel.draw(record([trial(0, 0.5), trial(1, 0.7)]), {})
    first = figure["data"][0]["dimensions"][0]
    assert "Value" in first["label"]
    assert first["values"] == [0.5, 0.7]


@pytest.mark.parametrize(("mode", "order"), [("maximize", [2, 0, 1]), ("minimize", [1, 0, 2])])
def test_the_best_is_darkest_and_on_top_either_way(mode: str, order: list[int]) -> None:
    given = record([trial(0, 0.5), trial(1, 0.9), trial(2, 0.1)], mode=mode)
    line = parallel.draw(given, {})["data"][0]
    assert line["customdata"] == order  # drawn last = on top
    assert line["line"]["color"] == [0.0, 0.5, 1.0]


def test_equal_values_share_their_colour() -> None:
    figure = parallel.draw(record([trial(i, v) for i, v in enumerate([1, 1, 2, 2, 3])]), {})
    assert figure["data"][0]["line"]["color"] == [0.0, 0.0, 0.5, 0.5, 1.0]


def test_only_trials_with_a_value_that_count_are_drawn() -> None:
    trials = [
        trial(0, 0.5),
        trial(1, None, "FAILED"),
        trial(2, 0.6, "EARLY_STOPPED"),
        trial(3, 0.7, excluded=True),
        trial(4, None, "RUNNING", latest_value=0.8),
    ]
    assert parallel.draw(record(trials), {})["data"][0]["customdata"] == [0, 2]


@pytest.mark.parametrize(("top", "n"), [("100", 30), ("20", 6), ("1", 1), ("5", 2), ("", 30)])
def test_the_best_share_is_rounded_up_and_never_empty(top: str, n: int) -> None:
    given = record([trial(i, i / 100) for i in range(30)])
    kept = parallel.draw(given, {"top": top})["data"][0]["customdata"]
    assert kept == list(range(30 - n, 30))


@pytest.mark.parametrize("top", ["0", "101", "many", "-5"])
def test_a_share_that_is_none_is_refused(top: str) -> None:
    with pytest.raises(ProblemsError) as refused:
        parallel.draw(record([trial(0, 1.0)]), {"top": top})
    assert refused.value.problems[0].path == "top"


def test_constants_are_hidden_and_named() -> None:
    space = {
        "lr": {"_type": "uniform", "_value": [0, 1]},
        "epochs": {"_type": "choice", "_value": [10]},
    }
    trials = [trial(i, i, parameters={"lr": i / 10, "epochs": 10}) for i in range(3)]
    figure = parallel.draw(record(trials, space=space), {})
    assert list(dimensions(figure)) == ["<b>Value</b>", "lr"]
    assert figure["layout"]["meta"]["hidden"] == ["epochs"]


def test_a_far_out_value_is_drawn_at_the_end_of_its_axis() -> None:
    trials = [trial(i, 0.9 + i / 1000) for i in range(20)] + [trial(20, -1e9)]
    figure = parallel.draw(record(trials), {})
    first = figure["data"][0]["dimensions"][0]
    assert min(first["values"]) == pytest.approx(0.9)
    assert figure["layout"]["meta"]["n_cut"] == 1


def test_a_budget_gets_an_axis_and_checkpoint_directories_get_none() -> None:
    space = {"lr": {"_type": "uniform", "_value": [0, 1]}}
    given = [
        {
            "lr": 0.1,
            "TRIAL_BUDGET": budget,
            "load_checkpoint_dir": f"/{budget}",
            "save_checkpoint_dir": f"/{budget + 1}",
        }
        for budget in (1, 9)
    ]
    found = axes.axes(space, given)
    assert [axis.label for axis in found] == ["lr", "TRIAL_BUDGET"]
    assert tuple(found[1].places) == (1.0, 9.0)


def test_axes_are_turned_round_and_rescaled_one_by_one() -> None:
    space = {
        "lr": {"_type": "loguniform", "_value": [1e-4, 1.0]},
        "width": {"_type": "uniform", "_value": [0, 1000]},
        "shift": {"_type": "uniform", "_value": [-1, 1]},
    }
    tried = [{"lr": 10.0**-i, "width": 10.0**i, "shift": i - 1.0} for i in range(3)]
    given = record([trial(i, 10.0**i, parameters=p) for i, p in enumerate(tried)], space=space)
    options = {
        "log_axes": '["", "width", "shift"]', "linear_axes": '["lr"]', "flip": '["", "width"]',
    }  # fmt: skip
    figure = parallel.draw(given, options)
    dimensions = {d["name"]: d for d in figure["data"][0]["dimensions"]}
    assert dimensions[""]["label"] == "<b>Value</b> (log)"
    assert dimensions[""]["values"] == [0.0, 1.0, 2.0]
    assert dimensions["width"]["label"] == "width (log)"
    assert dimensions["width"]["values"] == [0.0, 1.0, 2.0]  # worst first
    assert dimensions["lr"]["values"] == [1.0, 0.1, 0.01]
    assert dimensions["shift"]["label"] == "shift"  # what is not above 0 has no logarithm
    for name, is_flipped in {"": True, "width": True, "lr": False, "shift": False}.items():
        low, high = dimensions[name]["range"]
        assert (low > high) == is_flipped
    meta = figure["layout"]["meta"]
    assert meta["scales"] == {"": "log", "lr": "linear", "width": "log", "shift": "only"}
    assert meta["flipped"] == ["", "width"]
    usual = parallel.draw(given, {})["layout"]["meta"]
    assert usual["scales"] == {"": "linear", "lr": "log", "width": "linear", "shift": "only"}
