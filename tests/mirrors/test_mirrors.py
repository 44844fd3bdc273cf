"""Experiments that are mirrored to trackers: all of it, once, and never in anybody's way.

``tests/e2e/test_trackers.py`` has a real MLflow server and TensorBoard's own reader.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from experiments.access.tokens import TrialClaim
from experiments.mirrors import passing
from experiments.models import Event, Experiment, Metric, Mirror, Trial
from experiments.reports import rows
from experiments.reports.wire import Report
from experiments.states import Phase, TrialState
from experiments.training.local import event_files


class Mlflow:
    """As much of MLflow's tracking server as counts here, with its rule for equal numbers."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.fail_at = ""  # a route
        self.garbage = ""  # the text of each answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fields = json.loads(body) if body else {}
                fields |= {key: values[0] for key, values in parse_qs(url.query).items()}
                route = url.path.removeprefix("/api/2.0/mlflow/")
                found = None if route == outer.fail_at else outer.answer(route, fields)
                self.send_response(500 if route == outer.fail_at else 200 if found else 404)
                self.end_headers()
                missing = {"error_code": "RESOURCE_DOES_NOT_EXIST"}
                text = outer.garbage or json.dumps(found or missing)
                self.wfile.write(text.encode())

            do_GET = do_POST = answer

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, route: str, given: dict[str, Any]) -> dict[str, Any] | None:
        if route == "experiments/get-by-name":
            pk = self.experiments.get(given["experiment_name"])
            return {"experiment": {"experiment_id": pk}} if pk else None
        if route == "experiments/create":
            return {"experiment_id": self.experiments.setdefault(given["name"], "e1")}
        if route == "runs/create":
            run = {**given, "metrics": set(), "params": {}, "status": "RUNNING"}
            self.runs[f"r{len(self.runs)}"] = run
            return {"run": {"info": {"run_id": f"r{len(self.runs) - 1}"}}}
        if route == "runs/search":
            key = given["filter"].split("'")[1]
            tag = {"key": "autotune.trial", "value": key}
            found = [pk for pk, run in self.runs.items() if tag in run["tags"]]
            return {"runs": [{"info": {"run_id": pk}} for pk in found]}
        run = self.runs.get(given["run_id"])
        if run is None:
            return None
        for each in given.get("metrics", []):
            run["metrics"].add((each["key"], each["step"], each["value"], each["timestamp"]))
        run["params"] |= {each["key"]: each["value"] for each in given.get("params", [])}
        run["status"] = given.get("status", run["status"])
        return {"ok": True}

    def curve(self, run: str, name: str) -> list[tuple[int, Any]]:
        return sorted((s, v) for n, s, v, _ in self.runs[run]["metrics"] if n == name)


@pytest.fixture
def mlflow(settings: Any) -> Iterator[Mlflow]:
    server = Mlflow()
    settings.MIRROR_MLFLOW = server.url
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def trial(make_experiment: Callable[..., Experiment], make_trial: Any) -> Trial:
    experiment = make_experiment({"metrics": {"objective": "loss"}}, phase=Phase.RUNNING)
    experiment.record("remark")
    parameters = {"lr": 0.1, "net": {"_name": "a", "n": 3}}
    return make_trial(experiment, state=TrialState.RUNNING, parameters=parameters)


def report(trial: Trial, sequence: int, value: float, kind: str = "PERIODICAL") -> None:
    claim = TrialClaim(trial.pk, trial.key, trial.number, trial.experiment_id)
    values = {"default": value, "acc/top 1?": sequence / 4}
    rows.write([(claim, Report(trial.key, kind, sequence, sequence * 10.0, values))])


def send(at: Any = None) -> Mirror:
    """What the ticker and the worker do, when its time has come."""
    Mirror.objects.update(next_try_at=at or timezone.now() - timedelta(seconds=1))
    for row_id in passing.due_ids():
        passing.mirror(row_id)
    return Mirror.objects.get()


def test_an_experiment_is_in_mlflow_as_it_runs(mlflow: Mlflow, trial: Trial) -> None:
    report(trial, 0, 3.0)
    assert passing.goes_on(trial.experiment_id)
    send()
    assert mlflow.runs["r0"]["params"] == {"lr": "0.1", "net._name": "a", "net.n": "3"}
    assert mlflow.curve("r0", "loss") == [(0, 3.0)]
    assert mlflow.curve("r0", "acc/top 1_") == [(0, 0.0)]
    report(trial, 1, math.nan)
    report(trial, 0, 2.0, "FINAL")
    trial.refresh_from_db()
    trial.move(TrialState.SUCCEEDED, finished_at=timezone.now())
    row = send()

    assert len(mlflow.runs) == 1
    assert mlflow.curve("r0", "loss") == [(0, 3.0), (10, "NaN")]
    assert mlflow.curve("r0", "final/loss") == [(0, 2.0)]
    assert mlflow.runs["r0"]["status"] == "FINISHED"
    name = f"{trial.experiment.name} ({trial.experiment_id})"
    assert mlflow.experiments == {name: "e1"}
    assert (row.error, row.state["runs"]) == ("", {})
    assert not passing.goes_on(trial.experiment_id)
    assert passing.due_ids() == []


