"""A database that somebody else is writing: readers never wait, writers are told to come again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from experiments.access import busy, tokens
from experiments.models import ApiToken
from tests.conftest import MANIFEST
from tests.web.test_strangers import FILLED, routes

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        connection.vendor != "sqlite", reason="PostgreSQL's writers do not keep each other out"
    ),
]


LESS_S = 4.0  # than who waits for the writer; the first page loads what all of them need


@pytest.fixture
def token(transactional_db: None, alice: Any) -> str:
    return tokens.make_api_token(alice, "test")


@pytest.fixture
def long_writer(token: str, alice: Any) -> Iterator[Client]:
    """Holds SQLite's write lock; gives a browser of alice's, who signed in before."""
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 5000")
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield client
    other.execute("ROLLBACK")
    other.close()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 20000")


def ask(method: str, path: str, token: str, body: Any = None) -> Any:
    return Client(raise_request_exception=False).generic(
        method, f"/api/v1/{path}", body or b"", content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip


@pytest.mark.parametrize("path", ["experiments/", "algorithms/", "secrets/"])
def test_reading_by_token_waits_for_no_writer(long_writer: Client, token: str, path: str):
    begun = time.monotonic()
    assert ask("GET", path, token).status_code == 200
    assert time.monotonic() - begun < LESS_S
    assert ask("GET", "experiments/", token).status_code == 200
    assert ApiToken.objects.get().last_used_at is None


def test_busy_is_503_in_json_with_a_word_when_to_come_again(long_writer: Client, token: str):
    import json

    answer = ask("POST", "experiments/", token, json.dumps(MANIFEST))
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/json"
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["errors"][0]["message"] == busy.WORDS


def test_a_page_that_cannot_write_says_so_with_503(long_writer: Client):
    answer = long_writer.post("/tokens/", {"name": "x"})
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert b"The database is busy" in answer.content
    assert long_writer.get("/").status_code == 200


def test_signing_in_while_it_is_busy_is_503_too(long_writer: Client):
    answer = Client(raise_request_exception=False).post(
        "/sign-in/", {"username": "alice", "password": "correct horse"}
    )
    assert answer.status_code == 503


def test_the_use_of_a_token_is_noted_once_a_minute(token: str):
    assert ask("GET", "experiments/", token).status_code == 200
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    assert ask("GET", "experiments/", token).status_code == 200
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    ask("GET", "experiments/", token)
    assert ApiToken.objects.get().last_used_at > first
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == (20000,)


def test_what_is_a_defect_of_ours_is_not_called_busy():
    missing = OperationalError("no such table: x")
    missing.__cause__ = sqlite3.OperationalError("no such table: x")
    assert not busy.is_busy(missing)
    assert not busy.is_busy(ValueError("x"))
    assert not busy.is_busy(None)
    assert busy.is_busy(InterfaceError("connection already closed"))
    assert busy.is_busy(OperationalError("server closed the connection unexpectedly"))


def test_no_page_and_no_answer_waits_for_a_writer(
    token: str, alice: Any, make_experiment: Any, make_trial: Any, request: pytest.FixtureRequest
):
    """Every route that can be asked by GET; whoever asks first may have to be remembered."""
    trial = make_trial(make_experiment(), state="SUCCEEDED", value=0.5)
    filled = {**FILLED, "experiment_id": trial.experiment_id, "number": str(trial.number)}
    browser: Client = request.getfixturevalue("long_writer")
    waited = {}
    for path in routes(get_resolver(), filled=filled):
        if path.startswith("/sign-out/"):
            continue
        for who in ("browser", "program"):
            begun = time.monotonic()
            if who == "browser":
                answer = browser.get(path)
            else:
                headers = {"Authorization": f"Bearer {token}"}
                answer = Client(raise_request_exception=False).get(path, headers=headers)
            took = time.monotonic() - begun
            if answer.status_code >= 500 or took > LESS_S:
                waited[path, who] = (answer.status_code, took)
    assert waited == {}
