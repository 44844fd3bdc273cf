"""JobSets (jobset.x-k8s.io/v1alpha2): one object per trial, with replicas of whatever kinds. Pure.

What Kubeflow's Trainer itself stands on, for the trials that no TrainJob can say and where Trainer
is not served. Their controller makes a Job of each replica and the Service by which they find each
other, and Kueue admits the whole at once. A replicatedJob is the deciding replica, the rest of its
kind, or another kind; the deciding kind comes first, so that a Job's index in the whole set is its
replica's rank. The set ends well with its deciding Job, and fails with any of its Jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.training.base import Launch, Task
from experiments.training.environment import Replica, replicas_by_rank
from experiments.training.kubernetes.jobs.batch import TASKS, indexed_environment, job_spec
from experiments.training.kubernetes.jobs.common import (
    PORTS,
    Kind,
    Options,
    deadline,
    labels,
    metadata,
    require_short,
)

JOB_SET = Kind("JobSet", "jobset.x-k8s.io/v1alpha2", "jobsets")
KINDS = (JOB_SET,)
PREFIX = "jobset.sigs.k8s.io"
JOB_INDEX = f"{PREFIX}/job-index"  # in its replicatedJob
GLOBAL_INDEX = f"{PREFIX}/job-global-index"  # in the whole set
REPLICATED_JOB = f"{PREFIX}/replicatedjob-name"
REST = "-rest"
SUFFIX = "-abcde"  # of the pods of an Indexed Job


@dataclass(frozen=True)
class Group:
    """Replicas that one replicatedJob stands for: those of one kind, by rank."""

    name: str
    first: Replica
    count: int


def build(launch: Launch, options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """See ``jobs.build``."""
    groups = list(_groups(launch))
    launch = replace(launch, tasks=_deciding_first(launch))
    replicas = replicas_by_rank(launch)
    addresses = list(_addresses(launch, groups))
    return [_job_set(launch, groups, addresses, options)], [each.name for each in replicas]


def jobs_of(job_set: Mapping[str, Any]) -> list[str]:
    """Return the names of the Jobs that the controller makes of it, the deciding one first."""
    name = job_set["metadata"]["name"]
    return [
        f"{name}-{job['name']}-{index}"
        for job in job_set["spec"]["replicatedJobs"]
        for index in range(int(job.get("replicas", 1)))
    ]


def index_of(type_: str, labels_of_pod: Mapping[str, str]) -> int:
    """Return which of its kind a pod of a JobSet is."""
    is_rest = labels_of_pod.get(REPLICATED_JOB) == f"{type_}{REST}"
    return int(labels_of_pod.get(JOB_INDEX, 0)) + is_rest


def _deciding_first(launch: Launch) -> tuple[Task, ...]:
    first = replicas_by_rank(launch)[0].task
    return (first, *(task for task in launch.tasks if task is not first))


def _groups(launch: Launch) -> Iterator[Group]:
    """Raises LaunchError."""
    numbers = {id(task): number for number, task in enumerate(launch.tasks)}
    rank = 0
    for task in _deciding_first(launch):
        type_, number, index = task.type.lower(), numbers[id(task)], 0
        counts = {type_: task.replicas}
        if rank == 0:
            counts = {type_: 1, f"{type_}{REST}": task.replicas - 1}
        for name, count in counts.items():
            if not count:
                continue
            longest = f"{launch.name}-{name}-{count - 1}-0{SUFFIX}"
            require_short(longest, f"{TASKS}[{number}].type")
            yield Group(name, Replica(rank, type_, index, task, number), count)
            rank, index = rank + count, index + count


def _addresses(launch: Launch, groups: Sequence[Group]) -> Iterator[str]:
    port = PORTS[launch.framework]
    if sum(group.count for group in groups) == 1:
        yield f"127.0.0.1:{port}"
        return
    domain = f"{launch.name}.{launch.namespace}.svc"
    for group in groups:
        for index in range(group.count):
            yield f"{launch.name}-{group.name}-{index}-0.{domain}:{port}"


def _job_set(
    launch: Launch, groups: Sequence[Group], addresses: Sequence[str], options: Options
) -> dict[str, Any]:
    return {
        "apiVersion": JOB_SET.group_version,
        "kind": JOB_SET.name,
        "metadata": metadata(launch, launch.name),
        "spec": {
            "network": {"enableDNSHostnames": len(addresses) > 1},
            # Without a failurePolicy nothing of it is restarted: it fails with its first Job.
            "successPolicy": {"operator": "All", "targetReplicatedJobs": [groups[0].name]},
            "ttlSecondsAfterFinished": options.keep_s,
            "replicatedJobs": [_replicated_job(launch, group, addresses) for group in groups],
        },
    }


def _replicated_job(launch: Launch, group: Group, addresses: Sequence[str]) -> dict[str, Any]:
    is_deciding_kind = group.first.rank == group.first.index  # whose indexes are its ranks
    index = GLOBAL_INDEX if is_deciding_kind else JOB_INDEX
    extra = indexed_environment(launch, addresses, group.first.rank, GLOBAL_INDEX, index)
    spec = job_spec(launch, group.first.task, extra, {})
    return {
        "name": group.name,
        "replicas": group.count,
        "template": {
            "metadata": {"labels": labels(launch)},
            "spec": {
                "backoffLimit": spec["backoffLimit"],
                **deadline(launch),
                **spec,
                "completionMode": "Indexed",  # for the pod's host name
                "completions": 1,
                "parallelism": 1,
            },
        },
    }
