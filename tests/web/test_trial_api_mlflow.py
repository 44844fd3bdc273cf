"""What MLflow's clients log, over a real socket: the routes of its tracking server, as they call
them. ``tests/e2e/test_trackers.py`` has the client itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from experiments.models import Experiment, Metric, TrackedTrial, Trial
from experiments.states import TrialState
from tests.web.conftest import Reply, Server, rows, t9k_path

Number = dict[str, Any]


class MlflowClient:
    """Sends what ``mlflow`` sends for one trial."""

    def __init__(self, server: Server, trial: Trial) -> None:
        self.server, self.path = server, f"{t9k_path(trial)}/mlflow"

    def ask(self, method: str, route: str, body: Any = None) -> Reply:
        return self.server.ask(method, f"{self.path}/api/2.0/mlflow/{route}", body)

    def start(self, name: str = "", parent: str = "") -> str:
        tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
        body = {"experiment_id": "1", "run_name": name, "start_time": 1700000000000, "tags": tags}
        reply = self.ask("POST", "runs/create", body)
        assert reply.status == 200, reply.text
        return str(reply.json["run"]["info"]["run_id"])

    def batch(self, run: str, *metrics: Number, **fields: Any) -> Reply:
        return self.ask("POST", "runs/log-batch", {"run_id": run, "metrics": metrics, **fields})


def number(key: str, value: Any, step: Any = 0, timestamp: int = 1700000000000) -> Number:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


@pytest.fixture
def of_loss(transactional_db: None, make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment({"metrics": {"objective": "loss"}})


@pytest.fixture
def trial(of_loss: Experiment, make_trial: Callable[..., Trial]) -> Trial:
    return make_trial(of_loss, state=TrialState.RUNNING, number=7)


@pytest.fixture
def mlflow(server: Server, trial: Trial) -> MlflowClient:
    return MlflowClient(server, trial)


def curve(trial: Trial, name: str = "default") -> list[tuple[int, float | None, float | str]]:
    found = Metric.objects.filter(trial=trial, kind="PERIODICAL", name=name).order_by("sequence")
    return [(metric.sequence, metric.step, metric.json_value) for metric in found]


def test_the_objective_is_the_trials_value_and_the_others_are_curves(
    mlflow: MlflowClient, trial: Trial
) -> None:
    run = mlflow.start("main")
    for step in range(3):
        reply = mlflow.batch(run, number("loss", 3 - step, step * 10), number("acc", step, step))
        assert (reply.status, reply.json) == (200, {})
    mlflow.ask("POST", "runs/log-metric", {"run_uuid": run, **number("acc", 9, "3")})

    assert curve(trial) == [(0, 0, 3), (1, 10, 2), (2, 20, 1)]
    assert curve(trial, "acc") == [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 9)]
    trial.refresh_from_db()
    assert (trial.latest_value, trial.latest_sequence, trial.n_reports) == (1, 2, 4)
    assert (trial.logged_by, trial.value, trial.has_final) == ("mlflow", None, False)


def test_a_request_that_comes_again_doubles_nothing(mlflow: MlflowClient, trial: Trial) -> None:
    run = mlflow.start()
    for _ in range(3):
        mlflow.batch(run, number("loss", 1, 1), number("loss", 2, 2))
    mlflow.batch(run, number("loss", 2, 2, timestamp=1700000000001))  # logged again, and meant

    assert curve(trial) == [(0, 1, 1), (1, 2, 2), (2, 2, 2)]


def test_a_metric_told_again_of_a_model_is_there_once(mlflow: MlflowClient, trial: Trial) -> None:
    run = mlflow.start()
    mlflow.batch(run, number("loss", 0.25, 4), number("acc", "NaN", 4))
    again = [number("loss", 0.25, 4), number("acc", "NaN", 4), number("loss", 0.2, 5)]
    mlflow.batch(run, *({**each, "model_id": "m-1"} for each in again))

    assert curve(trial) == [(0, 4, 0.25), (1, 5, 0.2)]
    assert curve(trial, "acc") == [(0, 4, "NaN")]


def test_values_without_steps_are_in_the_order_in_which_they_came(
    mlflow: MlflowClient, trial: Trial
) -> None:
    run = mlflow.start()
    for at, value in enumerate([5, 4, 3]):
        mlflow.batch(run, number("loss", value, timestamp=1700000000000 + at))

    assert curve(trial) == [(0, 0, 5), (1, 1, 4), (2, 2, 3)]


def test_what_is_not_finite_is_recorded_and_never_a_value(
    mlflow: MlflowClient, trial: Trial
) -> None:
    run = mlflow.start()
    mlflow.batch(run, number("loss", 1, 1), number("loss", "NaN", 2), number("acc", "-Infinity"))

    assert curve(trial) == [(0, 1, 1), (1, 2, "NaN")]
    assert curve(trial, "acc") == [(0, 0, "-Infinity")]
    trial.refresh_from_db()
    assert trial.latest_value is None


def test_every_top_level_run_is_the_trials_and_nested_ones_are_named(
    mlflow: MlflowClient, trial: Trial
) -> None:
    main = mlflow.start("train")
    mlflow.batch(main, number("loss", 3, 1))
    child = mlflow.start("fold 1", parent=main)
    assert child != mlflow.start("fold 1", parent=main)  # two of the same name and moment
    mlflow.batch(child, number("loss", 9, 1), params=[{"key": "k", "value": "1"}])
    again = mlflow.start("evaluate")
    mlflow.batch(again, number("loss", 2, 2), params=[{"key": "lr", "value": "0.1"}])

    assert again == main
    assert curve(trial) == [(0, 1, 3), (1, 2, 2)]
    assert curve(trial, "fold 1/loss") == [(0, 1, 9)]
    told = mlflow.ask("GET", f"runs/get?run_id={main}").json["run"]
    assert (told["info"]["run_name"], told["info"]["status"]) == ("evaluate", "RUNNING")
    assert told["data"]["params"] == [{"key": "lr", "value": "0.1"}]
    child_told = mlflow.ask("GET", f"runs/get?run_id={child}").json["run"]["data"]
    assert [(m["key"], m["value"]) for m in child_told["metrics"]] == [("loss", 9)]


def test_experiments_have_any_name_and_are_one(mlflow: MlflowClient) -> None:
    named = mlflow.ask("GET", "experiments/get-by-name?experiment_name=mnist%20a").json
    made = mlflow.ask("POST", "experiments/create", {"name": "other"}).json
    found = mlflow.ask("GET", "experiments/get?experiment_id=0").json["experiment"]

    assert named["experiment"]["name"] == "mnist a"
    ids = {named["experiment"]["experiment_id"], made["experiment_id"], found["experiment_id"]}
    assert ids == {"1"}
    assert found["lifecycle_stage"] == "active"


def test_parameters_and_tags_are_kept_and_told(mlflow: MlflowClient, trial: Trial) -> None:
    run = mlflow.start()
    mlflow.ask("POST", "runs/log-parameter", {"run_id": run, "key": "lr", "value": "0.1"})
    mlflow.ask("POST", "runs/set-tag", {"run_id": run, "key": "who", "value": "me"})
    mlflow.batch(run, params=[{"key": "x" * 200, "value": "y" * 600}], tags=[])
    mlflow.ask("POST", "runs/update", {"run_id": run, "status": "FINISHED"})

    kept = TrackedTrial.objects.get(trial=trial)
    assert kept.params == {"lr": "0.1", "x" * 200: "y" * 500}
    assert kept.tags == {"who": "me"}
    told = mlflow.ask("POST", "runs/search", {"experiment_ids": ["1"]}).json["runs"]
    assert [each["info"]["status"] for each in told] == ["FINISHED"]


def test_files_and_models_are_taken_and_not_kept(mlflow: MlflowClient, trial: Trial) -> None:
    path = f"{mlflow.path}/api/2.0/mlflow-artifacts/artifacts/1/x/artifacts/model/a.bin"
    assert mlflow.server.ask("PUT", path, b"\0" * 3_000_000).status == 200
    made = mlflow.ask("POST", "logged-models", {"experiment_id": "1", "name": "net"}).json
    model = made["model"]["info"]
    assert (model["name"], model["status"]) == ("net", "LOGGED_MODEL_PENDING")
    done = mlflow.ask("PATCH", f"logged-models/{model['model_id']}", {"status": 2}).json
    assert done["model"]["info"]["model_id"] == model["model_id"]

    assert TrackedTrial.objects.get(trial=trial).files == 1
    assert not trial.artifacts.exists()


def test_who_reports_first_decides(mlflow: MlflowClient, server: Server, trial: Trial) -> None:
    server.report(trial, 0.5, 0)
    run = mlflow.start()
    mlflow.batch(run, number("loss", 7, 1))

    assert curve(trial) == [(0, None, 0.5)]
    assert curve(trial, "loss") == [(0, 1, 7)]


def test_a_script_that_logs_the_objective_is_not_disturbed_by_what_it_prints(
    mlflow: MlflowClient, server: Server, trial: Trial
) -> None:
    mlflow.batch(mlflow.start(), number("loss", 7, 1))
    reply = server.report(trial, 0.5, 0)

    assert (reply.status, reply.text) == (200, "not used: the trial's values come by mlflow")
    assert curve(trial) == [(0, 1, 7)]


def test_without_an_objective_what_is_logged_is_drawn_and_decides_nothing(
    server: Server, make_experiment: Any, make_trial: Any
) -> None:
    trial = make_trial(make_experiment(), state=TrialState.RUNNING)
    mlflow = MlflowClient(server, trial)
    mlflow.batch(mlflow.start(), number("loss", 7, 1), number("default", 3, 1))

    assert rows(trial) == [
        ("PERIODICAL", 0, "default (logged)", 3),
        ("PERIODICAL", 0, "loss", 7),
    ]
    trial.refresh_from_db()
    assert (trial.logged_by, trial.latest_value) == ("", None)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([number("loss", "high", 1)], 'metrics[0].value must be a number, but is "high"'),
        ([number("loss", True, 1)], "metrics[0].value must be a number, but is true"),
        ([number("loss", 1, 1), number("", 1)], "metrics[1].key: names must have 1 to 200"),
        ([number("a" * 201, 1)], "metrics[0].key: names must have 1 to 200 characters"),
        ([number("loss", 1, 1.5)], "metrics[0].step must be a whole number, but is 1.5"),
        ([number("loss", 1, None)], "metrics[0].step must be a whole number, but is null"),
        (["loss"], "metrics must be a list of objects, but is"),
        ([number("loss", 1)] * 1001, "metrics must have at most 1000 entries, but has 1001"),
    ],
)
def test_what_cannot_be_read_is_refused_whole_and_named(
    mlflow: MlflowClient, trial: Trial, metrics: list[Any], message: str
) -> None:
    run = mlflow.start()
    reply = mlflow.batch(run, *metrics)

    assert reply.status == 400
    assert reply.json["error_code"] == "INVALID_PARAMETER_VALUE"
    assert message in reply.json["message"]
    assert rows(trial) == []


def test_other_runs_tokens_routes_and_bodies_are_refused(
    mlflow: MlflowClient, server: Server, trial: Trial, make_trial: Any
) -> None:
    run = mlflow.start()
    other = MlflowClient(server, make_trial(trial.experiment, state=TrialState.RUNNING))
    reply = other.batch(run, number("loss", 1))
    assert (reply.status, reply.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    forged = server.ask("POST", f"{mlflow.path[:-8]}!/mlflow/api/2.0/mlflow/runs/create", {})
    assert (forged.status, forged.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert mlflow.ask("GET", "runs/create").status == 405
    assert mlflow.ask("POST", "registered-models/create", {"name": "x"}).status == 404
    assert mlflow.ask("POST", "runs/log-batch", "[1").status == 400
    assert mlflow.ask("POST", "runs/log-batch", {"run_id": 7}).status == 400
    large = mlflow.ask("POST", "runs/log-batch", b" " * 1_100_000)
    assert (large.status, large.json["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
    assert rows(trial) == []
