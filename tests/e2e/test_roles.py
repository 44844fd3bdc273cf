"""The commands and probes of deploy/production, run here as the pods run them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.stack import ROOT, environment, free_port, manage, wait_for

pytestmark = pytest.mark.stack

PRODUCTION = ROOT / "deploy" / "production"


def container_of(role: str) -> dict[str, Any]:
    (workload,) = yaml.safe_load_all((PRODUCTION / f"{role}.yaml").read_text())
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


@contextlib.contextmanager
def running(data: Path, argv: list[str], **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A role as its pod runs it, with the environment's programs on PATH as in the image."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (data / "role.log").open("wb") as log:
        process = subprocess.Popen(
            argv,
            env=environment(data, PATH=path, DJANGO_SETTINGS_MODULE="autotune_web.settings", **env),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    assert manage(directory, "migrate").returncode == 0
    return directory


@pytest.mark.parametrize("role", ["worker", "ticker"])
def test_roles_without_a_port_show_that_they_live(role: str, data: Path):
    container = container_of(role)
    argv = [*container.get("command", ["python", "manage.py"]), *container["args"]]
    heartbeat = data / "heartbeat"

    def probe(name: str) -> bool:
        command = [
            part.replace("/tmp/heartbeat", str(heartbeat))
            for part in container[name]["exec"]["command"]
        ]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    assert not probe("startupProbe")
    with running(data, argv, AUTOTUNE_HEARTBEAT_FILE=str(heartbeat)) as process:
        wait_for("the first heartbeat", lambda: probe("startupProbe") or process.poll(), 60)
        assert process.poll() is None, (data / "role.log").read_text()
        assert probe("livenessProbe")
        os.utime(heartbeat, (0, 0))
        assert not probe("livenessProbe")
        wait_for("another heartbeat", lambda: probe("livenessProbe"), 30)


def test_web_is_ready_once_it_is_served(data: Path):
    container = container_of("web")
    port = free_port()
    argv = [str(port) if part == "8080" else part for part in container["args"]]
    assert str(port) in argv
    with running(data, ["python", "manage.py", *argv]) as process:
        for probe in ("livenessProbe", "readinessProbe"):
            address = f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}"

            def answers(address: str = address) -> bool:
                try:
                    with urllib.request.urlopen(address, timeout=5) as answer:
                        return bool(answer.status == 200)
                except (OSError, urllib.error.URLError):
                    return False

            wait_for(address, lambda: answers() or process.poll(), 60)
            assert process.poll() is None, (data / "role.log").read_text()
