"""Who would misuse notices: slow receivers, floods, addresses; nobody else waits or is bothered."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import Http404
from django.test import Client
from django.utils import timezone

from experiments.access import policy
from experiments.models import Channel, Notice
from experiments.notices import delivery, webhook
from experiments.notices.delivery import deliver, due_channels
from experiments.services import channels
from tests.notices.conftest import Receiver, hook, run_due

pytestmark = pytest.mark.django_db


def test_who_waits_longest_is_told_first_and_nobody_takes_every_place(
    alice: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two slow receivers of one person once kept everybody else's news back."""
    bob = get_user_model().objects.create_user("bob")
    one, other, bobs = (hook(user, receiver)[0] for user in (alice, alice, bob))
    for channel, seconds in ((one, 1), (other, 2), (bobs, 3)):
        channels.send_test(channel)
        due = timezone.now() - timedelta(seconds=seconds)
        Channel.objects.filter(pk=channel.pk).update(next_try_at=due)
    assert due_channels() == [str(c.pk) for c in (bobs, other, one)]
    under_way: list[str] = []

    def slow(channel: Channel, notice: Notice) -> None:
        under_way.append(channel.user.username)
        if channel == one:
            deliver(str(other.pk))  # while the first one's receiver takes its time
            deliver(str(bobs.pk))

    monkeypatch.setattr(delivery, "_tell", slow)
    deliver(str(one.pk))
    assert under_way == ["alice", "bob"]
    deliver(str(other.pk))
    assert under_way == ["alice", "bob", "alice"]


def test_a_pass_ends_for_the_next_ones_turn(
    alice: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, _ = hook(alice, receiver)
    channels.send_test(channel)
    channels.send_test(channel)
    monkeypatch.setattr(delivery, "PASS_S", -1.0)
    run_due()
    assert receiver.got == []


def test_a_test_does_not_take_a_delivery_from_who_is_at_it(alice: Any, receiver: Receiver) -> None:
    channel, _ = hook(alice, receiver)
    held = timezone.now() + delivery.HELD
    Channel.objects.update(attempts=1, next_try_at=held)
    channels.send_test(channel)
    run_due()
    assert receiver.got == []
    Channel.objects.update(next_try_at=held + timedelta(minutes=10))  # a pause
    channels.send_test(channel)
    run_due()
    assert len(receiver.got) == 2


def test_nobody_is_flooded_with_tests(client: Client, alice: Any, receiver: Receiver) -> None:
    for _ in range(channels.MOST_TESTS):
        channel, _key = hook(alice, receiver)
        assert client.post(f"/notifications/{channel.pk}/test/").status_code == 302
        channel.delete()  # which does not make them forgotten
    channel, _key = hook(alice, receiver)
    answer = client.post(f"/notifications/{channel.pk}/test/")
    assert answer.status_code == 400
    assert "You sent 10 tests within ten minutes" in answer.content.decode()
    assert not Notice.objects.exists()


def test_an_attempt_that_is_over_before_it_is_connected_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        connection = webhook._Pinned(webhook.parts_of(f"http://127.0.0.1:{port}/"), "127.0.0.1")
        connection.give_up()
        with pytest.raises(TimeoutError):
            connection.connect()
        connection.close()


def test_no_database_is_asked_for_what_one_refuses(
    alice: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0), pytest.raises(Http404):
        policy.get_visible(alice, "a\x00b")
