"""The whole product as separate processes, as a user starts it, for tests that need all of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from experiments import owner_key
from tests import tables
from tests.base_manifest import base_manifest

ROOT = Path(__file__).resolve().parents[2]
TRIAL_SCRIPT = Path(__file__).with_name("trial.py")


def wait_for(what: str, check: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    """Return the first true answer of ``check``; fail with ``what`` was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}, last saw {found!r}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, **more: str) -> dict[str, str]:
    """Environment of a user's shell: nothing of the tests' own settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOTUNE_", "DJANGO_"))}
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
        env.pop(name, None)
    return {**env, "AUTOTUNE_DATA": str(data), **more}


def manage(
    data: Path,
    *argv: str,
    timeout_s: float = 120.0,
    stdin: str | None = None,
    autotune: Sequence[str] = (),
    **env: str,
) -> Any:
    """Run a command of ours to its end; the answer has returncode, stdout and stderr.

    Args:
        autotune: what to run us by; without it this clone's ``manage.py``.
    """
    return subprocess.run(
        [*(autotune or (sys.executable, str(ROOT / "manage.py"))), *argv],
        env=environment(data, **env),
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def manifest(name: str = "quick", **spec: Any) -> dict[str, Any]:
    """An experiment of short trials; keywords replace fields of its spec."""
    arguments = [str(part) for part in spec.pop("arguments", [])]
    return base_manifest(
        name,
        ["python3", str(TRIAL_SCRIPT), *arguments],
        **{
            "maxExecSeconds": 300,
            "maxTrialNum": 6,
            "searchSpace": {
                "x": {"_type": "uniform", "_value": [-5, 5]},
                "kind": {"_type": "choice", "_value": ["a", "b"]},
            },
            **spec,
        },
    )


def write_manifest(directory: Path, **spec: Any) -> Path:
    path = directory / "experiment.yaml"
    path.write_text(yaml.safe_dump(manifest(**spec)))
    return path


class Stack:
    """``autotune up`` on a port of its own."""

    def __init__(self, data: Path, port: int | None = None, **env: str) -> None:
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = env
        self.root = ROOT  # where its code lies
        self.autotune: Sequence[str] = ()  # what to run it by, in place of that code's manage.py
        self.process: subprocess.Popen[str] | None = None
        self.link = ""
        self._token = ""

    def start(self, *argv: str) -> Stack:
        self.data.mkdir(parents=True, exist_ok=True)
        output = self.data / "up.out"
        with output.open("w") as out:
            self.process = subprocess.Popen(
                [
                    *(self.autotune or (sys.executable, str(self.root / "manage.py"))),
                    *("up", "--port", str(self.port)),
                    *argv,
                ],
                env=environment(self.data, **self.env),
                cwd=self.root,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        found = wait_for(
            f"the sign-in link in {output.read_text()!r}",
            lambda: (
                re.search(r"http://\S+/sign-in/\S+", output.read_text())
                or self.process.poll() is not None
            ),
            timeout_s=120,
        )
        assert self.process.poll() is None, output.read_text()
        self.link = found.group(0)
        return self

    def pids(self) -> dict[str, int]:
        """Process ids of the supervisor and its children."""
        lock = json.loads((self.data / "lock").read_text())
        return {"supervisor": lock["pid"], **lock["children"]}

    def stop(self) -> float:
        """Ctrl-C; returns how many seconds it took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        return time.monotonic() - begun

    def kill(self) -> None:
        """SIGKILL to everything of ours at once; trials go on."""
        for pid in self.pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(timeout=10)

    def end_trials(self) -> None:
        """Kill whatever trials are left, by process id."""
        for process in trial_processes(self.data):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    # ---- REST, as a script uses it

    @property
    def token(self) -> str:
        if not self._token:
            words = ["manage", "token"] if self.autotune else ["token"]
            answer = manage(self.data, *words, autotune=self.autotune, **self.env)
            assert answer.returncode == 0, answer.stderr
            self._token = answer.stdout.strip()
        return self._token

    def _bearer(self) -> str:
        """Who owns the data directory needs no token, as the shell; making one costs a second."""
        try:
            return owner_key.token(self.data)
        except OSError:  # a release that knows no such key
            return self.token

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded answer of one REST call."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._bearer()}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                raw, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            raw, status = error.read(), error.code
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw

    def create(self, **spec: Any) -> str:
        """POST a quick experiment; returns its id."""
        status, answer = self.api("POST", "experiments/", manifest(**spec))
        assert status == 201, answer
        return str(answer["id"])

    def experiment(self, experiment_id: str) -> dict[str, Any]:
        status, answer = self.api("GET", f"experiments/{experiment_id}/")
        assert status == 200, answer
        return dict(answer)

    def trials(self, experiment_id: str) -> list[dict[str, Any]]:
        status, answer = self.api(
            "GET", f"experiments/{experiment_id}/trials/?page_size=200&order=number"
        )
        assert status == 200, answer
        return list(answer["results"])

    def wait_for_phase(self, experiment_id: str, *phases: str, timeout_s: float = 120) -> Any:
        def check() -> Any:
            head = self.experiment(experiment_id)
            return head if head["phase"] in phases else None

        return wait_for(f"{experiment_id} to be {phases}", check, timeout_s)


@contextlib.contextmanager
def running_stack(data: Path, *argv: str, **env: str) -> Iterator[Stack]:
    """A started stack; whatever it leaves behind is ended.

    In a new directory it finds its tables made: the migrations take longer than the rest of a
    start. Those run where ``Stack`` is started by itself.
    """
    if "DATABASE_URL" not in env and not (data / tables.FILE).exists():
        tables.lay(data / tables.FILE)
    stack = Stack(data, **env)
    try:
        yield stack.start(*argv)
    finally:
        try:
            stack.stop()
        finally:
            stack.end_trials()


def trial_processes(data: Path) -> list[psutil.Process]:
    """Processes whose environment or command line names this data directory, ours excepted."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "manage.py" in line or "uvicorn" in line or "celery" in line:
                continue
            if str(data) in line or str(data) in process.environ().get("NNI_SYS_DIR", ""):
                found.append(process)
    return found
