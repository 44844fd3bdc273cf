"""Probes: asked by address, before sign-in, on a database that may be away or old."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from experiments.embedded import health


def ask(path: str, host: str = "10.1.2.3:8080", authorization: str = "") -> tuple[int, str]:
    """Status and body that the whole application answers to a kubelet."""
    from autotune_web.asgi import application

    sent: list[dict[str, Any]] = []
    asked: list[bool] = []

    async def receive() -> dict[str, Any]:
        if asked:
            await asyncio.Event().wait()  # nobody hangs up
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "headers": [(b"host", host.encode()), (b"authorization", authorization.encode())],
        "query_string": b"", "http_version": "1.1",
        "scheme": "http", "server": ("10.1.2.3", 8080), "client": ("10.1.2.4", 1), "asgi": {},
    }  # fmt: skip
    async_to_sync(application)(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode()


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)


@pytest.mark.django_db(transaction=True)
def test_a_kubelet_that_asks_by_address_is_answered():
    assert ask("/healthz") == (200, "ok")
    assert ask("/readyz") == (200, "ok")
    assert ask("/", host="10.1.2.3:8080")[0] == 400  # pages insist on ALLOWED_HOSTS


@pytest.mark.django_db(transaction=True)
def test_an_old_database_is_alive_but_not_ready():
    loader = MigrationLoader(connection)
    (last,) = loader.graph.leaf_nodes("experiments")
    parents = [node.key for node in loader.graph.node_map[last].parents]
    (before, *_) = (key for key in parents if key[0] == "experiments")
    call_command("migrate", *before, verbosity=0)
    try:
        assert ask("/healthz") == (200, "ok")
        status, words = ask("/readyz")
        assert status == 503
        assert "migrations are missing" in words
    finally:
        call_command("migrate", "experiments", verbosity=0)
    assert ask("/readyz") == (200, "ok")


@pytest.mark.django_db(transaction=True)
def test_who_was_told_to_end_is_alive_but_not_ready(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "_leaving", False)
    assert ask("/readyz") == (200, "ok")
    health.leave()
    assert ask("/readyz") == (503, health.LEAVING)
    assert ask("/healthz") == (200, "ok")


def test_a_heartbeat_renews_its_file(tmp_path, settings):
    settings.HEARTBEAT_FILE = str(tmp_path / "heartbeat")
    health.beat()
    first = (tmp_path / "heartbeat").stat().st_mtime_ns
    time.sleep(0.02)
    health.beat()
    assert (tmp_path / "heartbeat").stat().st_mtime_ns > first
    settings.HEARTBEAT_FILE = ""
    health.beat()
