"""The best value so far against what it took."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from experiments.charts import cost
from tests.charts.records import START, record, trial


def run(number: int, value: float | None, start: float, end: float, **more: Any) -> Any:
    times = {
        "started_at": START + timedelta(seconds=start),
        "finished_at": START + timedelta(seconds=end),
    }
    return trial(number, value, **({"state": "SUCCEEDED"} | times | more))


def steps(given: Any, **options: str) -> list[tuple[float, float]]:
    return [(g.spent_s, g.value) for g in cost.info(given, options).gains]


TRIALS = [
    run(0, 0.5, 100, 110),
    run(1, None, 100, 130, state="FAILED"),
    run(2, 0.4, 110, 140),
    run(3, 0.7, 130, 150),
    run(4, 0.9, 100, 160, excluded=True),
    run(5, 0.8, 150, 155, state="EARLY_STOPPED"),
]


def test_wall_clock_counts_from_the_first_start() -> None:
    given = record(TRIALS)
    assert steps(given) == [(10.0, 0.5), (50.0, 0.7)]
    assert steps(record(TRIALS, mode="minimize")) == [(10.0, 0.5), (40.0, 0.4)]
    assert cost.info(given, {}).spent_s == 60.0


def test_time_in_which_no_trial_ran_is_not_spent() -> None:
    """The best ones ran again a week later; half a minute between two trials is no pause."""
    week = 7 * 86400
    later = [run(6, 0.6, 190, 200), run(7, 0.95, week, week + 20), run(8, 0.1, week + 5, week + 15)]
    given = record([*TRIALS, *later])
    assert steps(given) == [(10.0, 0.5), (50.0, 0.7), (120.0, 0.95)]
    assert cost.info(given, {}).spent_s == 120.0
    note = cost.draw(given, {})["layout"]["meta"]["note"]
    assert "Not counted: 167 h 56 min in which no trial ran." in note
    assert steps(given, x="trials")[-1][0] == 10 + 30 + 30 + 20 + 60 + 5 + 10 + 20 + 10
    assert "Not counted" not in cost.draw(given, {"x": "trials"})["layout"]["meta"]["note"]


def test_the_time_of_all_trials_counts_failed_and_excluded_ones() -> None:
    info = cost.info(record(TRIALS), {"x": "trials"})
    assert [(g.spent_s, g.value) for g in info.gains] == [(10.0, 0.5), (10 + 30 + 30 + 20, 0.7)]
    assert info.spent_s == 10 + 30 + 30 + 20 + 60 + 5
    assert info.failed_s == 30.0
    note = cost.draw(record(TRIALS), {"x": "trials"})["layout"]["meta"]["note"]
    assert note == (
        "The best value came after 1 min 30 s, 58 % of what was spent (2 min 35 s). "
        "30 s of it went into trials that ended without a value."
    )


def test_a_running_trial_is_being_paid_for() -> None:
    running = trial(1, None, "RUNNING", started_at=START + timedelta(seconds=40))
    given = record([run(0, 0.5, 0, 10), running])
    assert cost.info(given, {}).spent_s == 3600.0
    assert cost.info(given, {"x": "trials"}).spent_s == 3570.0


def test_the_line_goes_on_to_what_was_spent_in_all() -> None:
    best = cost.draw(record(TRIALS), {})["data"][0]
    assert (best["x"], best["y"]) == ([10.0, 50.0, 60.0], [0.5, 0.7, 0.7])


def test_a_first_value_far_out_does_not_flatten_the_line() -> None:
    trials = [run(0, -1e9, 0, 1)] + [run(i, 0.01 * i, i, i + 1) for i in range(1, 30)]
    low, high = cost.draw(record(trials), {})["layout"]["yaxis"]["range"]
    assert low > -1
    assert high == pytest.approx(0.29, abs=0.1)


@pytest.mark.parametrize(
    ("ended", "words"), [(False, "No trial has succeeded yet."), (True, "No trial succeeded.")]
)
def test_without_a_success_it_says_whether_one_may_come(ended: bool, words: str) -> None:
    figure = cost.draw(record([trial(0, None, "FAILED")], ended=ended), {})
    assert figure["layout"]["meta"]["empty"] == words
