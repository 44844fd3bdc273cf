"""NNI, Katib, W&B and our own exports; files that are none of these."""

from __future__ import annotations

import json
import pickle
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiments.algorithms.space.search_space import SearchSpace
from experiments.states import TrialState
from tests.convert.given import NNI_1, NNI_2
from tests.earlier.given import (
    FILES,
    KATIB,
    SWEEP,
    WANDB,
    imported,
    nni_file,
    refusal,
    written,
)


def test_the_database_of_a_real_nni_experiment(tmp_path: Path) -> None:
    file = nni_file(tmp_path)
    (study,) = imported(file)
    assert (study.name, study.optimize_mode) == ("real nni", "minimize")
    assert [t.number for t in study.trials] == list(range(8))
    states = [t.state for t in study.trials]
    assert states.count(TrialState.SUCCEEDED) == 5
    assert states.count(TrialState.FAILED) == 3
    space = SearchSpace.parse(study.space)
    assert all(space.holds(t.parameters) for t in study.trials)
    with sqlite3.connect(file) as raw:
        rows = raw.execute("SELECT type, data FROM MetricData").fetchall()
    raw.close()
    told = [json.loads(json.loads(data)) for kind, data in rows if kind == "PERIODICAL"]
    assert sorted(r.value for t in study.trials for r in t.reports) == sorted(told)
    finals = [json.loads(json.loads(data)) for kind, data in rows if kind == "FINAL"]
    assert sorted(t.value for t in study.trials if t.value is not None) == sorted(
        f["default"] for f in finals
    )
    done = [t for t in study.trials if t.state == TrialState.SUCCEEDED]
    assert all([r.sequence for r in t.reports] == [0, 1, 2, 3] for t in done)
    assert all(t.metrics["acc"] == 1 - t.metrics["default"] for t in done)
    assert all(t.started_at < t.reports[0].time < t.finished_at for t in done)  # type: ignore[operator]
    assert study.manifest is not None  # a clone runs the same command


def test_an_export_of_nni_as_json_and_as_csv(tmp_path: Path) -> None:
    space = {
        "lr": {"_type": "uniform", "_value": [0, 1]},
        "layers": {"_type": "randint", "_value": [1, 5]},
        "act": {
            "_type": "choice",
            "_value": [
                {"_name": "relu"},
                {"_name": "elu", "alpha": {"_type": "loguniform", "_value": [0.01, 1]}},
            ],
        },
    }
    (beside,) = written(tmp_path, search_space__json=json.dumps(space))
    (study,) = imported(FILES / "nni-export.json", beside, mode="minimize")
    assert study.space == space
    assert study.trials[0].value == 1.3302979225976372
    assert {"_name": "elu", "alpha": 0.013231388638222145} in [
        t.parameters["act"] for t in study.trials
    ]
    (alone,) = imported(FILES / "nni-export.json")
    assert [p.message.split(":")[0] for p in alone.left] == [
        "The search space is read from the values of the trials.",
        "The file does not say which way is better",
    ]
    guessed = SearchSpace.parse(alone.space)
    assert all(guessed.holds(t.parameters) for t in alone.trials)
    # as nnictl writes it, with DictWriter
    table = (
        "layers,intermediate,lr,act,reward,trialJobId\n"
        "1,\"['2.0','1.5']\",0.25,{'_name': 'relu'},1.25,KqcIb\n"
        "3,[],0.5,\"{'_name': 'elu', 'alpha': 0.5}\",nan,pi6QR\n"
    )
    (file,) = written(tmp_path, results__csv=table)
    (study,) = imported(file, beside, mode="minimize")
    first, second = study.trials
    assert first.parameters == {"layers": 1, "lr": 0.25, "act": {"_name": "relu"}}
    assert (first.value, [r.value for r in first.reports]) == (1.25, [2.0, 1.5])
    assert second.state == TrialState.FAILED


def test_katibs_trials_with_their_experiment(tmp_path: Path) -> None:
    (file,) = written(tmp_path, all__yaml=KATIB)
    (study,) = imported(file)
    assert (study.name, study.optimize_mode) == ("random", "minimize")
    failed, good, stopped = study.trials
    assert failed.state == TrialState.FAILED
    assert failed.reason == "pod failed: OOMKilled"
    assert good.parameters == {"lr": 0.02, "layers": 3, "opt": "1"}  # text, as the space says
    assert good.value == 0.29  # Katib's default: the least
    assert good.metrics == {"default": 0.29, "accuracy": 0.91}
    assert good.started_at == datetime(2024, 3, 2, 10, 0, 10, tzinfo=UTC)
    assert (stopped.state, stopped.value) == (TrialState.EARLY_STOPPED, 0.45)
    space = SearchSpace.parse(study.space)
    assert all(space.holds(t.parameters) for t in study.trials)
    assert study.manifest is not None
    trials = KATIB.partition("  status: {trials: 3}\n")[2]
    (alone,) = written(tmp_path, trials__yaml=f"apiVersion: v1\nkind: List\nitems:\n{trials}")
    (study,) = imported(alone, mode="minimize", objective="loss")
    assert "read from the values" in study.left[0].message


