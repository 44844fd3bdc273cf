"""Trials as objects of a Kubernetes cluster: TrainingJobs, Kubeflow's jobs or plain Jobs.

Called by ``experiments.loop.reconcile``. What to send is ``jobs``' business, what the answers mean
``status``'. Guarantees: one object per attempt, whoever launches it how often; polling costs
no request per job (``watch``); while the API server is away nothing is decided; the logs of
all replicas are on this side (``logs``) before a job counts as ended; deleting the deciding
object deletes all that belongs to the trial.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.training.base import (
    ENDED,
    QUEUED,
    Backend,
    BackendRefused,
    BackendUnavailable,
    Handle,
    JobState,
    JobStatus,
    Launch,
    LaunchError,
    LogFile,
)
from experiments.training.kubernetes import api, jobs
from experiments.training.kubernetes.api import ApiError, KubeApi, Unreachable
from experiments.training.kubernetes.blocked import SAID_BY
from experiments.training.kubernetes.cluster import Cluster, NamespaceView, collection, pods_of
from experiments.training.kubernetes.jobs import (
    BEFORE,
    DEFAULTS,
    JOB_LABEL,
    KINDS,
    WITH_RUNTIMES,
    Options,
    build,
    owned_by,
    owner_reference,
    runtimes,
)
from experiments.training.kubernetes.logs import ENDED as ENDED_MARK
from experiments.training.kubernetes.logs import STOPPED, LogKeeper
from experiments.training.kubernetes.policy import UNBOUND, PodPolicies
from experiments.training.kubernetes.queues import is_suspended, why_suspended
from experiments.training.kubernetes.status import (
    MESSAGE_AT_MOST,
    by_rank,
    is_ended,
    longer,
    lost_helper,
    replica_name,
    status_of,
)
from experiments.training.last_words import error_of

logger = logging.getLogger(__name__)

LAST_BYTES = 16 * 1024  # of a log, to find an error in
ENGINES = (*jobs.ENGINES, "auto")
LOGS_WITHIN_S = 20.0  # a job's end is told without its logs after this
SETTLE_S = 5.0  # what the other replicas get to end after the deciding one, for their logs' sake
LAST_WORDS_S = 5.0  # for the logs of a job that is about to be deleted
REFRESH_S = 2.0  # logs of running trials are copied anew when somebody looks, not more often


class KubernetesBackend(Backend):
    """Runs trials on the cluster that KUBECONFIG or the pod's ServiceAccount names."""

    has_cluster_secrets = True

    def __init__(
        self,
        engine: str,
        root: Path,
        *,
        connect: Callable[[], KubeApi] = KubeApi.from_environment,
        options: Options = DEFAULTS,
        policies: PodPolicies = UNBOUND,
    ) -> None:
        """Args:
        engine: trainer, tensorstack, kubeflow, jobset, batch, or auto: by what the cluster serves.
        root: where logs are kept, one directory per job.
        connect: makes the connection, at its first use.
        policies: what trials may ask of the cluster.
        """
        assert engine in ENGINES
        self.name = engine
        self._connect = connect
        self._options = options
        self._policies = policies
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._logs = LogKeeper(root, lambda: self._reach().api)
        self._ended_since: dict[str, float] = {}  # job name -> monotonic, while logs come
        self._refreshed: dict[str, float] = {}  # job name -> monotonic
        self._unchangeable: set[str] = set()  # uids of jobs whose deadline we may not change

    # launch

    def launch(self, launch: Launch) -> Handle:
        """See ``Backend.launch``."""
        try:
            cluster = self._reach()
            objects, replicas = self._build(cluster, launch)
            cluster.view(launch.namespace).follow(launch.name)  # before a pod can come and go
            first = [self._create(cluster, o, launch) for o in objects if o["kind"] in BEFORE]
            try:
                deciding = self._create(cluster, objects[0], launch)
            except LaunchError:
                for thing in first:  # it can never be used
                    _delete_other(cluster, thing)
                raise
            for thing in first:
                self._hand_over(cluster, thing, deciding)
            for thing in objects[1:]:
                if thing["kind"] not in BEFORE:
                    self._create(cluster, owned_by(deciding, thing), launch)
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error
        handle = _handle(launch.name, deciding, replicas)
        if is_suspended(deciding):  # by a queue's webhook
            handle[QUEUED] = why_suspended(deciding, None)
        return handle

    def find(self, launch: Launch) -> Handle | None:
        """See ``Backend.find``; costs a request."""
        try:
            cluster = self._reach()
            # Of whatever runtime: its name is the same.
            objects, replicas = self._objects(cluster, replace(launch, runtime={}), launch.runtime)
            deciding = self._existing(cluster, objects[0], launch)
        except LaunchError:
            return None  # nor could it be launched
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error
        return None if deciding is None else _handle(launch.name, deciding, replicas)

    def documents(self, launch: Launch) -> list[dict[str, Any]]:
        """See ``Backend.documents``: the objects, ready for ``kubectl apply``."""
        try:
            objects = self._build(self._reach(), launch)[0]
            return sorted(objects, key=lambda thing: thing["kind"] not in BEFORE)
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error

    def forecast(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """See ``Backend.forecast``; says nothing while the cluster cannot be asked."""
        try:
            cluster = self._reach()
            if launch.runtime and not self._policies.refusals(launch):
                self._build(cluster, launch)
            else:
                self._objects(cluster, launch)
        except LaunchError as error:
            pairs = (line.partition(": ") for line in str(error).splitlines())
            return [(path, message) for path, _, message in pairs]
        except (ApiError, Unreachable):
            pass
        return ()

    def refusals(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """See ``Backend.refusals``."""
        return self._policies.refusals(launch)

    def _build(self, cluster: Cluster, launch: Launch) -> tuple[list[dict[str, Any]], list[str]]:
        """Return what to send; the policy may have changed since the experiment was let in."""
        own = self._policies.refusals(launch)
        if not own and launch.runtime:
            launch = runtimes.begun(launch, cluster.runtime(launch.namespace, launch.runtime))
            name = launch.runtime["name"]
            own = [
                (runtimes.PATH, f"the runtime {name!r} begins {path}, which {words}")
                for path, words in self._policies.refusals(launch)
            ]
        if own:
            raise LaunchError("\n".join(f"{path}: {words}" for path, words in own))
        return self._objects(cluster, self._policies.completed(launch))

    def _objects(
        self, cluster: Cluster, launch: Launch, runtime: Mapping[str, str] | None = None
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """What our engine makes of it, or the first of the cluster's that can say it.

        ``runtime``: it had one. Raises LaunchError, ApiError and Unreachable.
        """
        names = cluster.engines() if self.name == "auto" else [self.name]
        if runtime and self.name == "auto":
            names = [WITH_RUNTIMES]
        if launch.scheduler:  # which T9k's jobs alone can say whole
            names = sorted(names, key=lambda name: name != "tensorstack")
        for name in names[:-1]:
            with contextlib.suppress(LaunchError):
                return build(launch, name, self._options)
        return build(launch, names[-1], self._options)

    def _hand_over(
        self, cluster: Cluster, thing: Mapping[str, Any], deciding: Mapping[str, Any]
    ) -> None:
        """Let what had to be there before the deciding object go with it."""
        reference = owner_reference(deciding)
        if reference in thing["metadata"].get("ownerReferences", []):
            return
        path = collection(
            thing["apiVersion"], thing["metadata"]["namespace"], _plural(thing["kind"])
        )
        owners = {"metadata": {"ownerReferences": [reference]}}
        cluster.api.merge(f"{path}/{thing['metadata']['name']}", owners)

    def _create(self, cluster: Cluster, thing: dict[str, Any], launch: Launch) -> dict[str, Any]:
        """Create an object, or find the one that an earlier launch made."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        path = collection(thing["apiVersion"], launch.namespace, _plural(kind))
        try:
            return cluster.api.post(path, thing)
        except ApiError as error:
            if error.status == 409 and error.reason == "AlreadyExists":
                if (found := self._existing(cluster, thing, launch)) is not None:
                    return found
                raise LaunchError(
                    f"{kind} {launch.namespace}/{name} exists already, and is not ours"
                ) from error
            if error.is_temporary or error.status == 403:  # a quota or a role can be widened
                raise
            if self.name == "auto" and api.is_unknown(error):  # another engine, then
                cluster.served.doubt()
                raise
            raise LaunchError(api.refusal_of(error, kind, launch.namespace)) from error

    def _existing(
        self, cluster: Cluster, thing: Mapping[str, Any], launch: Launch
    ) -> dict[str, Any] | None:
        """The object of this launch that the cluster has already; None for nothing of ours."""
        kind, name = thing["kind"], thing["metadata"]["name"]
        path = collection(thing["apiVersion"], launch.namespace, _plural(kind))
        try:
            found: dict[str, Any] = cluster.api.get(f"{path}/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        is_ours = found["metadata"].get("labels", {}).get(JOB_LABEL) == launch.name
        return found if is_ours else None

    # poll and stop

    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        """See ``Backend.poll``; answered from watches, without a request where all is well."""
        if not handles:
            return []
        try:
            cluster = self._reach()
            return [self._status(cluster, handle) for handle in handles]
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error

    def _status(self, cluster: Cluster, handle: Handle) -> JobStatus:
        if "uid" not in handle:
            return JobStatus(JobState.LOST, message="the trial was not launched on a cluster")
        view = cluster.view(handle["namespace"])
        view.follow(handle["name"])  # from now on its pods' logs are kept when they end
        job = view.job(handle["kind"], handle["object"], handle["uid"])
        if job is None:
            return self._of_the_gone(view, handle)
        pods = by_rank(view.pods(handle["name"]), handle["replicas"])
        held = view.why_suspended(job) if is_suspended(job) else ""
        status = status_of(job, pods, view.remarks(handle["name"]), held)
        if status.state in ENDED:
            self._end_the_rest(cluster, view, handle, status)
            if not self._logs_are_here(view, handle, pods):
                return JobStatus(JobState.RUNNING)
            return self._with_error(status, handle)
        if job["metadata"].get("deletionTimestamp"):
            return JobStatus(JobState.RUNNING, message="it is being deleted")
        return status

    def _with_error(self, status: JobStatus, handle: Handle) -> JobStatus:
        """Add to a failure the line of the deciding replica's log that says why."""
        if status.state is not JobState.FAILED or not status.exit_code:
            return status
        log = f"{handle['replicas'][0]}.log"
        error = error_of(self._logs.read(handle["name"], log, -LAST_BYTES, LAST_BYTES))
        if not error or error in status.message:
            return status
        known = status.message[: MESSAGE_AT_MOST - len(error) - 2]
        return replace(status, message=f"{known}; {error}" if known else error)

    def _of_the_gone(self, view: NamespaceView, handle: Handle) -> JobStatus:
        """Return how a job ended whose object is there no more."""
        last = view.last_seen(handle["kind"], handle["uid"])
        pods = by_rank(view.pods(handle["name"]), handle["replicas"])
        if last is not None and (is_ended(last) or lost_helper(last, pods)):
            return status_of(last, pods)
        view.unfollow(handle["name"])
        stopped = self._logs.is_marked(handle["name"], STOPPED)
        self._logs.mark(handle["name"], ENDED_MARK)
        if stopped:
            return JobStatus(JobState.STOPPED, message="stopped", finished_at=time.time())
        message = f"{handle['kind']} {handle['object']} was deleted by somebody else"
        return JobStatus(JobState.LOST, message=message, finished_at=time.time())

    def _end_the_rest(
        self, cluster: Cluster, view: NamespaceView, handle: Handle, status: JobStatus
    ) -> None:
        """Delete Jobs of replicas that do not end by themselves (ps, evaluator), or all."""
        for other in view.jobs_of(handle["name"]) if handle["kind"] == "Job" else ():
            meta = other["metadata"]
            spared = meta["name"] == handle["object"] and not status.disrupted
            if not (spared or is_ended(other) or meta.get("deletionTimestamp")):
                _delete(cluster, handle, meta["name"], meta["uid"])

    def _logs_are_here(self, view: NamespaceView, handle: Handle, pods: Sequence[Any]) -> bool:
        name, keeper = handle["name"], self._logs
        if keeper.is_marked(name, ENDED_MARK):
            return True
        waited = time.monotonic() - self._ended_since.setdefault(name, time.monotonic())
        over = [pod for pod in pods if view.is_over(pod) or waited > SETTLE_S]
        for pod in over:
            keeper.keep(name, pod)
        whole = len(over) == len(pods) and keeper.is_kept(name, pods)
        if not whole and waited < LOGS_WITHIN_S:
            return False
        self._ended_since.pop(name, None)
        keeper.mark(name, ENDED_MARK)
        view.unfollow(name)
        return True

    def allow(self, handle: Handle, seconds: float) -> None:
        """See ``Backend.allow``: its deadline was set at launch, and time was gained since."""
        if "uid" not in handle:
            return
        try:
            cluster = self._reach()
            view = cluster.view(handle["namespace"])
            kind, until = handle["kind"], time.time() + seconds
            deciding = view.job(kind, handle["object"], handle["uid"])
            if deciding is None or (kind == "Job" and longer(deciding, until) is None):
                return  # nor do the others need it: they were made after it
            for job in view.timed(handle["name"], deciding):
                changes = longer(job, until)
                if changes and job["metadata"]["uid"] not in self._unchangeable:
                    self._change(cluster, job, changes)
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error

    def _change(self, cluster: Cluster, job: Mapping[str, Any], changes: dict[str, Any]) -> None:
        meta = job["metadata"]
        path = collection(job["apiVersion"], meta["namespace"], _plural(job["kind"]))
        try:
            cluster.api.merge(f"{path}/{meta['name']}", changes)
        except ApiError as error:
            if error.is_temporary:
                raise
            if error.status != 404:  # no right to, say: the trial goes on as it was launched
                logger.warning("The deadline of %s stays as it is: %s", meta["name"], error)
                self._unchangeable.add(meta["uid"])

    def stop(self, handle: Handle) -> None:
        """See ``Backend.stop``; what the replicas printed so far is fetched before."""
        if "uid" not in handle:
            return
        keeper = self._logs
        first = not keeper.is_marked(handle["name"], STOPPED)
        try:
            cluster = self._reach()
            view = cluster.view(handle["namespace"])
            job = view.job(handle["kind"], handle["object"], handle["uid"])
            if job is None or is_ended(job) or job["metadata"].get("deletionTimestamp"):
                return
            keeper.mark(handle["name"], STOPPED)  # before: a deletion that is seen is explained
            if first:
                keeper.fetch_now(handle["name"], view.pods(handle["name"]), LAST_WORDS_S)
            _delete(cluster, handle)
        except (ApiError, Unreachable) as error:
            raise _unavailable(error) from error

    # what is kept

    def logs(self, handle: Handle) -> list[LogFile]:
        """See ``Backend.logs``."""
        if "uid" not in handle:
            return []
        self._refresh(handle)
        order = {f"{name}.log": rank for rank, name in enumerate(handle["replicas"])}
        found = self._logs.files(handle["name"])
        return sorted(found, key=lambda log: (order.get(log.name, len(order)), log.name))

    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        """See ``Backend.read_log``."""
        if "uid" not in handle:
            return b""
        self._refresh(handle)
        return self._logs.read(handle["name"], log, offset, limit)

    def _refresh(self, handle: Handle) -> None:
        """Copy the logs of a running trial, which pages ask for in processes without watches."""
        name, keeper = handle["name"], self._logs
        now = time.monotonic()
        if keeper.is_marked(name, ENDED_MARK) or now - self._refreshed.get(name, -1e9) < REFRESH_S:
            return
        self._refreshed[name] = now
        if len(self._refreshed) > 1000:
            self._refreshed = {name: now}
        try:
            pods = pods_of(self._reach().api, handle["namespace"], name)
        except (ApiError, Unreachable):
            return  # what was kept is shown
        newest = {replica_name(pod): pod for pod in by_rank(pods, handle["replicas"])[::-1]}
        keeper.fetch_now(name, newest.values(), LAST_WORDS_S)

    def forget(self, handle: Handle) -> None:
        """See ``Backend.forget``."""
        if "uid" in handle:  # else it never was, or is gone already
            try:
                cluster = self._reach()
                _delete(cluster, handle)
            except (ApiError, Unreachable) as error:
                raise _unavailable(error) from error
            cluster.view(handle["namespace"]).unfollow(handle["name"])
        self._logs.forget(handle["name"])

    def abandon(self, handle: Handle) -> None:
        """See ``Backend.abandon``."""
        if "name" in handle:
            self._logs.forget(handle["name"])

    def close(self) -> None:
        """End all threads; the backend can be used no more."""
        if self._cluster is not None:
            self._cluster.close()
        self._logs.close()

    # parts

    def _reach(self) -> Cluster:
        """Return the cluster, connected at the first use. Raises Unreachable."""
        with self._lock:
            if self._cluster is None:
                self._cluster = Cluster(self._connect(), self._logs.keep, self._logs.save)
            return self._cluster


# -- parts --------------------------------------------------------------------------------------


def _handle(job: str, deciding: Mapping[str, Any], replicas: list[str]) -> Handle:
    meta = deciding["metadata"]
    return {
        "name": job,
        "namespace": meta["namespace"],
        "kind": deciding["kind"],
        "object": meta["name"],
        "uid": meta["uid"],
        "replicas": replicas,
    }


def _plural(kind: str) -> str:
    return KINDS[kind].plural if kind in KINDS else f"{kind.lower()}s"


def _collection_of(handle: Handle) -> str:
    known = KINDS[handle["kind"]]
    return collection(known.group_version, handle["namespace"], known.plural)


def _delete(cluster: Cluster, handle: Handle, name: str = "", uid: str = "") -> None:
    """Delete the handle's object (or another of its kind), and all that belongs to it."""
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": uid or handle["uid"]},
    }
    try:
        cluster.api.delete(f"{_collection_of(handle)}/{name or handle['object']}", options)
    except ApiError as error:
        if error.status not in (404, 409):  # gone, or another one by now
            raise


def _delete_other(cluster: Cluster, thing: Mapping[str, Any]) -> None:
    meta = thing["metadata"]
    path = collection(thing["apiVersion"], meta["namespace"], _plural(thing["kind"]))
    with contextlib.suppress(ApiError):  # it goes with the experiment's object, at the latest
        cluster.api.delete(f"{path}/{meta['name']}")


def _unavailable(error: ApiError | Unreachable) -> BackendUnavailable:
    refused = isinstance(error, ApiError) and not error.is_temporary
    return (BackendRefused if refused else BackendUnavailable)(f"{SAID_BY}{error}")
