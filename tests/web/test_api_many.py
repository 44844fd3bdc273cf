"""One action on many trials: those of a selection, or those that are named."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client

from experiments.models import Event, Experiment, Trial
from experiments.services import actions
from experiments.states import EventKind, TrialState
from experiments.trials import changes
from tests.web.rest import errors, post, trials_url, url


def test_a_selection_is_left_out_with_a_reason_and_taken_back(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    changes.update_best(experiment)
    seq = Experiment.objects.get(pk=experiment.pk).last_seq
    to = trials_url(experiment, "exclude/?where=value+>+0.5")
    answer = post(client, to, {"reason": "wrong data"})
    assert answer.json() == {"count": 2, "trials": [0, 1]}
    assert post(client, to, {}).json() == {"count": 0, "trials": []}  # they are out already
    now = Experiment.objects.get(pk=experiment.pk)
    assert now.best_trial is None
    events = Event.objects.filter(experiment=experiment, what=EventKind.EXCLUDED)
    told = [(e.seq, e.trial and e.trial.number, e.reason, e.data) for e in events]
    assert told == [
        (seq + 1, 0, "wrong data", {"user": "alice"}),
        (seq + 2, 1, "wrong data", {"user": "alice"}),
    ]
    seqs = Trial.objects.filter(experiment=experiment, excluded=True).values_list("seq", flat=True)
    assert list(seqs) == [seq + 1, seq + 2]  # so that pages hear of each
    assert now.last_seq == seq + 2
    back = post(client, trials_url(experiment, "restore/"), {"trials": [1, 2]})
    assert back.json() == {"count": 1, "trials": [1]}
    best = Experiment.objects.get(pk=experiment.pk).best_trial
    assert best is not None
    assert best.number == 1


def test_exports_say_why_a_trial_was_left_out(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    actions.set_excluded(four[0], True, reason="first")
    actions.set_excluded(four[0], False)
    actions.set_excluded(four[0], True, reason="=twice")
    text = client.get(url(experiment, "export/"), {"format": "csv"}).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["excluded_reason"] for row in rows] == ["'=twice", "", "", ""]
    stream: Any = client.get(url(experiment, "export/"))
    first, second, *_ = json.loads(b"".join(stream.streaming_content))["trials"]
    assert (first["excluded"], first["excluded_reason"]) == (True, "=twice")
    assert "excluded" not in second


def test_trials_are_stopped_and_tried_again_where_that_makes_sense(
    client: Client, experiment: Experiment, four: list[Trial]
) -> None:
    killed = post(client, trials_url(experiment, "kill/?ticked=0-9"))
    assert killed.json() == {"count": 1, "trials": [3]}
    four[3].refresh_from_db()
    assert four[3].stop_as == TrialState.CANCELED
    again = post(client, trials_url(experiment, "retry/?state=SUCCEEDED,FAILED"))
    assert again.json() == {"count": 1, "trials": [4]}
    new = experiment.trials.get(number=4)
    assert (new.retry_of, new.parameters) == (four[2], four[2].parameters)


@pytest.mark.parametrize("action", ["kill", "retry", "exclude", "restore"])
@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("", {}, "Name the trials"),
        ("?where=", {}, "Name the trials"),
        ("?state=FAILED", {"trials": [1]}, "not both"),
        ("", {"trials": [1, 77]}, "no trials 77"),
        ("", {"trials": ["1"]}, "whole number"),
    ],
    ids=str,
)
def test_nobody_acts_on_all_trials_by_mistake(
    client: Client, experiment: Experiment, four: list[Trial], action: str, query: str,
    body: dict[str, Any], words: str,
) -> None:  # fmt: skip
    refused = post(client, trials_url(experiment, f"{action}/{query}"), body)
    assert refused.status_code == 400
    ((path, message),) = errors(refused).items()
    assert path.startswith("trials")
    assert words in message
    assert not experiment.events.exists()


def test_a_stranger_changes_nothing(stranger: Client, experiment: Experiment) -> None:
    assert post(stranger, trials_url(experiment, "kill/?ticked=0")).status_code == 401


def test_many_are_left_out_in_few_statements(
    client: Client, experiment: Experiment, django_assert_max_num_queries: Any
) -> None:
    Trial.objects.bulk_create(
        Trial(experiment=experiment, number=n, parameters={}, key=f"{n:05d}") for n in range(400)
    )
    with django_assert_max_num_queries(30):
        answer = post(client, trials_url(experiment, "exclude/?where=number+>=+0"))
    assert answer.json()["count"] == 400


# ---- many custom trials

NESTED = {
    "lr": {"_type": "loguniform", "_value": [0.0001, 1]},
    "opt": {
        "_type": "choice",
        "_value": [
            {"_name": "adam", "beta": {"_type": "uniform", "_value": [0, 1]}},
            {"_name": "sgd"},
        ],
    },
}


@pytest.fixture
def nested(make_experiment: Any) -> Experiment:
    found: Experiment = make_experiment(spec={"searchSpace": NESTED}, phase="RUNNING", max_trials=2)
    return found


ADAM = {"lr": 0.1, "opt": {"_name": "adam", "beta": 0.5}}
SGD = {"lr": 0.01, "opt": {"_name": "sgd"}}


@pytest.mark.parametrize(
    "body",
    [
        {"trials": [ADAM, SGD, ADAM]},
        {"trials": [{"lr": 0.1, "opt": "adam", "opt.beta": 0.5}, SGD, ADAM]},
        {"csv": "lr,opt,opt.beta\n0.1,adam,0.5\n\n0.01,sgd,\n0.1,adam,5e-1\n"},
        {
            "csv": "\ufeffnumber,param:opt,param:opt.beta,param:lr\n"
            "7,adam,0.5,0.1\n8,sgd,,0.01\n9,adam,0.5,0.1"
        },
    ],
    ids=["nested", "dotted", "csv", "exported"],
)  # fmt: skip
def test_many_trials_of_ones_own_are_added_at_once(
    client: Client, nested: Experiment, body: dict[str, Any]
) -> None:
    answer = post(client, trials_url(nested, "many/"), body)
    assert (answer.status_code, answer.json()) == (201, {"count": 3, "trials": [0, 1, 2]})
    made = nested.trials.order_by("number")
    assert [trial.parameters for trial in made] == [ADAM, SGD, ADAM]
    assert {trial.origin for trial in made} == {"custom"}
    nested.refresh_from_db()
    assert nested.max_trials == 3  # they came on top of the budget


def test_what_was_exported_can_be_added_again(client: Client, nested: Experiment) -> None:
    post(client, trials_url(nested, "many/"), {"trials": [ADAM, SGD]})
    text = client.get(url(nested, "export/"), {"format": "csv"}).content.decode()
    again = post(client, trials_url(nested, "many/"), {"csv": text})
    assert again.json()["trials"] == [2, 3]
    assert [t.parameters for t in nested.trials.order_by("number")] == [ADAM, SGD, ADAM, SGD]


@pytest.mark.parametrize(
    ("body", "paths", "words"),
    [
        (
            {"csv": "lr,opt,opt.beta\n7,adam,0.5\n0.1,sgd,0.5\n0.1,tpe,"},
            ["row 1.lr", 'row 2["opt.beta"]', "row 3.opt"],
            "7",
        ),
        ({"trials": [ADAM, {"lr": -1}]}, ["trials[1].lr", "trials[1].opt"], "-1"),
        ({"csv": "lr"}, ["csv"], "a line for each trial"),
        ({"csv": "lr,opt\n1"}, ["csv"], "Row 1 has 1 cells"),
        ({}, ["trials"], "not both"),
        ({"trials": [ADAM], "csv": "lr\n1"}, ["trials"], "not both"),
        ({"trials": []}, ["trials"], "empty"),
    ],
    ids=["csv", "list", "no rows", "short row", "nothing", "both", "empty"],
)
def test_one_that_does_not_fit_stops_all(
    client: Client, nested: Experiment, body: dict[str, Any], paths: list[str], words: str
) -> None:
    refused = post(client, trials_url(nested, "many/"), body)
    assert refused.status_code == 400
    found = errors(refused)
    assert list(found) == paths
    assert words in next(iter(found.values()))
    assert not nested.trials.exists()


def test_outside_the_space_only_by_force(client: Client, nested: Experiment) -> None:
    body = {"csv": "lr,opt\n7,sgd", "force": True}
    assert post(client, trials_url(nested, "many/"), body).status_code == 201
    assert nested.trials.get().parameters == {"lr": 7, "opt": {"_name": "sgd"}}
