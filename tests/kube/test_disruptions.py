"""Drained nodes, preempted and evicted pods: the same trial starts anew, and no budget is spent."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from experiments.models import Experiment, Trial
from experiments.states import TrialState
from experiments.training.kubernetes.api import ApiError, KubeApi
from experiments.trials.ends import WAS_DISRUPTED
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive, experiment, tasks

pytestmark = pytest.mark.usefixtures("kubelet", "trial_url")

FRAMEWORKS = {
    "trainer": "pytorch",
    "batch": "pytorch",
    "kubeflow": "pytorch",
    "jobset": "pytorch",
    "tensorstack": "tensorflow",
}


def types_for(engine: str, replicas: int) -> dict[str, int]:
    """So many replicas; of several types where that is what the engine is for."""
    if engine == "jobset" and replicas > 1:
        return {"master": 1, "worker": replicas - 1}
    return {"worker": replicas}


def evict(api: KubeApi, namespace: str, pod: str) -> bool:
    """What ``kubectl drain`` does to each pod of a node."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    try:
        api.post(f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def running_pods(api: KubeApi, namespace: str) -> list[str]:
    found = api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    ]


@pytest.mark.parametrize("engine", FRAMEWORKS)
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_drained_node_costs_no_trial(
    engine: str, replicas: int, namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine(engine)
    framework = FRAMEWORKS[engine]
    rows = tasks(framework, types_for(engine, replicas), 2.5)
    row = experiment(namespace, framework, rows, maxTrialNum=3, trialConcurrency=2)
    api = KubeApi.with_configuration(control_plane.client().configuration)
    chosen = random.Random(engine)
    evicted = 0

    def drained() -> bool:
        nonlocal evicted
        if pods := running_pods(api, namespace):
            evicted += evict(api, namespace, chosen.choice(pods))
            time.sleep(1.0)
        return evicted >= 3

    drive(row, drained, "three evictions")
    drive(row)
    assert row.phase == "DONE"
    trials = list(Trial.objects.filter(experiment=row).order_by("number"))
    states = [(trial.state, trial.reason) for trial in trials]
    assert [state for state, _ in states] == [TrialState.SUCCEEDED] * 3, states
    anew = row.events.filter(data__has_key=WAS_DISRUPTED)
    assert 1 <= anew.count() <= 3, "one that had told its result, or not begun, may need no other"
    assert sum(trial.attempt - 1 for trial in trials) == anew.count()
    assert "Disrupted. " in anew[0].reason
    assert "EvictionByEvictionAPI" in anew[0].reason


@pytest.mark.parametrize("engine", ["jobset", "batch"])
def test_a_drained_helper_starts_its_trial_anew(
    engine: str, namespace: str, use_engine: Any, control_plane: ControlPlane
):
    """Of another kind than the replica that decides, which would go on without it."""
    use_engine(engine)
    rows = tasks("pytorch", {"master": 1, "worker": 1}, 600, "together")
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1)
    api = KubeApi.with_configuration(control_plane.client().configuration)

    def runs(attempt: int) -> list[str]:
        """The pods, where this attempt has both of its own, and no other has any."""
        found = running_pods(api, namespace)
        own = [name for name in found if name.startswith(f"{named}-{attempt}-")]
        return own if len(own) == len(found) == 2 else []

    drive(row, lambda: row.trials.filter(handle__isnull=False).exists(), "its job")
    named = row.trials.get().handle["name"].rpartition("-")[0]
    drive(row, lambda: runs(1), "both pods")
    (helper,) = [name for name in runs(1) if "-worker-" in name]
    assert evict(api, namespace, helper)
    drive(row, lambda: runs(2), "both pods anew, and none of the first attempt")
    trial = row.trials.get()
    assert (trial.state, trial.attempt) == (TrialState.RUNNING, 2)
    (again,) = row.events.filter(data__has_key=WAS_DISRUPTED)
    assert "worker-0: EvictionByEvictionAPI" in again.reason
    Experiment.objects.filter(pk=row.pk).update(deleting=True)
    drive(row, lambda: not Experiment.objects.filter(pk=row.pk).exists(), "its end")


def test_what_fails_by_itself_is_still_a_failure(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine("batch")
    rows = tasks("pytorch", {"worker": 1}, 0, "crash")
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1, trialConcurrency=1)
    drive(row)
    (trial,) = Trial.objects.filter(experiment=row)
    assert (trial.state, trial.attempt) == (TrialState.FAILED, 1)
