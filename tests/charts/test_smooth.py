"""Smoothed curves, the best only, and what the assessor asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.charts import curves
from experiments.charts.base import StopReceipt
from experiments.charts.smooth import smoothed
from experiments.problems import ProblemsError
from tests.charts.records import curve, record, trial


def test_the_mean_is_tensorboards_and_starts_without_bias() -> None:
    values = np.array([1.0, 3.0, math.nan, 2.0])
    means, state = smoothed(np.array([0.0, 1.0, 2.0, 3.0]), values, 0.5)
    # the debiased mean of TensorBoard; a gap stays one, and counts as a report left out
    assert means[0] == pytest.approx(1.0)
    assert means[1] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    assert math.isnan(means[2])
    kept = 0.5**2
    share = kept * 0.75 + 0.75
    assert means[3] == pytest.approx((kept * 1.75 + 0.75 * 2.0) / share)
    assert state == {
        "weight": 0.5, "total": pytest.approx(means[3] * share / 2), "share": share, "last": 3.0,
    }  # fmt: skip
    huge, _ = smoothed(np.arange(2.0), np.array([1.7e308, 1.7e308]), 0.9)
    assert np.isfinite(huge).all()


def test_a_thinned_curve_is_smoothed_as_the_whole_one() -> None:
    sequence = np.arange(100.0)
    kept = np.array([0, 1, 50, 99])
    whole, _ = smoothed(sequence, np.ones(100), 0.97)
    thin, _ = smoothed(sequence[kept], np.ones(4), 0.97)
    assert thin == pytest.approx(whole[kept])
    step, _ = smoothed(np.array([0.0, 90.0]), np.array([0.0, 1.0]), 0.9)
    assert step[1] > 0.999  # ninety reports later the first one counts for nothing


def test_a_smoothed_line_has_the_reports_pale_behind() -> None:
    given = record([trial(0, None, "RUNNING")], [curve(0, [1.0, 3.0])])
    raw, soft = curves.draw(given, {"smooth": "0.5"})["data"]
    assert raw["y"] == [1.0, 3.0]
    assert raw["opacity"] < 0.5
    assert not raw["showlegend"]
    assert raw["meta"]["last"] == 1
    assert soft["y"] == [1.0, pytest.approx(7 / 3)]
    assert soft["meta"]["smooth"]["last"] == 1.0
    assert soft["uid"] != raw["uid"]
    with pytest.raises(ProblemsError, match="smooth"):
        curves.draw(given, {"smooth": "1"})


def test_only_the_best_and_those_that_run_are_drawn_where_it_is_asked_for() -> None:
    trials = [*(trial(i, i / 100) for i in range(40)), trial(40, None, "RUNNING")]
    given = record(trials, [curve(i, [0.1, 0.2]) for i in range(41)])
    drawn = curves.draw(given, {"best": "3"})["data"]
    assert [t["meta"]["trial"] for t in drawn] == [37, 38, 39, 40]
    wanted = curves.wanted(given, {"best": "3"}, range(5000))
    assert wanted.is_all
    assert not wanted.is_crowd


def test_the_forecast_stands_where_the_trial_would_have_ended() -> None:
    receipt = StopReceipt(4.0, 0.9, forecast=(9.0, 0.6, 0.7, 0.5))
    given = record(
        [trial(3, 0.5, "EARLY_STOPPED")], [curve(3, [0.1, 0.2, 0.3, 0.4, 0.5])],
        receipts={3: receipt},
    )  # fmt: skip
    figure = curves.draw(given, {"trial": "3", "x": "sequence"})
    forecast = next(t for t in figure["data"] if t["uid"] == "forecast")
    assert forecast["x"] == [4.0, 9.0]
    assert forecast["y"] == [0.5, 0.6]
    assert forecast["error_y"]["array"] == [0.0, pytest.approx(0.1)]
    assert forecast["error_y"]["arrayminus"] == [0.0, pytest.approx(0.1)]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0.1
    assert high > 0.9  # the threshold is seen


def test_over_all_curves_stands_what_the_last_stopped_trial_had_to_reach() -> None:
    receipt = StopReceipt(1.0, 0.7, line=((0.0, 0.6), (1.0, 0.7)))
    given = record(
        [trial(2, 0.3, "EARLY_STOPPED"), trial(5, 0.8)],
        [curve(2, [0.2, 0.3]), curve(5, [0.7, 0.8])], receipts={2: receipt}, last_stopped=2,
    )  # fmt: skip
    drawn = curves.draw(given, {})["data"]
    threshold = next(t for t in drawn if t["uid"] == "threshold")
    assert threshold["name"] == "Threshold of the assessor for #2: 0.7"
    assert (threshold["x"], threshold["y"]) == ([0.0, 1.0], [0.6, 0.7])
