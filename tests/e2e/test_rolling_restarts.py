"""Two web processes behind a balancer are replaced one after the other: no trial loses a report.

The balancer is as a cluster's is: it passes connections on, to whoever was ready when it looked
last, and tries nothing twice. So do the trials: a call of theirs that fails ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, environment, free_port, running_stack, wait_for

pytestmark = pytest.mark.stack

RESTARTS = 20
LOOKS_S = 0.5  # between two looks of the balancer at who is ready
LEAVE_S = "1.5"
PLAIN_TRIAL = Path(__file__).with_name("plain_trial.py")


class Web:
    """``manage.py web`` on a port of its own, beside the stack's."""

    def __init__(self, data: Path, **env: str) -> None:
        self.port = free_port()
        options = ("--port", str(self.port), "--leave", LEAVE_S)
        with (data / "rolling.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "web", *options],
                env=environment(data, **env),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        wrong = contextlib.suppress(OSError, http.client.HTTPException)
        with contextlib.closing(connection), wrong:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        # in order, which uvicorn tells by ending itself by the same signal
        assert self.process.wait(timeout=40) in (0, -signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


class Balancer:
    """Passes connections on, in turn, to the processes that were ready at the last look."""

    def __init__(self) -> None:
        self.processes: list[Web] = []
        self.n_failed = 0  # connections
        self._ready: list[Web] = []
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop.run_forever, daemon=True),
            threading.Thread(target=self._look, daemon=True),
        ]
        server = asyncio.start_server(self._pass_on, "127.0.0.1", 0, backlog=1024)
        self._server = self._loop.run_until_complete(server)
        self.port = self._server.sockets[0].getsockname()[1]
        for thread in self._threads:
            thread.start()

    def _look(self) -> None:
        while not self._ended.wait(LOOKS_S):
            self._ready = [web for web in list(self.processes) if web.is_ready()]

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        try:
            web = self._ready[self._turn % len(self._ready)]
            there = await asyncio.open_connection("127.0.0.1", web.port)
        except (OSError, ZeroDivisionError):
            self.n_failed += 1
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))

    def has(self, web: Web) -> bool:
        return web in self._ready

    def close(self) -> None:
        self._ended.set()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    made = Balancer()
    yield made
    made.close()
    for web in made.processes:
        web.kill()


@pytest.mark.timeout(600)  # twenty processes that start, one after the other
def test_twenty_rolling_restarts_under_both_sdks_lose_no_report(tmp_path: Path, balancer: Balancer):
    stop = tmp_path / "stop"
    container = {"name": "pytorch", "command": ["python3", str(PLAIN_TRIAL), str(stop)]}
    task = {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    env = {"AUTOTUNE_TRIAL_URL": f"http://127.0.0.1:{balancer.port}"}
    with running_stack(tmp_path / "data", "--no-sample", **env) as stack:
        for _ in range(2):
            balancer.processes.append(Web(stack.data, **env))
        wait_for("both", lambda: all(balancer.has(w) for w in balancer.processes), 60)
        experiment = stack.create(
            maxTrialNum=2,
            trialConcurrency=2,
            trainingConfig={"type": "pytorch", "tasks": [task]},
            searchSpace={"sdk": {"_type": "choice", "_value": ["t9k", "nni"]}},
            tuner={"builtinTunerName": "GridSearch"},
        )

        def reported() -> list[int]:
            return [trial["n_reports"] for trial in stack.trials(experiment)]

        wait_for("reports of both", lambda: len(reported()) == 2 and min(reported()) > 0)
        balancer.processes.append(Web(stack.data, **env))
        for _ in range(RESTARTS):
            before = reported()
            # As a Deployment does: another one is ready before this one is told to end. The next
            # one is started meanwhile, to save time.
            wait_for("another process", lambda: balancer.has(balancer.processes[2]), 60)
            balancer.processes.append(Web(stack.data, **env))
            balancer.processes[0].end()
            del balancer.processes[0]
            wait_for("another report", lambda before=before: sum(reported()) > sum(before), 30)
        stop.touch()
        stack.wait_for_phase(experiment, "DONE")
        trials = stack.trials(experiment)
    assert balancer.n_failed == 0
    assert [trial["state"] for trial in trials] == ["SUCCEEDED"] * 2, trials
    assert {trial["parameters"]["sdk"] for trial in trials} == {"t9k", "nni"}
    assert {trial["attempt"] for trial in trials} == {1}
    assert [trial["n_reports"] for trial in trials] == [int(trial["value"]) for trial in trials]
