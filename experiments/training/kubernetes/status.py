"""What the objects of a cluster say about a trial: state, reason, exit code. Pure.

``status_of`` knows each engine's rules, ``pod_trouble`` the many ways a pod does not run. Used by
the Kubernetes backend on what its watches saw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.training.base import ENDED, JobState, JobStatus
from experiments.training.kubernetes.jobs import REPLICA_LABEL, jobset
from experiments.training.kubernetes.jobs.batch import INDEX_LABEL
from experiments.training.kubernetes.jobs.runtimes import NODE
from experiments.training.kubernetes.queues import (
    is_in_queue,
    is_old,
    is_suspended,
    seconds_of,
    why_unplaced,
)

Object = Mapping[str, Any]

KUBEFLOW_TYPE = "training.kubeflow.org/replica-type"
KUBEFLOW_INDEX = "training.kubeflow.org/replica-index"

# T9k's phases; whatever else it may say later counts as running.
_T9K_PHASES = {
    "": JobState.PENDING,
    "Pending": JobState.PENDING,
    "Paused": JobState.PENDING,
    "Resuming": JobState.PENDING,
    "Succeeded": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
}
# Why the cluster itself ended a pod, in its status; newer ones say DisruptionTarget as well.
DISRUPTION = "DisruptionTarget"
_TAKEN_AWAY = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "Preempted"}
)
_ENDED_WELL = ("Succeeded", "Complete", "Completed")  # conditions of Kubeflow, Jobs, JobSets
MESSAGE_AT_MOST = 1000
DEADLINE_MARGIN_S = 300


def status_of(
    job: Object, pods: Sequence[Object], remarks: Iterable[str] = (), held: str = ""
) -> JobStatus:
    """Return the state of a trial.

    Args:
        job: the deciding object.
        pods: all pods of the trial, the deciding replica's first.
        remarks: what Events say of the trial's objects, newest last.
        held: who suspended the job, and why; read only where it is suspended.
    """
    found = job.get("status") or {}
    conditions = _true_conditions(found)
    if "phase" in found or job["kind"].endswith("TrainingJob"):
        state = _T9K_PHASES.get(found.get("phase") or "", JobState.RUNNING)
    else:
        state = _state_by_conditions(conditions)
        if state is JobState.PENDING and any(_phase(pod) == "Running" for pod in pods):
            state = JobState.RUNNING
    why = "" if state in ENDED else lost_helper(job, pods)
    if why := disruption(pods) if state is JobState.FAILED else why:
        return JobStatus(
            JobState.LOST,
            message=f"Disrupted. {why}"[:MESSAGE_AT_MOST],
            finished_at=_finished_at(state, found, conditions),
            disrupted=True,
        )
    if state not in ENDED and is_suspended(job):
        return JobStatus(
            JobState.PENDING,
            message=held[:MESSAGE_AT_MOST],
            queued=True,
            disrupted=is_in_queue(job),
        )
    queued, incomplete = (False, False) if state in ENDED else _lacks_places(state, job, pods)
    return JobStatus(
        state,
        exit_code=_exit_code(found, pods),
        message=_message(state, conditions, pods, remarks)[:MESSAGE_AT_MOST],
        started_at=seconds_of(found.get("startTime") or _time_of(conditions, "Running")),
        finished_at=_finished_at(state, found, conditions),
        queued=queued,
        incomplete=incomplete,
    )


def _lacks_places(state: JobState, job: Object, pods: Sequence[Object]) -> tuple[bool, bool]:
    """Whether all of a trial, or a part of it, waits for a node, or for pods to be made."""
    newest: dict[str, Object] = {}
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp"):
            newest.setdefault(replica_name(pod), pod)
    if not newest:  # a quota, a scheduler that groups them: nobody could make them yet
        return state is JobState.PENDING and not pods and is_old(job), False
    lacks = any(why_unplaced(pod) for pod in newest.values())
    goes = any(_phase(pod) not in ("", "Pending") for pod in newest.values())
    return lacks and not goes, lacks and goes


def disruption(pods: Iterable[Object]) -> str:
    """Why a pod of a trial was taken away: drain, preemption, taint, lost node; "" where none was.

    An experiment's trial does not fail by it: the same trial is started anew.
    """
    for pod in pods:
        found = pod.get("status") or {}
        told = _true_conditions(found).get(DISRUPTION)
        reason = (told or {}).get("reason") or found.get("reason") or ""
        if told or (found.get("phase") == "Failed" and reason in _TAKEN_AWAY):
            words = (told or {}).get("message") or found.get("message") or ""
            why = ": ".join(part for part in (str(reason), str(words)) if part)
            return f"{replica_name(pod)}: {why}"
    return ""


def lost_helper(job: Object, pods: Iterable[Object]) -> str:
    """Why a replica was taken away whose plain Job failed by it, while the deciding one goes on.

    All other kinds end with their first replica that is taken away.
    """
    if job["kind"] != "Job":
        return ""
    uid = job["metadata"].get("uid")
    return disruption(
        pod
        for pod in pods
        if (pod.get("spec") or {}).get("restartPolicy") == "Never"
        and any(owner["uid"] != uid for owner in pod["metadata"].get("ownerReferences") or [])
    )


def is_ended(job: Object) -> bool:
    """Whether an object has come to its end, whatever its kind."""
    found = job.get("status") or {}
    conditions = _true_conditions(found)
    return found.get("phase") in ("Succeeded", "Failed") or _state_by_conditions(conditions) in (
        JobState.SUCCEEDED,
        JobState.FAILED,
    )


def longer(job: Object, until: float) -> dict[str, Any] | None:
    """A merge patch with which a job may run until then; None where it may, or has ended.

    It gives more than is asked for, since time can be gained every second (while suspended).
    """
    kind, spec = job["kind"], job["spec"]
    policy = spec if kind == "Job" else spec.get("runPolicy") or {}
    allowed = policy.get("activeDeadlineSeconds")
    if allowed is None or is_ended(job) or is_suspended(job):  # its time begins when it goes on
        return None
    status = job.get("status") or {}
    begun = seconds_of(status.get("startTime") or job["metadata"]["creationTimestamp"])
    assert begun is not None
    if begun + allowed >= until:
        return None
    changes = {"activeDeadlineSeconds": math.ceil(until - begun) + DEADLINE_MARGIN_S}
    return {"spec": changes if kind == "Job" else {"runPolicy": changes}}


def replica_name(pod: Object) -> str:
    """Return ``worker-0`` for a pod of any engine: names its log."""
    labels = pod["metadata"].get("labels") or {}
    if KUBEFLOW_TYPE in labels:
        return f"{labels[KUBEFLOW_TYPE].lower()}-{labels.get(KUBEFLOW_INDEX, '0')}"
    type_ = labels.get(REPLICA_LABEL, "replica")
    if INDEX_LABEL in labels:  # of a JobSet's Jobs there are several, or, as Trainer's, one
        return f"{type_}-{int(labels[INDEX_LABEL]) + jobset.index_of(type_, labels)}"
    host = (pod.get("spec") or {}).get("hostname") or pod["metadata"]["name"]
    index = host.rpartition("-")[2]  # <type>-<i> of our own Jobs, <job>-<hex>-<type>-<i> of T9k
    return f"{type_}-{index if index.isdigit() else '0'}"


def by_rank(pods: Iterable[Object], replicas: Sequence[str]) -> list[Object]:
    """Sort pods by their replicas' ranks; of one replica the newest comes first."""
    order = {name: rank for rank, name in enumerate(replicas)}
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))[::-1]
    return sorted(newest, key=lambda pod: order.get(replica_name(pod), len(order)))


