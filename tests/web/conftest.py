"""A real server for the tests that need one, uvicorn in a thread on a port of its own; and rows."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import uvicorn
import yaml
from django.core.management import call_command
from django.utils import timezone

from experiments.access import tokens
from experiments.models import Experiment, Trial
from experiments.states import Phase, TrialState


class Reply(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Server:
    """Address of a running server, and how to speak to its trial API."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.ws_url = f"ws://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Send one request; ``body`` is sent as it is if it is text or bytes, else as JSON."""
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Reply(
                response.status,
                response.read().decode(),
                {name.lower(): value for name, value in response.getheaders()},
            )
        finally:
            connection.close()

    def report(self, trial: Trial, value: Any, sequence: int = 0, **fields: Any) -> Reply:
        """Report as T9k's SDK does: ``value`` becomes JSON text, unless it is text already."""
        body = {
            "parameter_id": trial.number,
            "trial_job_id": trial.key,
            "type": "PERIODICAL",
            "sequence": sequence,
            "value": value if isinstance(value, str) else json.dumps(value),
            "step": None,
        }
        return self.ask("POST", f"{t9k_path(trial)}/apis/v1/metric", body | fields)

    def report_final(self, trial: Trial, value: Any, **fields: Any) -> Reply:
        return self.report(trial, value, type="FINAL", step=0, **fields)


def t9k_path(trial: Trial) -> str:
    return f"/t/{tokens.trial_token(trial)}"


def nni_path(trial: Trial) -> str:
    return f"/n/{tokens.trial_token(trial)}"


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The OpenAPI schema, which takes seconds to make."""
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    found: dict[str, Any] = yaml.load(out.getvalue(), yaml.CSafeLoader)
    return found


@pytest.fixture(scope="session")
def _uvicorn(django_db_setup: None) -> Iterator[Server]:
    from autotune_web.asgi import behind_proxies

    config = uvicorn.Config(
        behind_proxies, port=0, log_level="warning", ws_ping_interval=None, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < until, "the server takes too long to start"
        time.sleep(0.01)
    port = urlsplit(f"//{_address(server)}").port
    assert port is not None
    yield Server(port)
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "the server did not stop"


def _address(server: uvicorn.Server) -> str:
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"{host}:{port}"


@pytest.fixture
def server(_uvicorn: Server, transactional_db: None) -> Server:
    """The product, served; its threads see what the test commits."""
    return _uvicorn


@pytest.fixture
def trial(transactional_db: None, make_experiment: Any, make_trial: Any) -> Trial:
    """A running trial that may report."""
    return make_trial(make_experiment(), state=TrialState.RUNNING, number=7)


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    """A running experiment with room for more trials."""
    return make_experiment(phase=Phase.RUNNING, max_trials=20)


@pytest.fixture
def four(experiment: Experiment, make_trial: Callable[..., Trial]) -> list[Trial]:
    """Four trials that differ in everything a list can be filtered and sorted by."""
    now = timezone.now()
    rows: list[dict[str, Any]] = [
        {"parameters": {"lr": 0.5, "opt": "sgd"}, "state": TrialState.SUCCEEDED, "value": 0.7,
         "metrics": {"default": 0.7, "f1": 0.6}, "started_at": now - timedelta(seconds=90),
         "finished_at": now},
        {"parameters": {"lr": 0.01, "opt": "adam"}, "state": TrialState.SUCCEEDED, "value": 0.9,
         "metrics": {"default": 0.9, "f1": "NaN"}, "started_at": now - timedelta(seconds=30),
         "finished_at": now},
        {"parameters": {"lr": 0.001, "opt": "adam"}, "state": TrialState.FAILED,
         "started_at": now - timedelta(seconds=60), "finished_at": now},
        {"parameters": {"lr": 0.1}, "state": TrialState.WAITING},
    ]  # fmt: skip
    return [make_trial(experiment, **row) for row in rows]


def rows(trial: Trial) -> list[tuple[str, int, str, float | str]]:
    """What is stored of a trial's reports."""
    return [
        (metric.kind, metric.sequence, metric.name, metric.json_value)
        for metric in trial.metric_set.order_by("kind", "sequence", "name")
    ]
