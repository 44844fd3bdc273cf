"""The one-file client of trial scripts, against a real HTTP server."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import CLIENT_DIR

pytestmark = pytest.mark.long  # each starts programs of its own

SOURCE = CLIENT_DIR / "autotune_trial.py"
RECORD = {"parameter_id": 3, "parameters": {"lr": 0.01, "units": 32, "name": "中", "more": [1]}}


class Server:
    """The trial API as far as a client sees it; it can go away and come back at its address."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.reports: list[dict[str, Any]] = []
        self.connections = 0
        self.answers: list[tuple[int, str]] = []  # given before anything else
        self.record: Any = RECORD
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.close_after_answer = False
        self.server: ThreadingHTTPServer | None = None
        self.open: set[socket.socket] = set()

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms

            def setup(self) -> None:
                super().setup()
                outer.connections += 1
                outer.open.add(self.connection)

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.requests.append((self.command, self.path))
                status, text = outer.answers.pop(0) if outer.answers else (200, "")
                if status == 200 and self.command == "GET":
                    text = json.dumps(outer.record)
                elif status == 200:
                    outer.reports.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())
                # As a server does that closes an idle connection: without saying so.
                self.close_connection = outer.close_after_answer

            do_GET = do_POST = answer

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.open.clear()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def environment(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "AUTO_TUNE_SERVER_ADDR": f"http://127.0.0.1:{server.port}/t/TO.K:EN",
        "TUNER_TRIAL_JOB_ID": "0abcd",
        "TUNER_TRIAL_SEQ_ID": "12",
        "NNI_PLATFORM": "autotune",
        "NNI_OUTPUT_DIR": str(tmp_path),
    }


