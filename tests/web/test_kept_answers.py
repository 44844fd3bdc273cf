"""What a process keeps: made once however many ask, and trials read once and when they change."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.charts import CHARTS
from experiments.models import Experiment, Trial
from experiments.selectors import (
    chart_data,
    curve_data,
    early,
    selection,
    trial_columns,
    winner,
)
from experiments.selectors.pace import pace_json
from experiments.selectors.present import count_trials
from experiments.selectors.selection import WHOLE
from experiments.selectors.triage import failures_json
from experiments.services import actions
from experiments.states import FINISHED, Phase, TrialState
from experiments.trials.changes import add_trial
from tests.web.rest import url


def test_the_charts_of_an_experiment_are_made_one_after_the_other(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once would each be as late as the last one; who asks for the same finds it made."""
    under_way, made = [], []

    def draw(*_: Any) -> tuple[dict[str, Any], bool]:
        under_way.append(1)
        made.append(len(under_way))
        time.sleep(0.02)
        under_way.pop()
        return {}, True

    monkeypatch.setattr(chart_data, "_drawn", draw)
    kinds = ["history", "duration", "edf", "edf"]
    threads = [
        threading.Thread(target=chart_data.figure, args=(experiment, kind, {})) for kind in kinds
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1, 1, 1]


def trials_read(asked: CaptureQueriesContext) -> list[str]:
    found = [q["sql"] for q in asked if 'FROM "experiments_trial"' in q["sql"]]
    return [sql for sql in found if '"latest_value"' in sql]


