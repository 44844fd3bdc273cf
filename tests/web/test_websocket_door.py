"""Who gets through the websocket's door, and how the others are told."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from experiments.access import tokens
from experiments.live import consumers
from experiments.live.door import is_own
from experiments.models import ApiToken, Experiment
from tests.web.conftest import Server


@pytest.fixture
def experiment(transactional_db: None, make_experiment: Any) -> Experiment:
    found: Experiment = make_experiment()
    return found


def refusal(url: str, **options: Any) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as refused:
        connect(url, proxy=None, **options)
    response = refused.value.response
    return response.status_code, bytes(response.body or b"")


@pytest.mark.parametrize("path", ["/ws/nothing/", "/", "/ws/experiments/a/b/", "/t/x", "/api/v1/"])
def test_an_unknown_path_is_404_without_a_traceback(
    server: Server, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # as in use, where all goes through the root logger
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    assert refusal(server.ws_url + path) == (404, b"There is no such websocket.")
    assert refusal(server.ws_url + path, origin=server.url)[0] == 404
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://localhost:{port}", "null", None],
)
def test_a_session_works_from_its_own_origin_alone(
    server: Server, experiment: Experiment, client: Client, origin: str | None
):
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    url = f"{server.ws_url}/ws/experiments/{experiment.pk}/?after=0"
    with connect(
        url, proxy=None, origin=server.url, additional_headers={"Cookie": cookie}
    ) as socket:
        assert "seq" in json.loads(socket.recv(5))
    origin = origin and origin.format(port=server.port)
    assert refusal(url, origin=origin, additional_headers={"Cookie": cookie})[0] == 403


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:1"])
def test_a_program_follows_with_its_token(
    server: Server, experiment: Experiment, alice: Any, origin: str | None
):
    token = tokens.make_api_token(alice, "")
    url = f"{server.ws_url}/ws/experiments/{experiment.pk}/?after=0"
    headers = {"Authorization": f"Bearer {token}"}
    with connect(url, proxy=None, origin=origin, additional_headers=headers) as socket:
        assert json.loads(socket.recv(5))["experiment"]["id"] == experiment.pk


@pytest.mark.parametrize(
    ("query", "status"),
    [("after=x", 400), ("after=-1", 400), ("after=" + "9" * 30, 400), ("after=0", 404)],
)
def test_what_cannot_be_followed_is_said_by_status(
    server: Server, transactional_db: None, alice: Any, query: str, status: int
):
    headers = {"Authorization": f"Bearer {tokens.make_api_token(alice, '')}"}
    url = f"{server.ws_url}/ws/experiments/nope1234/?{query}"
    assert refusal(url, additional_headers=headers)[0] == status


def test_a_token_that_is_none_is_401(server: Server, experiment: Experiment):
    url = f"{server.ws_url}/ws/experiments/{experiment.pk}/"
    headers = {"Authorization": "Bearer at_no"}
    status, words = refusal(url, origin=server.url, additional_headers=headers)
    assert (status, words) == (401, b"Unknown or withdrawn API token.")


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "own"),
    [
        ("https://tune.example", "tune.example", "ws", True),  # TLS ends at a proxy
        ("https://tune.example", "tune.example", "wss", True),
        ("http://tune.example", "tune.example", "wss", False),
        ("https://tune.example:8443", "tune.example", "wss", False),
        ("http://evil.example", "evil.example", "ws", False),  # its name points here
        ("", "tune.example", "wss", False),
    ],
)
def test_behind_a_proxy(settings: Any, origin: str, host: str, scheme: str, own: bool):
    settings.ALLOWED_HOSTS = ["tune.example"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://tune.example"]
    assert is_own(origin, host, scheme) is own


@pytest.mark.parametrize("by", ["session", "token"])
def test_who_signs_out_hears_no_more(
    server: Server, experiment: Experiment, client: Client, alice: Any, by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(consumers, "LOOK_AGAIN_S", 0.05)
    url = f"{server.ws_url}/ws/experiments/{experiment.pk}/?after=0"
    if by == "session":
        name = settings.SESSION_COOKIE_NAME
        headers = {"Cookie": f"{name}={client.cookies[name].value}"}
    else:
        headers = {"Authorization": f"Bearer {tokens.make_api_token(alice, '')}"}
    with connect(url, proxy=None, origin=server.url, additional_headers=headers) as socket:
        assert "seq" in json.loads(socket.recv(5))
        with pytest.raises(TimeoutError):
            socket.recv(0.5)  # all is well
        client.logout()
        ApiToken.objects.all().delete()
        with pytest.raises(ConnectionClosed):
            list(iter(lambda: socket.recv(10), None))
        assert socket.close_code == consumers.SIGNED_OUT
