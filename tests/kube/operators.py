"""Plays the training operators of T9k and Kubeflow on the test control plane.

Makes the pods of each job with the variables the real controllers give them, and writes the job's
status back by their rules (protocols: T9k's phase, Kubeflow's conditions): chief, master or worker
0 decides, unfinished pods are cleaned up at the end, deadlines are kept. Pods run by ``Kubelet``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
import time
from typing import Any

from experiments.training.kubernetes.api import ApiError, Unreachable
from experiments.training.kubernetes.jobs import KINDS
from experiments.training.kubernetes.queues import is_suspended
from experiments.training.kubernetes.watch import Watch
from tests.kube.kubelet import Kubelet, now, persist

Object = dict[str, Any]
FIELDS = {
    "TFJob": "tfReplicaSpecs",
    "PyTorchJob": "pytorchReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
}
PORTS = {"TensorFlow": 2222, "TF": 2222, "PyTorch": 23456, "XGBoost": 9999}
RESYNC_S = 0.5
OTHERS = ("Job", "JobSet", "TrainJob")  # whose controllers are the real ones, and ``trainer``


class Operators:
    """Start it with ``with Operators(kubelet):``, after the kubelet."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet, self.api = kubelet, kubelet.api
        self._jobs: dict[str, Object] = {}  # by uid
        self._pods: dict[str, dict[str, Object]] = {}  # job uid -> pod name -> pod
        self._made: set[str] = set()
        self._written: dict[str, Object] = {}
        self._queue: queue.Queue[str] = queue.Queue()
        self._closing = threading.Event()

    def __enter__(self) -> Operators:
        self.kubelet.listeners.append(self._on_pod)
        self._watches = [
            Watch(self.api, f"/apis/{kind.group_version}/{kind.plural}", listener=self._on_job)
            for kind in KINDS.values()
            if kind.name not in OTHERS
        ]
        threading.Thread(target=self._loop, daemon=True, name="operators").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for watch in self._watches:
            watch.close()

    def _on_job(self, what: str, job: Object) -> None:
        uid = job["metadata"]["uid"]
        if what == "DELETED":
            self._jobs.pop(uid, None)
        else:
            self._jobs[uid] = job
            self._queue.put(uid)

    def _on_pod(self, what: str, pod: Object) -> None:
        for owner in pod["metadata"].get("ownerReferences") or []:
            if owner["kind"] in KINDS and owner["kind"] not in OTHERS:
                self._pods.setdefault(owner["uid"], {})[pod["metadata"]["name"]] = pod
                self._queue.put(owner["uid"])

    def _loop(self) -> None:
        while not self._closing.is_set():
            try:
                todo = {self._queue.get(timeout=RESYNC_S)}
                while not self._queue.empty():
                    todo.add(self._queue.get())
            except queue.Empty:
                todo = set(self._jobs)  # deadlines
            for uid in todo:
                if (job := self._jobs.get(uid)) is not None:
                    with contextlib.suppress(ApiError, Unreachable):
                        self._reconcile(uid, job)

    def _reconcile(self, uid: str, job: Object) -> None:
        if (self._written.get(uid) or {}).get("_ended"):
            return
        replicas = list(_replicas(job))
        if is_suspended(job):
            self._hold(uid, job)
            return
        if uid not in self._made:
            for position, (type_, index, spec) in enumerate(replicas):
                pod = _pod(job, type_, index, spec, position, replicas)
                path = f"/api/v1/namespaces/{job['metadata']['namespace']}/pods"
                try:
                    self.api.post(path, pod)
                except ApiError as error:
                    if error.status != 409:
                        raise
            self._made.add(uid)
        pods = self._pods.get(uid, {})
        phases = {
            _pod_name(job, type_, index): (
                pods.get(_pod_name(job, type_, index), {}).get("status") or {}
            ).get("phase", "Pending")
            for type_, index, _spec in replicas
        }
        deciding = _pod_name(job, *_deciding(job, replicas))
        state, reason = _state(job, phases, deciding)
        status = _status(job, replicas, pods, state, reason)
        if self._written.get(uid) == status:
            return
        persist(lambda: self.api.patch_status(_path(job), status))
        self._written[uid] = (
            {**status, "_ended": True} if state in ("Succeeded", "Failed") else status
        )
        if state in ("Succeeded", "Failed"):
            self._clean_up(job, phases)

    def _hold(self, uid: str, job: Object) -> None:
        """What is suspended has no pods; those that ran go, and are made anew later."""
        path = f"/api/v1/namespaces/{job['metadata']['namespace']}/pods"
        for name in self._pods.pop(uid, {}):
            persist(lambda name=name: self.api.delete(f"{path}/{name}"))
        self._made.discard(uid)
        held = {"type": "Suspended", "status": "True", "reason": f"{job['kind']}Suspended"}
        status = {"conditions": [held]}
        if self._written.get(uid) != status:
            persist(lambda: self.api.patch_status(_path(job), status))
            self._written[uid] = status

    def _clean_up(self, job: Object, phases: dict[str, str]) -> None:
        for name, phase in phases.items():
            if phase not in ("Succeeded", "Failed"):
                path = f"/api/v1/namespaces/{job['metadata']['namespace']}/pods/{name}"
                persist(lambda path=path: self.api.delete(path, {"gracePeriodSeconds": 5}))


def _is_t9k(job: Object) -> bool:
    return str(job["kind"]).endswith("TrainingJob")


def _replicas(job: Object) -> list[tuple[str, int, Object]]:
    if _is_t9k(job):
        rows = [(row["type"], row) for row in job["spec"]["replicaSpecs"]]
    else:
        rows = list(job["spec"][FIELDS[job["kind"]]].items())
    return [
        (type_, index, row) for type_, row in rows for index in range(int(row.get("replicas", 1)))
    ]


