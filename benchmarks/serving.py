"""What the benchmarks of the web process share: a served product on a data directory of its own."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

sys.path.insert(0, str(ROOT))

from tests.base_manifest import base_manifest  # noqa: E402

MANIFEST = base_manifest(
    "benchmark",
    [],
    maxExecSeconds=3600,
    maxTrialNum=100,
    trialConcurrency=16,
    searchSpace='{"x": {"_type": "uniform", "_value": [0, 1]}}',
    trainingConfig={"type": "tensorflow", "tasks": []},
    tuner={"builtinTunerName": "TPE"},
    # an assessor makes the report path wake the loop, as it does in use
    assessor={"builtinAssessorName": "Medianstop"},
)


@contextmanager
def set_up() -> Iterator[None]:
    """Set Django up on an empty database; DATABASE_URL may name a PostgreSQL instead."""
    with tempfile.TemporaryDirectory(prefix="autotune-benchmark-") as data:
        os.environ["AUTOTUNE_DATA"] = data
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotune_web.settings")
        os.environ.setdefault("AUTOTUNE_LOG_LEVEL", "WARNING")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield


def make_trials(count: int) -> list[Any]:
    """A running experiment with ``count`` running trials."""
    from experiments.models import Experiment, Project, Trial
    from experiments.states import Phase, TrialState

    experiment = Experiment.objects.create(
        project=Project.default(), name="benchmark", manifest=MANIFEST, phase=Phase.RUNNING,
        max_exec_seconds=3600, max_trials=100, concurrency=16,
    )  # fmt: skip
    return [
        Trial.objects.create(
            experiment=experiment, number=n, parameters={"x": n / count}, state=TrialState.RUNNING
        )
        for n in range(count)
    ]


@contextmanager
def serve(app: str) -> Iterator[int]:
    """Serve an ASGI application in one process as the product does, the ticker beside it.

    Yields the port.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning",
        "--loop", "uvloop", "--http", "httptools", "--no-access-log",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=ROOT)
    ticker = subprocess.Popen([sys.executable, "manage.py", "ticker"], cwd=ROOT)
    try:
        _wait_for(port, server)
        yield port
    finally:
        for process in (server, ticker):
            process.terminate()
        for process in (server, ticker):
            process.wait(20)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SystemExit("The server did not start.")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("The server takes too long to start.")


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]
