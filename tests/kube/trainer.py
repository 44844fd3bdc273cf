"""Plays Kubeflow's Trainer v2 on the test control plane; the CRDs are its own.

Makes the Job that Trainer has JobSet make of a TrainJob and its TrainingRuntime (the JobSet itself
is left out), with PET_* where the runtime says torch, and copies the Job's end and suspension to
the TrainJob. What becomes of the Job is the real controller's.
"""

from __future__ import annotations

import copy
import queue
import threading
from typing import Any

from experiments.training.kubernetes.api import ApiError, Unreachable
from experiments.training.kubernetes.jobs.runtimes import NODE, RUNTIME, STEP_LABEL
from experiments.training.kubernetes.jobs.trainer import TRAIN_JOB
from experiments.training.kubernetes.watch import Watch
from tests.kube.kubelet import Kubelet, now, persist

Object = dict[str, Any]
AGAIN_S = 0.5
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
SHOWN = ("Complete", "Failed", "Suspended")


class Trainer:
    """Start it with ``with Trainer(kubelet):``."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.api = kubelet.api
        self._queue: queue.Queue[tuple[str, str]] = queue.Queue()
        self._closing = threading.Event()

    def __enter__(self) -> Trainer:
        path = f"/apis/{TRAIN_JOB.group_version}/{TRAIN_JOB.plural}"
        self._train_jobs = Watch(self.api, path, listener=self._on_train_job)
        self._jobs = Watch(self.api, "/apis/batch/v1/jobs", listener=self._on_job)
        self._thread = threading.Thread(target=self._run, daemon=True, name="trainer")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(timeout=10)
        for watch in (self._train_jobs, self._jobs):
            watch.close()

    def _on_train_job(self, what: str, thing: Object) -> None:
        if what != "DELETED":
            self._queue.put((thing["metadata"]["namespace"], thing["metadata"]["name"]))

    def _on_job(self, what: str, thing: Object) -> None:
        for owner in thing["metadata"].get("ownerReferences") or []:
            if owner["kind"] == TRAIN_JOB.name:
                self._queue.put((thing["metadata"]["namespace"], owner["name"]))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                key = self._queue.get(timeout=AGAIN_S)
            except queue.Empty:
                continue
            try:
                self._reconcile(*key)
            except (ApiError, Unreachable, AssertionError):
                if not self._closing.wait(AGAIN_S):
                    self._queue.put(key)

    def _reconcile(self, namespace: str, name: str) -> None:
        train_job = self._train_jobs.find(name)
        if train_job is None or train_job["metadata"].get("deletionTimestamp"):
            return
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        try:
            job = self.api.get(f"{path}/{name}-{NODE}-0")
        except ApiError as error:
            if error.status != 404:
                raise
            job = self.api.post(path, self._job(namespace, train_job))
        suspend = bool(train_job["spec"].get("suspend"))
        if bool(job["spec"].get("suspend")) != suspend:
            changes = {"spec": {"suspend": suspend}}
            persist(lambda: self.api.merge(f"{path}/{name}-{NODE}-0", changes))
        self._tell(train_job, job)

    def _tell(self, train_job: Object, job: Object) -> None:
        meta = train_job["metadata"]
        known = {row["type"]: row for row in (job.get("status") or {}).get("conditions") or []}
        rows = [
            {
                "type": kind,
                "status": known[kind]["status"],
                "reason": known[kind].get("reason") or kind,
                "message": known[kind].get("message", ""),
                "lastTransitionTime": known[kind].get("lastTransitionTime") or now(),
            }
            for kind in SHOWN
            if kind in known
        ]
        if rows and rows != (train_job.get("status") or {}).get("conditions"):
            plural = f"/apis/{TRAIN_JOB.group_version}/namespaces/{meta['namespace']}"
            where = f"{plural}/{TRAIN_JOB.plural}/{meta['name']}"
            persist(lambda: self.api.patch_status(where, {"conditions": rows}))

    def _job(self, namespace: str, train_job: Object) -> Object:
        meta, spec = train_job["metadata"], train_job["spec"]
        runtimes = f"/apis/{RUNTIME.group_version}/namespaces/{namespace}/{RUNTIME.plural}"
        runtime = self.api.get(f"{runtimes}/{spec['runtimeRef']['name']}")["spec"]
        (node,) = runtime["template"]["spec"]["replicatedJobs"]
        assert node["replicas"] == 1
        assert node["template"]["metadata"]["labels"][STEP_LABEL] == "trainer"
        made = copy.deepcopy(node["template"]["spec"])
        count = int((spec.get("trainer") or {}).get("numNodes") or runtime["mlPolicy"]["numNodes"])
        pod = made["template"]["spec"]
        pod["subdomain"] = meta["name"]
        (container,) = [each for each in pod["containers"] if each["name"] == NODE]
        if "torch" in runtime["mlPolicy"]:
            container["env"] += [
                {"name": "PET_NNODES", "value": str(count)},
                {"name": "PET_NPROC_PER_NODE", "value": "auto"},
                {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX}}},
                {"name": "PET_MASTER_ADDR", "value": f"{meta['name']}-{NODE}-0-0.{meta['name']}"},
                {"name": "PET_MASTER_PORT", "value": "29500"},
            ]
        for over in spec.get("podSpecOverrides") or []:
            _lay_over(pod, over)
        made.update(
            parallelism=count,
            completions=count,
            completionMode="Indexed",
            suspend=bool(spec.get("suspend")),
        )
        owner = {"apiVersion": train_job["apiVersion"], "kind": train_job["kind"]}
        owner |= {"name": meta["name"], "uid": meta["uid"], "controller": True}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"{meta['name']}-{NODE}-0", "ownerReferences": [owner]},
            "spec": made,
        }


def _lay_over(pod: Object, over: Object) -> None:
    """What a TrainJob's podSpecOverrides change in its runtime's pods."""
    for key in ("serviceAccountName", "nodeSelector", "tolerations"):
        if key in over:
            pod[key] = over[key]
    pod["volumes"] = [*(pod.get("volumes") or []), *(over.get("volumes") or [])]
    for container in over.get("containers") or []:
        (known,) = [each for each in pod["containers"] if each["name"] == container["name"]]
        known["env"] = [*(known.get("env") or []), *(container.get("env") or [])]
