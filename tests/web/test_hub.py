"""The live feed, through a real websocket: no gap, no double, no stranger."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from experiments.live import hub
from experiments.models import Experiment, Metric, Trial
from experiments.states import Phase, TrialState
from tests.web.conftest import Server


@pytest.fixture
def experiment(transactional_db: None, make_experiment: Any) -> Experiment:
    return make_experiment()


@pytest.fixture
def cookie(transactional_db: None) -> str:
    client = Client()
    client.force_login(get_user_model().objects.create(username="alice"))  # no password to hash
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


@pytest.fixture
def watch(server: Server, experiment: Experiment, cookie: str) -> Callable[..., ClientConnection]:
    """Open the experiment's socket as alice."""

    def open_socket(after: int | str | None = 0, **options: Any) -> ClientConnection:
        return connect(address(server, experiment, after), **headers(server, cookie) | options)

    return open_socket


def address(server: Server, experiment: Experiment, after: int | str | None) -> str:
    query = "" if after is None else f"?after={after}"
    return f"{server.ws_url}/ws/experiments/{experiment.pk}/{query}"


def headers(server: Server, cookie: str) -> dict[str, Any]:
    return {
        "origin": server.url,
        "additional_headers": {"Cookie": cookie},
        "max_size": None,
        "proxy": None,
    }


def receive(socket: ClientConnection, timeout: float = 5) -> dict[str, Any]:
    return json.loads(socket.recv(timeout))


def receive_until(socket: ClientConnection, seq: int) -> list[dict[str, Any]]:
    """Messages up to the one that reaches ``seq``."""
    messages = [receive(socket)]
    while messages[-1]["seq"] < seq:
        messages.append(receive(socket))
    return messages


def reports_in(messages: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(m["trial"], m["sequence"]) for message in messages for m in message["metrics"]]


def add_metrics(trial: Trial, *sizes: int) -> None:
    """One committed batch of metrics, under one seq, for each size."""
    sequence = trial.metric_set.count()
    for size in sizes:
        seq = trial.experiment.next_seq()
        Metric.objects.bulk_create(
            Metric(
                trial=trial, experiment=trial.experiment, kind="PERIODICAL", sequence=sequence + n,
                value=0.5, time=trial.created_at, seq=seq,
            )
            for n in range(size)
        )  # fmt: skip
        sequence += size
        Trial.objects.filter(pk=trial.pk).update(seq=seq)


# ---------------------------------------------------------------- who may


def test_a_stranger_is_refused_at_the_handshake(server: Server, experiment: Experiment) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(address(server, experiment, 0), origin=server.url, proxy=None)

    assert refused.value.response.status_code == 403