def test_a_table_of_wandb_with_its_sweep_or_with_words(tmp_path: Path) -> None:
    table, sweep = written(tmp_path, runs__csv=WANDB, sweep__yaml=SWEEP)
    (study,) = imported(table, sweep)
    assert study.optimize_mode == "minimize"
    killed, done, crashed = study.trials  # the oldest first
    assert done.parameters == {"lr": 0.001, "opt": "adam", "optimizer.beta": 0.9}
    assert (done.value, done.metrics) == (0.25, {"epoch": 9, "default": 0.25})
    assert done.started_at == datetime(2024, 3, 2, 10, 0, tzinfo=UTC)
    assert done.finished_at == datetime(2024, 3, 2, 10, 1, 1, 500000, tzinfo=UTC)
    assert (killed.state, crashed.state) == (TrialState.CANCELED, TrialState.FAILED)
    words = refusal(table)
    assert "which of these are parameters: opt, lr, optimizer.beta, epoch, val_loss" in words
    assert "has no column 'x'" in refusal(table, parameters=("x",))
    words = refusal(table, parameters=("lr", "opt"))
    assert "Nothing says what decides" in words
    (study,) = imported(table, parameters=("lr", "opt"), objective="val_loss", mode="minimize")
    assert study.space["opt"] == {"_type": "choice", "_value": ["adam", "sgd"]}


def test_the_table_of_a_sweeps_page_with_its_sweep(tmp_path: Path) -> None:
    """As the page exports it: more columns than were asked for, one of them twice."""
    sweep = (
        "method: random\nprogram: train.py\nmetric: {name: val_loss, goal: minimize}\nparameters:\n"
        "  lr: {values: [0.00001, 0.0001, 0.001]}\n  batch_size: {values: [8, 16]}\n"
        "  model_type: {values: [wide, deep]}\n  pretrained: {values: [true, false]}\n"
        "  epochs: {value: 100}\n  seed: {value: 7}\n  hidden: {min: 1, max: 4}\n"
    )
    (beside,) = written(tmp_path, sweep__yaml=sweep)
    (study,) = imported(FILES / "wandb-runs.csv", beside)
    assert [(t.state, t.value) for t in study.trials] == [
        (TrialState.SUCCEEDED, 0.00061),
        (TrialState.CANCELED, None),
        (TrialState.FAILED, None),
        (TrialState.SUCCEEDED, 0.0007360102608799934),
    ]
    first = study.trials[0]
    assert first.parameters == {
        "lr": 0.00001, "batch_size": 8, "model_type": "deep", "pretrained": True,
        "epochs": 100, "seed": 7,
    }  # fmt: skip
    assert (first.metrics["epochs (2)"], first.metrics["eval/top 1"]) == (99, 0.89)
    space = SearchSpace.parse(study.space)
    assert all(space.holds(t.parameters) for t in study.trials)
    assert "no column of these parameters: hidden." in study.left[0].message
    (study,) = imported(FILES / "wandb-runs.csv", beside, parameters=("lr",), objective="val_loss")
    assert study.trials[0].parameters == {"lr": 0.00001}


def test_a_chart_of_wandb_is_told_from_its_table(tmp_path: Path) -> None:
    chart = '"Step","calm-1 - loss","calm-1 - loss__MIN","calm-1 - loss__MAX"\n"0","1","1","1"\n'
    (file,) = written(tmp_path, chart__csv=chart)
    assert "chart.csv is a chart of W&B's" in refusal(file)


def test_what_kubectl_gets_of_katib_with_all_that_stands_in_it() -> None:
    (study,) = imported(FILES / "kubectl-get.yaml")
    assert (study.name, study.optimize_mode) == ("tune-cnn", "maximize")
    best, lost, running = study.trials
    assert best.parameters == {
        "lr": 0.011227364540872585, "num-layers": 3, "optimizer": "adam", "scale": 0.5,
    }  # fmt: skip
    assert best.metrics == {"default": 0.9731, "train-loss": 0.0903}  # max, latest, as it says
    assert (lost.state, lost.reason) == (TrialState.FAILED, "There is no final result.")
    assert running.state == TrialState.CANCELED
    space = SearchSpace.parse(study.space)
    assert all(space.holds(t.parameters) for t in study.trials)
    assert study.manifest is not None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty", b"", "is empty"),
        ("a.pkl", pickle.dumps({"x": 1}), "is a pickle, which is never opened"),
        ("study.pkl.gz", b"\x1f\x8b\x08\x00rest", "is compressed"),
        ("noise", bytes(range(128, 200)), "is neither text in UTF-8 nor a SQLite file"),
        ("a.txt", b"hello, world\n1,2\n", "There are no results in a.txt"),
        ("a.json", b'{"a": [1, 2]}', "There are no results in a.json"),
        ("a.yaml", NNI_2.encode(), "is an NNI configuration: it holds no results"),
        ("b.yaml", NNI_1.encode(), "is an NNI configuration: it holds no results"),
        ("cut.db", b"SQLite format 3\x00" + b"\x01" * 90, "damaged, or none"),
        ("bomb.yaml", b"a: &a [x]\n" + b"b: [*a, *a]\n", "There are no results in bomb.yaml"),
        ("deep.json", b"[" * 100_000, "There are no results in deep.json"),
        ("twice.csv", b"number,id,state,value,value\n1,a,FAILED,,\n", "'value' is there twice"),
        ("short.csv", b"number,id,state,value\n1,a\n", "Line 2 has 2 cells, but there are 4 names"),
    ],
)
def test_wrong_files_are_told_by_what_is_in_them(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert said in refusal(file)


def test_a_sqlite_file_that_is_no_storage_names_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE customers (a)")
        connection.execute("CREATE VIEW studies AS SELECT 1")
    connection.close()
    words = refusal(file)
    assert "neither an Optuna storage nor NNI's database. Its tables: customers" in words


def test_a_file_with_results_stands_alone_but_for_its_configuration(tmp_path: Path) -> None:
    table, stray = written(tmp_path, runs__csv=WANDB, other__txt="hello")
    assert "other.txt is no configuration" in refusal(table, stray)
    assert "Each of these holds results" in refusal(table, FILES / "nni-export.json")
