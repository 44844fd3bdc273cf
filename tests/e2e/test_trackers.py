"""Real clients of trackers, and callbacks in real frameworks, in an environment of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.base_manifest import base_manifest
from tests.e2e.stack import free_port, manage, manifest
from tests.e2e.test_wheel import uv
from tests.training.conftest import CLIENT_DIR, until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.install,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("install"),
]

HERE = Path(__file__).parent
CLIENTS = (
    *("mlflow-skinny==3.17.2", "transformers==5.24.0", "xgboost-cpu==3.2.0", "lightgbm==4.7.0"),
    *("tensorboardX==2.6.5", "tensorboard==2.21.0", "wandb==0.31.0"),
    *("keras==3.15.1", "jax==0.10.2", "scikit-learn==1.9.1", "pandas==3.1.1"),
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that can import all of them, and not torch."""
    place = tmp_path_factory.mktemp("clients") / "environment"
    uv("venv", "--python", sys.executable, str(place))
    python = str(place / "bin" / "python")
    uv("pip", "install", "--python", python, *CLIENTS)
    return python


def run(tmp_path: Path, python: str, what: str, **metrics: str) -> list[dict[str, Any]]:
    """The trials of a run of one of ``tracking_trial.py``'s scripts."""
    made = base_manifest(
        "tracked",
        [python, str(HERE / "tracking_trial.py"), what, "$(params.x)"],
        maxTrialNum=2,
        maxExecSeconds=300,
        searchSpace={"x": {"_type": "uniform", "_value": [-1, 1]}},
        metrics=metrics,
        tuner={"builtinTunerName": "Random", "classArgs": {"optimize_mode": "minimize"}},
    )
    file = tmp_path / "tracked.yaml"
    file.write_text(yaml.safe_dump(made))
    answer = manage(tmp_path / "data", "run", str(file), "--json", timeout_s=300)
    logs = [path.read_text() for path in (tmp_path / "data").glob("trials/*/*.log")]
    assert answer.returncode == 0, (answer.stderr, logs)
    trials: list[dict[str, Any]] = json.loads(answer.stdout)["trials"]
    assert [trial["state"] for trial in trials] == ["SUCCEEDED"] * 2, logs
    return trials


def curve(trial: dict[str, Any], name: str = "default") -> list[tuple[Any, Any]]:
    return [(p["step"], p["value"]) for p in trial["intermediate"] if p["name"] == name]


SWEEP = """\
program: train.py
method: random
run_cap: 2
metric: {name: val.loss, goal: minimize}
parameters: {lr: {min: 0.0001, max: 0.1}}
"""
SILENT = """\
import wandb
with wandb.init(config={"lr": 1}) as run:
    for step in range(4):
        run.log({"val": {"loss": run.config.lr / (step + 1)}, "nan": float("nan")}, step=step * 5)
"""


def test_a_sweep_s_script_that_only_logs_runs_unedited(tmp_path: Path, python: str) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "train.py").write_text(SILENT)
    made = tmp_path / "tune.yaml"
    data = tmp_path / "data"
    answer = manage(data, "convert", str(tmp_path / "sweep.yaml"), "-o", str(made))
    assert answer.returncode == 0, answer.stderr
    answer = manage(data, "run", str(made), "--json", "--python", python, timeout_s=300)
    assert answer.returncode == 0, answer.stderr
    trials = json.loads(answer.stdout)["trials"]
    assert len(trials) == 2
    for trial in trials:
        lr = trial["parameters"]["lr"]
        assert curve(trial) == [(step * 5, lr / (step + 1)) for step in range(4)]
        assert curve(trial, "nan") == [(step * 5, "NaN") for step in range(4)]
        assert trial["value"] == lr / 4


def test_a_script_that_logs_to_mlflow_runs_unedited(tmp_path: Path, python: str) -> None:
    for trial in run(tmp_path, python, "mlflow", objective="loss"):
        least = (trial["parameters"]["x"] - 1) ** 2
        assert trial["value"] == least
        assert curve(trial) == [(step, least * (4 - step)) for step in range(4)]
        assert curve(trial, "f1") == [(step, "NaN") for step in range(4)]
        assert curve(trial, "fold 1/loss") == [(0, 101)]


