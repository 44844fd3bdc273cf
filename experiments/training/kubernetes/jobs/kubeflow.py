"""Jobs of Kubeflow's training-operator v1 (kubeflow.org/v1): one object per trial. Pure.

The operator gives the pods TF_CONFIG (but not where there is one replica only), or MASTER_ADDR,
MASTER_PORT, RANK and WORLD_SIZE (for PyTorch only where there is a Master).
"""

from __future__ import annotations

from typing import Any

from experiments.manifest.training_spec import MAIN_CONTAINER
from experiments.training.base import Launch, LaunchError, Task
from experiments.training.environment import rank_environment, replicas_by_rank
from experiments.training.kubernetes.jobs.common import (
    PORTS,
    RESTARTS,
    Kind,
    Options,
    deadline,
    literal,
    metadata,
    pod_template,
    require_container,
    require_types,
    restart_policy,
)

GROUP_VERSION = "kubeflow.org/v1"
KIND_OF = {
    "tensorflow": Kind("TFJob", GROUP_VERSION, "tfjobs"),
    "pytorch": Kind("PyTorchJob", GROUP_VERSION, "pytorchjobs"),
    "xgboost": Kind("XGBoostJob", GROUP_VERSION, "xgboostjobs"),
}
KINDS = tuple(KIND_OF.values())
REPLICAS_FIELD = {
    "tensorflow": "tfReplicaSpecs",
    "pytorch": "pytorchReplicaSpecs",
    "xgboost": "xgbReplicaSpecs",
}
TYPES = {
    "tensorflow": {
        "chief": "Chief",
        "master": "Master",
        "worker": "Worker",
        "ps": "PS",
        "evaluator": "Evaluator",
    },
    "pytorch": {"master": "Master", "worker": "Worker"},
    "xgboost": {"master": "Master", "worker": "Worker"},
}
CLEAN_UP = {"Unfinished": "Running", "All": "All", "None": "None"}
TASKS = "spec.trainingConfig.tasks"


def build(launch: Launch, options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """See ``jobs.build``."""
    kind = KIND_OF[launch.framework]
    require_container(launch, MAIN_CONTAINER[launch.framework])
    rows = _rows(launch, kind.name)
    policy: dict[str, Any] = {
        "cleanPodPolicy": CLEAN_UP[options.clean_up],
        "ttlSecondsAfterFinished": options.keep_s,
        **deadline(launch),
    }
    if any(restart_policy(task) != "Never" for _type, _count, task in rows):
        policy["backoffLimit"] = RESTARTS
    queue = launch.scheduler.get("t9kScheduler", {}).get("queue")
    if queue:
        policy["schedulingPolicy"] = {"queue": queue}
    alone = sum(count for _type, count, _task in rows) == 1
    extra = _own_tf_config(launch) if alone and launch.framework == "tensorflow" else []
    replicas = {
        type_: {
            "replicas": count,
            "restartPolicy": restart_policy(task),
            "template": pod_template(launch, task, extra),
        }
        for type_, count, task in rows
    }
    job = {
        "apiVersion": kind.group_version,
        "kind": kind.name,
        "metadata": metadata(launch, launch.name),
        "spec": {REPLICAS_FIELD[launch.framework]: replicas, "runPolicy": policy},
    }
    return [job], _names(launch, rows)


def _rows(launch: Launch, kind: str) -> list[tuple[str, int, Task]]:
    """Return Kubeflow's (type, replicas, task).

    Without a Master PyTorch's pods get no MASTER_ADDR, so replicas of the one type T9k manifests
    have become a Master and Workers.
    """
    tasks = launch.tasks
    if launch.framework == "pytorch":
        types = {task.type.lower() for task in tasks}
        if len(tasks) == 1 and types != {"master"}:
            count = tasks[0].replicas
            rows = [("Master", 1, tasks[0])]
            return rows + ([("Worker", count - 1, tasks[0])] if count > 1 else [])
        if "master" not in types or not types <= {"master", "worker"}:
            raise LaunchError(
                f"{TASKS}: a PyTorchJob tells apart 'master' and 'worker' only, or takes one task "
                f"of any type, but got {[task.type for task in tasks]}"
            )
    known = TYPES[launch.framework]
    require_types(launch, known, kind)
    if launch.framework == "xgboost" and all(task.type.lower() != "master" for task in tasks):
        raise LaunchError(
            f"{TASKS}: an XGBoostJob needs a task of type 'master', but got "
            f"{[task.type for task in tasks]}"
        )
    for number, task in enumerate(tasks):
        if task.type.lower() in ("master", "chief") and task.replicas > 1:
            raise LaunchError(
                f"{TASKS}[{number}].replicas: there can be one {task.type} only, "
                f"but got {task.replicas}"
            )
    return [(known[task.type.lower()], task.replicas, task) for task in tasks]


def _names(launch: Launch, rows: list[tuple[str, int, Task]]) -> list[str]:
    if launch.framework == "pytorch":
        rows = sorted(rows, key=lambda row: row[0] != "Master")
        return [f"{type_.lower()}-{index}" for type_, count, _ in rows for index in range(count)]
    return [replica.name for replica in replicas_by_rank(launch)]


def _own_tf_config(launch: Launch) -> list[dict[str, str]]:
    """T9k scripts read TF_CONFIG whatever the number of replicas."""
    address = f"127.0.0.1:{PORTS['tensorflow']}"
    value = rank_environment(launch, [address], 0)["TF_CONFIG"]
    return [{"name": "TF_CONFIG", "value": literal(value)}]
