"""Plain batch/v1 Jobs, for clusters without a training operator. Pure.

One type of replicas: one Indexed Job, index 0 decides. Several types: one Job per replica, since a
global rank cannot be computed from an index; the deciding replica's Job comes first. More than one
replica needs a headless Service, by which they find each other. Kubernetes 1.31 or newer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from experiments.manifest.training_spec import main_container_index
from experiments.training.base import Launch, Task
from experiments.training.environment import Replica, rank_environment, replicas_by_rank
from experiments.training.kubernetes.jobs.common import (
    JOB_LABEL,
    PORTS,
    RESTARTS,
    RETRYABLE_CODES,
    Kind,
    Options,
    deadline,
    literal,
    metadata,
    pod_template,
    require_short,
    restart_policy,
)

JOB = Kind("Job", "batch/v1", "jobs")
KINDS = (JOB,)
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
INDEX_LABEL = INDEX_ANNOTATION
REPLICA_INDEX = "AUTOTUNE_REPLICA_INDEX"  # for TF_CONFIG, where the rank is not the index
TASKS = "spec.trainingConfig.tasks"


def build(launch: Launch, options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """See ``jobs.build``."""
    replicas = replicas_by_rank(launch)
    if len(launch.tasks) == 1:
        objects = [_indexed_job(launch, replicas, options)]
    else:
        addresses = [f"{r.name}.{_domain(launch)}:{PORTS[launch.framework]}" for r in replicas]
        objects = [_replica_job(launch, replica, addresses, options) for replica in replicas]
    if len(replicas) > 1:
        objects.append(_service(launch))
    return objects, [replica.name for replica in replicas]


def _domain(launch: Launch) -> str:
    return f"{launch.name}.{launch.namespace}.svc"


def _service(launch: Launch) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(launch, launch.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_LABEL: launch.name},
        },
    }


def _indexed_job(launch: Launch, replicas: list[Replica], options: Options) -> dict[str, Any]:
    task, count = launch.tasks[0], len(replicas)
    name = f"{launch.name}-{task.type.lower()}"
    require_short(f"{name}-{count - 1}", f"{TASKS}[0].type")
    port = PORTS[launch.framework]
    fields: dict[str, Any] = {}
    if count == 1:
        addresses = [f"127.0.0.1:{port}"]
    else:
        addresses = [f"{name}-{index}.{_domain(launch)}:{port}" for index in range(count)]
        fields["subdomain"] = launch.name
    extra = indexed_environment(launch, addresses)
    job = _job(launch, replicas[0], name, extra, fields, options)
    job["spec"].update(completionMode="Indexed", completions=count, parallelism=count)
    if count > 1:
        job["spec"]["successPolicy"] = {"rules": [{"succeededIndexes": "0"}]}
    return job


def indexed_environment(
    launch: Launch,
    addresses: Sequence[str],
    first: int = 0,
    rank: str = INDEX_ANNOTATION,
    index: str = INDEX_ANNOTATION,
) -> list[dict[str, Any]]:
    """What every pod made of one template needs to find the others; it knows its rank by itself.

    Args:
        first: the rank of the first of them.
        rank: the annotation that says a pod's.
        index: that which says which of its type it is.
    """
    # The controller's own JOB_COMPLETION_INDEX comes last, and $(NAME) sees earlier ones only.
    extra = [_annotation("RANK", rank)]
    own_index = "RANK"
    if index != rank and launch.framework == "tensorflow":
        own_index = REPLICA_INDEX
        extra.append(_annotation(own_index, index))
    for key, value in rank_environment(launch, addresses, first).items():
        if key == "TF_CONFIG":
            config, mine = json.loads(value), f"$({own_index})"
            config["task"]["index"] = mine
            extra.append({"name": key, "value": json.dumps(config).replace(f'"{mine}"', mine)})
        elif key != "RANK":
            extra.append({"name": key, "value": literal(value)})
    return extra


def _annotation(name: str, key: str) -> dict[str, Any]:
    field = {"fieldPath": f"metadata.annotations['{key}']"}
    return {"name": name, "valueFrom": {"fieldRef": field}}


def _replica_job(
    launch: Launch, replica: Replica, addresses: list[str], options: Options
) -> dict[str, Any]:
    name = f"{launch.name}-{replica.name}"
    require_short(name, f"{TASKS}[{replica.task_number}].type")
    extra = [
        {"name": key, "value": literal(value)}
        for key, value in rank_environment(launch, addresses, replica.rank).items()
    ]
    fields = {"hostname": replica.name, "subdomain": launch.name}
    return _job(launch, replica, name, extra, fields, options)


def _job(
    launch: Launch,
    replica: Replica,
    name: str,
    extra: list[dict[str, Any]],
    fields: dict[str, Any],
    options: Options,
) -> dict[str, Any]:
    spec = job_spec(launch, replica.task, extra, fields)
    return {
        "apiVersion": JOB.group_version,
        "kind": JOB.name,
        "metadata": metadata(launch, name),
        "spec": {
            "backoffLimit": spec["backoffLimit"],
            **deadline(launch),
            "ttlSecondsAfterFinished": options.keep_s,
            **spec,
        },
    }


def job_spec(
    launch: Launch,
    task: Task,
    extra: list[dict[str, Any]],
    fields: dict[str, Any],
    main: str = "",
) -> dict[str, Any]:
    """Return the pods of a Job, and which of their ends are failures.

    Args:
        extra: variables of ours.
        fields: of the pod.
        main: the name that the container that trains will have, if not its own.
    """
    wanted = restart_policy(task)
    # Jobs have no Always; ExitCode is a policy of the Job, whose pods then never restart.
    fields["restartPolicy"] = "OnFailure" if wanted in ("Always", "OnFailure") else "Never"
    spec: dict[str, Any] = {
        "backoffLimit": 0 if wanted == "Never" else RESTARTS,
        "template": pod_template(launch, task, extra, **fields),
    }
    # A disruption ends the attempt at once; the next one is ours to start, and costs no budget.
    rules: list[dict[str, Any]] = [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    if wanted == "ExitCode":
        rules.append(_fail_unless_retryable(launch, task, main))
    if fields["restartPolicy"] == "Never":  # Jobs have such rules for no other
        spec["podFailurePolicy"] = {"rules": rules}
    return spec


def _fail_unless_retryable(launch: Launch, task: Task, main: str) -> dict[str, Any]:
    containers = task.template["spec"]["containers"]
    trains = containers[main_container_index(task.template, launch.framework)]
    codes = {
        "containerName": main or trains.get("name", ""),
        "operator": "NotIn",
        "values": list(RETRYABLE_CODES),
    }
    return {"action": "FailJob", "onExitCodes": codes}