def test_autolog_draws_curves_and_doubles_nothing(tmp_path: Path, python: str) -> None:
    for trial in run(tmp_path, python, "autolog", objective="train-rmse"):
        assert [step for step, _ in curve(trial)] == [0, 1, 2, 3, 4]
        assert trial["value"] == curve(trial)[-1][1]
        assert len(curve(trial, "training_r2_score")) == 1


def test_transformers_own_callback_switches_itself_on(tmp_path: Path, python: str) -> None:
    for trial in run(tmp_path, python, "trainer", objective="eval_loss"):
        least = (trial["parameters"]["x"] - 1) ** 2
        assert curve(trial) == [(5, 6 * least), (10, least)]
        assert curve(trial, "loss") == [(5, 0.2), (10, 0.1)]
        assert trial["value"] == least


def test_event_files_of_both_kinds_are_followed(tmp_path: Path, python: str) -> None:
    given = {"objective": "validation/epoch_loss", "tensorboard": "logs"}
    for trial in run(tmp_path, python, "tensorboard", **given):
        assert curve(trial) == [(0, 4), (1, 3), (2, 2), (3, 1)]
        assert trial["value"] == 1
        assert [step for step, _ in curve(trial, "epoch_loss")] == [0, 1, 2, 3]


# ---------------------------------------------------------------- mirrors

READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in sys.argv[1:]:
    reader = EventAccumulator(folder)
    reader.Reload()
    for tag in reader.Tags()["scalars"]:
        found.setdefault(folder, {})[tag] = [(e.step, e.value) for e in reader.Scalars(tag)]
