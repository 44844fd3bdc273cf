"""Reports in numbers, and a database that fails: nothing acknowledged is lost, nothing blocks."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError

from experiments.access.tokens import read_trial_token, trial_token
from experiments.models import Event, Experiment, Metric, Trial
from experiments.reports import rows, store
from experiments.reports.wire import Report
from experiments.states import TrialState
from tests.web.conftest import Server, t9k_path

TIMEOUT = 30  # seconds


class KeepAlive:
    """A connection that stays open from report to report."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)

    def report(self, trial: Trial, sequence: int, value: float, kind: str = "PERIODICAL") -> int:
        body = {
            "trial_job_id": trial.key,
            "type": kind,
            "sequence": sequence,
            "value": json.dumps(value),
        }
        path = f"{t9k_path(trial)}/apis/v1/metric"
        self._connection.request("POST", path, json.dumps(body))
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def keep_alive(server: Server) -> Iterator[KeepAlive]:
    connection = KeepAlive(server)
    yield connection
    connection.close()


def test_ten_thousand_points_of_one_trial(
    server: Server, trial: Trial, make_trial: Any, keep_alive: KeepAlive
) -> None:
    # Most of them by the writer itself: the socket is tested elsewhere, and this stays quick.
    claim = read_trial_token(trial_token(trial))
    assert claim is not None
    for start in range(0, 9_900, 300):
        rows.write(
            [
                (claim, Report(trial.key, "PERIODICAL", n, None, {"default": n / 2}))
                for n in range(start, start + 300)
            ]
        )
    assert {keep_alive.report(trial, n, n / 2) for n in range(9_900, 10_000)} == {200}

    assert trial.metric_set.count() == 10_000
    trial.refresh_from_db()
    assert (trial.n_reports, trial.latest_sequence) == (10_000, 9_999)


def test_many_reporters_lose_nothing_and_double_nothing(
    server: Server, trial: Trial, make_trial: Any
) -> None:
    """Sixteen connections, four to a trial, so that they also report the same sequences."""
    trials = [trial, *(make_trial(trial.experiment) for _ in range(3))]

    def report_all(worker: int) -> list[int]:
        connection = KeepAlive(server)
        mine = trials[worker % 4]
        statuses = [connection.report(mine, n, worker) for n in range(40)]
        connection.close()
        return statuses

    with ThreadPoolExecutor(16) as pool:
        statuses = [status for each in pool.map(report_all, range(16)) for status in each]

    assert statuses == [200] * (16 * 40)
    assert Metric.objects.count() == 4 * 40
    for each in Trial.objects.all():
        assert (each.n_reports, each.latest_sequence) == (40, 39)


def test_acknowledged_reports_are_the_stored_ones(server: Server, trial: Trial) -> None:
    """Sequences of each worker are its own: rows must equal answers."""

    def report_all(worker: int) -> int:
        connection = KeepAlive(server)
        statuses = [connection.report(trial, worker * 1000 + n, 0.5) for n in range(50)]
        connection.close()
        return statuses.count(200)

    with ThreadPoolExecutor(8) as pool:
        n_acknowledged = sum(pool.map(report_all, range(8)))

    assert n_acknowledged == 8 * 50
    assert trial.metric_set.count() == n_acknowledged
    trial.refresh_from_db()
    assert trial.n_reports == n_acknowledged
    assert set(trial.metric_set.values_list("seq", flat=True)) == set(
        range(1, Experiment.objects.get().last_seq + 1)
    )


def test_of_many_finals_at_once_exactly_one_counts(server: Server, trial: Trial) -> None:
    barrier = threading.Barrier(8)

    def finish(worker: int) -> int:
        connection = KeepAlive(server)
        barrier.wait(TIMEOUT)
        status = connection.report(trial, 0, float(worker), kind="FINAL")
        connection.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(finish, range(8))) == {200}

    trial.refresh_from_db()
    assert trial.metric_set.get().value == trial.value == trial.metrics["default"]
    assert Event.objects.filter(what="late final").count() == 7