def _deciding(job: Object, replicas: list[tuple[str, int, Object]]) -> tuple[str, int]:
    types = [type_.lower() for type_, _index, _row in replicas]
    wanted = ("chief", "master", "worker")
    if job["kind"] == "PyTorchTrainingJob":
        wanted = ()
    for type_ in wanted:
        if type_ in types:
            return replicas[types.index(type_)][:2]
    return replicas[0][:2]


def _state(job: Object, phases: dict[str, str], deciding: str) -> tuple[str, str]:
    policy = job["spec"].get("runPolicy") or {}
    seconds = policy.get("activeDeadlineSeconds")
    if phases[deciding] == "Succeeded":
        return "Succeeded", ""
    if "Failed" in phases.values():
        return "Failed", "ReplicaFailed"
    created = job["metadata"]["creationTimestamp"]
    if seconds and time.time() - _epoch(created) > seconds:
        return "Failed", "DeadlineExceeded"
    if phases[deciding] == "Running":
        return "Running", ""
    return "Pending", ""


def _status(
    job: Object,
    replicas: list[tuple[str, int, Object]],
    pods: dict[str, Object],
    state: str,
    reason: str,
) -> Object:
    started = job["metadata"]["creationTimestamp"]
    if not _is_t9k(job):
        prefix = job["kind"]
        conditions = [{"type": "Created", "status": "True", "reason": f"{prefix}Created"}]
        if state == "Running":
            conditions.append({"type": "Running", "status": "True", "reason": f"{prefix}Running"})
        if state in ("Succeeded", "Failed"):
            conditions.append({"type": "Running", "status": "False", "reason": f"{prefix}{state}"})
            ended = {"type": state, "status": "True", "reason": reason or f"{prefix}{state}"}
            conditions.append({**ended, "lastTransitionTime": now()})
        found: Object = {"conditions": conditions, "startTime": started}
        if state == "Succeeded":
            found["completionTime"] = now()
        return found
    conditions = [{"type": "Initialized", "status": "True"}]
    if state in ("Succeeded", "Failed"):
        kind = "Completed" if state == "Succeeded" else "Failed"
        ended = {"type": kind, "status": "True", "reason": reason}
        conditions.append({**ended, "lastTransitionTime": now()})
    tasks: list[Object] = []
    for type_, index, _row in replicas:
        if not tasks or tasks[-1]["type"] != type_:
            tasks.append({"type": type_, "replicas": []})
        name = _pod_name(job, type_, index)
        pod = pods.get(name) or {"metadata": {"uid": ""}, "status": {}}
        containers = [
            {
                "name": c["name"],
                "exitCode": ((c.get("state") or {}).get("terminated") or {}).get("exitCode"),
            }
            for c in (pod.get("status") or {}).get("containerStatuses") or []
        ]
        phase = (pod.get("status") or {}).get("phase", "Creating")
        row = {"name": name, "uid": pod["metadata"]["uid"], "phase": phase}
        tasks[-1]["replicas"].append({**row, "containers": containers})
    return {"phase": state, "conditions": conditions, "tasks": tasks}


def _pod_name(job: Object, type_: str, index: int) -> str:
    name = job["metadata"]["name"]
    if _is_t9k(job):
        code = hashlib.sha256(job["metadata"]["uid"].encode()).hexdigest()[:5]
        return f"{name}-{code}-{type_}-{index}"
    return f"{name}-{type_.lower()}-{index}"


def _pod(
    job: Object,
    type_: str,
    index: int,
    row: Object,
    rank: int,
    replicas: list[tuple[str, int, Object]],
) -> Object:
    template = json.loads(json.dumps(row["template"]))
    meta = job["metadata"]
    labels = {**(template.get("metadata") or {}).get("labels", {})}
    if not _is_t9k(job):
        labels |= {
            "training.kubeflow.org/job-name": meta["name"],
            "training.kubeflow.org/replica-type": type_.lower(),
            "training.kubeflow.org/replica-index": str(index),
        }
    environment = _environment(job, type_, index, rank, replicas)
    for container in template["spec"]["containers"]:
        names = {entry["name"] for entry in container.get("env") or []}
        container["env"] = [
            *(container.get("env") or []),
            *({"name": k, "value": v} for k, v in environment.items() if k not in names),
        ]
    template["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": _pod_name(job, type_, index),
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": job["apiVersion"],
                    "kind": job["kind"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": template["spec"],
    }


def _environment(
    job: Object, type_: str, index: int, rank: int, replicas: list[tuple[str, int, Object]]
) -> dict[str, str]:
    framework = job["kind"].removesuffix("Job").removesuffix("Training")
    port = PORTS[framework]
    if framework in ("TensorFlow", "TF"):
        if job["kind"] == "TFJob" and len(replicas) == 1:
            return {}  # as the real one
        cluster: dict[str, list[str]] = {}
        for each, number, _row in replicas:
            address = f"{_pod_name(job, each, number)}.svc:{port}"
            cluster.setdefault(each.lower(), []).append(address)
        task = {"type": type_.lower(), "index": index}
        config = {"cluster": cluster, "task": task, "environment": "cloud"}
        return {"TF_CONFIG": json.dumps(config)}
    types = {each.lower() for each, _number, _row in replicas}
    if job["kind"] == "PyTorchJob" and "master" not in types:
        return {}  # as the real one
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "WORLD_SIZE": str(len(replicas)),
    }


def _path(job: Object) -> str:
    kind, meta = KINDS[job["kind"]], job["metadata"]
    return f"/apis/{kind.group_version}/namespaces/{meta['namespace']}/{kind.plural}/{meta['name']}"


def _epoch(text: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(text).timestamp()
