"""How many trials reach a value, and whether later ones do better."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.charts import edf
from tests.charts.records import record, trial


def test_the_share_is_that_of_trials_at_least_as_good() -> None:
    values = [0.1, 0.4, 0.4, 0.9]
    trials = [trial(i, v) for i, v in enumerate(values)]
    (up,) = edf.info(record(trials), {}).lines
    assert (up.values, up.shares) == ((0.9, 0.4, 0.1), (0.25, 0.75, 1.0))
    (down,) = edf.info(record(trials, mode="minimize"), {}).lines
    assert (down.values, down.shares) == ((0.1, 0.4, 0.9), (0.25, 0.75, 1.0))


def test_later_trials_that_are_better_lie_above() -> None:
    trials = [trial(i, float(i)) for i in range(40)]
    whole, first, second = edf.info(record(trials), {}).lines
    assert (whole.uid, first.uid, second.uid) == ("all", "first", "second")
    assert min(second.values) > max(first.values)
    assert [t["name"] for t in edf.draw(record(trials), {})["data"]] == [
        "All", "First half", "Second half",
    ]  # fmt: skip
    assert len(edf.info(record(trials[:19]), {}).lines) == 1


def test_trials_without_a_value_and_excluded_ones_are_left_out_and_said() -> None:
    trials = [trial(0, 0.5), trial(1, None, "FAILED"), trial(2, 9.0, excluded=True)]
    figure = edf.draw(record(trials), {})
    line = figure["data"][0]
    assert (line["x"][:2], line["y"]) == ([0.5, 0.5], [0.0, 1.0, 1.0])
    assert line["x"][2] == figure["layout"]["xaxis"]["range"][0]  # on to the worse end
    assert figure["layout"]["meta"]["note"] == (
        "Trials: 1. Left out: 1 without a final value, 1 excluded."
    )


@pytest.mark.parametrize("mode", ["maximize", "minimize"])
def test_thinning_keeps_both_ends(mode: str) -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    trials = [trial(i, float(v)) for i, v in enumerate(values)]
    figure = edf.draw(record(trials, mode=mode), {})
    assert len(json.dumps(figure)) < 300_000
    line = figure["data"][0]
    assert len(line["x"]) == edf.MOST_POINTS + 2
    worst, best = values.min(), values.max()
    if mode == "minimize":
        worst, best = best, worst
    assert (line["x"][0], line["x"][-2]) == pytest.approx((best, worst), 1e-4)
    assert (line["y"][:2], line["y"][-2:]) == ([0.0, 0.0001], [1.0, 1.0])


def test_a_value_far_out_does_not_flatten_the_line() -> None:
    trials = [trial(i, 0.01 * i) for i in range(30)] + [trial(30, -1e9)]
    figure = edf.draw(record(trials), {})
    assert figure["layout"]["xaxis"]["range"][0] > -1
    assert figure["layout"]["meta"]["clipped"] == 1
    shown = edf.draw(record(trials), {"clip": "0"})
    assert shown["layout"]["xaxis"]["range"][0] < -1e9
