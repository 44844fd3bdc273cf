"""Plays Kueue on the test control plane: its webhook, its Workloads, its quota; the CRD is its own.

A job with the label of a queue is created suspended (a real admission webhook), gets a Workload,
and is let go while fewer than ``room`` jobs of its namespace run; ``evict`` takes its place away
again, as preemption does. Condition types, reasons and messages are Kueue's.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from http.server import ThreadingHTTPServer
from typing import Any

from experiments.training.kubernetes.api import ApiError, Unreachable
from experiments.training.kubernetes.jobs import KINDS
from experiments.training.kubernetes.queues import QUEUE_LABEL, is_suspended
from experiments.training.kubernetes.status import is_ended
from experiments.training.kubernetes.watch import Watch
from tests.kube.control_plane import ControlPlane
from tests.kube.https import Answering, https_server
from tests.kube.kubelet import Kubelet, now, persist

Object = dict[str, Any]
VERSION = "kueue.x-k8s.io/v1beta2"
MANAGED = {name: kind for name, kind in KINDS.items() if not name.endswith("TrainingJob")}
OLD = ("TFJob", "PyTorchJob", "XGBoostJob")
LOOK_S = 0.1
WITHOUT_ROOM = (
    "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default"
)


def suspended(kind: str, yes: bool) -> Object:
    """A patch of a job's spec; Kubeflow's v1 kinds have it in their runPolicy."""
    fields = {"suspend": yes}
    return {"spec": {"runPolicy": fields} if kind in OLD else fields}


class Kueue:
    """Start it with ``with Kueue(plane, kubelet):``."""

    def __init__(self, plane: ControlPlane, kubelet: Kubelet) -> None:
        self.plane, self.api = plane, kubelet.api
        self.room: dict[str, int] = {}  # namespace -> jobs that may run at once; else none
        self._evict: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _webhook(plane)

    def __enter__(self) -> Kueue:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.plane.kubectl("apply", "-f", "-", text=json.dumps(self._configuration()))
        label = QUEUE_LABEL
        self._watches = [
            Watch(self.api, f"/apis/{kind.group_version}/{kind.plural}", selector=label)
            for kind in MANAGED.values()
        ]
        self._thread = threading.Thread(target=self._run, daemon=True, name="kueue")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(timeout=10)
        for watch in self._watches:
            watch.close()
        self.plane.kubectl("delete", "mutatingwebhookconfiguration", "kueue", "--ignore-not-found")
        self._server.shutdown()
        self._server.server_close()

    def jobs(self, namespace: str) -> list[Object]:
        """The jobs of a namespace that are in a queue and have not ended, oldest first."""
        found = [
            job
            for watch in self._watches
            for job in watch.all()
            if job["metadata"]["namespace"] == namespace
            and not is_ended(job)
            and not job["metadata"].get("deletionTimestamp")
        ]
        return sorted(found, key=lambda job: str(job["metadata"]["creationTimestamp"]))

    def admitted(self, namespace: str) -> list[str]:
        return [j["metadata"]["name"] for j in self.jobs(namespace) if not is_suspended(j)]

    def evict(self, namespace: str, name: str) -> None:
        """Preempt a job: it is suspended again, and its pods go."""
        with self._lock:
            self._evict.add((namespace, name))

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            for namespace in {
                job["metadata"]["namespace"] for watch in self._watches for job in watch.all()
            }:
                with contextlib.suppress(ApiError, Unreachable, AssertionError):
                    self._look_at(namespace)

    def _look_at(self, namespace: str) -> None:
        jobs = self.jobs(namespace)
        with self._lock:
            out = {name for place, name in self._evict if place == namespace}
            self._evict -= {(namespace, name) for name in out}
        for job in jobs:
            if job["metadata"]["name"] in out and not is_suspended(job):
                words = "Preempted to accommodate a workload (UID: 0) due to prioritization"
                self._write(job, Evicted=("True", "Preempted", words), Admitted=("False", "x", ""))
                self._suspend(job, True)
        free = self.room.get(namespace, 0) - sum(not is_suspended(job) for job in jobs)
        for job in jobs:
            if not is_suspended(job) or job["metadata"]["name"] in out:
                continue
            if free > 0:
                free -= 1
                self._write(
                    job,
                    QuotaReserved=("True", "QuotaReserved", "Quota reserved"),
                    Admitted=("True", "Admitted", "The workload is admitted"),
                )
                self._suspend(job, False)
            else:
                self._write(job, QuotaReserved=("False", "Pending", WITHOUT_ROOM))

    def _suspend(self, job: Object, yes: bool) -> None:
        kind, meta = KINDS[job["kind"]], job["metadata"]
        path = f"/apis/{kind.group_version}/namespaces/{meta['namespace']}/{kind.plural}"
        changes = suspended(job["kind"], yes)
        persist(lambda: self.api.merge(f"{path}/{meta['name']}", changes))
        job["spec"] = {**job["spec"], **changes["spec"]}  # until the watch has seen it

    def _write(self, job: Object, **conditions: tuple[str, str, str]) -> None:
        """Bring the job's Workload to these conditions, making it first."""
        meta = job["metadata"]
        path = f"/apis/{VERSION}/namespaces/{meta['namespace']}/workloads"
        name = f"{job['kind'].lower()}-{meta['name']}"[:60] + "-w"
        owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": meta["name"]}
        pod = {"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Never"}
        workload = {
            "apiVersion": VERSION,
            "kind": "Workload",
            "metadata": {"name": name, "ownerReferences": [{**owner, "uid": meta["uid"]}]},
            "spec": {
                "queueName": meta["labels"][QUEUE_LABEL],
                "podSets": [{"name": "main", "count": 1, "template": {"spec": pod}}],
            },
        }
        try:
            self.api.post(path, workload)
        except ApiError as error:
            if error.status != 409:
                raise
        rows = [
            {"type": kind, "status": status, "reason": reason, "message": words}
            | {"lastTransitionTime": now()}
            for kind, (status, reason, words) in conditions.items()
        ]
        persist(lambda: self.api.patch_status(f"{path}/{name}", {"conditions": rows}))

    def _configuration(self) -> Object:
        certificate = self.plane.directory / "certs" / "apiserver.crt"
        address = f"https://127.0.0.1:{self._server.server_port}/"
        rules = [
            {
                "apiGroups": [kind.group_version.partition("/")[0]],
                "apiVersions": ["*"],
                "operations": ["CREATE"],
                "resources": [kind.plural],
            }
            for kind in MANAGED.values()
        ]
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "kueue"},
            "webhooks": [
                {
                    "name": "mjob.kb.io",
                    "clientConfig": {
                        "url": address,
                        "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
                    },
                    "rules": rules,
                    "objectSelector": {
                        "matchExpressions": [{"key": QUEUE_LABEL, "operator": "Exists"}]
                    },
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }


def _webhook(plane: ControlPlane) -> ThreadingHTTPServer:
    """Answer AdmissionReviews: what is in a queue begins suspended."""

    class Handler(Answering):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = review["request"]
            spec = asked["object"]["spec"]
            changes = suspended(asked["kind"]["kind"], True)["spec"]
            changed = {**spec, **changes}
            if "runPolicy" in changes:
                changed["runPolicy"] = {**(spec.get("runPolicy") or {}), **changes["runPolicy"]}
            patch = [{"op": "replace", "path": "/spec", "value": changed}]
            answer = {
                "uid": asked["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
            body = {"apiVersion": "admission.k8s.io/v1", "kind": review["kind"], "response": answer}
            data = json.dumps(body).encode()
            self.answer(200, "application/json", data)

    return https_server(plane, Handler)
