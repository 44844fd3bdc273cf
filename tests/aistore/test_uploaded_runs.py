"""What stands in AIStore afterwards: the folder, its Runs, the best, the AutoTune node."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.utils import timezone

from experiments.access.tokens import trial_token
from experiments.aistore import outbox
from experiments.models import Experiment, Metric
from experiments.services import actions
from experiments.states import TrialState
from experiments.trials import changes
from tests.aistore.conftest import (
    MakeTrial,
    card,
    finish,
    labels,
    report,
    row_of,
    the_folder,
    upload,
)
from tests.aistore.server import FakeAIStore

# ---- what arrives


def test_an_experiment_arrives_as_a_folder_of_runs(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    good = end_trial(running, 0.75)
    bad = end_trial(running, None, to=TrialState.FAILED, reason="Exit code 3.", curve=())
    upload(running)
    folder = the_folder(aistore)
    assert folder == f"/alice/results/sample_{int(running.started_at.timestamp())}"
    assert aistore.nodes[folder]["labels"] == ["autotune", f"id:{running.pk}", "name:sample"]
    assert set(aistore.below(folder)) == {
        f"{folder}/trial-0000-{good.key}",
        f"{folder}/trial-0001-{bad.key}",
    }
    run = aistore.nodes[f"{folder}/trial-0000-{good.key}"]
    files = aistore.objects_of(f"{folder}/trial-0000-{good.key}")
    metadata = yaml.safe_load(files["metadata.yaml"])
    assert (run["type"], run["storageType"]) == ("Run", 2)
    assert json.loads(run["extra"]) == {"alternativeName": metadata["alternativeName"]}
    assert yaml.safe_load(files["hyperparameters.yaml"]) == good.parameters
    curve = yaml.safe_load(files["metrics/val.yaml"])
    assert [p["value"]["default"] for p in curve] == [0.25, 1e-05]
    assert [p["sequence"]["step"] for p in curve] == [100, 200]
    (final,) = yaml.safe_load(files["metrics/test.yaml"])
    assert (final["value"], final["sequence"]["step"]) == ({"default": 0.75}, 200)
    failed = yaml.safe_load(aistore.objects_of(f"{folder}/trial-0001-{bad.key}")["metadata.yaml"])
    assert failed["status"] == "Error"
    assert "Exit code 3." in failed["description"]


def test_metadata_is_the_last_object_of_a_run(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    upload(running)
    keys = [path.rpartition("/")[2] for path in aistore.objects]
    assert keys[-1] == "metadata.yaml"


def test_the_end_of_a_trials_log_goes_along(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, settings: Any
):
    name = f"at-{running.pk}-0-1"
    directory = settings.TRIALS_DIR / name
    directory.mkdir(parents=True)
    log = b"".join(b"line %d\n" % n for n in range(60_000))
    (directory / "worker-0.log").write_bytes(log)
    trial = end_trial(running, handle={"name": name, "replicas": ["worker-0"]})
    upload(running)
    sent = aistore.objects[f"{row_of(trial).node_path}/stdout.log"]
    first, _, rest = sent.partition(b"\n")
    assert first == b"[earlier output is left out]"
    assert len(sent) < 260 * 1024
    assert log.endswith(rest)
    assert rest.startswith(b"line ")


def test_no_token_goes_along_with_a_log(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, settings: Any
):
    name = f"at-{running.pk}-0-1"
    directory = settings.TRIALS_DIR / name
    directory.mkdir(parents=True)
    trial = end_trial(running, handle={"name": name, "replicas": ["worker-0"]})
    token = trial_token(trial)
    (directory / "worker-0.log").write_text(f"channel: http://127.0.0.1:1/n/{token}\n")
    upload(running)
    sent = aistore.objects[f"{row_of(trial).node_path}/stdout.log"].decode()
    named, _, signature = token.rpartition(".")
    assert sent == f"channel: http://127.0.0.1:1/n/{named}.{'*' * len(signature)}\n"
    assert all(signature.encode() not in data for data in aistore.objects.values())


def test_not_finite_values_do_not_stop_a_run(
    running: Experiment, make_trial: MakeTrial, aistore: FakeAIStore
):
    trial = make_trial(running, state=TrialState.RUNNING, started_at=timezone.now())
    report(trial, Metric.Kind.PERIODICAL, 0, "NaN", step=1)
    report(trial, Metric.Kind.PERIODICAL, 1, 0.5, step=2)
    trial.move(TrialState.FAILED, finished_at=timezone.now())
    upload(running)
    curve = yaml.safe_load(aistore.objects[f"{row_of(trial).node_path}/metrics/val.yaml"])
    assert [p["value"] for p in curve] == [{"default": 0.5}]
    assert "default (NaN)" in aistore.nodes[row_of(trial).node_path]["description"]


@pytest.mark.parametrize("tells_path", [True, False])
def test_it_does_not_need_info_to_tell_paths(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, tells_path: bool
):
    aistore.tells_path = tells_path
    end_trial(running)
    upload(running)
    assert card(running)["state"] == "done", card(running)
    assert len(aistore.below(the_folder(aistore))) == 1


# ---- the best, the end


def test_the_label_of_the_best_moves_with_the_best(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    first = end_trial(running, 0.5)
    changes.update_best(running)
    upload(running)
    assert labels(aistore, first)[-1] == "best"
    second = end_trial(running, 0.9)
    changes.update_best(running)
    upload(running)
    assert "best" not in labels(aistore, first)
    assert labels(aistore, second)[-1] == "best"
    actions.set_excluded(second, True)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert (labels(aistore, first)[-1], "best" in labels(aistore, second)) == ("best", False)
    actions.set_excluded(first, True)  # now there is none
    upload(running)
    assert "best" not in labels(aistore, first)
    assert outbox.due_ids() == []


def test_the_folder_tells_the_end(running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore):
    end_trial(running, 0.5)
    best = end_trial(running, 0.9)
    upload(running)
    described = aistore.nodes[the_folder(aistore)]
    assert described["description"] == "RUNNING."
    finish(running)
    assert outbox.due_ids() == [running.pk]
    upload(running)
    assert described["description"] == (
        f"DONE. Best: trial 1 ({best.key}) with 0.9. Trials: 2 SUCCEEDED."
    )
    assert outbox.due_ids() == []
    n = len(aistore.requests)
    upload(running)  # a second message changes nothing
    assert [r for r in aistore.requests[n:] if r[0] != "GET"] == []


def test_one_event_says_that_all_is_there(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    upload(running)
    assert not running.events.filter(what="uploaded").exists()
    end_trial(running)
    finish(running)
    upload(running)
    upload(running)
    assert running.events.get(what="uploaded").reason == "All 2 runs are in AIStore."


# ---- the AutoTune node


def test_the_original_form_is_written_at_the_end_where_asked_for(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore, settings: Any
):
    settings.AISTORE_ORIGINAL_NODE = True
    trial = end_trial(running, 0.75)
    upload(running)
    finish(running)
    upload(running)
    folder = the_folder(aistore)
    node = f"{folder}/{folder.rpartition('/')[2]}"
    assert (aistore.nodes[node]["type"], aistore.nodes[node]["storageType"]) == ("AutoTune", 2)
    files = aistore.objects_of(node)
    assert set(files) == {
        "profile.json",
        f"{trial.key}/metadata.json",
        f"{trial.key}/metrics.yaml",
    }
    assert json.loads(files["profile.json"])["searchSpace"]["lr"]["_type"] == "loguniform"
    metadata = json.loads(files[f"{trial.key}/metadata.json"])
    assert metadata["parameters"]["parameters"] == trial.parameters
    assert [
        (r["type"], r["step"], r["value"])
        for r in yaml.safe_load(files[f"{trial.key}/metrics.yaml"])
    ] == [("PERIODICAL", 100, 0.25), ("PERIODICAL", 200, 1e-05), ("FINAL", 0, 0.75)]
    assert outbox.due_ids() == []


def test_the_original_form_is_off_by_default(
    running: Experiment, end_trial: MakeTrial, aistore: FakeAIStore
):
    end_trial(running)
    finish(running)
    upload(running)
    assert {n["type"] for n in aistore.nodes.values()} == {"Folder", "Run"}