@pytest.mark.parametrize("route", ["runs/create", "runs/log-batch", "runs/update"])
def test_what_was_interrupted_goes_on_and_doubles_nothing(
    mlflow: Mlflow, trial: Trial, route: str
) -> None:
    report(trial, 0, 3.0)
    trial.refresh_from_db()
    trial.move(TrialState.FAILED, finished_at=timezone.now())
    mlflow.fail_at = route
    row = send()
    assert row.error.startswith(f"MLflow answered 500 to {route}")
    assert row.next_try_at > timezone.now()
    mlflow.fail_at = ""
    assert send().error == ""
    Mirror.objects.update(cursor=0, state={})  # as if nobody had been able to keep it
    send()

    assert len(mlflow.runs) == 1
    assert mlflow.curve("r0", "loss") == [(0, 3.0)]
    assert mlflow.runs["r0"]["status"] == "FAILED"
    told = Event.objects.filter(what__startswith="upload").order_by("seq")
    assert [event.what for event in told] == ["upload failed", "upload well again"]


def test_a_dead_receiver_is_left_alone_longer_each_time(trial: Trial, settings: Any) -> None:
    settings.MIRROR_MLFLOW = "http://user:secret@127.0.0.1:9"
    report(trial, 0, 3.0)
    waits = []
    for _ in range(3):
        before = timezone.now()
        row = send()
        waits.append((row.next_try_at - before).total_seconds())
    assert row.error == "MLflow cannot be reached: ConnectionError."
    assert 4 < waits[0] < waits[1] < waits[2]
    assert passing.due_ids() == []
    assert not passing.goes_on(trial.experiment_id)  # nobody waits for it
    assert Event.objects.filter(what="upload failed").count() == 1
    assert Metric.objects.filter(trial=trial).count() == 2


def test_a_batch_ends_where_a_transaction_does(
    mlflow: Mlflow, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "MOST_NUMBERS", 5)
    for sequence in range(7):
        report(trial, sequence, float(sequence))
    row = send()
    trial.experiment.refresh_from_db()

    assert mlflow.curve("r0", "loss") == [(10 * n, float(n)) for n in range(7)]
    assert row.cursor == trial.experiment.last_seq


def test_each_attempt_is_a_run_and_waiting_trials_are_none(
    mlflow: Mlflow, trial: Trial, make_trial: Any
) -> None:
    make_trial(trial.experiment)
    report(trial, 0, 3.0)
    send()
    trial.move(TrialState.WAITING, attempt=2)
    trial.move(TrialState.RUNNING)
    report(trial, 0, 9.0)
    send()
    names = [run["run_name"] for run in mlflow.runs.values()]
    assert names == ["trial 0", "trial 0 (attempt 2)"]
    assert mlflow.curve("r1", "loss") == [(0, 9.0)]


def test_an_old_experiment_is_not_begun(mlflow: Mlflow, make_experiment: Any) -> None:
    ended = timezone.now() - timedelta(days=2)
    make_experiment(phase=Phase.DONE, finished_at=ended).record("remark")
    assert passing.due_ids() == []
    assert not Mirror.objects.exists()


def test_tensorboard_has_a_run_for_each_trial(trial: Trial, settings: Any, tmp_path: Path) -> None:
    settings.MIRROR_TENSORBOARD = str(tmp_path / "tb")
    files = event_files.EventFiles(str(tmp_path / "tb"))
    report(trial, 0, 3.0)
    send()
    before = Mirror.objects.values().get()
    report(trial, 1, math.inf)
    send()
    Mirror.objects.update(cursor=before["cursor"], state=before["state"])  # it could not be kept
    send()

    found = [tuple(each[1:]) for each in files.read("loss") if each.tag == "loss"]
    assert found == [(0, 3.0), (10, math.inf)]
    folder = f"{trial.experiment.name}-{trial.experiment_id}/trial-0000"
    assert (tmp_path / "tb" / folder).is_dir()


def test_a_directory_that_cannot_be_written_is_said(
    trial: Trial, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    settings.MIRROR_TENSORBOARD = str(tmp_path / "file" / "tb")
    report(trial, 0, 3.0)
    assert send().error == "TensorBoard's files: Not a directory."


# ---- what tries to break it


@pytest.mark.parametrize("name", ["MIRROR_TENSORBOARD", "MIRROR_WANDB", "MIRROR_TRACKIO"])
def test_an_experiment_s_name_leads_nowhere_else(
    trial: Trial, settings: Any, tmp_path: Path, name: str
) -> None:
    Experiment.objects.update(name="../../up/\x1b[1m实验")  # as an imported study may be called
    place = tmp_path / "a" / "b" / "there"
    setattr(settings, name, str(place))
    report(trial, 0, 3.0)
    assert send().error == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and place not in p.parents]
    assert all(part.isprintable() for p in place.rglob("*") for part in p.parts)


