"""An experiment whose trials programs ask for, and a loop that looks as soon as it is woken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

import autotune_client as at
from experiments import wake
from experiments.access.tokens import make_api_token
from experiments.loop.reconcile import reconcile
from experiments.models import Experiment
from tests.base_manifest import base_manifest
from tests.web import conftest as served
from tests.web.rest import LIST, post, trials_url, url

Reply = dict[str, Any]


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wakes the loop has it look at once."""
    monkeypatch.setattr(wake, "reconcile_soon", lambda experiment_id, **_: reconcile(experiment_id))


def manifest(**spec: Any) -> dict[str, Any]:
    """One of an experiment elsewhere; None leaves a field out."""
    whole = base_manifest("outside", ["unused"])
    del whole["spec"]["trainingConfig"]
    fields = {
        "elsewhere": {},
        "maxTrialNum": 4,
        "trialConcurrency": 2,
        "tuner": {"builtinTunerName": "Random", "classArgs": {"optimize_mode": "minimize"}},
        **spec,
    }
    whole["spec"].update(fields)
    whole["spec"] = {key: value for key, value in whole["spec"].items() if value is not None}
    return whole


class Program:
    """A program that asks, tells and lives, by REST."""

    def __init__(self, client: Client, experiment: Experiment) -> None:
        self.client, self.experiment = client, experiment

    def ask(self, key: str = "k", n: int = 1, status: int = 200) -> Reply:
        body = {"key": key, "n": n, "wait": 0}
        answer = post(self.client, url(self.experiment, "ask/"), body)
        assert answer.status_code == status, answer.json()
        return dict(answer.json())

    def take(self, key: str = "k") -> Reply:
        answer = self.ask(key)
        for _ in range(3):  # a proposal may take longer than anybody waits here
            answer = answer if answer["trials"] else self.ask(key)
        assert len(answer["trials"]) == 1, answer["reason"]
        (trial,) = answer["trials"]
        return dict(trial)

    def say(self, what: str, trial: Reply, status: int = 200, **body: Any) -> Reply:
        to = trials_url(self.experiment, f"{trial['number']}/{what}/")
        answer = post(self.client, to, {"attempt": trial["attempt"], **body})
        assert answer.status_code == status, answer.json()
        return dict(answer.json())

    def tell(self, trial: Reply, status: int = 200, **word: Any) -> Reply:
        return self.say("tell", trial, status, **word)


@pytest.fixture
def program(client: Client, looking: None) -> Callable[..., Program]:
    """Make an experiment by REST, with these fields of its spec, and a program for it."""

    def make(**spec: Any) -> Program:
        made = post(client, LIST, manifest(**spec))
        assert made.status_code == 201, made.json()
        return Program(client, Experiment.objects.get(pk=made.json()["id"]))

    return make


_uvicorn = served._uvicorn
server = served.server


@pytest.fixture
def at_work(server: served.Server, alice: Any, monkeypatch: pytest.MonkeyPatch) -> at.Client:
    """A client of a server in this process, whose loop looks as soon as it is woken."""

    def look(experiment_id: str, **_: Any) -> None:
        reconcile(experiment_id)
        connection.close_if_unusable_or_obsolete()

    monkeypatch.setattr(wake, "reconcile_soon", look)
    return at.Client(server.url, make_api_token(alice, "tests"), patience=20)
