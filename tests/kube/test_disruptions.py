"""Drained nodes, preempted and evicted pods: the same trial starts anew, and no budget is spent."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from experiments.models import Trial
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
    "tensorstack": "tensorflow",
}


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
    rows = tasks(framework, {"worker": replicas}, 2.5)
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


def test_what_fails_by_itself_is_still_a_failure(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine("batch")
    rows = tasks("pytorch", {"worker": 1}, 0, "crash")
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1, trialConcurrency=1)
    drive(row)
    (trial,) = Trial.objects.filter(experiment=row)
    assert (trial.state, trial.attempt) == (TrialState.FAILED, 1)
