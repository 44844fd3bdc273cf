"""Scripts that only print: what of theirs reaches the trial API, and how they end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import Collected, JobState
from tests.training.conftest import Jobs, task, until
from tests.training.test_event_files import FIRST, append, scalar
from tests.training.test_wandb_files import append as append_rows
from tests.training.test_wandb_files import file_of, row

pytestmark = pytest.mark.long  # each starts programs of its own

LOSS = Collected("loss")


class Server:
    """A trial API that remembers, and fails a number of times first."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.failures = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.reports.append(body)
                self.send_response(503 if outer.failures else 200)
                outer.failures = max(0, outer.failures - 1)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def sent(self) -> list[tuple[str, int, Any]]:
        return [(r["type"], r["sequence"], json.loads(r["value"])) for r in self.reports]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def start(jobs: Jobs, server: Server, script: str, metrics: Collected = LOSS, **fields: Any) -> Any:
    given = task(["sh", "-c", script])
    return jobs.launch(jobs.describe(given, server_url=server.url, metrics=metrics, **fields))


def test_what_is_printed_is_reported_live_and_printed_on(jobs: Jobs, server: Server) -> None:
    handle = start(
        jobs,
        server,
        "echo loss=$(params.x); while [ ! -e go ]; do sleep 0.05; done; echo loss=1 >&2",
        parameters={"x": 2.5},
    )
    until(lambda: server.sent() == [("PERIODICAL", 0, 2.5)])
    (jobs.root / handle["name"] / "work" / "go").touch()
    status = jobs.end(handle)
    assert (status.state, status.exit_code, status.message) == (JobState.SUCCEEDED, 0, "")
    assert jobs.log(handle) == "loss=2.5\nloss=1\n"
    assert server.sent()[1:] == [("PERIODICAL", 1, 1), ("FINAL", 0, 1)]


def test_a_report_is_sent_until_it_is_answered_under_one_number(jobs: Jobs, server: Server) -> None:
    server.failures = 3
    jobs.end(start(jobs, server, "echo loss=1; echo loss=2"))
    sent = server.sent()
    assert sent[:4] == [("PERIODICAL", 0, 1)] * 4
    assert sent[4:] == [("PERIODICAL", 1, 2), ("FINAL", 0, 2)]


def test_a_file_beside_it_is_read_to_its_end(jobs: Jobs, server: Server) -> None:
    metrics = Collected("loss", file="out-$(params.n).csv")
    script = "echo loss=9; printf 'epoch,loss\\n5,3\\n6,2' > out-7.csv"
    assert jobs.end(start(jobs, server, script, metrics, parameters={"n": 7})).exit_code == 0
    assert [r["step"] for r in server.reports[:2]] == [5, 6]
    assert server.sent()[-1] == ("FINAL", 0, 2)


def test_event_files_are_sent_live_each_batch_under_its_name(jobs: Jobs, server: Server) -> None:
    metrics = Collected("loss", tensorboard="logs/$(params.n)")
    script = (
        "echo ready; while [ ! -e go ]; do sleep 0.05; done; cp more logs/7/tfevents.2; echo loss=9"
    )
    server.failures = 1
    handle = start(jobs, server, script, metrics, parameters={"n": 7})
    work = jobs.root / handle["name"] / "work"
    jobs.said(handle, "ready")
    append(work / "logs/7", FIRST + scalar("loss", 1, 0.5) + scalar("acc", 1, 2))
    rows = [{"key": "loss", "value": 0.5, "step": 1}, {"key": "acc", "value": 2, "step": 1}]
    until(lambda: server.reports == [{"id": "events-1", "metrics": rows}] * 2)
    (work / "more").write_bytes(FIRST + scalar("loss", 2, 0.25))
    (work / "go").touch()
    assert (jobs.end(handle).message, server.reports[2:]) == (
        "", [{"id": "events-2", "metrics": [{"key": "loss", "value": 0.25, "step": 2}]}],
    )  # fmt: skip


def test_event_files_without_the_metric_are_described(jobs: Jobs, server: Server) -> None:
    metrics = Collected("loss", tensorboard="none")
    message = jobs.end(start(jobs, server, "echo loss=1", metrics)).message
    assert "/none: 0 event files, 0 new scalars. Metrics found: none." in message


@pytest.mark.parametrize(
    ("script", "state", "code", "message"),
    [
        ("echo loss=1; exit 3", JobState.FAILED, 3, "exit code 3; last line: loss=1"),
        ("kill -9 $$$$", JobState.FAILED, 137, "killed by signal 9 (SIGKILL): out of memory?"),
        ("kill -11 $$$$", JobState.FAILED, 139, "killed by signal 11 (SIGSEGV)"),
    ],
)
def test_it_ends_as_the_command_ended(
    jobs: Jobs, server: Server, script: str, state: JobState, code: int, message: str
) -> None:
    status = jobs.end(start(jobs, server, script))
    assert (status.state, status.exit_code, status.message) == (state, code, message)
    assert all(kind != "FINAL" for kind, _, _ in server.sent())