@pytest.fixture
def load(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ModuleType]]:
    """Import the client as a process that was just started does."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded: list[ModuleType] = []

    def load(**changed: str) -> ModuleType:
        for name in list(environment):
            monkeypatch.delenv(name, raising=False)
        for name, value in {**environment, **changed}.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("autotune_trial", SOURCE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(module)
        return module

    yield load
    for module in loaded:
        module._client._close()


Load = Callable[..., ModuleType]


def test_parameters_are_asked_for_once(server: Server, load: Load) -> None:
    client = load()
    assert client.get_parameters() == RECORD["parameters"]
    assert client.get_parameters(default={"lr": 1, "extra": 2}) == {
        **RECORD["parameters"],
        "extra": 2,
    }
    assert server.requests == [("GET", "/t/TO.K:EN/apis/v1/parameter/0abcd")]
    assert (client.trial_id(), client.sequence_id()) == ("0abcd", 12)


def test_reports_are_what_the_t9k_sdk_sends(server: Server, load: Load) -> None:
    client = load()
    client.get_parameters()
    client.report(0.5)
    client.report(np.float32(0.25), step=np.int64(100), loss=np.float64(1.5))
    client.report(float("nan"), step=2.5)
    client.report_final(0.875)
    assert server.reports == [
        {"parameter_id": 3, "trial_job_id": "0abcd", "type": "PERIODICAL", "sequence": 0,
         "value": "0.5", "step": 0},
        {"parameter_id": 3, "trial_job_id": "0abcd", "type": "PERIODICAL", "sequence": 1,
         "value": '{"default": 0.25, "loss": 1.5}', "step": 100},
        {"parameter_id": 3, "trial_job_id": "0abcd", "type": "PERIODICAL", "sequence": 2,
         "value": "NaN", "step": 2.5},
        {"parameter_id": 3, "trial_job_id": "0abcd", "type": "FINAL", "sequence": 0,
         "value": "0.875", "step": 0},
    ]  # fmt: skip
    assert set(server.requests[1:]) == {("POST", "/t/TO.K:EN/apis/v1/metric")}


def test_one_connection_serves_a_whole_trial(server: Server, load: Load) -> None:
    client = load()
    client.get_parameters()
    for epoch in range(20):
        client.report(epoch)
    client.report_final()
    assert server.connections == 1
    assert server.reports[-1]["value"] == "19.0"


def test_a_connection_closed_under_the_client_costs_no_pause(
    server: Server, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close_after_answer = True
    client = load()
    pauses: list[float] = []
    monkeypatch.setattr(client.random, "uniform", lambda low, high: pauses.append(low) or low)
    for epoch in range(5):
        client.report(epoch)
    assert pauses == []
    assert server.connections == 5
    assert [each["sequence"] for each in server.reports] == [0, 1, 2, 3, 4]


def test_a_restart_of_the_server_is_survived(server: Server, load: Load) -> None:
    client = load()
    client.report(0.1)
    server.stop()
    back = threading.Timer(0.4, server.start)
    back.start()
    client.report(0.2)
    back.join()
    client.report(0.3)
    assert [each["value"] for each in server.reports] == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_failing_server_is_asked_again(server: Server, load: Load, status: int) -> None:
    server.answers = [(status, "not now"), (status, "not yet")]
    load().report(0.5)
    assert len(server.requests) == 3
    assert len(server.reports) == 1


def test_a_server_that_stays_away_is_reported_in_the_end(server: Server, load: Load) -> None:
    server.stop()
    client = load()
    client.retry_seconds = 0.3
    with pytest.raises(ConnectionError, match=r"did not take POST .* for 0.3 s: ConnectionRefused"):
        client.report(0.5)


def test_a_refusal_shows_the_server_s_line_and_is_not_repeated(server: Server, load: Load) -> None:
    server.answers = [(404, "unknown trial 0abcd\n")]
    with pytest.raises(RuntimeError, match=r"\(HTTP 404\): unknown trial 0abcd$"):
        load().report(0.5)
    assert len(server.requests) == 1


def test_a_trial_without_parameters_of_its_own_has_none(server: Server, load: Load) -> None:
    server.record = None
    assert load().get_parameters(default={"lr": 1}) == {"lr": 1}


def test_a_record_that_is_none_is_refused(server: Server, load: Load) -> None:
    server.record = ["what"]
    with pytest.raises(RuntimeError, match="no parameter record"):
        load().get_parameters()


def test_the_count_of_reports_goes_on_in_the_next_process(server: Server, load: Load) -> None:
    first = load()
    first.report(0.1)
    first.report(0.2)
    second = load()
    second.report(0.3)
    first.report(0.4)
    assert [each["sequence"] for each in server.reports] == [0, 1, 2, 3]


def test_the_count_goes_on_in_memory_where_nothing_can_be_written(
    server: Server, load: Load
) -> None:
    client = load(NNI_OUTPUT_DIR="/no/such/place")
    client.report(0.1)
    client.report(0.2)
    assert [each["sequence"] for each in server.reports] == [0, 1]


def test_threads_and_forks_do_not_mix_up_their_answers(server: Server, load: Load) -> None:
    client = load()
    client.report(0)
    child = os.fork()
    if child == 0:
        try:
            for _ in range(10):
                client.report(1)
        finally:
            os._exit(0)
    threads = [threading.Thread(target=client.report, args=(2,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.waitpid(child, 0)
    assert sorted(each["sequence"] for each in server.reports) == list(range(21))
    assert sorted(each["value"] for each in server.reports) == [
        "0.0", *["1.0"] * 10, *["2.0"] * 10
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["0.9", None, [1, 2], {"a": 1}])
def test_only_numbers_are_reported(server: Server, load: Load, value: object) -> None:
    client = load()
    with pytest.raises(TypeError, match="value must be a number, but got"):
        client.report(value)
    with pytest.raises(TypeError, match="loss must be a number, but got"):
        client.report(1, loss=value)
    with pytest.raises(TypeError, match='must not be called "default"'):
        client.report(1, default=1)
    with pytest.raises(ValueError, match="needs a value"):
        client.report_final()
    assert server.requests == []


def test_a_script_run_by_hand_works_without_a_server(
    load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    client = load(AUTO_TUNE_SERVER_ADDR="", TUNER_TRIAL_JOB_ID="", TUNER_TRIAL_SEQ_ID="0")
    assert client.get_parameters(default={"lr": 0.1}) == {"lr": 0.1}
    client.report(0.5, loss=2)
    client.report_final(1)
    assert (client.trial_id(), client.sequence_id()) == ("standalone", 0)
    assert capsys.readouterr().out.splitlines() == [
        'autotune_trial: step 0: {"default": 0.5, "loss": 2.0}',
        "autotune_trial: final: 1.0",
    ]


def test_a_shell_script_can_do_all_of_it(server: Server, environment: dict[str, str]) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", "autotune_trial", *words],
            env={**os.environ, **environment, "PYTHONPATH": str(CLIENT_DIR),
                 "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=20,
        )  # fmt: skip

    assert run("get", "lr").stdout == "0.01\n"
    assert run("get", "name").stdout == "中\n"
    assert run("report", "0.5").returncode == 0
    assert run("report", "-0.25", "--step", "30", "loss=1").returncode == 0
    assert run("final", "0.9").returncode == 0
    sent = [
        (each["type"], each["sequence"], each["step"], each["value"]) for each in server.reports
    ]
    assert sent == [
        ("PERIODICAL", 0, 0, "0.5"),
        ("PERIODICAL", 1, 30, '{"default": -0.25, "loss": 1.0}'),
        ("FINAL", 0, 0, "0.9"),
    ]
    assert "no parameter 'nope'" in run("get", "nope").stderr
    assert "expected a number, but got 'text'" in run("report", "text").stderr
    server.answers = [(400, "value is not usable")]
    refused = run("report", "1")
    assert refused.returncode == 1
    assert "(HTTP 400): value is not usable" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_client_is_one_file_for_python_3_8_with_nothing_to_install() -> None:

    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
