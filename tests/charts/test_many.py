"""Thousands of trials: what is drawn one by one, what bands stand for, and that neither lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from experiments.charts import (
    bands,
    crowd,
    curves,
    duration,
    history,
    pair,
    parallel,
    scale,
    scatter,
)
from experiments.charts.base import Crowd
from tests.charts.records import curve, record, trial


def crowd_of(lines: list[list[float]]) -> Crowd:
    sequences = [np.arange(len(line), dtype=float) for line in lines]
    value = np.concatenate([np.array(line, dtype=float) for line in lines])
    return Crowd(
        np.arange(len(lines)), np.array([len(line) for line in lines]),
        np.concatenate(sequences), np.full(value.size, np.nan), value, np.empty(0),
    )  # fmt: skip


def test_bands_are_the_quantiles_of_the_curves_that_got_so_far() -> None:
    lines = [[float(i)] * 11 for i in range(101)] + [[1000.0] * 3 for _ in range(50)]
    found = crowd.bands(crowd_of(lines), "sequence")
    assert found is not None
    assert found.n == 151
    assert (found.x[0], found.x[-1]) == (0.0, 10.0)
    assert found.y[:, -1] == pytest.approx([5, 25, 50, 75, 95])  # the short ones are over by then
    assert found.y[4, 0] == 1000


def test_a_curve_is_a_straight_line_between_two_points() -> None:
    found = crowd.bands(crowd_of([[0.0, 10.0]] * 5), "sequence")
    assert found is not None
    assert found.y[2] == pytest.approx(np.linspace(0, 10, crowd.N_PLACES))


def test_what_few_curves_reach_has_no_band_and_gaps_are_none() -> None:
    found = crowd.bands(crowd_of([[1.0] * 21] * 4 + [[1.0] * 11] * 9), "sequence")
    assert found is not None
    assert found.x[-1] <= 10
    assert crowd.bands(crowd_of([[float("nan")] * 5] * 9), "sequence") is None


def test_ends_pass_over_what_is_no_number() -> None:
    nan, inf = float("nan"), float("inf")
    found = crowd.ends(crowd_of([[1, nan, 3], [nan, nan], [inf, 5, -7]]))
    assert found.tolist() == [[1, 3], [-7, 5]]


def many(n: int = 3000) -> Any:
    values = np.random.default_rng(0).permutation(n) / n
    trials = [trial(i, float(v)) for i, v in enumerate(values)]
    trials[7] = trial(7, None, "RUNNING", latest_value=0.5)
    return trials


def test_a_crowd_of_curves_is_bands_and_some_lines_and_says_so() -> None:
    trials = many()
    own = curves.wanted(record(trials), {}, set(range(3000)))
    assert own.is_crowd
    assert len(own.own) == curves.N_OWN + 1  # and the running one
    rest = [n for n in range(3000) if n not in own.own]
    found = crowd_of([[0.1, 0.2, trials[n].value] for n in rest])
    found = Crowd(np.array(rest), found.length, *(
        getattr(found, name) for name in ("sequence", "step", "value", "time")
    ))  # fmt: skip
    drawn = record(trials, [curve(n, [0.1, 0.5]) for n in sorted(own.own)], crowd=found)
    figure = curves.draw(drawn, {})
    uids = [trace["uid"] for trace in figure["data"]]
    assert {"band0", "band1", "median", "rest0", "t7"} <= set(uids)
    lines = {n for t in figure["data"] if t["uid"].startswith("rest") for n in t["customdata"]}
    assert len(lines) == crowd.N_LINES
    said = " ".join(note["text"] for note in figure["layout"]["annotations"])
    assert f"{crowd.N_LINES + 21} of 3000 curves" in said
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0.1
    assert high > max(t.value for t in trials if t.value is not None)


def test_few_curves_are_no_crowd() -> None:
    assert not curves.wanted(record(many(1000)), {}, set(range(1000))).is_crowd


def test_choosing_the_best_does_not_take_the_square_of_the_time() -> None:
    import time

    trials = many(20_000)
    start = time.process_time()
    curves.wanted(record(trials), {}, set(range(20_000)))
    assert time.process_time() - start < 2  # it was 10


def test_the_history_of_thousands_shows_the_best_and_counts_the_rest() -> None:
    trials = many()
    figure = history.draw(record(trials), {})
    by_uid = {trace["uid"]: trace for trace in figure["data"]}
    shown = by_uid["succeeded"]
    assert len(shown["x"]) == history.MOST_DRAWN["SUCCEEDED"]
    assert shown["name"].endswith("(the best 80, 120 of 2919 others)")
    best = sorted((t for t in trials if t.value is not None), key=lambda t: -t.value)
    assert {t.number for t in best[: history.N_BEST]} <= set(shown["customdata"])
    assert by_uid["running"]["customdata"] == [7]
    assert by_uid["median"]["name"].endswith("of 2999 that succeeded")
    assert by_uid["median"]["y"] == pytest.approx([0.5] * bands.N_STRETCHES, abs=0.25)
    assert by_uid["best"]["y"][-1] == max(t.value for t in best)


def test_minimising_keeps_the_smallest() -> None:
    trials = many()
    figure = history.draw(record(trials, mode="minimize"), {})
    shown = next(t for t in figure["data"] if t["uid"] == "succeeded")
    least = min((t for t in trials if t.value is not None), key=lambda t: t.value)
    assert least.number in shown["customdata"]


def test_durations_of_thousands_are_bands_and_the_longest() -> None:
    trials = many()
    start = trials[11].started_at
    trials[11] = trial(11, 0.5, finished_at=start.replace(hour=start.hour + 1))
    figure = duration.draw(record(trials), {})
    by_uid = {trace["uid"]: trace for trace in figure["data"]}
    assert {"band0", "band1", "median"} <= set(by_uid)
    assert not any(trace["type"] == "bar" for trace in figure["data"])
    assert 11 in by_uid["succeeded"]["customdata"]
    n_drawn = sum(len(t["x"]) for uid, t in by_uid.items() if uid in ("succeeded", "running"))
    assert n_drawn == duration.N_LONGEST


def test_parallel_lines_of_thousands_are_the_best_and_some_others() -> None:
    trials = many()
    figure = parallel.draw(record(trials), {})
    (trace,) = figure["data"]
    assert len(trace["customdata"]) == parallel.MOST_LINES == figure["layout"]["meta"]["n_drawn"]
    assert figure["layout"]["meta"]["n_trials"] == 2999
    for dimension in trace["dimensions"]:
        assert len(dimension["values"]) == parallel.MOST_LINES
    best = sorted((t for t in trials if t.value is not None), key=lambda t: t.value)
    assert trace["customdata"][-parallel.N_BEST :] == [t.number for t in best[-parallel.N_BEST :]]
    assert trace["line"]["color"][-1] == 1.0


def test_a_step_of_any_size_stands_on_the_axis() -> None:
    steps = np.array([1.0, -1.7e308, float("nan")])
    given = Crowd(np.array([0]), np.array([3]), np.arange(3.0), steps, np.ones(3), np.empty(0))
    assert crowd.places(given, "step").tolist() == [1.0, -scale.DRAWABLE, 2.0]


def test_what_is_drawn_stays_while_trials_come() -> None:
    before = set(bands.steadily(np.arange(5000), 300).tolist())
    for n in range(5001, 5200):
        now = set(bands.steadily(np.arange(n), 300).tolist())
        assert len(now) == 300
        assert len(now - before) <= 1
        before = now
    gaps = np.diff(sorted(before))
    assert gaps.max() < 4 * gaps.mean()  # spread over all


@pytest.mark.parametrize(
    ("chart", "options"),
    [(history, {}), (parallel, {}), (scatter, {}), (pair, {"view": "contour"})],
    ids=["history", "parallel", "scatter", "pair"],
)
def test_new_trials_change_little_of_what_is_drawn(chart: Any, options: dict[str, str]) -> None:
    rng = np.random.default_rng(3)
    space = {name: {"_type": "uniform", "_value": [0, 1]} for name in "ab"}
    trials = [
        trial(i, float(rng.normal()), parameters={"a": rng.random(), "b": rng.random()})
        for i in range(6000)
    ]

    def drawn(n: int) -> set[int]:
        figure = chart.draw(record(trials[:n], space=space), options)
        return {k for t in figure["data"] for k in t.get("customdata", [])}

    first, then = drawn(5990), drawn(6000)
    assert len(first) >= 200
    assert len(first ^ then) <= 25
