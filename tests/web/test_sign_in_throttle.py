"""Failed sign-ins are logged, slow down, and no secret of ours is in any line of a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from experiments.access import throttle, tokens
from experiments.redaction import RedactingFilter, RedactingFormatter

RIGHT = {"username": "alice", "password": "correct horse"}


def fail(client: Client, times: int, **fields: str) -> Any:
    for _ in range(times):
        answer = client.post("/sign-in/", {**RIGHT, "password": "wrong", **fields})
        assert answer.status_code == 400
    return answer


def test_a_failed_sign_in_is_logged_with_name_and_address(
    alice: Any, stranger: Client, caplog: pytest.LogCaptureFixture
):
    fail(stranger, 1, username="bob\nroot")
    stranger.post("/sign-in/", {"link": "x" * 32})
    stranger.post(f"/sign-in/{'y' * 32}/")
    lines = [record.getMessage() for record in caplog.records if "sign-in failed" in record.msg]
    assert len(lines) == 3
    assert lines[0] == r"A sign-in failed: from 127.0.0.1 as 'bob\nroot'"
    assert "wrong" not in caplog.text


def test_too_many_failures_of_a_name_are_not_tried_any_more(
    alice: Any, stranger: Client, monkeypatch: pytest.MonkeyPatch
):
    fail(stranger, throttle.PER_NAME)
    answer = stranger.post("/sign-in/", RIGHT)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= throttle.WITHIN_S + 1
    assert b"Too many sign-ins failed" in answer.content
    link = tokens.make_sign_in_link(alice)
    assert Client().post(f"/sign-in/{link}/").status_code == 302, "a link still gets in"
    now = throttle.time.monotonic() + throttle.WITHIN_S + 1
    monkeypatch.setattr(throttle.time, "monotonic", lambda: now)
    assert stranger.post("/sign-in/", RIGHT).status_code == 302


def test_spaces_around_a_name_are_no_other_name(alice: Any, stranger: Client):
    for number in range(throttle.PER_NAME):
        fail(stranger, 1, username=" " * number + "alice" + "\t" * (number % 2))
    assert stranger.post("/sign-in/", RIGHT).status_code == 429


def test_many_names_from_one_address_are_refused_and_others_are_not(alice: Any, stranger: Client):
    for number in range(throttle.PER_ADDRESS):
        fail(stranger, 1, username=f"user{number}")
    assert stranger.post("/sign-in/", RIGHT).status_code == 429
    assert stranger.post(f"/sign-in/{'y' * 32}/").status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.7").post("/sign-in/", RIGHT).status_code == 302


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(throttle, "KEPT", 50)
    found = throttle.Throttle()
    for number in range(500):
        found.failed("192.0.2.1", f"user{number}")
    assert len(found._failures) <= 51
    assert found.wait_s("192.0.2.1") > 0, "what is used last is forgotten last"


@pytest.fixture
def secrets(alice: Any, make_experiment: Any, make_trial: Any) -> list[str]:
    return [
        tokens.make_sign_in_link(alice),
        tokens.make_api_token(alice, ""),
        tokens.trial_token(make_trial(make_experiment())).rpartition(".")[2],
    ]


@pytest.mark.parametrize("hand", [RedactingFormatter("%(message)s"), None])
def test_no_secret_is_in_a_line_or_a_traceback(secrets: list[str], hand: Any, make_trial: Any):
    from experiments.models import Trial

    token = tokens.trial_token(Trial.objects.get())
    link, api_token, signature = secrets
    words = f"/sign-in/{link}/ http://a/t/{token}/apis Bearer {api_token}"
    record = logging.getLogger().makeRecord(
        "x", logging.ERROR, "f", 1, "Forbidden (CSRF cookie not set.): %s", (words,), None
    )
    try:
        raise ValueError(words)
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    if hand is None:  # uvicorn's own format, with our filter
        hand = logging.Formatter("%(message)s")
        assert RedactingFilter().filter(record)
    text = hand.format(record)
    assert "CSRF cookie not set" in text
    assert "ValueError" in text
    assert not [secret for secret in (link, api_token, signature) if secret in text], text


def test_a_link_posted_without_cookie_leaves_no_secret(
    stranger: Client, caplog: pytest.LogCaptureFixture
):
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(f"/sign-in/{'S' * 32}/").status_code == 403
    (record,) = [r for r in caplog.records if r.name.startswith("django.security")]
    assert "S" * 32 not in RedactingFormatter("%(message)s").format(record)


def test_servers_started_by_hand_have_the_filter():
    import autotune_web.asgi  # noqa: F401

    for name in ("uvicorn.access", "uvicorn.error"):
        filters = logging.getLogger(name).filters
        assert any(isinstance(each, RedactingFilter) for each in filters)
