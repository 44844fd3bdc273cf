"""Being told: queued once with its cause, delivered signed, whatever the receiver does."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.utils import timezone

from experiments.engine.breaker import Tripped
from experiments.loop import trip
from experiments.models import Channel, Experiment, Notice
from experiments.notices import delivery, webhook
from experiments.notices.delivery import deliver, due_channels
from experiments.problems import ProblemsError
from experiments.services import channels
from experiments.states import Phase, TrialState
from experiments.trials.changes import update_best
from tests.notices.conftest import Receiver, hook, now_due, run_due

pytestmark = pytest.mark.django_db


# ---- queued


def test_an_end_is_told_once_signed_and_with_what_it_came_to(
    alice: Any, experiment: Experiment, make_trial: Any, receiver: Receiver
) -> None:
    _channel, key = hook(alice, receiver, "end")
    best = make_trial(experiment, state=TrialState.SUCCEEDED, value=0.9123456)
    update_best(experiment)
    experiment = Experiment.objects.get()
    assert experiment.move(Phase.DONE, reason="All trials ran.")
    assert not Experiment(pk=experiment.pk, phase=Phase.RUNNING).move(Phase.DONE)
    run_due()
    run_due()
    ((headers, body),) = receiver.got
    assert headers["X-AutoTune-Event"] == "end"
    signed = headers["X-AutoTune-Timestamp"].encode() + b"." + body
    digest = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-AutoTune-Signature"] == f"sha256={digest}"
    told = json.loads(body)
    assert told["text"] == "digits <b> has ended (Done); best value 0.912346, trial 0"
    assert (told["event"], told["trial"], told["value"]) == ("end", best.number, 0.9123456)
    assert told["experiment"]["url"].endswith(f"/experiments/{experiment.pk}/")
    notice = Notice.objects.get()
    assert (notice.state, notice.attempts, headers["X-AutoTune-Delivery"]) == (
        "DONE", 1, str(notice.pk)
    )  # fmt: skip


def test_of_best_ones_in_a_row_the_last_is_told_after_a_while(
    alice: Any, experiment: Experiment, make_trial: Any, receiver: Receiver
) -> None:
    hook(alice, receiver, "best")
    for value in (0.1, 0.5, 0.3):
        make_trial(experiment, state=TrialState.SUCCEEDED, value=value)
        update_best(Experiment.objects.get())
    assert due_channels() == []
    now_due()
    run_due()
    ((_headers, body),) = receiver.got
    assert json.loads(body)["value"] == 0.5
    # a worse one that takes over because the best was left out is no news
    experiment.trials.filter(value=0.5).update(excluded=True)
    update_best(Experiment.objects.get())
    now_due()
    run_due()
    assert len(receiver.got) == 1


def test_error_and_breaker_are_told(
    alice: Any, experiment: Experiment, make_trial: Any, receiver: Receiver
) -> None:
    hook(alice, receiver, "error", "breaker")
    make_trial(experiment, state=TrialState.FAILED)
    trip.suspend(experiment, Tripped((0,), "3 trials failed alike: no GPU"))
    experiment.move(Phase.ERROR, reason="The tuner cannot go on.")
    run_due()
    texts = [json.loads(body)["text"] for _, body in receiver.got]
    assert texts == [
        "digits <b> has suspended itself: 3 trials failed alike: no GPU",
        "digits <b> ended in an error: The tuner cannot go on.",
    ]


def test_who_listens(alice: Any, make_experiment: Any, receiver: Receiver) -> None:
    bob = get_user_model().objects.create_user("bob")
    mine, theirs, nobodys = (
        make_experiment(phase=Phase.RUNNING, owner=owner, name=name)
        for owner, name in ((alice, "mine"), (bob, "theirs"), (None, "nobody's"))
    )
    hook(alice, receiver, "end")
    hook(bob, receiver, "end", experiment=mine)
    hook(bob, receiver, "best")
    for one in (mine, theirs, nobodys):
        one.move(Phase.DONE)
    run_due()
    told = sorted((n.channel.user.username, n.experiment.name) for n in Notice.objects.all())
    assert told == [("alice", "mine"), ("alice", "nobody's"), ("bob", "mine")]


# ---- delivered


def test_a_receiver_that_fails_is_tried_again_later_and_in_order(
    alice: Any, experiment: Experiment, receiver: Receiver
) -> None:
    channel, _ = hook(alice, receiver)
    receiver.statuses = [503, 204, 204]
    experiment.move(Phase.DONE)
    channels.send_test(channel)
    run_due()
    assert len(receiver.got) == 1  # the second waits behind the first
    first, second = Notice.objects.order_by("pk")
    assert (first.state, first.error) == ("WAITING", "127.0.0.1 answered 503.")
    channel.refresh_from_db()
    assert channel.attempts == 1
    assert 3 < (channel.next_try_at - timezone.now()).total_seconds() < 7
    run_due()
    assert len(receiver.got) == 1
    now_due()
    run_due()
    events = [(h["X-AutoTune-Event"], h["X-AutoTune-Delivery"]) for h, _ in receiver.got]
    assert events == [("end", str(first.pk)), ("end", str(first.pk)), ("test", str(second.pk))]
    assert {n.state for n in Notice.objects.all()} == {"DONE"}
    channel.refresh_from_db()
    assert channel.attempts == 0


@pytest.mark.parametrize("status", [301, 302, 400, 404, 410])
def test_a_refusal_is_for_good_and_no_redirect_is_followed(
    alice: Any, receiver: Receiver, status: int
) -> None:
    channel, _ = hook(alice, receiver)
    receiver.headers = {"Location": receiver.url}
    receiver.statuses = [status]
    channels.send_test(channel)
    channels.send_test(channel)
    run_due()
    assert [n.state for n in Notice.objects.order_by("pk")] == ["FAILED", "DONE"]
    assert len(receiver.got) == 2


def test_it_is_given_up_after_a_day(alice: Any, receiver: Receiver) -> None:
    channel, _ = hook(alice, receiver)
    receiver.statuses = [500]
    notice = channels.send_test(channel)
    Notice.objects.update(created_at=notice.created_at - delivery.GIVE_UP - timedelta(seconds=1))
    run_due()
    assert Notice.objects.get().state == "FAILED"


def test_a_worker_that_died_holds_it_for_a_minute_only(alice: Any, receiver: Receiver) -> None:
    channel, _ = hook(alice, receiver)
    channels.send_test(channel)
    Channel.objects.update(next_try_at=timezone.now() + delivery.HELD)  # as somebody has it
    run_due()
    deliver(str(channel.pk))
    assert receiver.got == []
    now_due()
    run_due()
    assert len(receiver.got) == 1


def test_a_receiver_that_never_answers_costs_so_much_and_no_more(
    alice: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(webhook, "TOTAL_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        channel, _ = channels.create(alice, "webhook", url, ["end"], None)
        channels.send_test(channel)
        began = time.monotonic()
        run_due()
        assert time.monotonic() - began < 5
    notice = Notice.objects.get()
    assert notice.state == "WAITING"
    assert "did not answer" in notice.error


def test_who_may_not_see_it_any_more_is_not_told(
    alice: Any, experiment: Experiment, receiver: Receiver
) -> None:
    hook(alice, receiver, "end")
    experiment.move(Phase.DONE)
    alice.is_active = False
    alice.save()
    run_due()
    assert receiver.got == []
    assert Notice.objects.get().error == "You may not see this experiment any more."


def test_mail_comes_in_its_owners_language(
    alice: Any, experiment: Experiment, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example"
    channel, key = channels.create(alice, "email", "alice@example.org", ["error"], None)
    Channel.objects.filter(pk=channel.pk).update(language="zh-hans")
    assert key == ""
    experiment.move(Phase.ERROR, reason="line\nBcc: x@example.org")
    run_due()
    (message,) = mail.outbox
    assert message.subject == "digits <b> 出错结束：line Bcc: x@example.org"
    assert message.to == ["alice@example.org"]
    assert f"/experiments/{experiment.pk}/" in message.body
    assert message.extra_headers["Message-ID"].startswith("<autotune-notice-")


def test_a_mail_server_that_is_away_is_tried_again(
    alice: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_HOST = "mail.example"
    channel, _ = channels.create(alice, "email", "alice@example.org", ["end"], None)
    for error, state in (
        (ConnectionRefusedError(), "WAITING"),
        (smtplib.SMTPRecipientsRefused({}), "FAILED"),
    ):

        def fail(self: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("django.core.mail.EmailMessage.send", fail)
        notice = channels.send_test(channel)
        now_due()
        run_due()
        notice.refresh_from_db()
        assert notice.state == state
        Notice.objects.all().delete()


# ---- where to


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "::", "fec0::1", "::127.0.0.1", "64:ff9b:1::a00:1",
        "::ffff:0:7f00:1", "5f00::1",
    ],
)  # fmt: skip
def test_no_address_inside_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = (0, 0, 0, "", (address, 443))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])
    parts = webhook.parts_of("https://inside.example/")
    with pytest.raises(webhook.NotTold, match="is no public address") as refused:
        webhook.address_of(parts, [])
    assert refused.value.permanent
    assert webhook.address_of(parts, ["inside.example"]) == address
    assert webhook.address_of(parts, ["*"]) == address


def test_one_inside_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(0, 0, 0, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    parts = webhook.parts_of("https://both.example/")
    with pytest.raises(webhook.NotTold):
        webhook.address_of(parts, [])
    entries.pop()
    assert webhook.address_of(parts, []) == "8.8.8.8"


def test_what_was_checked_is_what_is_connected_to(
    alice: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server's second answer leads nowhere."""
    asked: list[str] = []
    port = receiver.server.server_port

    def answer(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(0, 0, 0, "", (address, port))]

    monkeypatch.setattr(webhook.socket, "getaddrinfo", answer)
    connected: list[Any] = []
    connect = socket.create_connection

    def note(address: Any, *rest: Any, **more: Any) -> Any:
        connected.append(address)
        monkeypatch.undo()
        return connect(address, *rest, **more)

    monkeypatch.setattr(webhook.socket, "create_connection", note)
    webhook.post(
        f"http://hook.example:{port}/x", b"{}", key="k", event="test", delivery="1",
        allowed=["hook.example"],
    )  # fmt: skip
    assert asked == ["hook.example"]
    assert connected == [("127.0.0.1", port)]
    assert receiver.got[0][0]["Host"] == f"hook.example:{port}"


