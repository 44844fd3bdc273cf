"""The history's numbers, and where they are drawn."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.charts import history
from experiments.problems import ProblemsError
from tests.charts.records import record, trial


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["uid"]: trace for trace in figure["data"]}


@pytest.mark.parametrize(
    ("mode", "expected"), [("maximize", (0.3, 0.5, 0.9, 0.9)), ("minimize", (0.3, 0.2, 0.2))]
)
def test_the_best_line_steps_where_a_trial_is_better(mode: str, expected: tuple[float]) -> None:
    values = [0.3, 0.5, 0.2, 0.9, 0.4]
    found = history.info(record([trial(i, v) for i, v in enumerate(values)], mode=mode), {})
    assert found.best_y == expected
    assert found.best_x[-1] == 4  # on to the newest trial


def test_only_succeeded_trials_that_count_move_the_best_line() -> None:
    trials = [
        trial(0, 0.5),
        trial(1, 0.9, "EARLY_STOPPED"),
        trial(2, None, "RUNNING", latest_value=0.95),
        trial(3, 0.99, excluded=True),
    ]
    found = history.info(record(trials), {})
    assert found.best_y == (0.5, 0.5)
    assert found.best is not None
    assert found.best.trial.number == 0


def test_the_earliest_of_equal_trials_is_the_best() -> None:
    given = record([trial(i, 0.5) for i in range(3)])
    axis = history.draw(given, {})["layout"]["xaxis"]
    assert (axis["dtick"], axis["autorangeoptions"]) == (1, {"minallowed": -0.6, "include": 3.6})
    found = history.info(given, {})
    assert found.best is not None
    assert found.best.trial.number == 0


def test_far_out_values_are_arrows_at_the_edge_with_a_count() -> None:
    trials = [trial(i, 0.9 + i / 1000) for i in range(20)] + [trial(20, -400.0)]
    figure = history.draw(record(trials), {})
    edge = traces(figure)["edge-triangle-down"]
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0.8 < low < edge["y"][0] < high < 1.0
    assert edge["customdata"] == [20]
    assert edge["hovertext"] == ["-400"]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["▼ 1 off scale"]
    assert 20 not in traces(figure)["succeeded"]["customdata"]


def test_the_best_value_is_never_off_scale() -> None:
    trials = [trial(i, 0.1 + i / 1000) for i in range(20)] + [trial(20, 0.9)]
    figure = history.draw(record(trials), {})
    assert figure["layout"]["yaxis"]["range"][1] > 0.9


def test_all_values_can_be_asked_for() -> None:
    trials = [trial(i, 0.9 + i / 1000) for i in range(20)] + [trial(20, -400.0)]
    figure = history.draw(record(trials), {"clip": "0"})
    assert figure["layout"]["yaxis"]["range"][0] < -400
    assert figure["layout"]["meta"]["clipped"] == 0


def test_failed_trials_stand_at_the_bottom_whatever_is_zoomed_to() -> None:
    trials = [trial(0, 0.5), trial(1, None, "FAILED"), trial(2, 0.4, "LOST")]
    failed = traces(history.draw(record(trials), {}))["failed"]
    assert failed["yaxis"] == "y2"
    assert failed["customdata"] == [1, 2]
    assert failed["hovertext"] == ["Failed", "Lost"]


def test_a_running_trial_is_hollow_at_its_latest_value() -> None:
    trials = [trial(0, 0.5), trial(1, None, "RUNNING", latest_value=0.2), trial(2, None, "RUNNING")]
    running = traces(history.draw(record(trials), {}))["running"]
    assert (running["x"], running["y"]) == ([1], [0.2])  # the third has not reported yet
    assert running["marker"]["symbol"] == "circle-open"


def test_by_time_the_points_stand_where_trials_finished() -> None:
    figure = history.draw(record([trial(1, 0.5), trial(0, 0.7)]), {"x": "time"})
    succeeded = traces(figure)["succeeded"]
    assert succeeded["customdata"] == [0, 1]
    assert succeeded["x"] == ["2026-01-01T00:00:05.000", "2026-01-01T00:00:15.000"]


def test_log_is_drawn_only_where_every_value_is_positive() -> None:
    positive = record([trial(0, 10.0), trial(1, 1000.0)])
    figure = history.draw(positive, {"log": "1"})
    assert figure["layout"]["yaxis"]["type"] == "log"
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 1 < 3 < high
    mixed = record([trial(0, 10.0), trial(1, -1.0)])
    figure = history.draw(mixed, {"log": "1"})
    assert figure["layout"]["yaxis"]["type"] == "linear"
    assert figure["layout"]["meta"]["log_possible"] is False


def test_on_a_log_axis_nothing_ordinary_is_off_scale() -> None:
    values = [10.0**k for k in range(-6, 7)]
    found = history.info(record([trial(i, v) for i, v in enumerate(values)]), {"log": "1"})
    assert found.below.size == found.above.size == 0


def test_hovering_shows_number_value_and_parameters() -> None:
    given = record([trial(3, 0.123456789, parameters={"lr": 0.001234567, "act": "<b>relu</b>"})])
    succeeded = traces(history.draw(given, {}))["succeeded"]
    assert succeeded["customdata"] == [3]
    assert succeeded["hovertext"] == ["0.1234568"]
    assert succeeded["text"] == ["lr = 0.00123457<br>act = &lt;b&gt;relu&lt;/b&gt;"]


@pytest.mark.parametrize("options", [{"x": "value"}, {"log": "yes"}, {"clip": "2"}])
def test_an_option_that_makes_no_sense_is_refused_by_name(options: dict[str, str]) -> None:
    with pytest.raises(ProblemsError) as refused:
        history.draw(record([trial(0, 0.5)]), options)
    assert refused.value.problems[0].path == next(iter(options))


def test_running_trials_can_be_moved_by_the_page() -> None:
    given = record(
        [
            trial(0, 0.5),
            trial(1, None, "RUNNING", latest_value=0.25, latest_sequence=7),
            trial(2, None, "RUNNING"),
        ]
    )
    figure = history.draw(given, {})
    running = next(t for t in figure["data"] if t["uid"] == "running")
    assert (running["customdata"], running["y"], running["meta"]) == ([1], [0.25], {"last": [7]})
    assert "%{y" in running["hovertemplate"]  # else the words would stay behind
    live = figure["layout"]["meta"]["live"]
    assert live == {"how": "move", "metric": "default", "room": 0.5}
