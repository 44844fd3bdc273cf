"""Who ran beside whom, and where the time went."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from experiments.charts import slots
from experiments.charts.base import Record
from tests.charts.records import START, record, trial


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(
    number: int, created: float, start: float, end: float | None, state: str = "SUCCEEDED"
) -> Any:
    return trial(
        number, 0.5, state, created_at=at(created), started_at=at(start),
        finished_at=None if end is None else at(end),
    )  # fmt: skip


def bars(figure: Any, uid: str) -> dict[int, tuple[int, float, float]]:
    """By trial: slot, start in seconds, and length in seconds."""
    (trace,) = [t for t in figure["data"] if t["uid"] == uid]
    starts = [datetime.fromisoformat(b + "+00:00") for b in trace["base"]]
    return {
        n: (-y, (s - START).total_seconds(), x / 1000)
        for n, y, s, x in zip(trace["customdata"], trace["y"], starts, trace["x"], strict=True)
    }


def test_a_trial_takes_the_lowest_slot_that_is_free() -> None:
    trials = [run(0, 0, 0, 10), run(1, 0, 0, 4), run(2, 4, 4, 9), run(3, 5, 6, 8), run(4, 9, 9, 12)]
    found = slots.info(record(trials), {})
    assert {r.trial.number: r.slot for r in found.runs} == {0: 0, 1: 1, 2: 1, 3: 2, 4: 1}
    assert found.n_slots == 3
    assert found.busy_share == pytest.approx((10 + 4 + 5 + 2 + 3) / (3 * 12))
    # two trials in a slot are never there at once
    for slot in range(found.n_slots):
        mine = [r for r in found.runs if r.slot == slot]
        assert all(a.end <= b.start for a, b in itertools.pairwise(mine))


def test_queue_start_up_and_training_are_told_apart() -> None:
    given = record([run(0, 0, 2, 10), run(1, 0, 2, 5, "FAILED")], first_reports={0: at(5)})
    figure = slots.draw(given, {})
    assert bars(figure, "queue") == {0: (0, 0.0, 2.0), 1: (1, 0.0, 2.0)}
    assert bars(figure, "start-up") == {0: (0, 2.0, 3.0)}
    start_up = [t for t in figure["data"] if t["uid"].startswith("start-up")]
    assert [t["showlegend"] for t in start_up] == [
        False,
        True,
    ]  # the key has it in no state's colour
    assert bars(figure, "succeeded") == {0: (0, 5.0, 5.0)}
    assert bars(figure, "failed") == {1: (1, 2.0, 3.0)}  # it never reported
    (queue,) = [t for t in figure["data"] if t["uid"] == "queue"]
    assert queue["marker"]["pattern"]["shape"] == "/"
    hover = next(t for t in figure["data"] if t["uid"] == "succeeded")["hovertext"][0]
    assert "in the queue: 2 s" in hover
    assert "until its first report: 3 s" in hover


def test_a_queue_is_not_drawn_over_the_trial_before() -> None:
    figure = slots.draw(record([run(0, 0, 0, 10), run(1, 3, 12, 20)]), {})
    assert bars(figure, "queue") == {1: (0, 10.0, 2.0)}
    assert "in the queue: 9 s" in str(figure["data"])


def test_a_running_trial_ends_now_and_a_waiting_one_has_no_slot() -> None:
    waiting = trial(1, None, "WAITING", started_at=None, finished_at=None)
    figure = slots.draw(record([run(0, 0, 0, None, "RUNNING"), waiting]), {})
    assert bars(figure, "running") == {0: (0, 0.0, 3600.0)}
    empty = slots.draw(record([waiting]), {})["layout"]["meta"]["empty"]
    assert empty == "No trial has started yet."


def test_a_trial_too_short_for_a_bar_gets_a_mark() -> None:
    figure = slots.draw(record([run(0, 0, 0, 3000), run(1, 0, 100, 100.5, "FAILED")]), {})
    (marks,) = [t for t in figure["data"] if t["uid"] == "short"]
    assert marks["customdata"] == [1]


def many(n: int) -> Record:
    """Four slots, a trial of ten seconds each after the other; number 50 takes ten minutes."""
    free = [0.0] * 4
    trials = []
    for number in range(n):
        slot = min(range(4), key=lambda s: free[s])
        start = free[slot]
        free[slot] = start + (600 if number == 50 else 10)
        trials.append(run(number, start, start, free[slot]))
    return record(trials)


@pytest.mark.parametrize("n", [1000, 10_000])
def test_of_many_trials_a_part_is_drawn_and_all_of_them_are_counted(n: int) -> None:
    figure = slots.draw(many(n), {})
    assert len(json.dumps(figure)) < 300_000
    shown = bars(figure, "succeeded")
    assert sorted(shown) == list(range(n - slots.FEW_BARS, n))
    (busy,) = [t for t in figure["data"] if t["uid"] == "busy-succeeded"]
    assert max(busy["y"]) <= 4.0
    assert sum(busy["y"][:-2]) / (slots.N_BINS - 2) > 3.9
    assert len(figure["layout"]["shapes"]) == 1  # which part of it is drawn below


def test_another_part_can_be_asked_for() -> None:
    assert min(bars(slots.draw(many(1000), {"part": "first"}), "succeeded")) == 0
    assert 50 in bars(slots.draw(many(1000), {"part": "longest"}), "succeeded")
    assert list(slots.shown_numbers(many(1000), {"part": "first"})) == list(range(slots.FEW_BARS))


def test_of_many_slots_each_has_a_bar() -> None:
    trials = [run(i, 10 * (i // 250), 10 * (i // 250), 10 * (i // 250) + 9) for i in range(1000)]
    figure = slots.draw(record(trials), {})
    assert len(json.dumps(figure)) < 300_000
    shown = bars(figure, "succeeded")
    assert {slot for slot, _, _ in shown.values()} == set(range(250))
    assert len(figure["layout"]["yaxis"]["tickvals"]) <= slots.MOST_NAMED
