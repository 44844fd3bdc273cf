"""What keeps all trials of an experiment from running on a cluster, as pages and REST tell it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment, Trial
from experiments.selectors.blocked import WORDS
from experiments.shell.looking import _experiment_words
from experiments.states import EventKind, Phase, TrialState
from tests.web.rest import LIST

PULL = "worker-0: ImagePullBackOff: Back-off pulling image <b>:1"


@pytest.fixture
def waiting(make_experiment: Any, make_trial: Any) -> Experiment:
    """Two trials that nobody can pull, one of them for a minute."""
    experiment: Experiment = make_experiment(phase=Phase.RUNNING)
    for minutes in (5, 1):
        trial = make_trial(experiment, state=TrialState.RUNNING, handle={"name": "a"}, reason=PULL)
        told = [
            (EventKind.STATE, "", minutes + 1),
            (EventKind.REMARK, "worker-0: ErrImagePull: not found", minutes),
            (EventKind.REMARK, PULL, minutes - 0.5),
        ]
        for what, reason, ago in told:
            event = experiment.record(what, trial=trial, reason=reason)
            event.time = timezone.now() - timedelta(minutes=ago)
            event.save()
    return experiment


def test_rest_tells_what_keeps_all_trials_since_when_and_what_to_do(
    client: Client, waiting: Experiment, make_experiment: Any,
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    for _ in range(20):
        make_experiment(phase=Phase.RUNNING)
    with django_assert_max_num_queries(9):
        found = client.get(LIST, {"page_size": 50}).json()["results"]
    told = {one["id"]: one["blocked"] for one in found}
    held = told.pop(waiting.pk)
    assert set(told.values()) == {None}
    why, advice = WORDS["ImagePull"]
    since = datetime.fromisoformat(held.pop("since"))
    assert held == {
        "reason": "ImagePull", "why": why, "advice": advice, "words": PULL, "trial": 0,
        "n_trials": 2,
    }  # fmt: skip
    # the second one met it a minute ago: before, something might have run
    assert 55 < (timezone.now() - since).total_seconds() < 200
    path = f"{LIST}{waiting.pk}/"
    shown = _experiment_words(client.get(path).json(), {"trial_seconds": 1.0}, "", 200)
    assert f"{why} {PULL}" in str(shown), "as autotune show has it"
    Trial.objects.filter(number=1).update(n_reports=1)
    assert client.get(path).json()["blocked"] is None
    # not even a job can be made
    Trial.objects.all().delete()
    waiting.record(EventKind.TROUBLE, reason="quota")
    words = 'Kubernetes: jobs.batch "x" is forbidden: exceeded quota: small'
    Experiment.objects.filter(pk=waiting.pk).update(message=words)
    held = client.get(path).json()["blocked"]
    assert (held["reason"], held["trial"], held["words"]) == ("Quota", None, words)
    assert held["since"]
    words = "the upload is forbidden: exceeded quota"  # of somebody else
    Experiment.objects.filter(pk=waiting.pk).update(message=words)
    assert client.get(path).json()["blocked"] is None


def test_the_list_says_it_in_the_readers_language(client: Client, waiting: Experiment) -> None:
    page = client.get("/").content.decode()
    assert "No trial can run." in page
    assert WORDS["ImagePull"][0] in page
    assert "image &lt;b&gt;:1" in page
    assert "<b>:1" not in page
    page = client.get("/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "目前没有试验能运行。 worker-0: ImagePullBackOff" in page
    assert "无法拉取镜像。" in page
    Experiment.objects.filter(pk=waiting.pk).update(suspended=True)
    assert "No trial can run." not in client.get("/").content.decode()
