"""A trial's job to take away: what was started, without the trial's capability."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.test import Client

from experiments.access.tokens import trial_token
from experiments.models import Experiment, Trial
from experiments.rest import trials
from experiments.training.base import BackendUnavailable
from experiments.training.kubernetes.jobs import build
from experiments.trials.launching import TOKEN
from tests.web.rest import changed, errors


def task(**container: Any) -> dict[str, Any]:
    return {
        "type": "pytorch",
        "tasks": [
            {
                "type": "worker", "replicas": 2,
                "template": {"spec": {"containers": [{"name": "pytorch", **container}]}},
            }
        ],
    }  # fmt: skip


@pytest.fixture
def trial(make_experiment: Any, make_trial: Any) -> Trial:
    command = ["python3", "train.py", "--name", "a <b> 'c'"]
    env = [{"name": "DATA", "value": "$(HOME)/data"}]
    wanted = changed(trainingConfig=task(image="img:1", command=command, env=env))
    experiment: Experiment = make_experiment(manifest=wanted)
    found: Trial = make_trial(experiment, parameters={"lr": 0.1, "名": "x"})
    return found


def path(trial: Trial) -> str:
    return f"/api/v1/experiments/{trial.experiment_id}/trials/{trial.number}/job/"


def test_the_commands_of_this_machine(client: Client, trial: Trial) -> None:
    answer = client.get(path(trial))
    text = answer.content.decode()
    assert answer["Content-Type"] == "application/yaml; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="sample-trial-0.yaml"'
    assert text.splitlines()[1] == '# {"lr": 0.1, "名": "x"}'
    first, second = yaml.safe_load_all(text)
    assert (first["replica"], second["replica"]) == ("worker-0", "worker-1")
    assert first["command"][0].endswith("/python3")
    assert first["command"][1:] == ["train.py", "--name", "a <b> 'c'"]
    assert first["env"]["DATA"].endswith("/data")
    assert (first["env"]["RANK"], second["env"]["RANK"]) == ("0", "1")
    assert first["env"]["TUNER_TRIAL_JOB_ID"] == trial.key
    assert first["env"]["AUTO_TUNE_SERVER_ADDR"].endswith(f"/t/{TOKEN}")
    assert "HOME" not in first["env"]  # what every process here has
    assert trial_token(trial).rpartition(".")[2] not in text


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_no_parameter_ends_the_comment_that_names_it(
    client: Client, trial: Trial, end: str
) -> None:
    Trial.objects.update(parameters={"lr": f"x{end}kind: Pod{end}"})
    text = client.get(path(trial)).content.decode()
    first, _second = yaml.safe_load_all(text)
    assert "kind" not in first
    assert end not in text


def test_the_objects_of_a_cluster(
    client: Client, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cluster:
        def documents(self, launch: Any) -> list[dict[str, Any]]:
            return build(launch, "tensorstack")[0]

    monkeypatch.setattr(trials, "backend", Cluster)
    (job,) = yaml.safe_load_all(client.get(path(trial)).content)
    assert job["kind"] == "PyTorchTrainingJob"
    assert job["metadata"]["name"] == f"at-{trial.experiment_id}-0-1"
    assert "activeDeadlineSeconds" not in yaml.safe_dump(job)
    assert TOKEN in yaml.safe_dump(job)


def test_what_cannot_be_said_is_said_why(
    client: Client, stranger: Client, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stranger.get(path(trial)).status_code == 401
    assert client.get(path(trial).replace("/trials/0/", "/trials/7/")).status_code == 404
    manifest = trial.experiment.manifest
    manifest["spec"]["trainingConfig"] = task(image="img:1", command=["no-such-program"])
    trial.experiment.save()
    answer = client.get(path(trial))
    assert answer.status_code == 409
    assert "command not found: no-such-program" in errors(answer)[""]
    manifest["spec"]["trainingConfig"] = task(image="img:1", nonsense=3)
    manifest["spec"]["maxTrialNum"] = "many"
    trial.experiment.save()
    answer = client.get(path(trial))
    assert answer.status_code == 409
    assert "spec.maxTrialNum" in errors(answer)[""]

    class Away:
        def documents(self, launch: Any) -> list[dict[str, Any]]:
            raise BackendUnavailable("the cluster cannot be reached")

    monkeypatch.setattr(trials, "backend", Away)
    manifest["spec"]["maxTrialNum"] = 3
    manifest["spec"]["trainingConfig"] = task(image="img:1", command=["python3"])
    trial.experiment.save()
    assert client.get(path(trial)).status_code == 503