def test_reports_wake_the_loop_only_where_somebody_judges_them(
    server: Server, trial: Trial, make_experiment: Any, make_trial: Any, no_broker: list[str]
) -> None:
    """A final result alone decides nothing: the loop is told when the job has ended."""
    judged = make_experiment(spec={"assessor": {"builtinAssessorName": "Medianstop"}})
    judged_trial = make_trial(judged, state=TrialState.RUNNING)

    server.report(trial, 0.5)
    server.report_final(trial, 0.9)
    server.report(judged_trial, 0.5)
    server.ask("GET", "/t")  # a turn of the server's loop
    until_said(no_broker, 1)

    assert no_broker == [judged.pk]


def until_said(said: list[str], count: int) -> None:
    done = threading.Event()
    for _ in range(500):
        if len(said) >= count:
            return
        done.wait(0.01)


# ---------------------------------------------------------------- a database that fails


def test_a_database_that_cannot_be_written_gives_503_and_recovers(
    server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_DELAYS", (0.0, 0.0))
    with monkeypatch.context() as broken:

        def fail(items: Any) -> None:
            raise OperationalError("database or disk is full")

        broken.setattr(rows, "write", fail)
        refused = server.report(trial, 0.5)

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.text == "not stored: the database cannot be written now; send it again"
    assert not Metric.objects.exists()
    assert server.report(trial, 0.5).status == 200


def test_a_busy_database_is_tried_again(
    server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_calls = rows.write, 0

    def fail_once(items: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1:
            raise OperationalError("database is locked")
        return real(items)

    monkeypatch.setattr(rows, "write", fail_once)

    assert server.report(trial, 0.5).status == 200
    assert (n_calls, Metric.objects.count()) == (2, 1)


def test_a_poisoned_report_does_not_take_its_neighbours_along(
    server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that the database refuses fails the whole transaction: each is then tried alone."""
    real = rows.write
    began, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def hold_the_first(items: Any) -> Any:
        if not began.is_set():
            began.set()
            go_on.wait(TIMEOUT)
        sizes.append(len(items))
        return real(items)

    real_row = rows.json_number

    def poison(number: float) -> float | str:
        return "no number at all" if number == 13 else real_row(number)

    monkeypatch.setattr(rows, "write", hold_the_first)
    monkeypatch.setattr(rows, "json_number", poison)
    with ThreadPoolExecutor(6) as pool:
        held = pool.submit(server.report, trial, 1, 0)
        assert began.wait(TIMEOUT)
        others = [pool.submit(server.report, trial, value, value) for value in (11, 12, 13, 14)]
        store = _store_of(server)
        _wait_until_queued(store, 4)
        go_on.set()
        replies = [each.result() for each in others]

    assert held.result().status == 200
    assert [reply.status for reply in replies] == [200, 200, 500, 200]
    assert sizes == [1, 4, 1, 1, 1, 1]
    assert sorted(trial.metric_set.values_list("sequence", flat=True)) == [0, 11, 12, 14]


def test_too_many_waiting_reports_are_sent_away(
    server: Server, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_WAITING", 0)

    reply = server.report(trial, 0.5)

    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"


def test_closing_writes_what_waits_and_a_later_report_opens_anew(
    server: Server, trial: Trial
) -> None:
    store = _store_of(server)
    assert server.report(trial, 0.5, sequence=0).status == 200
    store.close()
    assert server.report(trial, 0.5, sequence=1).status == 200
    assert trial.metric_set.count() == 2


def _store_of(server: Server) -> store.ReportStore:
    from autotune_web.asgi import trial_api

    return trial_api.store


def _wait_until_queued(store: store.ReportStore, count: int) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if store._queue.qsize() >= count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{store._queue.qsize()} reports wait, not {count}")
