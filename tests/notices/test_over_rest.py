"""Notifications over REST: one's own only, and the key of a webhook told once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from experiments.models import Channel, Experiment, Notice
from experiments.rest import notifications
from tests.notices.conftest import Receiver, run_due

pytestmark = pytest.mark.django_db
URL = "/api/v1/notifications/"


def post(client: Client, path: str = "", **body: Any) -> Any:
    return client.post(URL + path, json.dumps(body), content_type="application/json")


def test_added_listed_tested_and_deleted(
    client: Client, alice: Any, experiment: Experiment, receiver: Receiver
) -> None:
    client.force_login(alice)
    answer = post(
        client, kind="webhook", target=receiver.url, told_of=["best", "end"],
        experiment=experiment.pk,
    )  # fmt: skip
    made = answer.json()
    assert answer.status_code == 201
    assert set(made) == set(notifications.NewChannelShape().fields)
    assert len(made["key"]) > 20
    (listed,) = client.get(URL).json()
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert (listed["told_of"], listed["experiment"]) == (["end", "best"], experiment.pk)
    sent = post(client, f"{made['id']}/test/")
    assert sent.status_code == 201
    assert set(sent.json()) == set(notifications.NoticeShape().fields)
    run_due()
    assert len(receiver.got) == 1
    (told,) = client.get(f"{URL}told/?state=DONE").json()
    assert (told["event"], told["attempts"], told["text"]) == (
        "test", 1, "AutoTune: this is a test. Notices will come this way.",
    )  # fmt: skip
    assert client.get(f"{URL}told/?state=FAILED").json() == []
    assert client.delete(f"{URL}{made['id']}/").status_code == 204
    assert not Channel.objects.exists()


def test_nobody_elses(
    client: Client, alice: Any, experiment: Experiment, receiver: Receiver
) -> None:
    client.force_login(alice)
    made = post(client, kind="webhook", target=receiver.url, told_of=["end"]).json()
    post(client, f"{made['id']}/test/")
    client.force_login(get_user_model().objects.create_user("bob"))
    assert client.get(URL).json() == client.get(f"{URL}told/").json() == []
    assert post(client, f"{made['id']}/test/").status_code == 404
    assert client.delete(f"{URL}{made['id']}/").status_code == 404
    assert Notice.objects.count() == 1
    client.logout()
    assert client.get(URL).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "pigeon"}, "kind"),
        ({"target": "https://user:word@example.com/"}, "target"),
        ({"target": "http://192.168.0.1/"}, "target"),
        ({"told_of": []}, "told_of"),
        ({"told_of": ["lunch"]}, "told_of[0]"),
        ({"experiment": "nothing1"}, "experiment"),
        ({"kinds": "webhook"}, "kinds"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    client: Client, alice: Any, receiver: Receiver, change: dict[str, Any], field: str
) -> None:
    client.force_login(alice)
    body = {"kind": "webhook", "target": receiver.url, "told_of": ["end"]} | change
    answer = post(client, **body)
    paths = [problem["path"] for problem in answer.json()["errors"]]
    assert (answer.status_code, field in paths) == (400, True), paths
    assert not Channel.objects.exists()
