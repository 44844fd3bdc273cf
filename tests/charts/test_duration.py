"""How long trials waited and ran."""

from __future__ import annotations

from datetime import timedelta

import pytest

from experiments.charts import duration
from tests.charts.records import START, record, trial


def test_waiting_and_running_are_told_apart() -> None:
    figure = duration.draw(record([trial(2, 0.5)]), {})
    queue, run = figure["data"]
    assert (queue["name"], queue["x"], queue["y"]) == ("In the queue", [2], [1.0])
    assert (run["uid"], run["x"], run["y"]) == ("succeeded", [2], [4.0])


def test_a_running_trial_lasts_until_now_and_a_waiting_one_only_waits() -> None:
    trials = [trial(0, None, "RUNNING"), trial(1, None, "WAITING", started_at=None)]
    bars = duration.info(record(trials), {}).bars
    assert [(b.queue_s, b.run_s) for b in bars] == [(1.0, 3599.0), (3590.0, 0.0)]


@pytest.mark.parametrize(
    ("seconds", "unit", "height"), [(4, "s", 4), (600, "min", 10), (9000, "h", 2.5)]
)
def test_the_unit_fits_the_length(seconds: int, unit: str, height: float) -> None:
    times = {"created_at": START, "started_at": START}
    given = trial(0, 0.5, finished_at=START + timedelta(seconds=seconds), **times)
    figure = duration.draw(record([given]), {})
    assert figure["layout"]["yaxis"]["title"]["text"] == f"Duration ({unit})"
    assert figure["data"][0]["y"] == [height]


def test_a_trial_that_hung_does_not_flatten_the_others() -> None:
    trials = [trial(i, 0.5) for i in range(20)]
    trials.append(trial(20, None, "FAILED", finished_at=START + timedelta(hours=9)))
    figure = duration.draw(record(trials), {})
    assert figure["layout"]["yaxis"]["range"][1] < 10
    (note,) = figure["layout"]["annotations"]
    assert note["text"] == "▲ 1 longer"
    # below the axis: neither on the bars nor on the key
    assert (note["y"], note["yanchor"]) == (0, "top")
    assert note["yshift"] < -15


def test_clocks_that_disagree_do_not_give_negative_bars() -> None:
    given = trial(0, 0.5, finished_at=START - timedelta(seconds=9))
    assert all(b.run_s >= 0 and b.queue_s >= 0 for b in duration.info(record([given]), {}).bars)


def test_few_bars_are_no_wider_than_many() -> None:
    one = duration.draw(record([trial(3, 0.5)]), {})["layout"]["xaxis"]
    assert one["range"] == [2.4, 6.6]
    two = duration.draw(record([trial(0, 0.5), trial(90, 0.5)]), {})["layout"]["xaxis"]
    assert "range" not in two