def test_stopping_ends_both_and_lets_the_command_say_goodbye(jobs: Jobs, server: Server) -> None:
    handle = start(jobs, server, "trap 'echo bye; exit 0' TERM; echo loss=1; sleep 60 & wait")
    jobs.said(handle, "loss=1")
    jobs.backend.stop(handle)
    assert jobs.end(handle).state is JobState.STOPPED
    assert "bye" in jobs.log(handle)


def test_an_exit_without_the_metric_says_which_lines_were_looked_at(
    jobs: Jobs, server: Server
) -> None:
    status = jobs.end(start(jobs, server, "echo accuracy=0.5; echo done"))
    assert status.state is JobState.SUCCEEDED
    assert status.message == (
        "The metric 'loss' of spec.metrics was not found. Looked at: 2 lines of its output. "
        "Metrics found: accuracy (1×). Last lines: 'accuracy=0.5'; 'done'"
    )
    assert jobs.log(jobs.handles[-1]) == "accuracy=0.5\ndone\n"  # it may log to MLflow instead
    status = jobs.end(start(jobs, server, "echo a=5", Collected("loss", stdout=True)))
    assert status.message in jobs.log(handle := jobs.handles[-1]), handle
    metrics = Collected("loss", file="none.csv")
    status = jobs.end(start(jobs, server, "echo loss=1", metrics))
    assert "none.csv was never there" in status.message
    assert server.reports == []


def logged(jobs: Jobs, server: Server, script: str) -> Any:
    """A trial that goes on when ``go`` is there, its directory, and the file of its run."""
    env = [{"name": "WANDB_DIR", "value": "$(AUTOTUNE_WANDB_DIR)"}]
    wait = 'echo "at $WANDB_DIR."; while [ ! -e go ]; do sleep 0.05; done; '
    given = task(["sh", "-c", wait + script], env=env)
    handle = jobs.launch(jobs.describe(given, server_url=server.url, metrics=LOSS))
    place = jobs.said(handle, "at ").partition("at ")[2].partition(".\n")[0]
    return handle, jobs.root / handle["name"] / "work", file_of(Path(place))


def test_what_wandb_logs_is_sent_live(jobs: Jobs, server: Server) -> None:
    server.failures = 1
    handle, work, file = logged(jobs, server, "echo loss=9; echo wandb: loss 9")
    append_rows(file, row(0, acc=0.5), row(1, loss=0.5))
    rows = [{"key": "acc", "value": 0.5, "step": 0}, {"key": "loss", "value": 0.5, "step": 1}]
    until(lambda: server.reports == [{"id": "events-1", "metrics": rows}] * 2)
    append_rows(file, row(2, loss=0.25))
    (work / "go").touch()
    assert (jobs.end(handle).message, server.reports[2:]) == (
        "", [{"id": "events-2", "metrics": [{"key": "loss", "value": 0.25, "step": 2}]}],
    )  # fmt: skip


def test_of_lines_and_runs_those_count_that_were_first(jobs: Jobs, server: Server) -> None:
    handle, work, file = logged(jobs, server, "while [ ! -e on ]; do sleep 0.05; done; echo loss=2")
    append_rows(file, row(0, acc=0.5))
    (work / "go").write_text("")
    handle_2, work_2, file_2 = logged(jobs, server, "echo loss=1; sleep 1; echo loss=2")
    (work_2 / "go").touch()
    until(lambda: server.sent() == [("PERIODICAL", 0, 1)])
    append_rows(file_2, row(0, loss=1.0))
    jobs.end(handle_2)
    assert server.sent() == [("PERIODICAL", 0, 1), ("PERIODICAL", 1, 2), ("FINAL", 0, 2)]
    append_rows(file, row(1, loss=1.0))
    (work / "on").touch()
    jobs.end(handle)
    found = [each["metrics"] for each in server.reports[3:]]
    assert [[(m["key"], m["step"]) for m in each] for each in found] == [[("acc", 0), ("loss", 1)]]


def test_the_summary_counts_where_there_is_nothing_else(jobs: Jobs, server: Server) -> None:
    handle, work, _ = logged(jobs, server, "echo wandb: loss 0.125")
    (work / "go").touch()
    jobs.end(handle)
    assert server.sent() == [("PERIODICAL", 0, 0.125), ("FINAL", 0, 0.125)]