def pod_trouble(pod: Object) -> str:
    """Say why a pod waits or how it failed; "" where all is well."""
    found = pod.get("status") or {}
    if why := why_unplaced(pod):
        return why
    containers = [
        *(found.get("initContainerStatuses") or []),
        *(found.get("containerStatuses") or []),
    ]
    for container in containers:
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if (ended := state.get("terminated")) and ended.get("exitCode"):
                return _died(container, ended)
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            return ": ".join(part for part in (reason, waiting.get("message", "")) if part)
    if found.get("phase") == "Failed" or found.get("reason"):
        return ": ".join(p for p in (found.get("reason", ""), found.get("message", "")) if p)
    return ""


def main_status(pod: Object) -> Mapping[str, Any]:
    """Return the container status of the container that trains."""
    statuses: list[Mapping[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    name = main_container_of(pod)
    for status in statuses:
        if status.get("name") == name:
            return status
    return {}


def main_container_of(pod: Object) -> str:
    """Return the name of the container that trains: the one named for a framework, or the first."""
    names = [str(each.get("name")) for each in pod["spec"]["containers"]]
    known = ("tensorflow", "pytorch", "xgboost", NODE)
    return next((name for name in names if name in known), names[0])


# -- parts --------------------------------------------------------------------------------------


def _true_conditions(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {c["type"]: c for c in found.get("conditions") or [] if c.get("status") == "True"}


def _state_by_conditions(conditions: Mapping[str, Any]) -> JobState:
    if any(name in conditions for name in _ENDED_WELL):
        return JobState.SUCCEEDED
    if "Failed" in conditions:
        return JobState.FAILED
    if "Suspended" in conditions:
        return JobState.PENDING
    return JobState.RUNNING if "Running" in conditions else JobState.PENDING


def _message(
    state: JobState,
    conditions: Mapping[str, Mapping[str, Any]],
    pods: Sequence[Object],
    remarks: Iterable[str],
) -> str:
    """Say why it failed or waits: what the pods know is nearest to the truth."""
    if state is JobState.SUCCEEDED:
        return ""
    of_pods: dict[str, str] = {}
    for pod in pods:
        if trouble := pod_trouble(pod):
            of_pods.setdefault(replica_name(pod), trouble)
    parts = [f"{name}: {trouble}" for name, trouble in of_pods.items()]
    if state is JobState.FAILED:
        failed = conditions.get("Failed") or conditions.get("ReplicaFailure") or {}
        words = ": ".join(p for p in (failed.get("reason", ""), failed.get("message", "")) if p)
        return "; ".join([*parts, *([words] if words else [])])
    if not parts and not any(_phase(pod) == "Running" for pod in pods):
        parts = list(remarks)[-1:]
    return "; ".join(parts)


def _died(container: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    code, reason = ended["exitCode"], ended.get("reason") or "Error"
    text = f"container '{container.get('name')}' ended with exit code {code}"
    if reason != "Error":
        text = f"{reason}: {text}"
    message = str(ended.get("message") or "").strip()
    return f"{text}: {message}" if message else text


def _exit_code(found: Mapping[str, Any], pods: Sequence[Object]) -> int | None:
    """Return the deciding replica's exit code, from its pod or from what T9k copied of it."""
    if pods:
        ended = (main_status(pods[0]).get("state") or {}).get("terminated")
        if ended:
            return int(ended["exitCode"])
    for task in (found.get("tasks") or [])[:1]:
        for replica in (task.get("replicas") or [])[:1]:
            for container in (replica.get("containers") or [])[:1]:
                code = container.get("exitCode")
                return int(code) if code is not None else None
    return None


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _finished_at(
    state: JobState, found: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]
) -> float | None:
    if state not in (JobState.SUCCEEDED, JobState.FAILED):
        return None
    times = [_time_of(conditions, name) for name in (*_ENDED_WELL, "Failed")]
    return seconds_of(found.get("completionTime") or next((t for t in times if t), None))


def _time_of(conditions: Mapping[str, Mapping[str, Any]], name: str) -> str | None:
    return conditions.get(name, {}).get("lastTransitionTime")