def test_another_origin_is_refused(server: Server, watch: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        watch(origin="http://evil.example")

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("after", ["-1", "x", "", "1e3", "9" * 30])
def test_a_cursor_that_is_no_number_is_refused(watch: Any, after: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        watch(after)
    assert refused.value.response.status_code == 400


def test_an_experiment_that_is_not_there_is_refused(
    server: Server, experiment: Experiment, watch: Any
) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(deleting=True)

    with pytest.raises(InvalidStatus) as refused:
        watch()
    assert refused.value.response.status_code == 404


# ---------------------------------------------------------------- what comes


def test_the_first_message_is_the_backlog(
    experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    experiment.record("created", trial=trial, new="WAITING", reason="start-up")
    add_metrics(trial, 2)

    with watch(None) as socket:
        message = receive(socket)

    assert message["seq"] == 2
    assert [event["what"] for event in message["events"]] == ["created"]
    assert message["events"][0]["trial"] == trial.number
    assert [row["id"] for row in message["trials"]] == [trial.key]
    assert reports_in([message]) == [(trial.number, 0), (trial.number, 1)]
    assert (message["experiment"]["id"], message["experiment"]["seq"]) == (experiment.pk, 2)


def test_an_empty_backlog_is_a_message_too(experiment: Experiment, watch: Any) -> None:
    experiment.record("remark")

    with watch(after=1) as socket:
        message = receive(socket)

    assert (message["seq"], message["events"], message["metrics"]) == (1, [], [])


def test_news_arrives_without_asking(
    server: Server, experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    with watch() as socket:
        receive(socket)
        server.report(trial, {"default": 0.5, "loss": "NaN"}, sequence=4, step=40)
        message = receive(socket)

    assert [
        (m["trial"], m["kind"], m["sequence"], m["step"], m["name"], m["value"])
        for m in message["metrics"]
    ] == [(trial.number, "PERIODICAL", 4, 40.0, "default", 0.5)]
    assert message["trials"][0]["latest_value"] == 0.5


def test_news_of_another_process_arrives_without_a_hint(
    experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    with watch() as socket:
        receive(socket)
        add_metrics(trial, 1)  # written with no hint at all
        message = receive(socket)

    assert reports_in([message]) == [(trial.number, 0)]


def test_moves_arrive_with_the_head(experiment: Experiment, watch: Any) -> None:
    with watch() as socket:
        receive(socket)
        experiment.move(Phase.RUNNING, reason="started")
        message = receive(socket)

    assert (message["events"][0]["from"], message["events"][0]["to"]) == ("PENDING", "RUNNING")
    assert message["experiment"]["phase"] == "RUNNING"


def test_messages_are_at_least_a_tenth_of_a_second_apart(
    server: Server, experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    with watch() as socket:
        receive(socket)
        began = time.monotonic()
        for sequence in range(100):
            server.report(trial, 0.5, sequence=sequence)
        messages = receive_until(socket, Experiment.objects.get(pk=experiment.pk).last_seq)
        took = time.monotonic() - began

    assert reports_in(messages) == [(trial.number, n) for n in range(100)]
    assert len(messages) <= took / hub.GAP + 2


def test_silence_is_broken_by_a_heartbeat(
    experiment: Experiment, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT", 0.2)
    with watch() as socket:
        receive(socket)
        message = receive(socket)

    assert message == {"seq": 0, "events": [], "trials": [], "metrics": []}


def test_what_a_client_says_is_ignored(experiment: Experiment, watch: Any) -> None:
    with watch() as socket:
        receive(socket)
        socket.send("{nonsense")
        socket.send(b"\xff")
        experiment.record("remark")
        assert receive(socket)["seq"] == 1


def test_a_deleted_experiment_closes_its_sockets(experiment: Experiment, watch: Any) -> None:
    with watch() as socket:
        receive(socket)
        experiment.delete()
        with pytest.raises(ConnectionClosed) as closed:
            receive(socket)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == hub.GONE


# ---------------------------------------------------------------- long backlogs


def test_a_long_backlog_comes_in_pieces_from_which_one_can_resume(
    experiment: Experiment, make_trial: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHUNK", 10)
    trial = make_trial(experiment)
    add_metrics(trial, 4, 4, 4, 25, 1)  # seq 1 … 5; the fourth is larger than a message should be
    with watch() as socket:
        messages = receive_until(socket, 5)
    with watch(after=messages[1]["seq"]) as socket:
        resumed = receive_until(socket, 5)

    assert [message["seq"] for message in messages] == [2, 3, 4, 5]
    assert [len(message["metrics"]) for message in messages] == [8, 4, 25, 1]
    assert [len(message["trials"]) for message in messages] == [1, 0, 0, 0]
    assert reports_in(messages) == [(trial.number, n) for n in range(38)]
    assert reports_in(resumed) == [(trial.number, n) for n in range(12, 38)]


@pytest.mark.long
def test_ten_thousand_points_of_one_trial_arrive(
    experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    add_metrics(trial, *[500] * 20)

    with watch() as socket:
        messages = receive_until(socket, 20)

    assert reports_in(messages) == [(trial.number, n) for n in range(10_000)]
    assert max(len(message["metrics"]) for message in messages) <= hub.CHUNK


def test_a_cursor_from_before_the_database_was_remade_starts_anew(
    experiment: Experiment, make_trial: Any, watch: Any
) -> None:
    trial = make_trial(experiment)
    add_metrics(trial, 3)

    with watch(after=99) as socket:
        message = receive(socket)

    assert (message["seq"], len(message["metrics"])) == (1, 3)


# ---------------------------------------------------------------- slow watchers, cost


def test_a_slow_watcher_is_dropped_and_the_others_go_on(monkeypatch: Any) -> None:
    monkeypatch.setattr(hub, "WAITING", 3)
    slow, quick = hub._Watcher(), hub._Watcher()

    given = [(slow.put(str(n)), quick.put(str(n)), quick.queue.get_nowait()) for n in range(4)]

    assert given == [(True, True, "0"), (True, True, "1"), (True, True, "2"), (False, True, "3")]
    dropped = slow.queue.get_nowait()
    assert isinstance(dropped, hub.Dropped)
    assert dropped.code == hub.TOO_SLOW
    assert slow.queue.empty()


def test_many_watchers_share_one_reader_which_ends_with_the_last(
    experiment: Experiment, watch: Any
) -> None:
    with watch() as second:
        with watch() as first:
            receive(first)
            receive(second)
            assert hub._hub is not None
            assert hub._hub.n_subscriptions == 1
        experiment.record("remark")
        assert receive(second)["seq"] == 1

    until = time.monotonic() + 5
    while hub._hub.n_subscriptions and time.monotonic() < until:
        time.sleep(0.01)
    assert hub._hub.n_subscriptions == 0


def test_an_idle_look_is_one_query(experiment: Experiment, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert hub.read_last_seq(experiment.pk) == 0


def test_a_message_takes_the_same_queries_for_one_row_and_many(
    experiment: Experiment, make_trial: Any, django_assert_num_queries: Any
) -> None:
    trials = [make_trial(experiment) for _ in range(5)]
    for trial in trials:
        experiment.record("created", trial=trial)
        add_metrics(trial, 3)

    newest = Experiment.objects.get().last_seq

    with django_assert_num_queries(7):
        news = hub.read_news(experiment.pk, 0, newest)

    assert news is not None
    assert len(json.loads(news.text)["trials"]) == 5


# ---------------------------------------------------------------- under load


@pytest.fixture
def running_trials(experiment: Experiment, make_trial: Any) -> list[Trial]:
    return [make_trial(experiment, state=TrialState.RUNNING) for _ in range(4)]


@pytest.mark.long
def test_a_client_that_drops_and_returns_has_every_metric_once(
    server: Server, experiment: Experiment, running_trials: list[Trial], cookie: str
) -> None:
    """Reporters at full speed, moves in between, and a client that hangs up again and again."""
    n_trials, n_reports = len(running_trials), 200

    def report_all(trial: Trial) -> None:
        try:
            for sequence in range(n_reports):
                assert server.report(trial, sequence / 2, sequence=sequence).status == 200
                if sequence % 20 == 0:
                    experiment_of_thread = Experiment.objects.get(pk=experiment.pk)
                    experiment_of_thread.record("remark", trial=trial)
        finally:
            connection.close()

    reporters = [threading.Thread(target=report_all, args=[trial]) for trial in running_trials]
    for reporter in reporters:
        reporter.start()

    metrics: list[tuple[int, int]] = []
    events: list[int] = []
    cursor, n_connections = 0, 0
    until = time.monotonic() + 60
    while len(metrics) < n_trials * n_reports and time.monotonic() < until:
        n_connections += 1
        options = headers(server, cookie)
        with connect(address(server, experiment, cursor), **options) as socket:
            for _ in range(1 + n_connections % 3):  # hang up after one, two or three messages
                message = json.loads(socket.recv(timeout=10))
                assert message["seq"] >= cursor
                cursor = message["seq"]
                metrics += reports_in([message])
                events += [event["seq"] for event in message["events"]]
                if len(metrics) >= n_trials * n_reports:
                    break
    for reporter in reporters:
        reporter.join()

    expected = [(trial.number, n) for trial in running_trials for n in range(n_reports)]
    assert sorted(metrics) == sorted(expected)
    assert len(events) == len(set(events)) == n_trials * n_reports // 20
    assert n_connections > 3
