"""Several experiments in one figure: best so far, EDF, and directions that differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from experiments.charts import across
from experiments.charts.across import Course
from experiments.problems import ProblemsError

NAN = float("nan")


def course(
    values: Sequence[float], *, key: str = "aaaa1111", name: str = "a", maximize: bool = True,
    seconds: Sequence[float] | None = None,
) -> Course:  # fmt: skip
    times = np.arange(1.0, len(values) + 1) if seconds is None else np.array(seconds)
    return Course(key, name, maximize, np.array(values, dtype=float), times)


def lines(figure: dict[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    return {trace["name"]: (trace["x"], trace["y"]) for trace in figure["data"]}


def test_the_best_steps_over_ended_trials_failed_ones_counted() -> None:
    up = course([NAN, 0.2, 0.1, NAN, 0.5, 0.4])
    down = course([3.0, NAN, 1.0], name="b", maximize=False)
    drawn = across.draw("best", [up, course([0.1, 0.2], name="c")], {})
    assert lines(drawn)["a"] == ([2, 5, 6], [0.2, 0.5, 0.5])  # on to the last trial
    alone = across.draw("best", [down, down], {})
    assert alone["data"][0]["y"] == [3.0, 1.0]


def test_time_is_in_a_unit_that_reads_well() -> None:
    slow = course([0.1, 0.2], seconds=[3600.0, 14400.0])
    drawn = across.draw("best", [slow, course([0.3], name="b", seconds=[1800.0])], {"x": "time"})
    assert lines(drawn) == {"a": ([1.0, 4.0], [0.1, 0.2]), "b": ([0.5], [0.3])}
    assert drawn["layout"]["xaxis"]["title"]["text"] == "Time since the start (h)"


@pytest.mark.parametrize("kind", across.KINDS)
def test_mixed_directions_are_drawn_by_distance_and_said_so(kind: str) -> None:
    accuracy = course([0.7, 0.9, 0.8])
    loss = course([2.0, 1.0, 4.0], name="b", maximize=False)
    drawn = across.draw(kind, [accuracy, loss], {"y": "value", "log": "1"})
    meta = drawn["layout"]["meta"]
    assert (meta["mixed"], meta["by_gap"], meta["log_possible"]) == (True, True, False)
    axis = drawn["layout"]["xaxis" if kind == "edf" else "yaxis"]
    assert axis["title"]["text"] == "Distance to its own best"
    assert "Some maximize, some minimize" in drawn["layout"]["annotations"][0]["text"]
    found = lines(drawn)
    if kind == "best":
        assert found["a"][1] == pytest.approx([0.2, 0.0, 0.0])
        assert found["b"] == ([1, 2, 3], [1.0, 0.0, 0.0])
    else:
        assert found["b"] == ([0.0, 1.0, 3.0], pytest.approx([1 / 3, 2 / 3, 1]))


def test_turned_round_the_distances_are_the_same() -> None:
    values = [0.3, NAN, 0.9, 0.5]
    up = across.draw("edf", [course(values), course(values)], {"y": "gap"})
    turned = [-v for v in values]
    down = across.draw(
        "edf", [course(turned, maximize=False), course(turned, maximize=False)], {"y": "gap"}
    )
    assert up["data"] == down["data"]


def test_the_share_counts_trials_with_a_result_and_ends_at_all_of_them() -> None:
    up = [course([0.3, NAN, 0.1, 0.2]), course([0.5], name="b")]
    drawn = across.draw("edf", up, {})
    assert lines(drawn)["a"] == ([0.3, 0.2, 0.1], pytest.approx([1 / 3, 2 / 3, 1.0]))
    assert "/ 3 ≥" in drawn["data"][0]["hovertemplate"]
    assert drawn["layout"]["yaxis"]["title"]["text"] == "Trials with this value or more"
    down = [course([0.3, NAN, 0.1, 0.2], maximize=False), course([0.5], maximize=False)]
    drawn = across.draw("edf", down, {})
    assert drawn["data"][0]["x"] == [0.1, 0.2, 0.3]
    assert "/ 3 ≤" in drawn["data"][0]["hovertemplate"]


def test_many_trials_are_thinned_and_both_ends_stay() -> None:
    values = np.linspace(0.0, 1.0, 10_000)
    drawn = across.draw("edf", [course(values), course([0.5], name="b")], {})
    x, y = lines(drawn)["a"]
    assert len(x) <= across.MOST_POINTS
    assert (x[0], x[-1], y[-1]) == (1.0, 0.0, 1.0)
    best = across.draw("best", [course(values), course([0.5], name="b")], {})
    x, y = lines(best)["a"]
    assert len(x) <= across.MOST_POINTS + 1
    assert (x[-1], y[-1]) == (10_000, 1.0)


@pytest.mark.parametrize("kind", across.KINDS)
def test_odd_values_make_no_broken_figure(kind: str) -> None:
    given = [course([1.7e308, -1.7e308]), course([NAN], name="<b>x"), course([], name="none")]
    for options in ({}, {"y": "gap"}, {"log": "1"}):
        drawn = across.draw(kind, given, options)
        json.dumps(drawn, allow_nan=False)
        assert "&lt;b&gt;x, none" in drawn["layout"]["annotations"][-1]["text"]
    nothing = across.draw(kind, given[1:], {})
    assert nothing["layout"]["meta"]["empty"]


def test_equal_names_carry_their_ids() -> None:
    drawn = across.draw("best", [course([1.0]), course([2.0], key="bbbb2222")], {})
    assert set(lines(drawn)) == {"a (aaaa1111)", "a (bbbb2222)"}


@pytest.mark.parametrize("options", [{"x": "w"}, {"y": "rank"}, {"log": "maybe"}])
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ProblemsError):
        across.draw("best", [course([1.0]), course([2.0])], options)
