"""Runtimes of Kubeflow's Trainer that manifests name: under the shipped rights, and the policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import wait_for
from tests.kube.control_plane import ControlPlane
from tests.kube.driving import TRIAL
from tests.kube.installed import Installed, bind_runtimes, installation, specification

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("kubelet")]

STEP = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


def runtime(kind: str, name: str, **pod: Any) -> dict[str, Any]:
    """As Kubeflow ships them: the container has an image and no command."""
    env = [{"name": "OF_THE_RUNTIME", "value": "yes"}]
    node = {"name": "node", "image": "registry.local/torch:1", "env": env}
    template = {"metadata": {"labels": {"team": "a"}}, "spec": {"containers": [node], **pod}}
    job = {"metadata": {"labels": STEP}, "spec": {"template": template}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": "auto"}},
            "template": {"spec": {"replicatedJobs": [{"name": "node", "template": job}]}},
        },
    }


def naming(name: str, kind: str = "") -> dict[str, Any]:
    """An experiment whose manifest leaves image and resources to this runtime."""
    manifest = specification(TRIAL, maxTrialNum=2, trialConcurrency=1)
    manifest["metadata"]["name"] = name
    training = manifest["spec"]["trainingConfig"]
    training["runtimeRef"] = {"name": name, **({"kind": kind} if kind else {})}
    training["type"] = "pytorch"
    task = training["tasks"][0]
    (container,) = task["template"]["spec"]["containers"]
    training["tasks"] = [{"type": "worker", "replicas": 2, "template": task["template"]}]
    for field in ("image", "resources", "name"):
        container.pop(field, None)
    return manifest


def note(here: Installed, name: str, words: str) -> None:
    wait_for(words, lambda: words in here.objects.status(name).get("serverNote", ""), 90)


def test_a_runtime_of_the_cluster_begins_its_trials_pods(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    whole, of_node = f"torch-{namespace}", f"node-{namespace}"
    root = {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}
    for thing in (
        runtime("ClusterTrainingRuntime", whole),
        runtime("ClusterTrainingRuntime", of_node, **root),
    ):
        control_plane.kubectl("create", "-f", "-", text=json.dumps(thing))
    with installation(control_plane, namespace, tmp_path, engine="auto") as here:
        here.objects.kubectl(
            "create", "-f", "-", text=json.dumps(runtime("TrainingRuntime", "ours"))
        )
        # what the shipped rights alone let it read: those of the namespace
        here.objects.apply(naming("ours", "TrainingRuntime"))
        here.objects.apply(naming(whole))
        here.objects.wait_for_phase("ours", "DONE")
        note(here, whole, "cannot get resource")
        bind_runtimes(control_plane, here.own_namespace, tmp_path / "runtimes")
        assert here.objects.wait_for_phase(whole, "DONE")["trials"]["succeeded"] == 2
        jobs = json.loads(here.objects.kubectl("get", "jobs", "-o", "json"))["items"]
        assert len(jobs) == 4
        for job in jobs:
            template = job["spec"]["template"]
            (node,) = template["spec"]["containers"]
            env = {entry["name"]: entry.get("value") for entry in node["env"]}
            assert (node["image"], env["OF_THE_RUNTIME"]) == ("registry.local/torch:1", "yes")
            assert (env["PET_NNODES"], template["metadata"]["labels"]["team"]) == ("2", "a")
            assert node["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        (row,) = [each for each in here.experiments() if each["name"] == whole]
        logs = here.stack.api("GET", f"experiments/{row['id']}/trials/0/logs/")[1]
        assert [log["name"] for log in logs] == ["worker-0.log", "worker-1.log"], logs
        # what a runtime says is held to the policy of the namespace, too
        here.objects.apply(naming(of_node))
        here.objects.apply(naming("nobody"))
        held = here.objects.wait_for_phase(of_node, "ERROR")["serverNote"]
        assert f"the runtime '{of_node}' begins spec.trainingConfig.tasks[0].template" in held
        assert "hostPath" in held
        held = here.objects.wait_for_phase("nobody", "ERROR")["serverNote"]
        assert "the cluster has no ClusterTrainingRuntime 'nobody'" in held
        # and is told to whoever asks before
        status, answer = here.stack.api("POST", "experiments/validate/", naming("nobody"))
        assert status == 200
        assert "has no ClusterTrainingRuntime" in json.dumps(answer)
        here.objects.kubectl("delete", "ate", "--all", "--timeout=60s")
