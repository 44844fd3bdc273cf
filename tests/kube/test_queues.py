"""Queues of a shared cluster: what waits costs neither time nor trials, on every engine."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments.models import Experiment
from experiments.training.kubernetes import queues
from experiments.trials.ends import WAS_DISRUPTED
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive, experiment, tasks
from tests.kube.kueue import WITHOUT_ROOM, Kueue

pytestmark = pytest.mark.usefixtures("kubelet", "trial_url")

QUEUE = "kueue.x-k8s.io/queue-name"
LABELS = {QUEUE: "team-a", "kueue.x-k8s.io/priority-class": "low", "team": "a"}
ONE = {"worker": 1}
DAY = timedelta(days=1)


def waits(row: Experiment, words: str) -> bool:
    """Whether all of its trials wait, for this reason, and no time passes."""
    row.refresh_from_db()
    trials = list(row.trials.all())
    held = trials and all(t.state == "WAITING" and words in t.reason for t in trials)
    return bool(held and row.active_seconds_at(timezone.now() + DAY) < 300)


@pytest.mark.parametrize("engine", ["trainer", "batch", "kubeflow", "jobset"])
def test_a_queue_holds_lets_go_and_takes_away(
    engine: str, namespace: str, use_engine: Any, kueue: Kueue
):
    use_engine(engine)
    types = {"master": 1, "worker": 1} if engine == "jobset" else ONE  # held as one
    rows = tasks("pytorch", types, 1.5)
    row = experiment(namespace, "pytorch", rows, labels=LABELS, maxTrialNum=3, trialConcurrency=2)
    drive(row, lambda: waits(row, WITHOUT_ROOM), "Kueue's reason")
    trial = row.trials.first()
    assert trial.reason.startswith("It waits in the queue 'team-a' (Kueue). Pending: ")
    assert trial.started_at is None
    labels = kueue.jobs(namespace)[0]["metadata"]["labels"]
    assert {key: value for key, value in labels.items() if key in LABELS} == {
        key: value for key, value in LABELS.items() if key != "team"
    }

    kueue.room[namespace] = 1
    drive(row, lambda: row.trials.filter(n_reports__gt=0).exists(), "a first report")
    (evicted,) = kueue.admitted(namespace)
    kueue.evict(namespace, evicted)
    drive(row, lambda: row.events.filter(data__has_key=WAS_DISRUPTED).exists(), "the eviction")
    drive(row)
    assert row.phase == "DONE", row.message
    states = list(row.trials.values_list("state", flat=True))
    assert states == ["SUCCEEDED"] * 3
    again = row.events.get(data__has_key=WAS_DISRUPTED)
    assert "(Kueue). Preempted: Preempted to accommodate" in again.reason
    assert sum(trial.attempt - 1 for trial in row.trials.all()) == 1


def test_jobs_of_every_engine_and_replica_have_the_labels_of_the_queue(
    namespace: str, use_engine: Any, kueue: Kueue, control_plane: ControlPlane
):
    kinds = {"tensorstack": "tensorflowtrainingjobs", "kubeflow": "tfjobs"}
    kinds |= {"jobset": "jobsets", "batch": "jobs"}
    types = {"chief": 1, "worker": 2}
    for engine, kind in kinds.items():
        use_engine(engine)
        rows = tasks("tensorflow", types, 600)
        row = experiment(namespace, "tensorflow", rows, labels=LABELS, maxTrialNum=1)
        drive(row, lambda row=row: row.trials.filter(handle__isnull=False).exists(), "its jobs")
        found = json.loads(control_plane.kubectl("get", kind, "-n", namespace, "-o", "json"))
        labels = [job["metadata"]["labels"] for job in found["items"]]
        assert len(labels) == (3 if engine == "batch" else 1)
        assert {each[QUEUE] for each in labels} == {"team-a"}
        Experiment.objects.filter(pk=row.pk).update(deleting=True)
        drive(row, lambda row=row: not Experiment.objects.filter(pk=row.pk).exists(), "its end")


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"nodeSelector": {"disk": "none"}}, "Unschedulable: 0/1 nodes are available"),
        ({"schedulerName": "volcano"}, "the scheduler volcano has found no node"),
    ],
)
def test_what_no_node_takes_costs_no_time(
    pod: dict[str, Any],
    words: str,
    namespace: str,
    use_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(queues, "UNPLACED_S", 0.5)
    use_engine("batch")
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE, **pod), maxTrialNum=1)
    drive(row, lambda: waits(row, words), words)
    Experiment.objects.filter(pk=row.pk).update(finish_requested=True)
    drive(row)
    assert list(row.trials.values_list("state", flat=True)) == ["CANCELED"]


def test_without_quota_for_a_single_pod_no_time_passes(
    namespace: str,
    use_engine: Any,
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(queues, "UNPLACED_S", 0.5)
    control_plane.kubectl("create", "quota", "none", "-n", namespace, "--hard=pods=0")
    use_engine("batch")
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE), maxTrialNum=1)
    drive(row, lambda: waits(row, "exceeded quota"), "the quota's words")
    Experiment.objects.filter(pk=row.pk).update(finish_requested=True)
    drive(row)
