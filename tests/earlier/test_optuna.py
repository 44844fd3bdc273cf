"""Optuna's storages: every value as Optuna itself read it back, of three releases."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from experiments.algorithms.space.flat import flat
from experiments.algorithms.space.search_space import SearchSpace
from experiments.earlier.study import PastTrial
from experiments.states import TrialState
from tests.earlier.given import OPTUNAS, imported, optuna_file, optuna_told, refusal

MAIN = "ünï study"


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the files were made: Optuna 3 and 4 keep local times."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def number(value: float) -> Any:
    return value if math.isfinite(value) else repr(value)


def told_of(trial: PastTrial) -> dict[str, Any]:
    """A trial in the words of ``files/make_optuna.py``."""
    parameters = {name.rpartition(".")[2]: v for name, v in flat(trial.parameters).items()}
    return {
        "params": parameters,
        "intermediate": {str(int(r.step or 0)): number(r.value) for r in trial.reports},
        "start": trial.started_at,
        "complete": trial.finished_at,
    }


@pytest.mark.parametrize("release", OPTUNAS)
@pytest.mark.parametrize("kind", ["db", "log"])
def test_all_values_are_as_optuna_reads_them(
    release: str, kind: str, tmp_path: Path, in_utc: None
) -> None:
    studies = imported(optuna_file(release, kind, tmp_path), all_studies=True, objective="0")
    expected = optuna_told(release, kind)
    assert [study.name for study in studies] == list(expected)  # a deleted one is gone
    states = {"COMPLETE": "SUCCEEDED", "PRUNED": "EARLY_STOPPED", "FAIL": "FAILED",
              "RUNNING": "CANCELED"}  # fmt: skip
    for study in studies:
        rows = [row for row in expected[study.name]["trials"] if row["state"] != "WAITING"]
        assert [trial.number for trial in study.trials] == [row["number"] for row in rows]
        assert study.optimize_mode == expected[study.name]["directions"][0].lower()
        for trial, row in zip(study.trials, rows, strict=True):
            found = told_of(trial)
            start, complete = (
                row[name] and datetime.fromisoformat(row[name]).astimezone()
                for name in ("start", "complete")
            )
            assert found == {
                "params": {k: json.dumps(v) if found["params"][k] == json.dumps(v) else v
                           for k, v in row["params"].items()},
                "intermediate": row["intermediate"],
                "start": start, "complete": complete,
            }  # fmt: skip
            values = row["values"]
            if row["state"] == "COMPLETE" and isinstance(values[0], float):
                assert trial.value == values[0]
                assert trial.state == states[row["state"]]
                others = {f"objective {i}": v for i, v in enumerate(values) if i}
                assert trial.metrics == {"default": values[0], **others}
            elif row["state"] == "COMPLETE":  # infinite
                assert trial.state == TrialState.FAILED
                assert "not a finite number" in trial.reason
            else:
                assert trial.state == states[row["state"]]
            if trial.state == TrialState.EARLY_STOPPED:
                assert trial.value == [v for v in row["intermediate"].values() if v != "nan"][-1]
            assert bool(trial.excluded) == any(c > 0 for c in row["constraints"] or ())


@pytest.mark.parametrize("release", OPTUNAS)
def test_conditional_parameters_become_branches(release: str, tmp_path: Path) -> None:
    (study,) = imported(optuna_file(release, "db", tmp_path), studies=(MAIN,))
    svm, forest, *plain = study.space["model"]["_value"]
    assert (svm["_name"], forest["_name"], plain) == ("svm", "forest", [None, 3, True])
    assert svm["kernel"]["_value"][1]["degree"] == {"_type": "randint", "_value": [2, 6]}
    assert study.space["lr"] == {"_type": "loguniform", "_value": [1e-5, 0.1]}
    assert study.space["even"] == {"_type": "choice", "_value": [2, 4, 6, 8, 10]}
    space = SearchSpace.parse(study.space)
    assert all(space.holds(trial.parameters) for trial in study.trials)


def test_optuna_5_keeps_utc_and_older_ones_local_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_utc: None
) -> None:
    def first_start(release: str) -> float:
        (study,) = imported(optuna_file(release, "db", tmp_path), studies=(MAIN,))
        assert study.trials[0].started_at is not None
        return study.trials[0].started_at.timestamp()

    before = [first_start(release) for release in OPTUNAS]
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    hours = [(old - first_start(r)) / 3600 for old, r in zip(before, OPTUNAS, strict=True)]
    assert hours == [8, 8, 0]


def test_several_studies_or_objectives_must_be_chosen(tmp_path: Path) -> None:
    file = optuna_file("5.0.0", "db", tmp_path)
    words = refusal(file)
    assert "3 studies: ünï study, second, two" in words
    assert "--study NAME" in words
    assert "There is no study 'third'" in refusal(file, studies=("third",))
    words = refusal(file, studies=("two",))
    assert "has 2 objectives; an experiment here has one" in words
    assert "--objective NUMBER" in words
    (study,) = imported(file, studies=("two",), objective="1")
    assert study.optimize_mode == "maximize"
    assert "Of 2 objectives number 1 decides" in study.left[0].message


def changed(file: Path, *statements: str) -> Path:
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return file


def test_schemas_of_other_times_are_named(tmp_path: Path) -> None:
    file = optuna_file("4.5.0", "db", tmp_path)
    changed(file, "UPDATE version_info SET schema_version = 13, library_version = '9.1.0'")
    assert "schema 13 of Optuna 9.1.0; known here is 12" in refusal(file, studies=(MAIN,))
    changed(file, "UPDATE version_info SET schema_version = 11, library_version = '2.10'")
    assert "optuna storage upgrade" in refusal(file, studies=(MAIN,))
    changed(file, "DELETE FROM version_info")
    assert "does not say of which version" in refusal(file, studies=(MAIN,))


def test_rows_that_optuna_does_not_write_are_refused_in_words(tmp_path: Path) -> None:
    for statement in (
        "UPDATE trial_params SET distribution_json = '{\"a\": 1}'",
        "UPDATE trial_params SET distribution_json = 'x'",
        "UPDATE trial_values SET value_type = 'HUGE'",
        "UPDATE trial_intermediate_values SET step = 'x' WHERE step = 10 AND trial_id = 1",
        "UPDATE trial_params SET param_value = 99 WHERE param_name = 'model'",
        "DROP TABLE trial_intermediate_values",
    ):
        file = optuna_file("5.0.0", "db", tmp_path)
        assert refusal(changed(file, statement), studies=(MAIN,)), statement


def test_a_database_in_use_is_read_beside_its_writer(tmp_path: Path) -> None:
    file = optuna_file("4.5.0", "db", tmp_path)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE studies SET study_name = 'renamed' WHERE study_name = 'second'")
    assert Path(f"{file}-wal").stat().st_size
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM studies")
    (study,) = imported(file, studies=("renamed",))
    assert len(study.trials) == 11
    writer.execute("ROLLBACK")
    writer.close()


def test_a_database_whose_directory_cannot_be_written_is_read(tmp_path: Path) -> None:
    file = optuna_file("4.5.0", "db", tmp_path)
    changed(file, "PRAGMA journal_mode = WAL")
    before = sorted(os.listdir(tmp_path)), file.read_bytes()
    (study,) = imported(file, studies=("second",))
    assert len(study.trials) == 11
    assert file.read_bytes() == before[1]  # nothing is written into it


def test_a_locked_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.earlier.sqlite_files.BUSY_S", 0.05)
    file = optuna_file("4.5.0", "db", tmp_path)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert "Another program has locked the SQLite file" in refusal(file, studies=("second",))
    writer.close()


def test_a_journal_that_breaks_off_counts_up_to_there(tmp_path: Path) -> None:
    file = optuna_file("5.0.0", "log", tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:40]) + lines[40][:10])
    (study,) = imported(file)
    assert study.name == MAIN
    file.write_bytes(lines[0] + lines[1][:10] + b"\n" + lines[2])
    assert "Line 2 of the journal is not JSON" in refusal(file)
    for line in (
        b'{"op_code": 99, "worker_id": "x"}\n',
        b'{"op_code": 5, "worker_id": "x"}\n',
        b'{"op_code": 6, "worker_id": "x", "trial_id": 7, "state": 1}\n',
        b"[]\n",
    ):
        file.write_bytes(lines[0] + line)
        assert "Line 2 of the journal is no operation" in refusal(file), line
