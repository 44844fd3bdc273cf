"""The web server's limits: slow senders are let go, honest ones are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.sync.client import connect as ws_connect

from experiments.embedded import addresses, serving

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(1.5)
        await send({"type": "websocket.send", "text": "still here"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    headers = [(b"content-length", str(len(str(size))).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(serving, "HEADER_S", 0.4)
    monkeypatch.setattr(serving, "BODY_S", 0.4)
    sockets = serving.listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app, http=serving.PatientProtocol, lifespan="off", log_config=None, timeout_keep_alive=1
    )
    server = serving.Server(config)
    thread = threading.Thread(target=server.run, args=[sockets], daemon=True)
    number = int(sockets[0].getsockname()[1])
    thread.start()
    yield number
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(4096):
            found += piece
    return found


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"GET / HT", b"HTTP/1.1 408 "),
        (HEAD, b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 5\r\n\r\nab", b"HTTP/1.1 408 "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"HTTP/1.1 408 "),
    ],
)
def test_half_a_request_is_not_held(port: int, sent: bytes, answer: bytes):
    with connect(port) as connection:
        begun = time.monotonic()
        connection.sendall(sent)
        assert rest_of(connection)[:13] == answer
        assert time.monotonic() - begun < 3


def test_half_a_second_request_is_not_held_either(port: int):
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nab")
        assert connection.recv(4096).endswith(b"2")
        connection.sendall(b"\r\nGET / HTTP/1.1\r\n")
        assert rest_of(connection).startswith(b"HTTP/1.1 408 ")


def test_one_byte_now_and_then_gains_no_time(port: int):
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 3:
                connection.sendall(b"a")
                time.sleep(0.1)
        assert time.monotonic() - begun < 3


def test_a_body_that_keeps_coming_is_taken_however_long_it_takes(port: int):
    piece = b"a" * serving.BODY_RATE
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (len(piece) * 20))
        for _ in range(20):
            connection.sendall(piece)
            time.sleep(0.1)
        assert connection.recv(4096).endswith(str(len(piece) * 20).encode())


def test_a_websocket_is_no_request_that_is_late(port: int):
    with ws_connect(f"ws://127.0.0.1:{port}/", proxy=None) as websocket:
        assert websocket.recv(5) == "still here"


def test_six_hundred_half_requests_are_gone_and_the_next_is_answered(port: int):
    with contextlib.ExitStack() as opened:
        begun = time.monotonic()
        held = [opened.enter_context(connect(port)) for _ in range(600)]
        for connection in held:
            connection.sendall(HEAD)
        honest = opened.enter_context(connect(port))
        honest.sendall(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nab")
        assert rest_of(honest).endswith(b"2")
        for connection in held:
            assert rest_of(connection).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 12


def test_more_connections_are_taken_than_a_shell_allows_files():
    code = (
        "import resource as r; from experiments.embedded import serving;"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 900)); serving.allow_many_files();"
        "print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    words = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert words.split() == ["900", "900"]


def test_the_limits_in_use_are_far_below_those_of_an_attacker():
    assert serving.HEADER_S <= 10
    assert serving.BODY_S <= 20


def test_localhost_is_served_on_every_address_it_has():
    sockets = serving.listen("localhost", 0)
    try:
        assert any(each.getsockname()[0] == "127.0.0.1" for each in sockets)
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize("host", addresses.EVERY_ADDRESS)
def test_what_serves_every_address_is_reached_by_the_one_that_we_use_ourselves(host: str):
    try:
        sockets = serving.listen(host, 0)
    except OSError:
        assert host == "::", "a machine without IPv6"
        return
    reached = []
    for each in sockets:  # each family has another port here
        with each, contextlib.suppress(ConnectionError):
            port = each.getsockname()[1]
            reached.append(socket.create_connection((addresses.here(host), port), timeout=5))
    assert reached
    for connection in reached:
        connection.close()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("192.0.2.1", False),
    ],
)  # fmt: skip
def test_which_hosts_only_this_machine_reaches(host: str, loopback: bool):
    assert addresses.is_loopback(host) is loopback


def test_a_port_that_is_taken_is_an_error():
    (first,) = serving.listen("127.0.0.1", 0)
    with first, pytest.raises(OSError):
        serving.listen("127.0.0.1", first.getsockname()[1])
