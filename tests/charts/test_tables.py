"""Charts as tables: the numbers of the figure, as they were reported."""

from __future__ import annotations

from datetime import timedelta

from experiments.charts import CHARTS, history
from tests.charts.records import START, curve, record, trial


def test_the_history_by_start_has_the_best_of_those_begun_by_then() -> None:
    late = START + timedelta(minutes=30)
    given = record(
        [
            trial(0, 0.9, started_at=late, finished_at=late + timedelta(seconds=1)),
            trial(1, 0.5),
            trial(2, None, "FAILED"),
            trial(3, 0.2, excluded=True),
        ]
    )
    table = history.tabulate(given, {"x": "start"})
    assert table.columns == ("Trial", "State", "Started at (UTC)", "Value", "Best so far")
    assert [(row[0], row[3], row[4]) for row in table.rows] == [
        (1, 0.5, 0.5), (2, None, 0.5), (3, 0.2, 0.5), (0, 0.9, 0.9),
    ]  # fmt: skip
    assert table.rows[0][2] == "2026-01-01T00:00:11.000"
    assert table.rows[2][1] == "Succeeded, excluded"
    by_number = history.tabulate(given, {})
    assert by_number.columns == ("Trial", "State", "Value", "Best so far")
    assert by_number.rows[0] == (0, "Succeeded", 0.9, 0.9)
    by_end = history.tabulate(given, {"x": "time"}).rows
    assert [row[0] for row in by_end] == [1, 2, 3, 0]


def test_parameters_are_what_was_tried_and_not_where_it_is_drawn() -> None:
    inner = {"_name": "conv", "depth": {"_type": "randint", "_value": [1, 9]}}
    space = {
        "lr": {"_type": "loguniform", "_value": [1e-4, 1.0]},
        "net": {"_type": "choice", "_value": ["flat", inner]},
    }
    tried = [
        {"lr": 0.0123456789, "net": {"_name": "conv", "depth": 3}},
        {"lr": 0.1, "net": "flat"},
    ]
    given = record([trial(i, 0.5 + i, parameters=p) for i, p in enumerate(tried)], space=space)
    table = CHARTS["parcoords"].tabulate(given, {})
    assert table.columns == ("Trial", "Value", "lr", "net", "net.depth")
    assert list(table.rows) == [(1, 1.5, 0.1, "flat", None), (0, 0.5, 0.0123456789, "conv", 3)]


def test_curves_name_the_trial_of_every_point_and_leave_out_gaps() -> None:
    given = record([trial(i, 0.5 - i / 100) for i in range(30)],
                   [curve(i, [0.1, float("nan"), 0.3]) for i in range(30)])  # fmt: skip
    table = CHARTS["curves"].tabulate(given, {})
    assert table.columns == ("Line", "Step", "Value")
    assert [row for row in table.rows if row[0] == "#29"] == [("#29", 0, 0.1), ("#29", 2, 0.3)]
    assert len(table.rows) == 60
