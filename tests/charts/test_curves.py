"""Which curves are drawn how, and that they stay few and thin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.charts import curves
from experiments.charts.base import StopReceipt
from experiments.problems import ProblemsError
from tests.charts.records import curve, record, trial


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["uid"]: trace for trace in figure["data"]}


def many(n: int = 100, mode: str = "maximize", n_points: int = 50) -> Any:
    trials = [trial(i, i / n) for i in range(n - 2)]
    trials += [trial(i, None, "RUNNING") for i in (n - 2, n - 1)]
    return record(trials, [curve(i, np.linspace(0, i / n, n_points)) for i in range(n)], mode)


@pytest.mark.parametrize(("mode", "best"), [("maximize", range(78, 98)), ("minimize", range(20))])
def test_running_trials_and_the_best_twenty_are_traces_of_their_own(mode: str, best: range) -> None:
    figure = curves.draw(many(mode=mode), {})
    own = [trace["meta"]["trial"] for trace in figure["data"] if "meta" in trace]
    assert own == sorted([*best, 98, 99])


def test_all_others_are_at_most_eight_faint_traces_with_gaps() -> None:
    figure = curves.draw(many(200), {})
    faint = [trace for trace in figure["data"] if trace["uid"].startswith("rest")]
    assert len(faint) == 8
    assert [trace["showlegend"] for trace in faint] == [True] + [False] * 7
    for trace in faint:
        ends = [i for i, y in enumerate(trace["y"]) if y is None]
        assert len(ends) == len(set(trace["customdata"]))
        assert trace["connectgaps"] is False


@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_a_chart_too_narrow_for_a_key_says_what_its_colours_are(mode: str) -> None:
    trials = [trial(i, i / 40) for i in range(39)] + [trial(39, 0.1, "EARLY_STOPPED")]
    ends = [(0.1, 1.0) if mode == "maximize" else (1.0, 0.1)] * 40
    values = [np.linspace(low, high, 9) for low, high in ends]
    figure = curves.draw(record(trials, [curve(i, v) for i, v in enumerate(values)], mode), {})
    (note,) = figure["layout"]["annotations"]
    assert note["text"] == "in colour: the best 20 · × stopped early"
    assert note["y"] == (0 if mode == "maximize" else 1)  # where no curve ends
    assert traces(figure)["stopped"]["legendrank"] < 1000
    few = curves.draw(record(trials[:3], [curve(i, values[i]) for i in range(3)], mode), {})
    assert few["layout"]["annotations"] == []


def test_a_trial_keeps_its_colour_when_others_come() -> None:
    before = traces(curves.draw(many(60), {}))["t58"]
    after = traces(curves.draw(many(61), {}))["t58"]
    assert before["line"]["color"] == after["line"]["color"]
    assert before["line"]["dash"] == after["line"]["dash"]


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    values = np.sin(np.arange(10_000) / 50)
    given = record([trial(0, 0.5)], [curve(0, values)])
    trace = traces(curves.draw(given, {}))["t0"]
    assert 100 <= len(trace["x"]) <= 200
    assert trace["x"][-1] == 9999
    assert trace["marker"]["maxdisplayed"] == 10


def test_a_thousand_curves_stay_light() -> None:
    figure = curves.draw(many(1000, n_points=500), {})
    assert sum(len(trace["x"]) for trace in figure["data"]) < 40_000
    assert len(figure["data"]) < 40


def test_what_is_no_number_is_a_gap() -> None:
    trace = traces(curves.draw(record([trial(0, 1.0)], [curve(0, [1, np.nan, 3])]), {}))["t0"]
    assert trace["y"] == [1.0, None, 3.0]
    assert trace["connectgaps"] is False


def test_the_end_of_an_early_stopped_trial_is_marked() -> None:
    given = record([trial(4, 0.2, "EARLY_STOPPED")], [curve(4, [0.1, 0.2, np.nan])])
    stopped = traces(curves.draw(given, {}))["stopped"]
    assert (stopped["x"], stopped["y"], stopped["customdata"]) == ([1.0], [0.2], [4])


def test_x_is_the_step_the_report_or_the_time() -> None:
    given = record(
        [trial(0, 1.0)],
        [curve(0, [1, 2], step=np.array([100.0, np.nan]), time=np.array([50.0, 53.5]))],
    )
    xs = {x: traces(curves.draw(given, {"x": x}))["t0"]["x"] for x in ("step", "sequence", "time")}
    # a report without a step stands at its place in the row
    assert xs == {"step": [100.0, 1.0], "sequence": [0.0, 1.0], "time": [0.0, 3.5]}


def test_a_diverged_curve_does_not_flatten_the_others() -> None:
    trials = [trial(i, 0.9) for i in range(10)]
    lines = [curve(i, np.linspace(0.5, 0.9, 20)) for i in range(9)]
    figure = curves.draw(record(trials, [*lines, curve(9, np.full(5, -1e6))]), {})
    assert figure["layout"]["yaxis"]["range"][0] > 0.3
    assert figure["layout"]["meta"]["clipped"] == 5
    figure = curves.draw(record(trials, [*lines, curve(9, np.full(5, -1e6))]), {"clip": "0"})
    assert figure["layout"]["yaxis"]["range"][0] < -1e6


def test_an_unknown_metric_gives_an_empty_chart_that_names_it() -> None:
    figure = curves.draw(record([trial(0, 1.0)]), {"metric": "val/<loss>"})
    assert "val/&lt;loss&gt;" in figure["layout"]["meta"]["empty"]


def test_one_trials_chart_shows_it_before_the_faint_others() -> None:
    figure = curves.draw(many(30), {"trial": "3"})
    own = [trace for trace in figure["data"] if "meta" in trace]
    assert [trace["meta"]["trial"] for trace in own] == [3]
    assert own[0]["line"]["dash"] == "solid"
    assert sum(trace["uid"].startswith("rest") for trace in figure["data"]) == 8


def test_the_threshold_that_a_stopped_trial_missed_is_drawn() -> None:
    receipt = StopReceipt(sequence=2, threshold=0.8, line=((0, 0.4), (1, 0.6), (2, 0.8)))
    given = record(
        [trial(5, 0.2, "EARLY_STOPPED")],
        [curve(5, [0.1, 0.2, 0.2], step=np.array([10.0, 20.0, 30.0]))],
        receipts={5: receipt},
    )
    figure = curves.draw(given, {"trial": "5"})
    threshold = traces(figure)["threshold"]
    assert (threshold["x"], threshold["y"]) == ([10.0, 20.0, 30.0], [0.4, 0.6, 0.8])
    assert figure["layout"]["shapes"][0]["x0"] == 30.0
    assert figure["layout"]["yaxis"]["range"][1] > 0.8
    # the chart of all trials has no room for one trial's threshold
    assert "threshold" not in traces(curves.draw(given, {}))


@pytest.mark.parametrize("given", ["x", "-1", "nan"])
def test_a_trial_that_is_no_number_is_refused(given: str) -> None:
    with pytest.raises(ProblemsError) as refused:
        curves.draw(record([]), {"trial": given})
    assert refused.value.problems[0].path == "trial"


@pytest.mark.parametrize("n", [3, 12])
def test_the_steep_beginning_that_all_curves_have_is_in_view(n: int) -> None:
    learning = 0.9 - 0.8 * np.exp(-np.arange(100) / 2)
    given = record([trial(i, 0.9) for i in range(n)], [curve(i, learning) for i in range(n)])
    figure = curves.draw(given, {})
    assert figure["layout"]["yaxis"]["range"][0] < 0.1
    assert figure["layout"]["meta"]["clipped"] == 0


def test_trials_without_results_are_drawn_too_the_newest_first() -> None:
    trials = [trial(i, None, "FAILED") for i in range(30)]
    figure = curves.draw(record(trials, [curve(i, [1, 2]) for i in range(30)]), {})
    own = [trace["meta"]["trial"] for trace in figure["data"] if "meta" in trace]
    assert own == list(range(10, 30))


def test_among_a_few_curves_only_the_absurd_is_out_of_view() -> None:
    trials = [trial(i, 0.9) for i in range(2)]
    lines = [curve(0, np.linspace(0.1, 0.9, 50)), curve(1, [0.1, 0.2, 1e20])]
    figure = curves.draw(record(trials, lines), {})
    assert figure["layout"]["yaxis"]["range"][1] < 2
    assert figure["layout"]["meta"]["clipped"] == 1


@pytest.mark.parametrize(
    ("x", "places"),
    [("step", ["step", "sequence"]), ("sequence", ["sequence"]), ("time", ["time"])],
)
def test_the_figure_says_how_reports_are_added(x: str, places: list[str]) -> None:
    times = np.array([50.0, 53.5, 57.0])
    given = record([trial(0, None, "RUNNING")], [curve(0, [1, np.nan, 3], time=times)])
    figure = curves.draw(given, {"x": x, "metric": "loss"})
    assert figure["layout"]["meta"]["live"] == {
        "how": "append",
        "metric": "loss",
        "x": places,
        "room": 0.5,
    }
    meta = traces(figure)["t0"]["meta"]
    assert (meta["trial"], meta["last"], meta["start"]) == (0, 2, 50.0)


def test_where_all_values_are_shown_the_axis_is_widened_for_any() -> None:
    given = record([trial(0, None, "RUNNING")], [curve(0, [1, 2])])
    assert curves.draw(given, {"clip": "0"})["layout"]["meta"]["live"]["room"] is None


def test_a_thinned_line_has_room_for_as_many_points_again() -> None:
    # every other value a gap: such a line cannot be thinned below its gaps
    values = np.where(np.arange(4000) % 2, np.nan, 1.0)
    for drawn in (values, np.sin(np.arange(4000) / 50)):
        given = record([trial(0, None, "RUNNING")], [curve(0, drawn)])
        trace = traces(curves.draw(given, {}))["t0"]
        assert trace["meta"]["most"] == len(trace["x"]) + 200
        assert trace["meta"]["last"] == 3999
