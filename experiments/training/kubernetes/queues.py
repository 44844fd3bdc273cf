"""Jobs that wait for a place: held by a queue (Kueue), or with pods that no node takes. Pure.

Used by the Kubernetes backend, on what its watches saw. A queue holds a job by suspending it, at
its creation or later; what of Kueue's Workload says why is put into words here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]

KUEUE = "kueue.x-k8s.io"
QUEUE_LABEL = f"{KUEUE}/queue-name"
PRIORITY_LABEL = f"{KUEUE}/priority-class"
UNPLACED_S = 15.0  # a pod, or a job without pods, that nobody has looked at for so long waits


def is_suspended(job: Object) -> bool:
    """Whether a job's controller was told to run nothing of it, whatever its kind."""
    spec = job.get("spec") or {}
    policy = spec.get("runPolicy") or {}
    paused = (job.get("status") or {}).get("phase") == "Paused"
    return bool(spec.get("suspend") or policy.get("suspend") or paused)


def is_in_queue(job: Object) -> bool:
    """Whether Kueue has the say over it: we, its user or Kueue itself have named its queue."""
    return QUEUE_LABEL in (job["metadata"].get("labels") or {})


def workload_of(job: Object, workloads: Iterable[Object]) -> Object | None:
    """What Kueue has made of a job; None where it has not yet."""
    uid = job["metadata"]["uid"]
    for workload in workloads:
        if any(owner["uid"] == uid for owner in workload["metadata"].get("ownerReferences") or []):
            return workload
    return None


def why_suspended(job: Object, workload: Object | None) -> str:
    """Say who holds a suspended job, and what Kueue says of it."""
    if not is_in_queue(job):
        return "It is suspended, and not by a queue."
    queue = job["metadata"]["labels"][QUEUE_LABEL]
    words = "" if workload is None else words_of(workload)
    if not words:
        return f"It waits in the queue '{queue}' (Kueue)."
    return f"It waits in the queue '{queue}' (Kueue). {words}"


def words_of(workload: Object) -> str:
    """Why Kueue does not let a job run; "" where it does."""
    if (workload.get("spec") or {}).get("active") is False:
        return "Deactivated."
    conditions = {row["type"]: row for row in (workload.get("status") or {}).get("conditions", [])}
    for kind, status in (("Evicted", "True"), ("QuotaReserved", "False"), ("Admitted", "False")):
        row = conditions.get(kind) or {}
        if row.get("status") == status:
            return ": ".join(part for part in (row.get("reason"), row.get("message")) if part)
    return ""


def why_unplaced(pod: Object) -> str:
    """Say why no node has a pod; "" where one has, or it is too new for anybody to have looked."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    if status.get("phase") != "Pending" or spec.get("nodeName"):
        return ""
    for row in status.get("conditions") or []:
        if row.get("type") == "PodScheduled" and row.get("status") == "False":
            return f"{row.get('reason', 'Unschedulable')}: {row.get('message', '')}"
    name = spec.get("schedulerName") or "default-scheduler"
    return f"the scheduler {name} has found no node for it yet" if is_old(pod) else ""


def is_old(thing: Object) -> bool:
    """Whether it is there for longer than a controller needs to look at it."""
    made = seconds_of(thing["metadata"].get("creationTimestamp"))
    return made is not None and time.time() - made > UNPLACED_S


def seconds_of(text: str | None) -> float | None:
    """A time as the API writes it, in seconds since the epoch."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
