"""What every chart must hold, by contract: a new one is tested as soon as it is registered."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from experiments.charts import CHARTS
from experiments.states import MOVES, TrialState
from tests.charts.records import curve, record, trial

KINDS = sorted(CHARTS)
ODD_NAME = "<img src=x onerror=alert(1)>"


def everything(mode: str = "maximize") -> Any:
    """One trial of every state, with odd names and far-out values among them."""
    states = ("SUCCEEDED", "EARLY_STOPPED", "FAILED", "LOST", "CANCELED", "RUNNING", "WAITING")
    trials = [
        trial(i, 0.5 + i / 100 if state in ("SUCCEEDED", "EARLY_STOPPED") else None, state)
        for i, state in enumerate(states)
    ]
    trials += [trial(7, 1e20), trial(8, -1e-300, parameters={ODD_NAME: ODD_NAME, "lr": None})]
    trials += [trial(9 + i, 0.7, excluded=i == 0, parameters={}) for i in range(3)]
    trials += [trial(12 + i, i / 50, parameters={"lr": 1e-4 * (i + 1)}) for i in range(40)]
    curves = [curve(i, [0.1, math.nan, 0.3, 1e300, -5.0]) for i in range(12)]
    return record(trials, curves, mode)


def layout_colours(figure: dict[str, Any]) -> list[str]:
    frame = figure["layout"]
    return [frame["paper_bgcolor"], frame["plot_bgcolor"]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_a_figure_is_plain_json_with_finite_numbers_only(kind: str, mode: str) -> None:
    text = json.dumps(CHARTS[kind].draw(everything(mode), {}), allow_nan=False)
    assert ODD_NAME not in text  # Plotly takes some tags in its texts for markup


@pytest.mark.parametrize("kind", KINDS)
def test_an_experiment_without_trials_says_so(kind: str) -> None:
    figure = CHARTS[kind].draw(record([]), {})
    assert figure["data"] == []
    assert figure["layout"]["meta"]["empty"].endswith(".")
    assert figure["layout"]["annotations"][0]["text"] == figure["layout"]["meta"]["empty"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_fits_any_theme_and_keeps_the_zoom(kind: str) -> None:
    figure = CHARTS[kind].draw(everything(), {})
    assert layout_colours(figure) == ["rgba(0,0,0,0)"] * 2
    assert "color" not in figure["layout"]["font"]
    revisions = {
        CHARTS[kind].draw(given, {})["layout"]["uirevision"]
        for given in (record([]), everything(), everything("minimize"))
    }
    assert len(revisions) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_traces_have_names_of_their_own_that_outlive_updates(kind: str) -> None:
    figure = CHARTS[kind].draw(everything(), {})
    uids = [trace["uid"] for trace in figure["data"]]
    assert len(uids) == len(set(uids)) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_options_nobody_knows_change_nothing(kind: str) -> None:
    given = everything()
    assert CHARTS[kind].draw(given, {"nonsense": "1"}) == CHARTS[kind].draw(given, {})


@pytest.mark.parametrize("kind", KINDS)
def test_plotly_itself_accepts_the_figure(kind: str) -> None:
    plotly = pytest.importorskip("plotly.graph_objects")
    figure = CHARTS[kind].draw(everything(), {})
    plotly.Figure(figure)  # raises ValueError naming whatever property does not exist


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_drawn_anew_only_at_moves_that_trials_make(kind: str) -> None:
    legal = {("", TrialState.WAITING), *((a, b) for a, to in MOVES.items() for b in to)}
    assert CHARTS[kind].redrawn_at <= legal
    assert (TrialState.RUNNING, TrialState.SUCCEEDED) in CHARTS[kind].redrawn_at


def test_reports_end_the_emptiness_of_history_and_curves_only() -> None:
    empty = {kind: CHARTS[kind].draw(record([]), {})["layout"]["meta"] for kind in KINDS}
    assert [kind for kind in KINDS if "live" in empty[kind]] == ["curves", "history"]


def test_a_started_trial_changes_durations_and_slots_only() -> None:
    start = (TrialState.WAITING, TrialState.RUNNING)
    assert [kind for kind in KINDS if start in CHARTS[kind].redrawn_at] == ["duration", "slots"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_is_a_table_too(kind: str) -> None:
    table = CHARTS[kind].tabulate(everything(), {})
    assert len(table.columns) > 1
    assert len(set(table.columns)) == len(table.columns)
    assert len(table.rows) > 0
    assert {len(row) for row in table.rows} == {len(table.columns)}
    json.dumps(table.rows, allow_nan=False)
    assert all(isinstance(cell, (str, int, float, bool, type(None)))
               for row in table.rows for cell in row)  # fmt: skip
    assert CHARTS[kind].tabulate(record([]), {}).rows in ([], ())