print(json.dumps(found))
"""


@pytest.fixture
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server, in an environment of its own; its address."""
    place = tmp_path_factory.mktemp("mlflow")
    uv("venv", "--python", sys.executable, str(place / "environment"))
    python = str(place / "environment" / "bin" / "python")
    uv("pip", "install", "--python", python, "mlflow==3.17.2")
    port = free_port()
    words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = f"sqlite:///{place}/mlflow.db"
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            [python, *words, "--backend-store-uri", store],
            cwd=place,
            env={
                **os.environ,
                "PATH": f"{place}/environment/bin:{os.environ['PATH']}",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes for nothing
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _is_served(port), "MLflow's server", 300)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _is_served(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


def test_an_experiment_is_mirrored_to_mlflow_and_tensorboard(
    tmp_path: Path, python: str, mlflow_server: str
) -> None:
    file = tmp_path / "mirrored.yaml"
    file.write_text(yaml.safe_dump(manifest("mirrored", maxTrialNum=3)))
    answer = manage(
        tmp_path / "data", "run", str(file), "--json", timeout_s=200,
        AUTOTUNE_MIRROR_MLFLOW=mlflow_server, AUTOTUNE_MIRROR_TENSORBOARD=str(tmp_path / "tb"),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)

    def ask(route: str, body: Any) -> Any:
        url = f"{mlflow_server}/api/2.0/mlflow/{route}"
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as reply:
            return json.loads(reply.read())

    experiments = ask("experiments/search", {"max_results": 10})["experiments"]
    name = f"mirrored ({told['experiment']['id']})"
    (there,) = [each for each in experiments if each["name"] == name]
    runs = ask("runs/search", {"experiment_ids": [there["experiment_id"]]})["runs"]
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    finals = {
        run["info"]["run_name"]: {m["key"]: m["value"] for m in run["data"]["metrics"]}
        for run in runs
    }
    trials = told["trials"]
    assert {name: found["final/value"] for name, found in finals.items()} == {
        f"trial {trial['number']}": trial["value"] for trial in trials
    }
    folders = sorted(str(each) for each in (tmp_path / "tb").glob("*/*"))
    read = subprocess.run(
        [python, "-c", READ, *folders], capture_output=True, text=True, timeout=100, check=True
    )
    found = list(json.loads(read.stdout).values())
    for trial, scalars in zip(trials, found, strict=True):
        expected = [(step, pytest.approx(value)) for step, value in curve(trial)]
        assert [tuple(each) for each in scalars["value"]] == expected


OFFLINE = ("wandb==0.31.0", "swanlab==0.10.3", "trackio==0.43.0")
# SwanLab's own reader of its files; Trackio's own way to take in its inbox, twice.
READ_OFFLINE = """
import json, shutil, sqlite3, sys
from pathlib import Path
from swanlab.proto.swanlab.record.v1.record_pb2 import Record
from swanlab.sdk.internal.core_python.store import DataStoreReader
from trackio import fragments, utils

found = {"swanlab": {}, "trackio": {}}
for file in Path(sys.argv[1]).glob("run-*/run-*.swanlab"):
    reader, run, curve = DataStoreReader(), None, []
    reader.open(file)
    for data in reader:
        record = Record.FromString(data)
        if record.HasField("start"):
            run = record.start.name
        elif record.HasField("scalar") and record.scalar.key == "value":
            curve.append((record.scalar.step, record.scalar.value.number))
        elif record.HasField("finish"):
            state = record.finish.state
    found["swanlab"][run] = [state, curve]
inbox = utils.TRACKIO_DIR / "inbox"
shutil.copytree(inbox, utils.TRACKIO_DIR / "again")
fragments.import_inbox_dir()
fragments.import_inbox_dir(utils.TRACKIO_DIR / "again")
(database,) = utils.TRACKIO_DIR.glob("*.db")
rows = sqlite3.connect(database).execute("SELECT run_name, step, metrics FROM metrics ORDER BY id")
for run, step, metrics in rows:
    if "value" in json.loads(metrics):
        found["trackio"].setdefault(run, []).append((step, json.loads(metrics)["value"]))
print(json.dumps(found))
"""


class Wandb:
    """As much of W&B's server as its client needs to upload an offline run."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer: Any = {}
                if self.path == "/graphql":
                    answer = {"data": outer.answer(json.loads(body)["variables"])}
                elif self.path.endswith("/file_stream"):
                    outer.take(self.path.split("/")[-2], json.loads(body))
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, given: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "e", "name": "me"}
        project = {"id": "p", "name": "mirrored", "entity": entity}
        bucket = {"id": "Qg==", "name": given.get("name"), "project": project}
        if given.get("displayName"):
            self.runs[given["name"]] = {**given, "rows": {}}
        return {
            "viewer": {"id": "u", "username": "me", "entity": "me", "flags": "{}"},
            "serverInfo": {"features": []},
            "upsertBucket": {"inserted": True, "bucket": bucket},
            "createRunFiles": {"runID": "Qg==", "uploadHeaders": [], "files": []},
        }

    def take(self, run: str, given: dict[str, Any]) -> None:
        history = (given.get("files") or {}).get("wandb-history.jsonl") or {"content": []}
        for place, line in enumerate(history["content"], history.get("offset", 0)):
            self.runs[run]["rows"][place] = json.loads(line)
        if "exitcode" in given:
            self.runs[run]["exit"] = given["exitcode"]


def test_offline_runs_are_what_wandb_swanlab_and_trackio_read(tmp_path: Path) -> None:
    place = tmp_path / "environment"
    uv("venv", "--python", sys.executable, str(place))
    uv("pip", "install", "--python", str(place / "bin" / "python"), *OFFLINE)
    file, folders = tmp_path / "mirrored.yaml", [tmp_path / name for name in ("wb", "sl", "tr")]
    file.write_text(yaml.safe_dump(manifest("mirrored", maxTrialNum=3)))
    answer = manage(
        tmp_path / "data", "run", str(file), "--json", timeout_s=200,
        AUTOTUNE_MIRROR_WANDB=str(folders[0]), AUTOTUNE_MIRROR_SWANLAB=str(folders[1]),
        AUTOTUNE_MIRROR_TRACKIO=str(folders[2]),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    expected = {f"trial {t['number']}": [list(p) for p in curve(t)] for t in told["trials"]}

    wandb = Wandb()
    environment = {
        **os.environ, "HOME": str(tmp_path), "WANDB_BASE_URL": wandb.url,
        "WANDB_API_KEY": "0" * 40, "WANDB_ERROR_REPORTING": "false", "TRACKIO_DIR": str(folders[2]),
    }  # fmt: skip

    def run(*words: str) -> str:
        answer = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True,
                                text=True, timeout=120, check=False)  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    run(str(place / "bin" / "wandb"), "sync", "--yes", str(folders[0]))
    wandb.server.shutdown()
    wandb.server.server_close()
    synced = {run["displayName"]: run for run in wandb.runs.values()}
    for trial in told["trials"]:
        there = synced[f"trial {trial['number']}"]
        rows = [row for _, row in sorted(there["rows"].items())]
        found = [[row["step"], row["value"]] for row in rows if "value" in row]
        assert found == expected[there["displayName"]]
        assert [row["final/value"] for row in rows if "final/value" in row] == [trial["value"]]
        config = json.loads(there["config"])
        assert {n: config[n]["value"] for n in trial["parameters"]} == trial["parameters"]
        assert (there["groupName"], there["exit"]) == (f"mirrored-{told['experiment']['id']}", 0)

    read = json.loads(run(str(place / "bin" / "python"), "-c", READ_OFFLINE, str(folders[1])))
    assert read["swanlab"] == {name: [1, points] for name, points in expected.items()}
    assert read["trackio"] == expected


# ---------------------------------------------------------------- callbacks

DATA = """
import numpy as np
random = np.random.default_rng(0)
X, y = random.random((64, 3)), random.random(64)
"""
SCRIPTS = {
    "xgboost": """
import xgboost
from autotune_client.callbacks.xgboost import AutoTune
data = xgboost.DMatrix(X, y)
xgboost.train({"nthread": 1}, data, 8, evals=[(data, "train")], verbose_eval=False,
              callbacks=[AutoTune("train-rmse")])
""",
    "lightgbm": """
import lightgbm
from autotune_client.callbacks.lightgbm import AutoTune
data = lightgbm.Dataset(X, y)
lightgbm.train({"num_threads": 1, "verbose": -1, "metric": "l2"}, data, 8, valid_sets=[data],
               valid_names=["train"], callbacks=[AutoTune("train l2")])
""",
    "keras": """
import os
os.environ["KERAS_BACKEND"] = "jax"
import keras
from autotune_client.callbacks.keras import AutoTune
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(X, y, epochs=8, validation_split=0.5, verbose=0, callbacks=[AutoTune("val_loss")])
""",
    "transformers": """
from transformers import TrainerControl, TrainerState
from transformers.trainer_callback import CallbackHandler
from autotune_client.callbacks.transformers import AutoTune
handler = CallbackHandler([AutoTune("eval_loss")], None, None, None, None)
state, control = TrainerState(is_world_process_zero=True), TrainerControl()
handler.on_train_begin(None, state, control)
for step in range(8):
    state.global_step = step
    handler.on_log(None, state, control, {"loss": 1.0, "epoch": step})
    control = handler.on_log(None, state, control, {"eval_loss": 1 / (1 + step)})
    if control.should_training_stop:
        break
handler.on_train_end(None, state, control)
""",
}


class Told:
    """A trial API that takes reports, and says "stop" to one of them."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.stop_after = 1000
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.reports.append(json.loads(body))
                self.send_response(200)
                if len(outer.reports) >= outer.stop_after:
                    self.send_header("Autotune-Verdict", "stop")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kinds(self) -> list[str]:
        return [report["type"] for report in self.reports]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    yield told
    told.server.shutdown()
    told.server.server_close()


@pytest.mark.parametrize("framework", SCRIPTS)
def test_callbacks_report_each_step_and_stop_when_told(
    python: str, told: Told, framework: str
) -> None:
    def train() -> str:
        told.reports.clear()
        answer = subprocess.run(
            [python, "-c", DATA + SCRIPTS[framework]],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(CLIENT_DIR),
                "AUTO_TUNE_SERVER_ADDR": f"http://127.0.0.1:{told.server.server_port}/t/T",
                "TUNER_TRIAL_JOB_ID": "0abcd",
            },
            cwd="/",
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stderr

    train()
    assert told.kinds() == ["PERIODICAL"] * 8 + ["FINAL"]
    values = [json.loads(report["value"]) for report in told.reports]
    numbers = [v["default"] if isinstance(v, dict) else v for v in values]
    assert all(isinstance(number, float) for number in numbers)
    assert numbers[-1] == numbers[-2]
    assert [report["step"] for report in told.reports[:8]] == list(range(8))
    told.stop_after = 3
    train()
    assert told.kinds() == ["PERIODICAL"] * 3
