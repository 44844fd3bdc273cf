"""One cluster as the Kubernetes backend sees it: watches by namespace, and what it serves.

A ``NamespaceView`` starts a watch when a kind is first asked for, and refuses to answer
(``Unreachable``) while what it shows may be out of date.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from experiments.training.base import LaunchError
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable
from experiments.training.kubernetes.discovery import Served
from experiments.training.kubernetes.jobs import (
    ENGINES,
    JOB_LABEL,
    KINDS,
    MANAGED_BY,
    jobset,
    runtimes,
)
from experiments.training.kubernetes.queues import (
    KUEUE,
    is_in_queue,
    why_suspended,
    words_of,
    workload_of,
)
from experiments.training.kubernetes.watch import Object, Watch

FIRST_LIST_S = 10.0
UNKNOWN_AFTER_S = 20.0  # a server that has just started may not know yet what it serves
STRANGERS_KEPT = 500  # jobs
LAST = "batch"  # every cluster has it
ENDED_PHASES = ("Succeeded", "Failed")

# called with (job, pod) when a pod ended, and with (job, pod) when it is about to be removed
PodListener = Callable[[str, Object], None]


class Cluster:
    """Made once per process; its views live as long as it does."""

    def __init__(self, api: KubeApi, on_pod_end: PodListener, on_pod_leaving: PodListener) -> None:
        self.api = api
        self._listeners = (on_pod_end, on_pod_leaving)
        self._views: dict[str, NamespaceView] = {}
        self._lock = threading.Lock()
        self.served = Served(api)

    def view(self, namespace: str) -> NamespaceView:
        with self._lock:
            if namespace not in self._views:
                self._views[namespace] = NamespaceView(self.api, namespace, *self._listeners)
            return self._views[namespace]

    def engines(self) -> list[str]:
        """Return the engines whose kinds the cluster serves now, best first.

        Raises:
            ApiError, Unreachable
        """
        return [*(name for name in ENGINES if name != LAST and self._serves(name)), LAST]

    def _serves(self, engine: str) -> bool:
        return self.served.has_all(ENGINES[engine].kinds)

    def runtime(self, namespace: str, reference: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the spec of a runtime of Trainer's.

        Raises:
            ApiError, Unreachable
            LaunchError: there is none of that name.
        """
        name = reference["name"]
        known = runtimes.CLUSTER_RUNTIME
        path = f"/apis/{known.group_version}/{known.plural}"
        missing = f"the cluster has no ClusterTrainingRuntime {name!r}"
        if reference["kind"] == runtimes.RUNTIME.name:
            path = collection(known.group_version, namespace, runtimes.RUNTIME.plural)
            missing = f"its namespace has no TrainingRuntime {name!r}"
        try:
            found: Mapping[str, Any] = self.api.get(f"{path}/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            raise LaunchError(f"{runtimes.PATH}.name: {missing}") from error
        return found.get("spec") or {}

    def close(self) -> None:
        for view in self._views.values():
            view.close()


class NamespaceView:
    """The objects, pods and warnings of our trials in one namespace."""

    def __init__(
        self,
        api: KubeApi,
        namespace: str,
        on_pod_end: PodListener,
        on_pod_leaving: PodListener,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._on_pod_end = on_pod_end
        self._on_pod_leaving = on_pod_leaving
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._followed: set[str] = set()
        self._pods: dict[str, dict[str, Object]] = {}  # job -> uid -> pod, gone ones too
        self._gone: set[str] = set()  # uids of the latter
        self._kueue = ""  # the version in which it is served
        self._strangers: OrderedDict[str, None] = OrderedDict()  # jobs of gone pods, not followed

    # jobs

    def job(self, kind: str, name: str, uid: str) -> Object | None:
        """Return the object as the cluster has it; None when it is not there (any more).

        Raises:
            ApiError, Unreachable: what is known may be out of date.
        """
        if self._is_unknown(kind):
            return None
        found = self._sure(kind).find(name)
        if found is not None and found["metadata"]["uid"] == uid:
            return found
        if self._watches[kind].last_seen(uid) is not None:
            return None
        # It may be newer than what the watch has seen: the one case that costs a request.
        try:
            found = self._api.get(f"{self._path(kind)}/{name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found if found["metadata"]["uid"] == uid else None

    def last_seen(self, kind: str, uid: str) -> Object | None:
        """Return a deleted object as it last was, if it was seen here."""
        if self._is_unknown(kind):
            return self._watch(kind).last_seen(uid)
        return self._sure(kind).last_seen(uid)

    def jobs_of(self, job: str) -> list[Object]:
        """Return the batch Jobs of a trial."""
        return [j for j in self._sure("Job").all() if j["metadata"]["labels"].get(JOB_LABEL) == job]

    def timed(self, job: str, deciding: Object) -> list[Object]:
        """Return the objects of a trial that may have a deadline, the deciding one first."""
        if deciding["kind"] == jobset.JOB_SET.name:  # whose Jobs are its controller's
            found = map(self._sure("Job").find, jobset.jobs_of(deciding))
            return [each for each in found if each is not None]
        return self.jobs_of(job) if deciding["kind"] == "Job" else [deciding]

    def _is_unknown(self, kind: str) -> bool:
        """Whether the API server serves this kind no more, so that none of it is there."""
        watch = self._watch(kind)
        watch.wait_synced(FIRST_LIST_S)
        return watch.refused == 404 and time.monotonic() - watch.refused_since > UNKNOWN_AFTER_S

    # pods

    def follow(self, job: str) -> None:
        """From now on tell when pods of this job end or leave, and remember those that are gone."""
        if job in self._followed:
            return
        self._sure("Pod")
        with self._lock:
            self._followed.add(job)
            pods = list(self._pods.get(job, {}).values())
        for pod in pods:
            self._tell(job, pod)

    def unfollow(self, job: str) -> None:
        with self._lock:
            self._followed.discard(job)
            self._gone -= self._pods.pop(job, {}).keys()

    def pods(self, job: str) -> list[Object]:
        """Return the pods of a trial, those that are gone as they last were."""
        with self._lock:
            return list(self._pods.get(job, {}).values())

    def is_over(self, pod: Object) -> bool:
        """Whether nothing of this pod runs any more."""
        phase = (pod.get("status") or {}).get("phase")
        return phase in ENDED_PHASES or pod["metadata"]["uid"] in self._gone

    def _on_pod(self, what: str, pod: Object) -> None:
        job = (pod["metadata"].get("labels") or {}).get(JOB_LABEL, "")
        with self._lock:
            followed = job in self._followed
            self._pods.setdefault(job, {})[pod["metadata"]["uid"]] = pod
            if what == "DELETED":  # how it went is asked when its job is looked at, perhaps later
                self._gone.add(pod["metadata"]["uid"])
                if not followed:
                    self._strangers[job] = None
                    self._forget_the_oldest()
        if followed and what != "DELETED":
            self._tell(job, pod)

    def _forget_the_oldest(self) -> None:
        """Keep no more gone pods of jobs that nobody here follows than a launch can take long."""
        while len(self._strangers) > STRANGERS_KEPT:
            job, _ = self._strangers.popitem(last=False)
            if job not in self._followed:
                self._gone -= self._pods.pop(job, {}).keys()

    def _tell(self, job: str, pod: Object) -> None:
        if (pod.get("status") or {}).get("phase") in ENDED_PHASES:
            self._on_pod_end(job, pod)
        elif pod["metadata"].get("deletionTimestamp"):
            self._on_pod_leaving(job, pod)

    # warnings

    def remarks(self, job: str) -> list[str]:
        """Return what the cluster warned of about this trial's objects and pods, newest last."""
        watch = self._watch("Event")
        if watch.trouble:  # not allowed to see them, perhaps: they are an extra
            return []
        found = [
            event
            for event in watch.all()
            if (name := (event.get("involvedObject") or {}).get("name", "")) == job
            or name.startswith(f"{job}-")
        ]
        found.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        return [f"{event.get('reason')}: {event.get('message')}" for event in found]

    # queues

    def why_suspended(self, job: Object) -> str:
        """Say who suspended a job, as far as we may see it.

        Raises:
            ApiError, Unreachable
        """
        workload = None
        if is_in_queue(job) and self._kueue_version():
            watch = self._watch("Workload")
            watch.wait_synced(FIRST_LIST_S)  # not allowed to see them, perhaps: they are an extra
            workload = None if watch.trouble else workload_of(job, watch.all())
            if workload is not None and not words_of(workload):  # the watch of the jobs was faster
                path = f"{self._path('Workload')}/{workload['metadata']['name']}"
                with contextlib.suppress(ApiError):
                    workload = self._api.get(path)
        return why_suspended(job, workload)

    def _kueue_version(self) -> str:
        """The version in which Kueue's objects are served; "" where there is no Kueue (yet)."""
        if not self._kueue:
            try:
                found = self._api.get(f"/apis/{KUEUE}")
            except ApiError as error:
                if error.is_temporary:
                    raise
                return ""
            self._kueue = str(found["preferredVersion"]["version"])
        return self._kueue

    # watches

    def _sure(self, kind: str) -> Watch:
        """Return a watch that can be believed now."""
        watch = self._watch(kind)
        if not watch.wait_synced(FIRST_LIST_S) or watch.trouble:
            trouble = watch.trouble or f"no list of {kind}s within {FIRST_LIST_S:g} s"
            words = f"namespace {self._namespace}: {trouble}"
            raise ApiError(watch.refused, "", words) if watch.refused else Unreachable(words)
        return watch

    def _watch(self, kind: str) -> Watch:
        with self._lock:
            if kind not in self._watches:
                warnings = {"fields": "type=Warning"} if kind == "Event" else {}
                is_ours = kind not in ("Event", "Workload")
                self._watches[kind] = Watch(
                    self._api,
                    self._path(kind),
                    selector=MANAGED_BY if is_ours else "",
                    listener=self._on_pod if kind == "Pod" else None,
                    **warnings,
                )
            return self._watches[kind]

    def _path(self, kind: str) -> str:
        if kind in ("Pod", "Event"):
            return collection("v1", self._namespace, f"{kind.lower()}s")
        if kind == "Workload":
            return collection(f"{KUEUE}/{self._kueue}", self._namespace, "workloads")
        known = KINDS[kind]
        return collection(known.group_version, self._namespace, known.plural)

    def close(self) -> None:
        for watch in self._watches.values():
            watch.close()


def collection(api_version: str, namespace: str, plural: str) -> str:
    """Return the path of all objects of a kind in a namespace."""
    root = "/api" if "/" not in api_version else "/apis"
    return f"{root}/{api_version}/namespaces/{namespace}/{plural}"


def pods_of(api: KubeApi, namespace: str, job: str) -> list[Any]:
    """Return a trial's pods by one request, for processes that watch nothing."""
    found = api.get(collection("v1", namespace, "pods"), labelSelector=f"{JOB_LABEL}={job}")
    return list(found.get("items") or [])
