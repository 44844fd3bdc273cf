"""What goes wrong on a cluster: outages, lost watches, limits, and pods that do not run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.models import Experiment
from experiments.training.base import (
    BackendRefused,
    BackendUnavailable,
    JobState,
    Launch,
    LaunchError,
    Task,
)
from experiments.training.kubernetes.api import KubeApi
from experiments.training.kubernetes.backend import KubernetesBackend
from experiments.training.kubernetes.watch import Watch
from experiments.trials.backends import backend
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import drive, experiment, tasks

pytestmark = pytest.mark.usefixtures("kubelet", "trial_url")

ONE = {"worker": 1}


def reasons(row: Experiment) -> list[tuple[str, str]]:
    return list(row.trials.order_by("number").values_list("state", "reason"))


@pytest.mark.parametrize("engine", ["tensorstack", "kubeflow", "jobset", "batch"])
def test_time_is_up_and_running_trials_are_stopped(
    engine: str, namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine(engine)
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE, 600), maxExecSeconds=8)
    drive(row)
    assert row.phase == "TIMEOUT"
    assert {state for state, _ in reasons(row)} <= {"CANCELED", "FAILED"}, reasons(row)
    for trial in row.trials.exclude(handle=None):
        kind, name = trial.handle["kind"].lower(), trial.handle["object"]
        found = control_plane.kubectl("get", kind, "-n", namespace, "-o", "name")
        assert name not in found
        texts = [
            backend().read_log(trial.handle, f.name, 0, 9999) for f in backend().logs(trial.handle)
        ]
        assert any(b"parameters" in text for text in texts), "what it printed was kept"


@pytest.mark.parametrize("engine", ["tensorstack", "jobset", "batch"])
def test_a_crash_is_a_failed_trial_with_exit_code_and_log(
    engine: str, namespace: str, use_engine: Any
):
    use_engine(engine)
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE, 0, "crash"), maxTrialNum=1)
    drive(row)
    trial = row.trials.get()
    assert (trial.state, trial.exit_code) == ("FAILED", 1)
    assert "exit code 1" in trial.reason
    assert b"on purpose" in backend().read_log(trial.handle, "worker-0.log", 0, 9999)


def test_too_much_memory_is_called_so(namespace: str, use_engine: Any):
    use_engine("batch")
    limits = {"resources": {"limits": {"memory": "1Gi"}}}
    rows = tasks("pytorch", ONE, 0, "killed", container=limits)
    row = experiment(namespace, "pytorch", rows, maxTrialNum=1)
    drive(row)
    trial = row.trials.get()
    assert (trial.state, trial.exit_code) == ("FAILED", 137)
    assert "OOMKilled" in trial.reason


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"nodeSelector": {"disk": "none"}}, "Unschedulable: 0/1 nodes are available"),
        ({"image": "missing/image:1"}, "ImagePullBackOff"),
    ],
)
def test_why_a_pod_waits_shows_on_the_trial(
    pod: dict[str, Any], said: str, namespace: str, use_engine: Any
):
    use_engine("batch")
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE, **pod), maxTrialNum=1)
    drive(row, lambda: said in row.trials.get().reason if row.trials.exists() else False, said)
    Experiment.objects.filter(pk=row.pk).update(finish_requested=True)
    drive(row)
    assert row.trials.get().state == "CANCELED"


def test_a_quota_that_is_used_up_shows_on_the_trial(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    control_plane.kubectl("apply", "-f", "-", text=json.dumps(quota))
    drive(
        [],
        lambda: (
            "pods"
            in control_plane.kubectl(
                "get", "quota", "none", "-n", namespace, "-o", "jsonpath={.status.hard}"
            )
        ),
        "the quota",
    )
    use_engine("batch")
    row = experiment(namespace, "pytorch", tasks("pytorch", ONE), maxTrialNum=1)
    drive(row, lambda: "exceeded quota" in str(reasons(row)), "the quota's words")


def test_the_api_server_is_away_in_the_middle(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    use_engine("tensorstack")
    row = experiment(
        namespace, "pytorch", tasks("pytorch", ONE, 3), maxTrialNum=6, trialConcurrency=3
    )
    drive(row, lambda: row.trials.filter(n_reports__gt=0).exists(), "a first report")
    with control_plane.outage():
        drive(row, lambda: "Kubernetes" in fresh(row).message, "a word about the outage")
        back_at = time.monotonic() + 30
        while time.monotonic() < back_at:
            drive(row, lambda: True)
            time.sleep(1)
        assert not row.trials.filter(state__in=["FAILED", "LOST"]).exists(), reasons(row)
    drive(row)
    assert row.phase == "DONE"
    assert {state for state, _ in reasons(row)} == {"SUCCEEDED"}, reasons(row)
    assert fresh(row).message == ""


def fresh(row: Experiment) -> Experiment:
    row.refresh_from_db()
    return row


# -- the backend by itself ----------------------------------------------------------------------


def launch(namespace: str, number: int, script: str = "sleep 600", **fields: Any) -> Launch:
    container = {"name": "pytorch", "image": "x:1", "command": ["sh", "-c", script]}
    values: dict[str, Any] = {
        "experiment_id": namespace.replace("-", ""),
        "experiment_name": "sample",
        "trial_key": "k3y0a",
        "trial_number": number,
        "attempt": 1,
        "framework": "pytorch",
        "tasks": (Task("worker", 1, {"spec": {"containers": [container]}}),),
        "parameters": {},
        "server_url": "http://127.0.0.1:9",
        "token": "T0K:en",
        "namespace": namespace,
    }
    return Launch(**(values | fields))


def wait_state(found: KubernetesBackend, handle: Any, state: JobState) -> Any:
    def look() -> Any:
        (status,) = found.poll([handle])
        return status if status.state is state else None

    return drive([], look, f"{state} of {handle['name']}")


def test_launching_twice_finds_the_first(namespace: str, use_engine: Any):
    for engine in ("tensorstack", "kubeflow", "jobset", "batch"):
        found = use_engine(engine)
        one = found.launch(launch(namespace, 1))
        assert found.launch(launch(namespace, 1)) == one
        found.stop(one)
        found.stop(one)
        assert wait_state(found, one, JobState.STOPPED).message == "stopped"
        found.forget(one)
        found.forget(one)


def test_a_running_job_may_run_longer_once_time_is_gained(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    for number, engine in enumerate(("tensorstack", "kubeflow", "jobset", "batch")):
        found = use_engine(engine)
        handle = found.launch(launch(namespace, number, seconds_left=5.0))
        wait_state(found, handle, JobState.RUNNING)

        def job(handle: Any = handle) -> Any:
            kind, name = handle["kind"].lower(), handle["object"]
            if kind == "jobset":  # whose spec cannot be changed, but that of its Jobs
                kind, name = "job", f"{name}-worker-0"
            text = control_plane.kubectl(*("get", kind, "-n", namespace, name, "-o", "json"))
            return json.loads(text)

        def deadline(job: Any) -> int:
            return int((job["spec"].get("runPolicy") or job["spec"])["activeDeadlineSeconds"])

        assert deadline(job()) == 35
        found.allow(handle, 1)
        assert deadline(job()) == 35, "there is time enough"
        found.allow(handle, 3600)
        assert deadline(job()) >= 3600
        drive([], lambda found=found, handle=handle: _allowed_for_free(found, handle, job), "rest")
        found.stop(handle)
        wait_state(found, handle, JobState.STOPPED)
        found.allow(handle, 9999)  # of what is gone nothing is asked


def _allowed_for_free(found: KubernetesBackend, handle: Any, job: Any) -> bool:
    """Whether ``allow`` changes nothing any more: the watch has seen the patched job."""
    before = job()["metadata"]["generation"]
    found.allow(handle, 3600)
    return bool(job()["metadata"]["generation"] == before)


def test_what_somebody_else_deleted_is_lost(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    found = use_engine("batch")
    handle = found.launch(launch(namespace, 1))
    wait_state(found, handle, JobState.RUNNING)
    control_plane.kubectl("delete", "job", handle["object"], "-n", namespace, "--wait=false")
    assert "deleted by somebody else" in wait_state(found, handle, JobState.LOST).message


def test_a_deleted_job_that_had_succeeded_stays_succeeded(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    found = use_engine("batch")
    handle = found.launch(launch(namespace, 1, "echo hello"))
    wait_state(found, handle, JobState.SUCCEEDED)
    control_plane.kubectl("delete", "job", handle["object"], "-n", namespace)
    (status,) = found.poll([handle])
    assert status.state is JobState.SUCCEEDED
    assert found.read_log(handle, "worker-0.log", 0, 100) == b"hello\n"


def test_another_process_takes_a_job_over(namespace: str, use_engine: Any):
    first = use_engine("batch")
    handle = first.launch(launch(namespace, 1, "echo hello; sleep 1"))
    first.close()
    second = use_engine("batch")
    wait_state(second, handle, JobState.SUCCEEDED)
    assert second.read_log(handle, "worker-0.log", 0, 100) == b"hello\n"


def test_the_log_of_a_running_trial_can_be_read(namespace: str, use_engine: Any):
    found = use_engine("batch")
    handle = found.launch(launch(namespace, 1, "echo early; sleep 600"))
    wait_state(found, handle, JobState.RUNNING)
    drive([], lambda: found.read_log(handle, "worker-0.log", 0, 100) == b"early\n", "its log")
    found.stop(handle)


def test_an_unreachable_api_server_decides_nothing(
    namespace: str, use_engine: Any, control_plane: ControlPlane
):
    found = use_engine("batch")
    handle = found.launch(launch(namespace, 1))
    wait_state(found, handle, JobState.RUNNING)
    with control_plane.outage():
        drive([], lambda: unavailable(lambda: found.poll([handle])), "poll to notice")
        assert unavailable(lambda: found.launch(launch(namespace, 2)))
        assert unavailable(lambda: found.stop(handle))

    def back() -> bool:
        try:
            (status,) = found.poll([handle])
        except BackendUnavailable:
            return False
        assert status.state is JobState.RUNNING
        return True

    drive([], back, "the watch to come back")
    found.stop(handle)


def unavailable(call: Any) -> bool:
    try:
        call()
    except BackendUnavailable:
        return True
    return False


class Forgetful(KubeApi):
    """Its first watch asks for a place that the server has long forgotten."""

    asked: list[str]

    def stream(self, path: str, read_timeout_s: float, **query: Any) -> Any:
        self.asked.append(query["resourceVersion"])
        if len(self.asked) == 1:
            query["resourceVersion"] = "1"
        return super().stream(path, read_timeout_s, **query)


def test_a_watch_whose_place_is_forgotten_lists_anew(namespace: str, control_plane: ControlPlane):
    control_plane.compact()
    api = Forgetful.with_configuration(control_plane.client().configuration)
    api.asked = []
    watch = Watch(api, f"/api/v1/namespaces/{namespace}/configmaps")
    try:
        assert watch.wait_synced(30)
        drive([], lambda: len(api.asked) > 1, "a second watch")
        control_plane.kubectl("create", "configmap", "late", "-n", namespace)
        drive([], lambda: watch.find("late"), "what came after")
        uid = watch.find("late")["metadata"]["uid"]  # type: ignore[index]
        with control_plane.outage():
            drive([], lambda: watch.trouble, "the watch to notice")
        control_plane.kubectl("delete", "configmap", "late", "-n", namespace)
        drive([], lambda: watch.find("late") is None, "the deletion after an outage")
        assert watch.last_seen(uid) is not None
        assert not watch.trouble
    finally:
        watch.close()


def test_what_the_api_server_refuses_fails_the_trial_with_its_words(
    namespace: str, use_engine: Any, admin_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
):
    found = use_engine("batch")
    bad = {"name": "pytorch", "image": "x:1", "resources": {"limits": {"cpu": "2", "gpu": "1"}}}
    template = {"spec": {"containers": [bad]}}
    with pytest.raises(LaunchError, match=r"refused the Job.*gpu"):
        found.launch(launch(namespace, 1, tasks=(Task("worker", 1, template),)))
    # a namespace that is not there is one where we may do nothing, and for the cluster's own
    # administrator none
    with pytest.raises(BackendRefused, match="namespace nowhere: pods is forbidden"):
        found.launch(launch("nowhere", 1))
    everywhere = use_engine("batch")
    monkeypatch.setenv("KUBECONFIG", str(admin_kubeconfig))
    with pytest.raises(LaunchError, match="namespace 'nowhere' does not exist"):
        everywhere.launch(launch("nowhere", 1))