def test_mlflow_gets_only_what_it_takes(mlflow: Mlflow, trial: Trial) -> None:
    odd = {"a?": 1, "a*": 2, "x" * 300: 3, "x" * 299: 4, "../up": 5, "": 6}
    Trial.objects.update(parameters=odd)
    claim = TrialClaim(trial.pk, trial.key, trial.number, trial.experiment_id)
    values = {"default": 1.0, "/etc//x/": 1.0, "..": 2.0, "n" * 251: 3.0, "损失": 4.0}
    rows.write([(claim, Report(trial.key, "PERIODICAL", 0, 1e300, values))])
    assert send().error == ""
    found = mlflow.runs["r0"]["params"]
    assert sorted(found.values()) == ["1", "2", "3", "4", "5", "6"]
    assert all(0 < len(key) <= 250 for key in found)
    assert {"a_", "a__2", "up", "_"} <= set(found)
    names = {name: step for name, step, _, _ in mlflow.runs["r0"]["metrics"]}
    assert set(names) == {"loss", "etc/x", "_", "n" * 250, "__"}
    assert set(names.values()) == {2**63 - 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>", "What answers to experiments/get-by-name is not MLflow."),
        ('{"experiment": 3}', "What answers to experiments/get-by-name is not MLflow."),
        ("[" * 100_000, "What answers to experiments/get-by-name is not MLflow."),
        ("x" * 5_000_000, "MLflow's answer is too long, or too slow."),
    ],
    ids=["page", "odd", "deep", "long"],
)
def test_garbage_is_told_as_the_receiver_s(
    mlflow: Mlflow, trial: Trial, text: str, said: str
) -> None:
    report(trial, 0, 3.0)
    mlflow.experiments[f"{trial.experiment.name} ({trial.experiment_id})"] = "e1"
    mlflow.garbage = text
    assert send().error == said
    mlflow.garbage = ""
    assert send().error == ""
    assert len(mlflow.runs) == 1


def test_a_server_that_is_new_or_emptied_gets_everything(
    mlflow: Mlflow, trial: Trial, settings: Any
) -> None:
    report(trial, 0, 3.0)
    send()
    other = Mlflow()
    try:
        settings.MIRROR_MLFLOW = other.url
        report(trial, 1, 2.0)
        assert send().error == ""
        assert other.curve("r0", "loss") == [(0, 3.0), (10, 2.0)]
        other.experiments, other.runs = {}, {}
        report(trial, 2, 1.0)
        assert "RESOURCE_DOES_NOT_EXIST" in send().error
        assert send().error == ""
        assert other.curve("r0", "loss") == [(0, 3.0), (10, 2.0), (20, 1.0)]
    finally:
        other.http.shutdown()
        other.http.server_close()
    assert mlflow.curve("r0", "loss") == [(0, 3.0)]


@pytest.mark.parametrize("name", ["MIRROR_WANDB", "MIRROR_SWANLAB"])
def test_a_run_that_has_ended_stays_so(
    trial: Trial, settings: Any, tmp_path: Path, name: str
) -> None:
    setattr(settings, name, str(tmp_path))
    report(trial, 0, 2.0, "FINAL")
    trial.refresh_from_db()
    trial.move(TrialState.SUCCEEDED, finished_at=timezone.now())
    send()
    before = {path: path.read_bytes() for path in tmp_path.rglob("run-*.*")}
    trial.experiment.record("remark", trial=trial)  # such as a note
    row = send()
    trial.experiment.refresh_from_db()
    assert row.cursor == trial.experiment.last_seq
    assert {path: path.read_bytes() for path in tmp_path.rglob("run-*.*")} == before


def test_an_experiment_may_go_while_it_is_sent(
    mlflow: Mlflow, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: Any) -> None:
        Experiment.objects.update(deleting=True)
        raise passing.NotMirrored("away")

    report(trial, 0, 3.0)
    monkeypatch.setattr(passing.MlflowReceiver, "send", gone)
    count = Event.objects.count()
    assert send().error == "away"
    assert Event.objects.count() == count


def test_a_step_has_few_trials_and_says_that_it_goes_on(
    mlflow: Mlflow, trial: Trial, make_trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "MOST_TRIALS", 3)
    monkeypatch.setattr(passing, "HOLD_EVERY_S", 0.0)
    trials = [make_trial(trial.experiment, state=TrialState.RUNNING) for _ in range(8)]
    for each in trials:
        report(each, 0, float(each.number))
        trial.experiment.record("remark", trial=each)
    held: list[bool] = []
    batches: list[int] = []
    send_batch = passing.MlflowReceiver.send

    def counted(receiver: Any, batch: Any, state: Any) -> None:
        batches.append(len(batch.trials))
        Mirror.objects.update(next_try_at=timezone.now())  # its time is nearly over
        send_batch(receiver, batch, state)
        held.append(Mirror.objects.get().next_try_at > timezone.now() + timedelta(seconds=60))

    monkeypatch.setattr(passing.MlflowReceiver, "send", counted)
    row = send()
    trial.experiment.refresh_from_db()
    assert row.cursor == trial.experiment.last_seq
    assert max(batches) == 3
    assert all(held)
    curves = [mlflow.curve(run, "loss") for run in mlflow.runs]
    assert sorted(value for curve in curves for _, value in curve) == [
        float(each.number) for each in trials
    ]
