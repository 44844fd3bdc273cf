"""The command that runs a trial's parameters by hand: what a shell makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from tests.web.rest import changed
from tests.web.test_trial_job import task

PARAMETERS = {"lr": 0.1, "名": "it's $(x) `y`", "opt": {"_name": "sgd", "momentum": 0.9}}


@pytest.fixture
def trial(make_experiment: Any, make_trial: Any, tmp_path: Path) -> Trial:
    show = "import os, json, sys; print(json.dumps([os.getcwd(), os.environ['NAME'], *sys.argv]))"
    wanted = changed(
        trainingConfig=task(
            command=[sys.executable, "-c", show, "--lr", "$(params.lr)"],
            args=["$(params)", "$HOME; exit 3"],
            env=[
                {"name": "NAME", "value": "a b"},
                {"name": "HOME2", "value": "$(HOME)/x"},  # only known where it runs
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            workingDir=str(tmp_path),
        )
    )
    experiment: Experiment = make_experiment(manifest=wanted)
    found: Trial = make_trial(experiment, parameters=PARAMETERS)
    return found


def command(client: Client, trial: Trial) -> Any:
    return client.get(f"/api/v1/experiments/{trial.experiment_id}/trials/{trial.number}/command/")


def test_a_shell_runs_it_with_every_word_as_it_is(
    client: Client, trial: Trial, tmp_path: Path
) -> None:
    answer = command(client, trial)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    done = subprocess.run(
        ["sh", "-c", answer.content.decode()], capture_output=True, text=True, check=True
    )
    directory, name, _c, *words = json.loads(done.stdout)
    assert (directory, name) == (str(tmp_path), "a b")
    assert words == ["--lr", "0.1", json.dumps(PARAMETERS, ensure_ascii=False), "$HOME; exit 3"]


def test_the_client_takes_the_parameters_from_it(client: Client, trial: Trial) -> None:
    line = command(client, trial).content.decode()
    given = line[line.index("AUTOTUNE_PARAMETERS=") :].partition(f" {sys.executable} ")[0]
    code = "import autotune_trial as t, json; print(json.dumps(t.get_parameters({'more': 1})))"
    there = Path(__file__).parents[2] / "experiments" / "training" / "client"
    done = subprocess.run(
        ["sh", "-c", f'{given} {sys.executable} -c "{code}"'], env={"PYTHONPATH": str(there)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"more": 1, **PARAMETERS}


def test_strangers_see_none(stranger: Client, trial: Trial) -> None:
    assert command(stranger, trial).status_code == 401
