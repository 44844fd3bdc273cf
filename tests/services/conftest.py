"""Real PostgreSQL and Redis, started for the tests on 127.0.0.1 and stopped after them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.stack import free_port
from tests.groups import need


def _postgres_programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return newest[-1].parent if newest else None


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database on a server of our own."""
    programs = _postgres_programs()
    need("services", programs is not None, "PostgreSQL's initdb (Debian: postgresql)")
    assert programs is not None
    # Not below pytest's own folder: each further pytest closes that to other users again, and
    # PostgreSQL would panic at its next checkpoint, for it cannot open its own files.
    directory = Path(tempfile.mkdtemp(prefix="autotune-postgres-"))
    # PostgreSQL refuses to run as root; Debian makes the user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(directory, user)
    data, port = directory / "data", free_port()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "autotune", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=directory,
    )
    server = subprocess.Popen(
        [
            *(programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1"),
            *("-k", directory, "-c", "fsync=off"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=directory,
    )
    try:
        url = f"postgresql://autotune@127.0.0.1:{port}/postgres"
        _wait(lambda: psycopg.connect(url, connect_timeout=2).close())
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(directory, ignore_errors=True)


class Redis:
    """A Redis of our own on 127.0.0.1, which a test may kill and start again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        need("services", program is not None, "redis-server (Debian: redis-server)")
        assert program is not None
        self._server = subprocess.Popen(
            [
                *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self._directory)),
            ],
            stdout=subprocess.DEVNULL,
        )
        _wait(lambda: socket.create_connection(("127.0.0.1", self.port), timeout=2).close())

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait(timeout=20)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis that stays."""
    redis = Redis(tmp_path_factory.mktemp("redis"))
    redis.start()
    yield redis.url
    redis.kill()


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[Redis]:
    """A running Redis of this test alone."""
    redis = Redis(tmp_path)
    redis.start()
    yield redis
    redis.kill()


def _wait(check: Callable[[], object], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            check()
            return
        except OSError:
            pass
        except psycopg.OperationalError:
            pass
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.05)
