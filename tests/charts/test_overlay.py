"""Curves of chosen trials over each other: looks, gaps, ranges, what is said of silent ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from experiments.charts import overlay, scale
from experiments.problems import ProblemsError
from tests.charts.records import curve, record, trial


def lines(figure: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {t["meta"]["trial"]: t for t in figure["data"] if "meta" in t}


def test_twenty_trials_have_twenty_looks_whatever_their_numbers() -> None:
    numbers = [3 + 32 * n for n in range(20)]  # the same usual look for all of them
    looks = overlay.line_looks(numbers)
    assert len({(look.colour, look.dash) for look in looks.values()}) == 20
    assert looks[3] == overlay.line_looks([3, 4])[3]  # its usual look, whoever is beside it


def test_each_chosen_trial_is_a_line_of_its_own_and_silent_ones_are_named() -> None:
    trials = [trial(3, 0.5), trial(7, 0.6), trial(9, None, "FAILED")]
    drawn = overlay.draw(record(trials, [curve(3, [0.1, 0.5]), curve(7, [0.2, 0.6])]), {})
    assert {n: t["y"] for n, t in lines(drawn).items()} == {3: [0.1, 0.5], 7: [0.2, 0.6]}
    assert drawn["layout"]["annotations"][0]["text"] == "Nothing reported: #9"


def test_a_value_that_is_no_number_is_a_gap_and_a_stopped_trial_ends_in_a_mark() -> None:
    trials = [trial(0, 0.3, "EARLY_STOPPED"), trial(1, 0.5)]
    curves = [curve(0, [0.1, float("nan"), 0.3]), curve(1, [0.1, 0.2, 0.5])]
    drawn = overlay.draw(record(trials, curves), {})
    assert lines(drawn)[0]["y"] == [0.1, None, 0.3]
    mark = next(t for t in drawn["data"] if t["uid"] == "stopped")
    assert (mark["customdata"], mark["y"]) == ([0], [0.3])
    json.dumps(drawn, allow_nan=False)


def test_one_that_ran_away_does_not_flatten_the_others() -> None:
    usual = [0.5 + n / 100 for n in range(10)]
    trials = [trial(n, 0.6) for n in range(3)]
    curves = [curve(0, usual), curve(1, usual), curve(2, [*usual[:9], 1e20])]
    drawn = overlay.draw(record(trials, curves), {})
    low, high = drawn["layout"]["yaxis"]["range"]
    assert 0 < low < high < 1
    assert drawn["layout"]["meta"]["clipped"] == 1
    everything = overlay.draw(record(trials, curves), {"clip": "0"})
    assert everything["layout"]["yaxis"]["range"][1] > 1e20


def test_log_is_offered_for_positive_values_alone() -> None:
    trials = [trial(0, 1.0), trial(1, 1.0)]
    positive = record(trials, [curve(0, [10.0, 0.001])])
    drawn = overlay.draw(positive, {"log": "1"})
    assert drawn["layout"]["yaxis"]["type"] == "log"
    assert drawn["layout"]["yaxis"]["range"][0] < -3
    drawn = overlay.draw(record(trials, [curve(0, [1.0, 0.0])]), {"log": "1"})
    assert drawn["layout"]["yaxis"]["type"] == "linear"
    assert drawn["layout"]["meta"]["log_possible"] is False


def test_without_a_report_it_says_so() -> None:
    drawn = overlay.draw(record([trial(0), trial(1)]), {"metric": "<b>"})
    assert drawn["layout"]["meta"]["empty"].endswith("of &lt;b&gt; so far.")


@pytest.mark.parametrize("options", [{"x": "weight"}, {"log": "yes"}])
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ProblemsError):
        overlay.draw(record([trial(0), trial(1)], [curve(0, [1.0])]), options)


def test_a_step_of_any_size_stands_on_the_axis() -> None:
    step = np.array([1.0, 1.7e308])
    drawn = overlay.draw(record([trial(0, 0.5)], [curve(0, [0.1, 0.5], step=step)]), {})
    assert lines(drawn)[0]["x"] == [1.0, scale.DRAWABLE]
