"""REST's triage of failures, and retrying a group of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.states import Phase, TrialState

OUT_OF_MEMORY = "exit code 1: CUDA out of memory. Tried to allocate {} GiB"


@pytest.fixture
def mixed(
    make_experiment: Callable[..., Experiment], make_trial: Callable[..., Trial]
) -> Experiment:
    """Trials 0 to 9 ran out of memory with many units; 10 was lost; 11 to 30 did well."""
    experiment = make_experiment(phase=Phase.RUNNING)
    for n in range(10):
        make_trial(
            experiment, state=TrialState.FAILED, exit_code=1, reason=OUT_OF_MEMORY.format(n),
            parameters={"units": 64, "lr": 0.1},
        )  # fmt: skip
    make_trial(
        experiment, state=TrialState.LOST, reason="The node was lost.",
        parameters={"units": 16, "lr": 0.1},
    )  # fmt: skip
    for _ in range(20):
        make_trial(
            experiment, state=TrialState.SUCCEEDED, value=1, parameters={"units": 16, "lr": 0.1}
        )
    return experiment


def failures(client: Client, experiment: Experiment) -> Any:
    answer = client.get(f"/api/v1/experiments/{experiment.pk}/failures/")
    assert answer.status_code == 200
    return answer.json()


def retry(client: Client, experiment: Experiment, body: Any) -> Any:
    return client.post(
        f"/api/v1/experiments/{experiment.pk}/retry-failed/", json.dumps(body),
        content_type="application/json",
    )  # fmt: skip


def test_failures_stand_in_groups_with_the_place_where_they_happen(
    client: Client, mixed: Experiment
) -> None:
    told = failures(client, mixed)
    assert told["failed"] == 11
    assert told["groups"] == [
        {
            "exit_code": 1, "reason": OUT_OF_MEMORY.format(9), "count": 10,
            "trials": list(range(9, -1, -1)),
            "where": [
                {
                    "parameter": "units", "low": 64, "high": None, "values": [],
                    "failed": 10, "of": 10, "elsewhere_failed": 0, "elsewhere_of": 20,
                }
            ],
        },
        {
            "exit_code": None, "reason": "The node was lost.", "count": 1, "trials": [10],
            "where": [],
        },
    ]  # fmt: skip
    assert told["where"] == [
        {
            "parameter": "units", "low": 64, "high": None, "values": [],
            "failed": 10, "of": 10, "elsewhere_failed": 1, "elsewhere_of": 21,
        }
    ]  # fmt: skip


def test_each_kind_of_failure_has_a_place_of_its_own(
    client: Client, mixed: Experiment, make_trial: Callable[..., Trial]
) -> None:
    for _ in range(4):
        make_trial(
            mixed, state=TrialState.FAILED, exit_code=1, reason="exit code 1: loss is nan",
            parameters={"units": 16, "lr": 0.9},
        )  # fmt: skip
    memory, nan, _lost = failures(client, mixed)["groups"]
    assert [(w["parameter"], w["low"]) for w in memory["where"]] == [("units", 64)]
    assert [(w["parameter"], w["low"], w["failed"], w["of"]) for w in nan["where"]] == [
        ("lr", 0.9, 4, 4)
    ]
    Trial.objects.filter(reason="exit code 1: loss is nan").update(excluded=True)
    Trial.objects.filter(state=TrialState.LOST).update(excluded=True)
    told = failures(client, mixed)
    assert [group["where"] for group in told["groups"]] == [[]]  # all say it
    assert [w["parameter"] for w in told["where"]] == ["units"]


def test_only_the_group_is_retried_and_then_it_is_no_failure_any_more(
    client: Client, mixed: Experiment
) -> None:
    answer = retry(client, mixed, {"trials": [10, 3, 11, 999]})  # 11 did well, 999 is none
    assert answer.status_code == 200
    assert answer.json()["count"] == 2
    told = failures(client, mixed)
    assert [group["count"] for group in told["groups"]] == [9]
    assert retry(client, mixed, {"trials": [10]}).json()["count"] == 0


def test_what_was_excluded_is_no_failure_either(client: Client, mixed: Experiment) -> None:
    mixed.trials.filter(number__lt=10).update(excluded=True)
    assert failures(client, mixed)["failed"] == 1


@pytest.mark.parametrize(
    ("query", "counts", "places"),
    [
        ("where=units < 32", [1], 0),
        ("ticked=5-30", [5, 1], 1),
        ("state=SUCCEEDED", [], 0),
        ("state=FAILED", [10], 0),  # without those that did well there is nothing to compare
    ],
)
def test_the_selected_trials_are_looked_at(
    client: Client, mixed: Experiment, query: str, counts: list[int], places: int
) -> None:
    name, _, value = query.partition("=")
    answer = client.get(f"/api/v1/experiments/{mixed.pk}/failures/", {name: value})
    told = answer.json()
    assert [group["count"] for group in told["groups"]] == counts
    assert (told["failed"], len(told["where"])) == (sum(counts), places)


def test_a_condition_that_makes_no_sense_is_refused(client: Client, mixed: Experiment) -> None:
    answer = client.get(f"/api/v1/experiments/{mixed.pk}/failures/", {"where": "lunch = 1"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "where")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"trials": []}, "empty"),
        ({"trials": ["x"]}, "integer"),
        ({"trials": [-1]}, "0"),
        ({"trials": 3}, "list"),
        ({"numbers": [3]}, "trials"),
    ],
)
def test_a_bad_list_is_refused_by_its_field(
    client: Client, mixed: Experiment, body: Any, words: str
) -> None:
    answer = retry(client, mixed, body)
    assert answer.status_code == 400
    assert words in json.dumps(answer.json())
    assert failures(client, mixed)["failed"] == 11


def test_without_failures_there_is_nothing_to_tell(
    client: Client, make_experiment: Callable[..., Experiment]
) -> None:
    assert failures(client, make_experiment()) == {"failed": 0, "groups": [], "where": []}
    assert client.get("/api/v1/experiments/nothing1/failures/").status_code == 404
