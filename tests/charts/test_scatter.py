"""Any two numbers against each other: what an axis offers, and which trials none beats in both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from experiments.charts import scatter
from experiments.charts.base import Record
from experiments.looks import STATES
from experiments.problems import ProblemsError
from experiments.states import TrialState
from tests.charts.records import START, record, trial

SPACE: dict[str, Any] = {
    "batch": {"_type": "choice", "_value": [16, 32]},
    "units": {"_type": "randint", "_value": [1, 100]},
}


def trials(*rows: tuple[float, float, float]) -> Record:
    """Value, seconds, and a metric of each."""
    made = [
        trial(
            n, value, parameters={"batch": 16, "units": n + 1}, metrics={"size <mb>": size},
            started_at=START, finished_at=START + timedelta(seconds=seconds),
        )
        for n, (value, seconds, size) in enumerate(rows)
    ]  # fmt: skip
    return record(made, space=SPACE)


def front(given: Record, **options: str) -> list[int]:
    figure = scatter.draw(given, options)
    return next((t["customdata"] for t in figure["data"] if t["uid"] == "front"), [])


FIVE = trials((0.9, 90, 5), (0.8, 30, 9), (0.85, 95, 1), (0.5, 20, 4), (0.8, 30, 2))


def test_the_front_is_what_nothing_beats_in_both() -> None:
    assert sorted(front(FIVE)) == [0, 1, 3]  # of two equal ones the first
    assert sorted(front(FIVE, better_x="high")) == [0, 2]
    assert front(FIVE, better_y="none") == []
    assert sorted(front(FIVE, x="metric:size <mb>", better_x="low")) == [0, 2]
    assert sorted(front(FIVE, x="param:units", better_x="low")) == [0]


def test_a_brute_force_search_finds_the_same_front() -> None:
    draw = np.random.default_rng(1)
    rows = [(float(v), float(s), 0.0) for v, s in draw.integers(0, 30, size=(150, 2))]
    found = {tuple(rows[n][:2]) for n in front(trials(*rows))}
    beaten = {
        a for a in {r[:2] for r in rows} for b in rows
        if b[:2] != a and b[0] >= a[0] and b[1] <= a[1]
    }  # fmt: skip
    assert found == {r[:2] for r in rows} - beaten


def test_an_axis_offers_everything_that_has_numbers_and_no_name_is_markup() -> None:
    meta = scatter.draw(FIVE, {})["layout"]["meta"]
    names = [name for name, _words in meta["choices"]["x"]]
    assert names == ["", "value", "number", "param:batch", "param:units", "metric:size &lt;mb&gt;"]
    assert meta["selects"] == {"x": {"name": "duration"}, "y": {"name": "value"}}
    drawn = scatter.draw(FIVE, {"x": "metric:size <mb>", "y": "param:batch"})["layout"]
    assert drawn["meta"]["selects"]["x"] == {"name": 'metric:"size &lt;mb&gt;"'}
    assert drawn["yaxis"]["ticktext"] == ["16", "32"]


def test_no_direction_is_guessed_from_a_name() -> None:
    made = [trial(n, n / 10, metrics={"loss": n}) for n in range(5)]
    meta = scatter.draw(record(made), {"x": "metric:loss"})["layout"]["meta"]
    assert meta["n_front"] == 0
    assert "Say which end" in meta["note"]


def test_of_very_many_the_front_and_the_best_are_drawn() -> None:
    draw = np.random.default_rng(2)
    rows = [(float(v), float(s), 0.0) for v, s in draw.random((8000, 2))]
    figure = scatter.draw(trials(*rows), {})
    points, line = figure["data"]
    assert len(points["x"]) <= scatter.MOST_POINTS + len(line["x"])
    assert set(line["customdata"]) <= set(points["customdata"])
    best = sorted(range(8000), key=lambda n: -rows[n][0])[:500]
    assert set(best) <= set(points["customdata"])
    assert "8000" in figure["layout"]["meta"]["note"]


def test_the_table_has_all_of_them_with_the_front_marked() -> None:
    table = scatter.tabulate(FIVE, {"x": "metric:size <mb>", "better_x": "low"})
    assert table.columns == ("Trial", "Value", "metric size <mb>", "Beaten by none")
    assert list(table.rows[0]) == [0, 0.9, 5, True]
    assert [row[0] for row in table.rows if row[3]] == [0, 2]


def test_what_no_trial_has_is_named() -> None:
    with pytest.raises(ProblemsError) as error:
        scatter.draw(FIVE, {"x": "param:unit"})
    (problem,) = error.value.problems
    assert problem.path == "x"
    assert "did you mean 'param:units'?" in problem.message
    with pytest.raises(ProblemsError):
        scatter.draw(FIVE, {"better_x": "left"})


def test_far_out_trials_are_off_scale_unless_asked_for() -> None:
    draw = np.random.default_rng(3)
    rows = [(0.9 + float(v) / 100, 10 + float(s), 0.0) for v, s in draw.random((40, 2))]
    given = trials(*rows, (0.1, 10.5, 0), (0.905, 4000, 0), (0.99, 11, 0))  # the last is best
    low, high = scatter.draw(given, {})["layout"]["yaxis"]["range"]
    assert 0.8 < low < 0.9
    assert 0.99 <= high < 1.1
    drawn = scatter.draw(given, {})["layout"]
    assert drawn["xaxis"]["range"][1] < 20
    assert drawn["meta"]["clipped"] == 2
    assert "2 trials are off scale." in drawn["meta"]["note"]
    every = scatter.draw(given, {"clip": "0"})["layout"]
    assert every["xaxis"]["range"][1] >= 4000
    assert (every["meta"]["clipped"], every["yaxis"]["range"][0] <= 0.1) == (0, True)


def test_it_says_what_trials_nearly_as_good_have_of_the_other_number() -> None:
    given = trials((0.9, 1, 101632), (0.895, 1, 9000), (0.892, 1, 250000), (0.88, 1, 3))
    asked = {"x": "metric:size <mb>"}
    words = (
        "3 come within 1 % of the best value: metric size &lt;mb&gt; from 9000 (#1) to 250000 "
        "(#2); the best, #0, has 101632."
    )
    assert words in scatter.draw(given, asked)["layout"]["meta"]["note"]
    # of losses, too
    losses = record(
        [trial(n, v, parameters={"batch": 16, "units": n + 1}) for n, v in enumerate((2, 2.01, 9))],
        space=SPACE, mode="minimize",
    )  # fmt: skip
    note = scatter.draw(losses, {"x": "param:units"})["layout"]["meta"]["note"]
    assert "2 come within 1 % of the best value: units from 1 (#0) to 2 (#1)" in note
    # neither of a choice nor of two other numbers
    for other in ({"x": "param:batch"}, {"x": "param:units", "y": "duration"}):
        assert "within 1 %" not in scatter.draw(given, other)["layout"]["meta"]["note"]


# ---- a colour of one's own

WIDE: dict[str, Any] = {
    "lr": {"_type": "loguniform", "_value": [1e-5, 1]},
    "opt": {"_type": "choice", "_value": [f"o{n}" for n in range(12)]},
}


def coloured(**option: str) -> dict[str, Any]:
    made = [
        trial(
            n, n / 60, TrialState.EARLY_STOPPED if n % 5 == 0 else TrialState.SUCCEEDED,
            parameters={"lr": 10 ** -(n % 5 + 1), **({"opt": f"o{n % 12}"} if n % 7 else {})},
            metrics={"size": 1e9 if n == 9 else n}, started_at=START + timedelta(minutes=n),
            finished_at=START + timedelta(minutes=n, seconds=n),
        )
        for n in range(60)
    ]  # fmt: skip
    return scatter.draw(record(made, space=WIDE), {"better_x": "none", **option})


def test_a_number_has_a_scale_with_a_bar_logarithmic_where_the_parameter_is() -> None:
    figure = coloured(color="param:lr")
    (points,) = figure["data"]
    marker = points["marker"]
    assert marker["showscale"]
    assert (marker["cmin"], marker["cmax"]) == (-5, -1)
    assert set(marker["color"]) == {-5, -4, -3, -2, -1}
    bar = marker["colorbar"]
    assert dict(zip(bar["tickvals"], bar["ticktext"], strict=True))[-3] == "0.001"
    assert "lr = 0.01" in points["text"][points["customdata"].index(1)]
    assert "Colour: lr." in figure["layout"]["meta"]["note"]
    assert figure["layout"]["meta"]["color"] == "param:lr"


def test_one_far_out_number_does_not_take_all_the_colours() -> None:
    (points,) = coloured(color="metric:size")["data"]
    assert points["marker"]["cmax"] < 100
    assert max(points["marker"]["color"]) == pytest.approx(1e9)
    (whole,) = coloured(color="metric:size", clip="0")["data"]
    assert whole["marker"]["cmax"] == 1e9


def test_choices_have_shapes_and_the_rare_ones_share_theirs() -> None:
    figure = coloured(color="param:opt")
    assert all(t["showlegend"] is False for t in coloured(better_x="low")["data"][1:])
    names = [trace["name"] for trace in figure["data"]]
    assert names[:2] == ["without it", "others"]
    assert len(names) == 2 + 8
    looks = {(t["marker"]["symbol"], t["marker"]["color"]) for t in figure["data"]}
    assert len(looks) == len({symbol for symbol, _ in looks}) == 10
    assert figure["layout"]["showlegend"]
    numbers = [n for trace in figure["data"] for n in trace["customdata"]]
    assert sorted(numbers) == list(range(60))
    note = figure["layout"]["meta"]["note"]
    assert "4 rarer choices share one colour." in note
    assert "9 trials without it are hollow." in note


def test_time_and_state_are_colours_too_and_stand_in_the_table() -> None:
    states = coloured(color="state")["data"]
    assert {t["name"]: t["marker"]["color"] for t in states} == {
        "Stopped early": STATES[TrialState.EARLY_STOPPED].colour,
        "Succeeded": STATES[TrialState.SUCCEEDED].colour,
    }
    begun = coloured(color="start")
    (start,) = begun["data"]
    assert begun["layout"]["annotations"][0]["text"] == "Start (min after the first)"
    assert sorted(start["marker"]["color"])[-1] == 59
    table = scatter.tabulate(FIVE, {"color": "param:units"})
    assert table.columns == ("Trial", "Value", "Duration (s)", "units", "Beaten by none")
    with pytest.raises(ProblemsError) as error:
        coloured(color="param:opx")
    assert error.value.problems[0].path == "color"
