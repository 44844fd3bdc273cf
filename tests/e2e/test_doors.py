"""A running server's doors: its addresses, its logs, and what strangers send to it."""

from __future__ import annotations

import http.client
import socket
import stat
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from experiments.embedded import addresses, role_logs
from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = pytest.mark.stack


def ask(stack: Stack, method: str, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Over the loopback, whatever name the request gives the server."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", f"{host}:{stack.port}")
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_server_for_other_machines_works_by_its_addresses_and_keeps_its_secrets(tmp_path: Path):
    logs = tmp_path / "data" / "logs"
    logs.mkdir(parents=True)
    logs.chmod(0o755)
    (logs / "web.log").write_text("of an older version\n")
    (logs / "web.log").chmod(0o644)
    with running_stack(tmp_path / "data", "--no-sample", "--host", "0.0.0.0") as stack:
        words = (stack.data / "up.out").read_text()
        printed = stack.link.removeprefix("http://").partition(f":{stack.port}/")[0]
        assert printed == addresses.shown("0.0.0.0")
        assert printed != "0.0.0.0"
        assert "plain HTTP" in words
        assert "runs commands on this machine" in words
        own = {printed, "127.0.0.1", "localhost", socket.gethostname()}
        for host in own | addresses.names_of("0.0.0.0"):
            assert ask(stack, "GET", "/sign-in/", host)[0] == 200, host
        status, text = ask(stack, "GET", "/sign-in/", "evil.example")
        assert (status, "ALLOWED_HOSTS" in text, "evil" in text) == (400, True, False)

        secret = stack.link.rpartition("/sign-in/")[2].strip("/")
        assert ask(stack, "POST", f"/sign-in/{secret}/")[0] == 403
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{stack.port}/ws/nothing/", proxy=None)
        assert refused.value.response.status_code == 404
        log = logs / "web.log"
        wait_for("the refusal in the log", lambda: "CSRF cookie not set" in log.read_text(), 20)
        assert secret not in log.read_text()
        assert "Traceback" not in log.read_text()
        assert log.read_text().startswith("of an older version\n")
        assert mode(logs) == 0o700
        assert {path.name: mode(path) for path in logs.iterdir()} == {
            path.name: 0o600 for path in logs.iterdir()
        }
        with log.open("a") as full:
            full.write("x" * (role_logs.MAX_BYTES + 1))
        wait_for("rotation", lambda: log.stat().st_size < 1000, 30)
        assert ask(stack, "POST", "/sign-in/again-and-again-and-again/")[0] == 403
        wait_for("the next line", lambda: "CSRF" in log.read_text(), 20)
        assert mode(logs / "web.log.1") == 0o600


def test_at_home_nothing_is_warned_of(tmp_path: Path):
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        assert "plain HTTP" not in (stack.data / "up.out").read_text()
        assert stack.link.startswith(f"http://127.0.0.1:{stack.port}/")


def test_logs_are_kept_so_many_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(role_logs, "MAX_BYTES", 10)
    log = tmp_path / "web.log"
    with log.open("a") as writer:  # appends, as a role does
        for number in range(6):
            writer.write(f"{number}" * 20)
            writer.flush()
            role_logs.rotate(tmp_path)
    assert log.read_text() == ""
    kept = {path.name: path.read_text()[0] for path in tmp_path.iterdir() if path != log}
    assert kept == {"web.log.1": "5", "web.log.2": "4", "web.log.3": "3"}
