"""Each parameter against the value: the most important first, points or densities, a trend."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.charts import ped_anova, slices
from experiments.charts.base import Record
from experiments.problems import ProblemsError
from tests.charts.records import record, trial
from tests.charts.test_importance import SPACE, experiment


def panel(figure: Any, label: str) -> dict[str, Any]:
    """Axis and traces of one parameter."""
    (name,) = [
        n for n, a in figure["layout"].items()
        if n.startswith("xaxis") and a["title"]["text"].split(" · ")[0] == label
    ]  # fmt: skip
    traces = [t for t in figure["data"] if t["xaxis"] == name.replace("axis", "")]
    return {"axis": figure["layout"][name], **{t["uid"].split("-")[0]: t for t in traces}}


def test_the_most_important_parameter_comes_first() -> None:
    figure = slices.draw(experiment(), {})
    assert figure["layout"]["meta"]["shown"][0] == "lr"
    first = panel(figure, "lr")["axis"]
    row = figure["layout"]["yaxis" + first["anchor"].removeprefix("y")]
    assert (first["domain"][0], row["domain"][1]) == (0.0, 1.0)  # top left


def test_a_parameter_keeps_its_axes_whatever_place_it_has() -> None:
    """Otherwise a zoom would jump to another parameter when the order changes."""
    names = {
        tuple(n for n in slices.draw(given, {})["layout"] if n.startswith(("xaxis", "yaxis")))
        for given in (experiment(), experiment(40, seed=3), experiment(mode="minimize"))
    }
    assert len({frozenset(n) for n in names}) == 1
    figure = slices.draw(experiment(), {"axes": '["momentum"]'})
    assert panel(figure, "momentum")["points"]["xaxis"] == "x2"  # second in the space


def test_a_log_parameter_has_a_log_axis_with_its_own_values() -> None:
    given = experiment(50)
    lr = panel(slices.draw(given, {}), "lr")
    assert lr["axis"]["type"] == "log"
    assert lr["axis"]["range"] == pytest.approx([-5.15, 0.15])
    values = [t.parameters["lr"] for t in given.trials]
    assert lr["points"]["x"] == pytest.approx(values, rel=1e-3)
    assert lr["points"]["customdata"] == list(range(50))


def test_a_nested_parameter_is_drawn_for_the_trials_that_have_it() -> None:
    given = experiment(60)
    beta = panel(slices.draw(given, {}), "opt.beta")
    having = [t.number for t in given.trials if t.parameters["opt"]["_name"] == "adam"]
    assert beta["points"]["customdata"] == having
    low, high = beta["axis"]["range"]
    assert -0.1 < low < 0 < 1 < high < 1.1  # no slot for those without


def test_words_of_choices_have_room_beside_each_other() -> None:
    """Long ones lose their middle, more of it where a panel is narrow."""
    seeds = [1234567890123456, 1234567890123999, 7]
    space = {name: {"_type": "choice", "_value": seeds} for name in ("a", "<b>")}
    trials = [
        trial(n, value=float(n), parameters={"a": seeds[n % 3], "<b>": seeds[n // 3 % 3]})
        for n in range(12)
    ]
    given = record(trials, space=space)
    wide = panel(slices.draw(given, {}), "a")["axis"]["ticktext"]
    assert wide == ["1234567890123456", "1234567890123999", "7"]
    narrow = panel(slices.draw(given, {"columns": "2"}), "a")["axis"]["ticktext"]
    assert narrow == ["123…56", "123…99", "7"]


def test_of_many_choices_every_so_many_are_named_and_none_aslant() -> None:
    """Who points at a trial reads its own choice, not the place where it was spread to."""
    space = {name: {"_type": "choice", "_value": list(range(1000, 1024))} for name in "ab"}
    trials = [
        trial(n, value=float(n), parameters={"a": 1000 + n % 24, "b": 1000 + n % 7})
        for n in range(48)
    ]
    drawn = slices.draw(record(trials, space=space), {"columns": "2"})
    shown = panel(drawn, "a")
    named = [words for words in shown["axis"]["ticktext"] if words]
    assert len(shown["axis"]["ticktext"]) == len(shown["axis"]["tickvals"]) == 24
    assert named == ["1000", "1006", "1012", "1018"]
    assert shown["axis"]["tickangle"] == 0
    assert shown["points"]["text"] == [str(1000 + n % 24) for n in range(48)]
    assert "%{text}" in shown["points"]["hovertemplate"]


def test_equal_choices_are_spread_and_stay_near_their_place() -> None:
    points = panel(slices.draw(experiment(100), {}), "opt")["points"]
    assert len(set(points["x"])) > 90
    assert all(abs(x - round(x)) <= 0.25 for x in points["x"])


def test_the_trend_follows_the_median_and_the_band_its_quartiles() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(400)
    trials = [
        trial(i, float(10 * v + rng.normal()), parameters={"x": float(v)})
        for i, v in enumerate(values)
    ]
    space = {"x": {"_type": "uniform", "_value": [0, 1]}}
    (found,) = slices.info(record(trials, space=space), {}).panels
    for place, low, middle, high in zip(
        found.along.places, found.along.low, found.along.median, found.along.high, strict=True
    ):
        assert middle == pytest.approx(10 * place, abs=0.9)
        assert low < middle < high
        assert high - low < 4


def many(n: int) -> Record:
    rng = np.random.default_rng(2)
    space: dict[str, Any] = {f"p{i}": {"_type": "uniform", "_value": [0.0, 1.0]} for i in range(20)}
    space["p3"] = {"_type": "choice", "_value": ["a", "b", "c"]}
    columns = rng.random((n, 20))
    trials = []
    for number, row in enumerate(columns):
        given: dict[str, Any] = {f"p{i}": float(v) for i, v in enumerate(row)}
        given["p3"] = "abc"[int(row[3] * 3)]
        trials.append(trial(number, float(row[7] + 0.1 * row[5]), parameters=given))
    return record(trials, space=space, ended=True)


@pytest.mark.parametrize("n", [500, 10_000])
def test_of_many_trials_every_one_counts_and_the_figure_stays_small(n: int) -> None:
    figure = slices.draw(many(n), {})
    assert len(json.dumps(figure, separators=(",", ":"))) < 300_000
    assert len(figure["layout"]["meta"]["shown"]) == slices.MOST_PANELS
    found = panel(figure, "p7")
    assert ("density" in found, "points" in found) == (n > 500, n == 500)
    if "density" in found:
        assert sum(c or 0 for line in found["density"]["z"] for c in line) == n
    assert "8 more parameters can be chosen." in figure["layout"]["meta"]["note"]


def test_few_whole_numbers_get_a_cell_each() -> None:
    space = {"depth": {"_type": "randint", "_value": [1, 6]}}
    trials = [trial(i, 0.1 * (i % 7), parameters={"depth": 1 + i % 5}) for i in range(7000)]
    found = panel(slices.draw(record(trials, space=space), {}), "depth")
    assert found["density"]["x"] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    low, high = found["axis"]["range"]
    assert low <= 0.5
    assert high >= 5.5


def test_below_the_minimum_parameters_stay_in_the_spaces_order() -> None:
    figure = slices.draw(experiment(ped_anova.LEAST - 1), {})
    assert figure["layout"]["meta"]["shown"] == ["lr", "momentum", "seed", "opt", "opt.beta"]
    assert panel(figure, "lr")["axis"]["title"]["text"] == "lr"  # no share is made up


def test_axes_and_columns_are_checked() -> None:
    figure = slices.draw(experiment(50), {"axes": '["opt", "lr", "nobody"]', "columns": "1"})
    assert figure["layout"]["meta"]["shown"] == ["opt", "lr"]
    assert panel(figure, "opt")["axis"]["domain"] == panel(figure, "lr")["axis"]["domain"]
    with pytest.raises(ProblemsError, match="columns: must be a number from 1 to 6"):
        slices.draw(experiment(50), {"columns": "0"})


def test_rows_are_of_a_length() -> None:
    figure = slices.draw(experiment(200), {"columns": "4"})
    names = figure["layout"]["meta"]["shown"]
    assert len(names) == 5
    lefts = [panel(figure, name)["axis"]["domain"][0] for name in names]
    assert lefts[3:] == lefts[:2]  # three and two, not four and one
    assert len(set(lefts)) == 3


def test_a_constant_parameter_has_no_panel() -> None:
    space = SPACE | {"fixed": {"_type": "choice", "_value": [3]}}
    trials = [trial(i, 0.1 * i, parameters={"lr": 0.1, "fixed": 3}) for i in range(5)]
    assert "fixed" not in slices.draw(record(trials, space=space), {})["layout"]["meta"]["shown"]


def test_on_a_phone_words_have_room() -> None:
    space = {
        "a_parameter_with_a_long_name": {"_type": "loguniform", "_value": [1e-6, 1.0]},
        "other": {"_type": "uniform", "_value": [0, 1]},
    }
    trials = [
        trial(
            n, n / 10, parameters={"a_parameter_with_a_long_name": 10.0 ** -(n % 6), "other": 0.5}
        )
        for n in range(9)
    ]
    trials.append(trial(9, 0.5, parameters={"other": 0.1}))
    wide, narrow = (
        slices.draw(record(trials, space=space), {"columns": columns})["layout"]["xaxis"]
        for columns in ("4", "2")
    )
    assert wide["title"]["text"] == "…arameter_with_a_long_name · 9 trials"
    assert wide["dtick"] == 1
    assert narrow["title"]["text"] == "…r_with_a_long_name<br>9 trials"
    assert narrow["dtick"] == 2
