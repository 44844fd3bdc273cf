"""REST: trials, their list, what is done to one, and their reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Metric, Trial
from experiments.states import Phase
from tests.web.rest import errors, post, trials_url


def numbers(client: Client, experiment: Experiment, **query: Any) -> list[int]:
    response = client.get(trials_url(experiment), query)
    assert response.status_code == 200, response.content
    return [trial["number"] for trial in response.json()["results"]]


# ---- the list


def test_trials_come_by_number(client: Client, experiment: Experiment, four: list[Trial]) -> None:
    assert numbers(client, experiment) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "FAILED"}, [2]),
        ({"state": "FAILED,WAITING"}, [2, 3]),
        ({"state": ["FAILED", "WAITING"]}, [2, 3]),
        ({"order": "-number"}, [3, 2, 1, 0]),
        ({"order": "-value"}, [1, 0, 2, 3]),
        ({"order": "value"}, [0, 1, 2, 3]),  # what has no value comes last either way
        ({"order": "duration"}, [1, 2, 0, 3]),
        ({"order": "param:lr"}, [2, 1, 3, 0]),
        ({"order": "-lr"}, [0, 3, 1, 2]),
        ({"order": "opt,-param:lr"}, [1, 2, 0, 3]),
        ({"order": "metric:f1"}, [0, 1, 2, 3]),
        ({"order": "state,-number"}, [2, 1, 0, 3]),
        ({"where": "lr < 0.05"}, [1, 2]),
        ({"where": "lr<0.05 and value>=0.9 and opt=adam"}, [1]),
        ({"where": "lr<0.05", "state": "FAILED"}, [2]),
        ({"where": "lr<0.05", "order": "lr"}, [2, 1]),
        ({"where": "  "}, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_the_list_is_filtered_and_sorted(
    client: Client, experiment: Experiment, four: list[Trial], query: Any, expected: list[int]
) -> None:
    assert numbers(client, experiment, **query) == expected


def test_a_filtered_list_is_paged_too(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    query = {"where": "lr > 0", "order": "-lr", "page_size": 3}
    page = client.get(trials_url(experiment), query).json()
    assert page["count"] == 4
    assert [trial["number"] for trial in page["results"]] == [0, 3, 1]
    assert numbers(client, experiment, page=2, **query) == [2]


@pytest.mark.parametrize(
    ("query", "path", "words"),
    [
        ({"where": "lrr < 1"}, "where", "'lrr'"),
        ({"where": "lr <"}, "where", "at character"),
        ({"where": "__import__('os')"}, "where", "__import__"),
        ({"order": "-lrr"}, "order", "'lrr'"),
        ({"state": "BROKEN"}, "state", "BROKEN"),
        ({"page_size": "1000"}, "page_size", "200"),
        ({"sort": "x"}, "sort", "no such field"),
    ],
    ids=str,
)
def test_a_bad_query_says_where(
    client: Client,
    experiment: Experiment,
    four: list[Trial],
    query: dict[str, str],
    path: str,
    words: str,
) -> None:
    response = client.get(trials_url(experiment), query)
    assert response.status_code == 400
    assert words in errors(response)[path]


def test_a_parameter_is_known_before_there_is_a_trial(
    client: Client, experiment: Experiment
) -> None:
    assert numbers(client, experiment, where="units = 32") == []


def test_a_long_list_costs_few_queries(
    client: Client,
    experiment: Experiment,
    make_trial: Callable[..., Trial],
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(60):
        make_trial(experiment, number=number)
    with django_assert_max_num_queries(6):
        assert len(numbers(client, experiment, page_size=60)) == 60
    with django_assert_max_num_queries(5):
        assert len(numbers(client, experiment, page_size=60, where="lr<1", order="lr")) == 60


@pytest.mark.parametrize("name", ["learning rate", "a,b", 'say "x"', "lr-x y", "-lr", "ключ"])
def test_any_parameter_can_be_sorted_by(
    client: Client, make_experiment: Any, make_trial: Any, name: str
) -> None:
    space = {name: {"_type": "uniform", "_value": [0, 9]}}
    experiment = make_experiment(spec={"searchSpace": space})
    for value in (2.0, 3.0, 1.0):
        make_trial(experiment, parameters={name: value})
    quoted = 'param:"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for order, expected in ((quoted, [2, 0, 1]), (f"-{quoted},number", [1, 0, 2])):
        answer = client.get(trials_url(experiment), {"order": order})
        assert [trial["number"] for trial in answer.json()["results"]] == expected


# ---- custom trials


def test_a_custom_trial_waits_for_its_turn(client: Client, experiment: Experiment) -> None:
    response = post(client, trials_url(experiment), {"parameters": {"lr": 0.02, "units": 16}})
    assert response.status_code == 201, response.content
    trial = response.json()
    assert (trial["number"], trial["state"], trial["origin"]) == (0, "WAITING", "custom")
    assert trial["parameters"] == {"lr": 0.02, "units": 16}


def test_parameters_outside_the_space_are_named_unless_forced(
    client: Client, experiment: Experiment
) -> None:
    body = {"parameters": {"lr": 7, "units": 17}}
    response = post(client, trials_url(experiment), body)
    assert response.status_code == 400
    assert set(errors(response)) == {"parameters.lr", "parameters.units"}
    assert not experiment.trials.exists()
    assert post(client, trials_url(experiment), {**body, "force": True}).status_code == 201


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "parameters"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"lr": 0.1, "units": 16}, "force": 1}, "force"),
        ({"parameters": {"lr": 0.1, "units": 16}, "forse": True}, "forse"),
    ],
)
def test_a_bad_custom_trial_is_refused(
    client: Client, experiment: Experiment, body: Any, path: str
) -> None:
    response = post(client, trials_url(experiment), json.dumps(body))
    assert response.status_code == 400
    assert list(errors(response)) == [path]


def test_an_ended_experiment_takes_no_trial(client: Client, make_experiment: Any) -> None:
    ended = make_experiment(phase=Phase.ERROR)
    response = post(client, trials_url(ended), {"parameters": {"lr": 0.02, "units": 16}})
    assert response.status_code == 409


# ---- one trial


def test_reading_one_trial(client: Client, experiment: Experiment, four: list[Trial]) -> None:
    answer = client.get(trials_url(experiment, "1/")).json()
    assert (answer["number"], answer["value"]) == (1, 0.9)
    assert client.get(trials_url(experiment, "77/")).status_code == 404
    assert client.get(trials_url(experiment, "999999999/")).status_code == 404
    assert client.delete(trials_url(experiment, "1/")).status_code == 405


def test_killing_a_waiting_trial_and_an_ended_one(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    assert post(client, trials_url(experiment, "3/kill/")).json()["stopping"] is True
    response = post(client, trials_url(experiment, "0/kill/"))
    assert response.status_code == 409
    assert "has ended already (SUCCEEDED)" in errors(response)[""]


def test_retrying_a_failed_trial_once(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    assert client.get(trials_url(experiment, "2/")).json()["retriable"] is True
    response = post(client, trials_url(experiment, "2/retry/"))
    assert response.status_code == 201
    assert response.json()["parameters"] == four[2].parameters
    assert response.json()["origin"] == "retry"
    assert client.get(trials_url(experiment, "2/")).json()["retriable"] is False
    assert post(client, trials_url(experiment, "2/retry/")).status_code == 409
    assert client.get(trials_url(experiment, "0/")).json()["retriable"] is False
    assert post(client, trials_url(experiment, "0/retry/")).status_code == 409  # it succeeded


def test_an_excluded_trial_is_not_the_best_until_it_is_restored(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    def best() -> int:
        experiment.refresh_from_db()
        assert experiment.best_trial is not None
        return experiment.best_trial.number

    answer = post(client, trials_url(experiment, "1/exclude/"), {"reason": "leaked labels"}).json()
    assert answer["excluded"] is True
    assert best() == 0
    assert experiment.events.get(what="excluded").reason == "leaked labels"
    assert post(client, trials_url(experiment, "1/restore/")).json()["excluded"] is False
    assert best() == 1
    assert post(client, trials_url(experiment, "1/exclude/"), {"because": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("rest", "method"),
    [
        ("0/kill/", "post"), ("0/retry/", "post"), ("0/exclude/", "post"), ("0/restore/", "post"),
        ("0/metrics/", "get"), ("0/logs/", "get"), ("0/log/", "get"), ("0/", "get"), ("", "get"),
    ],
)  # fmt: skip
def test_every_route_refuses_strangers_wrong_methods_and_missing_trials(
    client: Client,
    stranger: Client,
    experiment: Experiment,
    four: list[Trial],
    rest: str,
    method: str,
) -> None:
    assert getattr(stranger, method)(trials_url(experiment, rest)).status_code == 401
    other = client.put if rest in ("", "0/") or method == "post" else client.post
    assert other(trials_url(experiment, rest)).status_code == 405
    if rest:
        missing = trials_url(experiment, rest.replace("0/", "55/", 1))
        assert getattr(client, method)(missing).status_code == 404


# ---- reports


@pytest.fixture
def reports(experiment: Experiment, four: list[Trial]) -> None:
    rows = [
        ("PERIODICAL", 1, "default", 0.2, ""), ("PERIODICAL", 0, "default", 0.1, ""),
        ("PERIODICAL", 0, "loss", None, "NaN"), ("FINAL", 0, "default", 0.7, ""),
    ]  # fmt: skip
    for seq, (kind, sequence, name, value, nonfinite) in enumerate(rows, 1):
        Metric.objects.create(
            trial=four[0], experiment=experiment, kind=kind, sequence=sequence, name=name,
            value=value, nonfinite=nonfinite, time=timezone.now(), seq=seq,
        )  # fmt: skip


def test_reports_come_in_order_with_what_is_no_number_as_text(
    client: Client, experiment: Experiment, reports: None
) -> None:
    answer = client.get(trials_url(experiment, "0/metrics/")).json()
    assert answer["count"] == 4
    found = [(r["kind"], r["sequence"], r["name"], r["value"]) for r in answer["results"]]
    assert found == [
        ("PERIODICAL", 0, "default", 0.1),
        ("PERIODICAL", 0, "loss", "NaN"),
        ("PERIODICAL", 1, "default", 0.2),
        ("FINAL", 0, "default", 0.7),
    ]


def test_reports_are_filtered_by_kind_and_name(
    client: Client, experiment: Experiment, reports: None
) -> None:
    def count(**query: str) -> int:
        return int(client.get(trials_url(experiment, "0/metrics/"), query).json()["count"])

    assert count(kind="FINAL") == 1
    assert count(name="loss") == 1
    assert count(name="loss,default", kind="PERIODICAL") == 3
    assert client.get(trials_url(experiment, "0/metrics/"), {"kind": "LAST"}).status_code == 400
    assert client.get(trials_url(experiment, "0/metrics/"), {"name": "a\x00"}).status_code == 400