@pytest.mark.parametrize(
    ("kind", "target", "told_of", "path", "words"),
    [
        ("webhook", "ftp://example.org/", ["end"], "target", "must be an address as https"),
        ("webhook", "https://", ["end"], "target", "must be an address as https"),
        ("webhook", "https://a:b@example.org/", ["end"], "target", "user name or password"),
        ("webhook", "https://example.org/a b", ["end"], "target", "without spaces"),
        ("webhook", "https://example.org:99999/", ["end"], "target", "must be an address"),
        ("webhook", "http://127.0.0.1/", ["end"], "target", "is no public address"),
        ("webhook", "http://no-such-host.invalid/", ["end"], "target", "cannot be found"),
        ("webhook", "x" * 501, ["end"], "target", "at most 500"),
        ("email", "nobody", ["end"], "target", "must be an e-mail address, but got 'nobody'"),
        ("email", "a@b.org\nBcc: c@d.org", ["end"], "target", "must be an e-mail address"),
        ("pigeon", "roof", ["end"], "kind", "must be webhook or email"),
        ("email", "a@b.org", [], "told_of", "at least one"),
        ("email", "a@b.org", ["weather"], "told_of", "at least one"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_field(
    alice: Any, settings: Any, kind: str, target: str, told_of: list[str], path: str, words: str
) -> None:
    settings.EMAIL_HOST = "mail.example"
    with pytest.raises(ProblemsError) as refused:
        channels.create(alice, kind, target, told_of, None)
    assert {p.path: words in p.message for p in refused.value.problems} == {path: True}
    assert not Channel.objects.exists()


def test_without_a_mail_server_and_beyond_twenty(
    alice: Any, receiver: Receiver, settings: Any
) -> None:
    settings.EMAIL_HOST = ""
    with pytest.raises(ProblemsError, match="EMAIL_HOST is not set"):
        channels.create(alice, "email", "a@b.org", ["end"], None)
    for _ in range(channels.MOST):
        hook(alice, receiver)
    with pytest.raises(ProblemsError, match="You have 20 already"):
        hook(alice, receiver)


# ---- the page


def test_the_page_adds_tests_logs_and_deletes(
    client: Client, experiment: Experiment, receiver: Receiver
) -> None:
    wanted = {"kind": "webhook", "target": receiver.url, "told_of": ["end"],
              "experiment": experiment.pk}  # fmt: skip
    page = client.post("/notifications/", wanted, follow=True).content.decode()
    channel = Channel.objects.get()
    assert channel.experiment == experiment
    assert "it is not shown again" in page
    assert "digits &lt;b&gt;" in page
    assert "digits <b>" not in page
    assert "it is not shown again" not in client.get("/notifications/").content.decode()
    answer = client.post(f"/notifications/{channel.pk}/test/", follow=True)
    assert answer["Refresh"] == "3"
    run_due()
    answer = client.get("/notifications/")
    assert "Delivered" in answer.content.decode()
    assert "Refresh" not in answer
    client.post(f"/notifications/{channel.pk}/delete/")
    assert not Channel.objects.exists()
    assert not Notice.objects.exists()


def test_the_page_says_what_is_wrong(client: Client, experiment: Experiment) -> None:
    answer = client.post("/notifications/", {"kind": "webhook", "target": "http://127.0.0.1/<b>"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "is no public address" in page
    assert "at least one kind of news" in page
    assert "/&lt;b&gt;" in page
    assert client.get("/notifications/", {"experiment": "nosuch00"}).status_code == 404


def test_channels_are_their_owners_alone(
    client: Client, stranger: Client, receiver: Receiver, alice: Any
) -> None:
    bob = get_user_model().objects.create_user("bob")
    channel, _ = hook(bob, receiver)
    channels.send_test(channel)
    page = client.get("/notifications/").content.decode()
    assert receiver.url not in page.replace("&amp;", "&")
    for action in ("test", "delete"):
        assert client.post(f"/notifications/{channel.pk}/{action}/").status_code == 404
        assert stranger.post(f"/notifications/{channel.pk}/{action}/").status_code == 302
    assert stranger.get("/notifications/").status_code == 302
    assert Channel.objects.filter(pk=channel.pk).exists()


def test_its_mail_password_is_withheld_from_trials() -> None:
    from experiments.training.environment import WITHHELD_PREFIXES

    assert "EMAIL_HOST_PASSWORD".startswith(WITHHELD_PREFIXES)