def test_the_charts_of_a_page_read_its_trials_once_and_then_those_with_news(
    client: Client, make_experiment: Any, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_columns, "LEAST_KEPT", 1)
    experiment = make_experiment(phase=Phase.DONE)
    trials = [
        make_trial(experiment, number=n, state=TrialState.SUCCEEDED, value=0.5 + n)
        for n in range(3)
    ]

    def read(kind: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(url(experiment, f"charts/{kind}/")).status_code == 200
        return trials_read(asked)

    assert [len(read(kind)) for kind in ("history", "duration", "parcoords")] == [1, 0, 0]
    experiment.record("remark", trial=trials[0])
    (again,) = read("history")
    assert f'"id" IN ({trials[0].pk})' in again


def test_the_page_of_many_trials_has_them_read_before_its_charts_ask(
    client: Client, make_experiment: Any, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_columns, "LEAST_KEPT", 1)
    begun = []
    monkeypatch.setattr(early.threading.Thread, "start", lambda thread: begun.append(thread))
    experiment = make_experiment(phase=Phase.DONE)
    for n in range(3):
        make_trial(experiment, number=n, state=TrialState.SUCCEEDED, value=0.5 + n)
    page = f"/experiments/{experiment.pk}/"
    assert client.get(page).status_code == 200
    assert not begun  # they are few
    monkeypatch.setattr(early, "LEAST", 3)
    assert client.get(page).status_code == client.get(page).status_code == 200
    (thread,) = begun  # the second page finds the first one's under way
    monkeypatch.setattr(early.connection, "close", lambda: None)  # here it is the test's own
    thread.run()
    with CaptureQueriesContext(connection) as asked:
        for path in ("charts/history/", "winner/", "failures/"):
            assert client.get(url(experiment, path)).status_code == 200
    assert not [q for q in asked if 'ORDER BY "experiments_trial"."number"' in q["sql"]]
    assert early.begin(experiment, 3) is not None  # and it can begin again


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a plan as SQLite words it")
def test_trials_and_curves_are_counted_without_reading_them(experiment: Experiment) -> None:
    """What every page and every round of the loop asks of a hundred thousand rows."""
    with CaptureQueriesContext(connection) as asked:
        count_trials([experiment])
        curve_data.forget()
        curve_data.know(experiment)
    plans = []
    with connection.cursor() as cursor:
        for query in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans += [row[-1] for row in cursor.fetchall()]
    by = ["trial USING COVERING INDEX trial_counted", "curve USING COVERING INDEX curve_known"]
    assert [plan.split(" (")[0] for plan in plans] == [
        f"SEARCH experiments_{words}" for words in by
    ]


def test_kept_trials_are_as_they_are_after_any_change(
    experiment: Experiment, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New ones, those that moved on, were excluded, and running ones whose reports have no seq."""
    monkeypatch.setattr(trial_columns, "LEAST_KEPT", 1)
    names = ("number", "state", "value", "excluded", "latest_value", "n_reports", "parameters")
    first, second = (make_trial(experiment, number=n, state=TrialState.RUNNING) for n in (0, 1))

    def as_kept() -> list[Any]:
        experiment.refresh_from_db()
        found = trial_columns.of(experiment, names)
        return list(zip(*(found[name] for name in names), strict=True))

    def as_stored() -> list[Any]:
        return list(experiment.trials.order_by("number").values_list(*names))

    def nothing() -> None:
        pass

    def reports() -> None:
        Trial.objects.filter(pk=second.pk).update(latest_value=0.25, n_reports=3)
        experiment.announce()

    def ends() -> None:
        assert first.move(TrialState.SUCCEEDED, value=0.75)

    def is_excluded() -> None:
        actions.set_excluded(first, True)

    def another() -> None:
        add_trial(experiment, {"lr": 0.5, "units": 16}, origin="custom")

    for change in (nothing, reports, ends, is_excluded, another):
        change()
        assert as_kept() == as_stored(), change.__name__
    more = trial_columns.of(experiment, [*names, "flat", "metrics"])
    assert [flat["lr"] for flat in more["flat"]] == [row[-1]["lr"] for row in as_stored()]


def test_what_charts_say_of_kept_trials_is_what_they_say_of_all_read_anew(
    make_experiment: Any, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each kind of change: arrays are brought up to date, columns grow or are read again."""
    monkeypatch.setattr(trial_columns, "LEAST_KEPT", 1)
    now = timezone.now() + timedelta(minutes=5)
    monkeypatch.setattr(timezone, "now", lambda: now)
    experiment = make_experiment(phase=Phase.RUNNING)
    start = now - timedelta(hours=1)

    def more(n: int, state: str, lr: Any, value: float | None = None) -> Trial:
        begun = start + timedelta(seconds=10 * n)
        ended = begun + timedelta(seconds=7 + n) if state in FINISHED else None
        trial: Trial = make_trial(
            experiment, number=n, state=state, value=value, created_at=begun, started_at=begun,
            finished_at=ended, parameters={"lr": lr, "act": ["relu", "tanh"][n % 2]},
            metrics={"size": n * n}, exit_code=1, reason="out of memory",
        )  # fmt: skip
        experiment.record("remark", trial=trial)  # as whoever adds one does: it has a new seq
        return trial

    trials = [more(n, TrialState.SUCCEEDED, 0.01 * (n + 1), 0.1 * (n % 7)) for n in range(12)]
    trials += [more(n, TrialState.FAILED, 0.9) for n in range(12, 16)]
    trials += [more(n, TrialState.EARLY_STOPPED, 0.2, 0.3) for n in range(16, 18)]
    runs = more(18, TrialState.RUNNING, 0.05)

    def said() -> str:
        experiment.refresh_from_db()
        figures = {kind: chart_data._drawn(experiment, CHARTS[kind], {}, WHOLE) for kind in CHARTS}
        others = [pace_json(experiment), failures_json(experiment), winner._winner(experiment)]
        return json.dumps([figures, others], sort_keys=True)

    def nothing() -> None:
        pass

    def ends() -> None:
        assert runs.move(TrialState.SUCCEEDED, value=0.95, finished_at=now)

    def is_excluded() -> None:
        actions.set_excluded(trials[6], True)

    def another_number() -> None:
        more(19, TrialState.SUCCEEDED, 0.5, 0.7)

    def another_kind_of_value() -> None:
        more(20, TrialState.SUCCEEDED, "auto", 0.2)

    def the_same_parameters() -> None:
        more(22, TrialState.SUCCEEDED, 0.05, 0.94)  # as those of 18

    def another_running() -> None:
        more(21, TrialState.RUNNING, 3)

    def reports() -> None:
        Trial.objects.filter(experiment=experiment, number=21).update(latest_value=9.5)
        experiment.announce()

    def is_replaced() -> None:
        Trial.objects.filter(pk=trials[3].pk).update(parameters={"lr": 1, "extra": [1, 2]})
        experiment.record("remark", trial=trials[3])

    before = said()
    for change in (
        nothing, ends, is_excluded, another_number, another_kind_of_value, another_running,
        reports, the_same_parameters, is_replaced,
    ):  # fmt: skip
        change()
        kept = said()
        stores = dict(trial_columns._stores)
        selection.forget()
        assert kept == said(), change.__name__
        assert (kept == before) == (change is nothing), change.__name__
        trial_columns._stores.update(stores)  # on from what was kept
        before = kept


def test_of_very_many_trials_the_oldest_experiments_are_forgotten(
    make_experiment: Any, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_columns, "LEAST_KEPT", 1)
    monkeypatch.setattr(trial_columns, "MOST_KEPT", 2)
    experiments = [make_experiment() for _ in range(3)]
    for experiment in experiments:
        make_trial(experiment)
        trial_columns.of(experiment, ["number"])

    def is_read(experiment: Experiment) -> bool:
        with CaptureQueriesContext(connection) as asked:
            trial_columns.of(experiment, ["number"])
        return bool(len(asked))

    assert [is_read(experiment) for experiment in experiments[1:]] == [False, False]
    assert is_read(experiments[0])
