"""A runtime of Trainer's under a manifest's template: what becomes of the two."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.training.base import Launch, LaunchError, Task
from experiments.training.kubernetes.jobs import ENGINES, build
from experiments.training.kubernetes.jobs.common import JOB_LABEL
from experiments.training.kubernetes.jobs.runtimes import STEP_LABEL, begun

NAME = {"name": "torch-distributed", "kind": "ClusterTrainingRuntime"}


def runtime(**pod: Any) -> dict[str, Any]:
    """As Trainer ships them, with more."""
    node = {
        "name": "node",
        "image": "registry.local/torch:2.7",
        "command": ["torchrun"],
        "args": ["theirs.py"],
        "env": [{"name": "A", "value": "theirs"}, {"name": "B", "value": "theirs"}],
        "resources": {"limits": {"cpu": "4", "nvidia.com/gpu": 1}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {"containers": [{"name": "side", "image": "registry.local/side:1"}, node], **pod}
    pod.setdefault("volumes", [{"name": "data", "emptyDir": {}}])
    job = {
        "backoffLimit": 3,
        "manualSelector": True,
        "selector": {},
        "template": {"metadata": {"labels": {"team": "a"}}, "spec": pod},
    }
    template = {"metadata": {"labels": {STEP_LABEL: "trainer"}}, "spec": job}
    return {
        "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": "gpu"}},
        "podGroupPolicy": {"coscheduling": {"scheduleTimeoutSeconds": 60}},
        "template": {
            "spec": {
                "replicatedJobs": [{"name": "node", "template": template}],
                "network": {"publishNotReadyAddresses": True},
            }
        },
    }


def launch(*containers: dict[str, Any], **pod: Any) -> Launch:
    template = {"spec": {"containers": list(containers) or [{"command": ["mine"]}], **pod}}
    return Launch(
        experiment_id="exp00000", experiment_name="exp", trial_key="00000", trial_number=0,
        attempt=1, framework="pytorch", tasks=(Task("worker", 2, template),), parameters={},
        server_url="http://server", token="t", runtime=NAME,
    )  # fmt: skip


def test_the_manifest_says_what_it_says_and_the_runtime_the_rest() -> None:
    mine = {
        "name": "pytorch",
        "command": ["python", "mine.py"],
        "env": [{"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "8"}},
    }
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "images"}}
    given = begun(
        launch(mine, volumes=[claim], tolerations=[]), runtime(tolerations=[{"key": "k"}])
    )
    (job, made), replicas = build(given, "trainer")
    assert replicas == ["worker-0", "worker-1"]
    assert job["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": given.name,
    }  # fmt: skip
    spec = made["spec"]
    assert spec["mlPolicy"] == {"numNodes": 2, "torch": {"numProcPerNode": "gpu"}}
    assert spec["podGroupPolicy"] == {"coscheduling": {"scheduleTimeoutSeconds": 60}}
    assert spec["template"]["spec"]["network"] == {"publishNotReadyAddresses": True}
    (node,) = spec["template"]["spec"]["replicatedJobs"]
    assert node["template"]["metadata"]["labels"][STEP_LABEL] == "trainer"
    assert node["template"]["spec"]["backoffLimit"] == 0, "a configuration fails once"
    assert not node["template"]["spec"].keys() & {"manualSelector", "selector"}, "others' pods"
    assert node["replicas"] == 1
    template = node["template"]["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {"team": "a", JOB_LABEL: given.name}.items()
    trains, side = template["spec"]["containers"]
    assert side["image"] == "registry.local/side:1"
    assert (trains["image"], trains["command"]) == (
        "registry.local/torch:2.7", ["python", "mine.py"],
    )  # fmt: skip
    assert "args" not in trains, "the runtime's are for the runtime's command"
    assert trains["resources"] == {"limits": {"cpu": "8", "nvidia.com/gpu": 1}}
    env = {entry["name"]: entry for entry in trains["env"]}
    assert env["A"]["value"] == "theirs"
    assert "value" not in env["B"]
    assert env["TUNER_TRIAL_SEQ_ID"]["value"] == "0"
    assert template["spec"]["volumes"] == [claim], "one source, not two"
    assert template["spec"]["tolerations"] == []


def test_what_trials_cannot_have_is_refused() -> None:
    two = runtime()
    jobs = two["template"]["spec"]["replicatedJobs"]
    jobs.insert(0, {"name": "dataset-initializer"})
    mpi = {**runtime(), "mlPolicy": {"mpi": {}}}
    for spec, words in (
        (two, r"called 'node', but has \['dataset-initializer', 'node'\]"),
        (mpi, "by MPI"),
        ({}, r"but has \[\]"),
        ({"template": {"spec": {"replicatedJobs": [{"name": "node"}]}}}, "no template of a pod"),
    ):
        with pytest.raises(LaunchError, match=rf"^spec\.trainingConfig\.runtimeRef: .*{words}"):
            begun(launch(), spec)
    for engine in set(ENGINES) - {"trainer"}:
        with pytest.raises(LaunchError, match="only Kubeflow's Trainer 2 knows runtimes"):
            build(launch(), engine)
