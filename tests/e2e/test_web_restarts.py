"""A web process that ends and comes back costs no trial, whatever its SDK: connections wait."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = pytest.mark.stack

RESTARTS = 20
PLAIN_TRIAL = Path(__file__).with_name("plain_trial.py")


def restart_web(stack: Stack) -> None:
    """End the web process as a person would; returns once another has taken its place."""
    old = stack.pids()["web"]
    os.kill(old, signal.SIGTERM)
    wait_for("another web process", lambda: stack.pids()["web"] != old, 30)


def test_twenty_restarts_under_both_sdks_lose_no_report_and_fail_no_trial(tmp_path: Path):
    stop = tmp_path / "stop"
    command = ["python3", str(PLAIN_TRIAL), str(stop)]
    container = {"name": "pytorch", "command": command}
    training = {
        "type": "pytorch",
        "tasks": [
            {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
        ],
    }
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        experiment = stack.create(
            maxTrialNum=4,
            trialConcurrency=4,
            trainingConfig=training,
            searchSpace={"sdk": {"_type": "choice", "_value": ["t9k", "nni"]}, "n": {
                "_type": "choice", "_value": [1, 2]}},
            tuner={"builtinTunerName": "GridSearch"},
        )  # fmt: skip

        def reported() -> list[int]:
            return [trial["n_reports"] for trial in stack.trials(experiment)]

        wait_for("reports of all four", lambda: len(reported()) == 4 and min(reported()) > 0)
        for _ in range(RESTARTS):
            restart_web(stack)
            before = reported()
            wait_for("another report", lambda before=before: sum(reported()) > sum(before), 30)
        stop.touch()
        stack.wait_for_phase(experiment, "DONE")
        trials = stack.trials(experiment)
    assert [trial["state"] for trial in trials] == ["SUCCEEDED"] * 4, trials
    assert {trial["attempt"] for trial in trials} == {1}
    assert {trial["parameters"]["sdk"] for trial in trials} == {"t9k", "nni"}
    assert [trial["n_reports"] for trial in trials] == [int(trial["value"]) for trial in trials]


def test_what_has_begun_when_the_web_process_ends_is_answered(tmp_path: Path):
    with running_stack(tmp_path / "data", "--no-sample") as stack:
        address = ("127.0.0.1", stack.port)
        silent, begun, half = (socket.create_connection(address, timeout=20) for _ in range(3))
        begun.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        half.sendall(b"POST /t/x/apis/v1/metric HTTP/1.1\r\nContent-Length: 4\r\n\r\n{")
        time.sleep(0.3)  # until all three are accepted
        old = stack.pids()["web"]
        os.kill(old, signal.SIGTERM)
        time.sleep(0.2)
        late = socket.create_connection(address, timeout=20)  # waits for the next one
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        begun.sendall(b"\r\n")
        half.sendall(b"}  ")
        late.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert psutil.pid_exists(old), "it waits for them"
        with silent, begun, half, late:
            assert silent.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert begun.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert half.recv(1000).startswith(b"HTTP/1.1 404 ")
            assert late.recv(1000).startswith(b"HTTP/1.1 200 ")
        wait_for("another web process", lambda: stack.pids()["web"] != old, 30)
