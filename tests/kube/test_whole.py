"""The specification's manifest from ``kubectl apply`` to DONE, on every engine and framework.

Everything is real but the kubelet and the training operators of others: API server, controllers,
operator and stack, each under its own account of deploy/.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import TRIAL
from tests.kube.installed import Objects, installation, specification
from tests.kube.kueue import WITHOUT_ROOM, Kueue

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("kubelet")]

REPLICAS: dict[str, list[dict[str, int]]] = {
    "tensorflow": [{"worker": 1}, {"worker": 3}],
    "pytorch": [{"worker": 1}, {"worker": 3}],
    "xgboost": [{"master": 1}, {"master": 1, "worker": 2}],
}
JOBS = {
    "trainer": ("trainjobs",),
    "tensorstack": ("tensorflowtrainingjobs", "pytorchtrainingjobs", "xgboosttrainingjobs"),
    "kubeflow": ("tfjobs", "pytorchjobs", "xgboostjobs"),
    "jobset": ("jobsets",),
    "batch": ("jobs",),
}


def manifest(
    name: str, framework: str, types: dict[str, int], *arguments: object, **spec: Any
) -> dict[str, Any]:
    """The specification's manifest for a framework and its replicas."""
    made = specification(TRIAL, *arguments, **{"maxTrialNum": 2, "trialConcurrency": 2, **spec})
    made["metadata"]["name"] = name
    training = made["spec"]["trainingConfig"]
    (task,) = training["tasks"]
    (container,) = task["template"]["spec"]["containers"]
    container["name"] = framework
    training["type"] = framework
    training["tasks"] = [{**task, "type": kind, "replicas": n} for kind, n in types.items()]
    return made


def jobs_of(objects: Objects, engine: str) -> list[dict[str, Any]]:
    found = objects.kubectl("get", ",".join(JOBS[engine]), "-o", "json")
    return list(json.loads(found)["items"])


@pytest.mark.parametrize("engine", JOBS)
def test_kubectl_apply_to_done(
    engine: str, control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    with installation(control_plane, namespace, tmp_path, engine) as here:
        names = [
            here.objects.apply(manifest(f"{framework}-{index}", framework, types))
            for framework, rows in REPLICAS.items()
            for index, types in enumerate(rows)
        ]
        for name in names:
            status = here.objects.wait_for_phase(name, "DONE", "ERROR", timeout_s=300)
            assert (status["phase"], status["trials"]["succeeded"]) == ("DONE", 2), status
            assert here.objects.reasons(name) == ["Created", "Running", "Done"]
        shown = [row.split() for row in here.objects.kubectl("get", "ate").splitlines()[1:]]
        assert sorted(row[0] for row in shown) == sorted(names)
        for row in shown:
            assert row[1:3] == ["DONE", "2/2"]
            assert float(row[3]) <= 0
        # jobs belong to their object: the cluster would remove them with it
        uids = {o["metadata"]["uid"] for o in here.objects.all()}
        owned = {
            owner["uid"]
            for job in jobs_of(here.objects, engine)
            for owner in job["metadata"]["ownerReferences"]  # or the trial's deciding job
            if owner["kind"] == "AutoTuneExperiment"
        }
        assert owned == uids
        here.objects.kubectl("delete", "ate", "--all", "--timeout=120s")
        wait_for("the rows to go", lambda: here.experiments() == [], 60)
        wait_for("all jobs to go", lambda: not jobs_of(here.objects, engine), 60)


def test_killed_in_the_middle_and_deleted_in_the_middle(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    with installation(control_plane, namespace, tmp_path, "batch") as here:
        name = here.objects.apply(
            manifest("long", "tensorflow", {"worker": 1}, 4, maxTrialNum=6, trialConcurrency=3)
        )
        wait_for("running trials", lambda: here.objects.status(name)["trials"]["running"] == 3
                 if "trials" in here.objects.status(name) else False)  # fmt: skip
        here.operator.kill()
        os.kill(here.stack.pids()["worker"], signal.SIGKILL)
        here.operator.start()
        status = here.objects.wait_for_phase(name, "DONE", timeout_s=200)
        assert status["trials"]["succeeded"] == 6
        made = [
            event["objectRef"]["name"]
            for event in control_plane.audit()
            if event["verb"] == "create"
            and event["objectRef"].get("namespace") == namespace
            and event["objectRef"]["resource"] == "jobs"
            and event["responseStatus"]["code"] == 201
        ]
        assert len(made) == len(set(made)) == 6, made

        name = here.objects.apply(
            manifest("gone", "pytorch", {"worker": 3}, 600, maxTrialNum=6, trialConcurrency=2)
        )
        wait_for("pods", lambda: len(jobs_of(here.objects, "batch")) >= 8, 120)
        here.objects.kubectl("delete", "ate", name, "--timeout=120s")
        wait_for("its row to go", lambda: [r["name"] for r in here.experiments()] == ["long"], 60)

        def only_ended() -> bool:
            pods = json.loads(here.objects.kubectl("get", "pods", "-o", "json"))["items"]
            return {pod["status"].get("phase") for pod in pods} <= {"Succeeded"}

        wait_for("its pods to go", only_ended, 90)


def test_a_queue_costs_no_time_under_the_shipped_rights(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, kueue: Kueue
):
    made = manifest("queued", "pytorch", {"worker": 1}, maxExecSeconds=4)
    made["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "team-a"}
    with installation(control_plane, namespace, tmp_path, "batch") as here:
        name = here.objects.apply(made)

        def reasons() -> list[str]:
            found = []
            for row in here.experiments():
                status, answer = here.stack.api("GET", f"experiments/{row['id']}/trials/")
                assert status == 200, answer
                found += [trial["reason"] for trial in answer["results"]]
            return found

        def held() -> bool:
            told = reasons()
            return len(told) == 2 and all(WITHOUT_ROOM in reason for reason in told)

        began = time.monotonic()
        wait_for("Kueue's own reason, which needs the right to see it", held, 60)
        wait_for("more than its time", lambda: time.monotonic() - began > 6, 10)
        status = here.objects.status(name)
        assert (status["phase"], status["trials"]["waiting"]) == ("RUNNING", 2), status
        here.objects.patch(name, {"spec": {"maxExecSeconds": 600}})
        kueue.room[namespace] = 2
        assert here.objects.wait_for_phase(name, "DONE", "TIMEOUT")["trials"]["succeeded"] == 2


def test_time_out_and_error(control_plane: ControlPlane, namespace: str, tmp_path: Path):
    with installation(control_plane, namespace, tmp_path, "batch") as here:
        slow = here.objects.apply(manifest("slow", "pytorch", {"worker": 1}, 600, maxExecSeconds=8))
        crash = here.objects.apply(manifest("crash", "pytorch", {"worker": 1}, 0, "crash"))
        absent = manifest("absent", "tensorflow", {"worker": 1}, searchSpace='{"x": {}}')
        here.objects.apply(absent)
        assert here.objects.wait_for_phase("absent", "ERROR")["serverNote"]
        status = here.objects.wait_for_phase(slow, "TIMEOUT")
        assert status["trials"]["succeeded"] == 0
        status = here.objects.wait_for_phase(crash, "DONE")
        assert status["trials"]["failed"] == 2
        assert "No trial succeeded" in status["serverNote"]
