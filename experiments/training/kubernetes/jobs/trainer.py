"""TrainJobs of Kubeflow's Trainer v2 (trainer.kubeflow.org/v1alpha1). Pure.

A trial is a TrainJob and the TrainingRuntime that it refers to, which holds the task's template as
it stands: a runtime of the cluster would let us say a part of it only, and its pods could not be
found. One that the manifest names is copied into the trial's own (`runtimes`). Trainer makes one
Indexed Job of it, by way of a JobSet; its container must be called `node`. Index 0 decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.manifest.training_spec import containers_of, main_container_index
from experiments.training.base import Launch, LaunchError, Task
from experiments.training.environment import replicas_by_rank
from experiments.training.kubernetes.jobs.batch import indexed_environment, job_spec
from experiments.training.kubernetes.jobs.common import (
    PORTS,
    Kind,
    Options,
    metadata,
    require_short,
)
from experiments.training.kubernetes.jobs.runtimes import (
    GROUP,
    NODE,
    RUNTIME,
    STEP_LABEL,
    spec_of_trial,
)

TRAIN_JOB = Kind("TrainJob", f"{GROUP}/v1alpha1", "trainjobs")
KINDS = (TRAIN_JOB,)
TASKS = "spec.trainingConfig.tasks"


def build(launch: Launch, options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """See ``jobs.build``. The runtime must be there before its TrainJob."""
    launch = replace(launch, tasks=(_one_task(launch),))
    replicas = replicas_by_rank(launch)
    count = len(replicas)
    require_short(f"{launch.name}-{NODE}-0-{count - 1}", f"{TASKS}[0].replicas")
    job = {
        "apiVersion": TRAIN_JOB.group_version,
        "kind": TRAIN_JOB.name,
        "metadata": metadata(launch, launch.name),
        "spec": {
            "runtimeRef": {"apiGroup": GROUP, "kind": RUNTIME.name, "name": launch.name},
            "trainer": {"numNodes": count},
        },
    }
    runtime = {
        "apiVersion": RUNTIME.group_version,
        "kind": RUNTIME.name,
        "metadata": metadata(launch, launch.name),
        "spec": _runtime_spec(launch, count),
    }
    return [job, runtime], [replica.name for replica in replicas]


def _runtime_spec(launch: Launch, count: int) -> dict[str, Any]:
    node = _node_job(launch, count)
    if launch.runtime_spec is not None:
        return spec_of_trial(launch.runtime_spec, node, count)
    return {
        # With torch it sets PET_*, which torchrun reads: nodes, processes of each, their ranks.
        "mlPolicy": {"numNodes": count, **({"torch": {}} if _is_torch(launch) else {})},
        "template": {"spec": {"replicatedJobs": [node]}},
    }


def _is_torch(launch: Launch) -> bool:
    return launch.framework == "pytorch"


def _node_job(launch: Launch, count: int) -> dict[str, Any]:
    port = PORTS[launch.framework]
    domain = f"{launch.name}.{launch.namespace}.svc"
    addresses = [f"{launch.name}-{NODE}-0-{index}.{domain}:{port}" for index in range(count)]
    extra = indexed_environment(launch, addresses if count > 1 else [f"127.0.0.1:{port}"])
    spec = job_spec(launch, launch.tasks[0], extra, {}, main=NODE)
    position = main_container_index(launch.tasks[0].template, launch.framework)
    spec["template"]["spec"]["containers"][position]["name"] = NODE
    spec["completionMode"] = "Indexed"
    if count > 1:
        spec["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    step = {"labels": {STEP_LABEL: "trainer"}}
    return {"name": NODE, "replicas": 1, "template": {"metadata": step, "spec": spec}}


def _one_task(launch: Launch) -> Task:
    """The nodes of a TrainJob are alike: several tasks are one where they differ in name alone.

    Raises:
        LaunchError: one line for each problem.
    """
    first = replicas_by_rank(launch)[0].task
    alike = all(
        (task.template, task.restart_policy) == (first.template, first.restart_policy)
        for task in launch.tasks
    )
    if len(launch.tasks) > 1 and not (alike and launch.framework != "tensorflow"):
        types = [task.type for task in launch.tasks]
        raise LaunchError(
            f"{TASKS}: the nodes of a TrainJob are all alike, but got {types}; "
            "AUTOTUNE_TRAINING_ENGINE=jobset takes them"
        )
    main = main_container_index(first.template, launch.framework)
    for index, container in enumerate(containers_of(first.template)):
        if index != main and container.get("name") == NODE:
            raise LaunchError(
                f"{TASKS}[0].template.spec.containers[{index}].name: only the container that "
                f"trains can be called '{NODE}' in a TrainJob"
            )
    return replace(first, replicas=sum(task.replicas for task in launch.tasks))
