"""deploy/systemd: units whose commands are the roles' own, and that keep what must be kept."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, environment, manage, wait_for

UNITS = ROOT / "deploy" / "systemd"
ROLES = ("autotune-web", "autotune-worker", "autotune-ticker", "autotune-operator")
# Makes of a listening socket what systemd makes of it, then becomes the role.
ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3);"
    "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    assert found.read(UNITS / name)
    return found


def exec_start(role: str) -> list[str]:
    """The unit's command, with this environment's programs instead of the installed ones."""
    argv = shlex.split(unit(f"{role}.service")["Service"]["ExecStart"])
    program = Path(argv[0])
    assert program.parent == Path("/opt/autotune/.venv/bin")
    here = sys.executable if program.name == "python" else str(
        Path(sys.executable).with_name(program.name)
    )  # fmt: skip
    return [here, *argv[1:]]


@pytest.mark.parametrize("role", [*ROLES, "autotune"])
def test_a_role_that_ends_is_started_again_for_ever(role: str):
    found = unit(f"{role}.service")
    assert found["Service"]["Restart"] == "always"
    assert found["Unit"]["StartLimitIntervalSec"] == "0"
    assert found["Service"]["User"] == "autotune"


def test_a_worker_s_trials_go_on_while_it_is_started_anew():
    assert unit("autotune-worker.service")["Service"]["KillMode"] == "process"


def test_a_link_to_sign_in_does_not_end_in_the_journal():
    assert unit("autotune.service")["Service"]["StandardOutput"] == "null"


def test_systemd_finds_nothing_wrong(tmp_path: Path):
    """Where systemd is there; its own words for what does not exist here are left out."""
    program = shutil.which("systemd-analyze")
    units = [str(path) for path in UNITS.iterdir() if path.suffix in (".service", ".socket")]
    assert len(units) == 6
    if program is None:
        return  # the other tests here read the units all the same
    answer = subprocess.run(
        [program, "verify", *units], capture_output=True, text=True, check=False, timeout=60
    )
    wrong = [
        line for line in answer.stderr.splitlines()
        if "autotune" in line and "is not executable" not in line and "not found" not in line
    ]  # fmt: skip
    assert wrong == []


@pytest.mark.stack
def test_connections_wait_at_systemd_s_socket_while_web_is_started_anew(tmp_path: Path):
    data = tmp_path / "data"
    assert manage(data, "migrate", "--no-input").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [
                    *(sys.executable, "-c", ACTIVATE, str(listener.fileno())),
                    *exec_start("autotune-web"),
                ],
                env=environment(data), cwd=ROOT, pass_fds=[listener.fileno()],
            )  # fmt: skip

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return connection.recv(1000)

        web = start()
        try:
            assert ask().startswith(b"HTTP/1.1 200 ")  # sent before it serves
            web.terminate()
            wait_for("its end", lambda: web.poll() is not None, 20)
            web = start()
            assert ask().startswith(b"HTTP/1.1 200 ")
        finally:
            web.kill()
            web.wait()
    assert "LISTEN_FDS" not in os.environ
