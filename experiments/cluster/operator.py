"""The operator: kopf's handlers for AutoTuneExperiment objects. Run by the ``operator`` command.

Thin adapters: what an object is to a row is ``objects``' business, rows are brought back
to objects by ``sync``. Guarantees: every handler may run twice or be killed anywhere; an
object makes one experiment (its uid is unique); an object that is to go is held up by nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import kopf
from django.db import DatabaseError, close_old_connections

from experiments.cluster import objects
from experiments.cluster.api import ClusterRefused, ClusterUnavailable
from experiments.cluster.objects import ObjectKey
from experiments.cluster.sync import ALL_NAMESPACES, Sync
from experiments.manifest.crd import PLURAL
from experiments.manifest.fields import API_GROUP, API_VERSION_NAME
from experiments.problems import ProblemsError

logger = logging.getLogger(__name__)

FINALIZER = f"{API_GROUP}/autotune"  # of earlier releases; kopf takes it off what it sees
AGAIN_S = 3.0  # after trouble that passes by itself
WORKERS = 16  # handlers at once
WATCHDOG_S = 2.0
ENDING_S = 10.0  # then it is killed


def run(sync: Sync, health: str = "", kept_out: Collection[str] = ()) -> bool:
    """Serve until SIGTERM or SIGINT. ``health`` is the URL to answer probes at, if any.

    Args:
        kept_out: namespaces that may not be listed, and so cannot be watched now.

    Returns False where we ended by ourselves: since objects could not be watched any more, or
    since a namespace that was kept out can be.
    """
    everywhere = sync.namespaces == [ALL_NAMESPACES]
    watched = [] if everywhere else [n for n in sync.namespaces if n not in kept_out]
    deaf = threading.Event()
    kopf.run(
        registry=_registry(sync, deaf, max(1, len(watched)), kept_out),
        stop_flag=deaf,
        # It would ask for the user's name, which one without an entry in passwd has not.
        identity=cast(Any, f"autotune@{socket.gethostname()}/{os.getpid()}"),
        settings=_settings(),
        standalone=True,  # one replica is deployed, and two would do no harm
        clusterwide=everywhere,
        namespaces=watched,
        liveness_endpoint=health or None,
    )
    return not deaf.is_set()


class _Patiently:
    """Pauses between tries of a request, without end: an API server may be away for long."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1, 2, 3), itertools.repeat(5))


async def _listen_for_silence(
    sync: Sync, n_watchers: int, deaf: threading.Event, kept_out: Collection[str]
) -> None:
    """Set ``deaf`` once kopf has given a watch up (the CRD was deleted, a token is refused).

    kopf would live on without it; we end, and are started again by whoever started us.
    """
    highest = 0
    while True:
        await asyncio.sleep(WATCHDOG_S)
        alive = sum(task.get_name().startswith("watcher for ") for task in asyncio.all_tasks())
        highest = max(highest, alive)
        if opened := [name for name in kept_out if name not in sync.trouble()]:
            logger.warning("%s can be watched now; ending, to be started again.", opened)
            deaf.set()
            return
        if alive < min(highest, n_watchers):
            logger.error("Objects are not watched any more; ending, to be started again.")
            deaf.set()
            return


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # Events are made of what happened to the experiment
    settings.scanning.disabled = True  # watching CRDs and namespaces is a right we do not need
    settings.execution.max_workers = WORKERS
    settings.persistence.finalizer = FINALIZER
    # kopf's own notes: below the status, out of the user's annotations
    settings.persistence.progress_storage = kopf.StatusProgressStorage(
        field="status.operator.progress", touch_field="status.operator.dummy"
    )
    settings.persistence.diffbase_storage = kopf.StatusDiffBaseStorage(
        field="status.operator.lastHandled"
    )
    settings.networking.error_backoffs = _Patiently()
    # While it ends it may wait for an answer that does not come; everything it knows is in rows.
    settings.process.ultimate_exiting_timeout = ENDING_S
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    return settings


def _registry(
    sync: Sync, deaf: threading.Event, n_watchers: int, kept_out: Collection[str]
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    resource = (API_GROUP, API_VERSION_NAME, PLURAL)
    thread = threading.Thread(target=sync.run, name="cluster-sync", daemon=True)
    watchdog: list[asyncio.Task[None]] = []  # held, or it would be collected

    @kopf.on.login(registry=registry, id="login")
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs) or _own_account(**kwargs)

    @kopf.on.startup(registry=registry, id="startup")
    async def begin(**_: Any) -> None:
        thread.start()
        watchdog.append(asyncio.create_task(_listen_for_silence(sync, n_watchers, deaf, kept_out)))

    @kopf.on.cleanup(registry=registry, id="cleanup")
    def end(**_: Any) -> None:
        sync.stop()
        thread.join(timeout=5)

    @kopf.on.probe(registry=registry, id="syncing")
    def syncing(**_: Any) -> bool:
        return thread.is_alive()

    @kopf.on.resume(*resource, registry=registry, id="take")
    @kopf.on.create(*resource, registry=registry, id="take")
    @kopf.on.update(*resource, registry=registry, id="take")
    @_handler
    def take(body: kopf.Body, **_: Any) -> None:
        """An object is there: make its experiment, or carry out what was edited."""
        plain = _plain(body)
        with sync.lock:
            link = objects.link_of(plain)
            if link is None:
                _create(sync, plain)
        sync.follow_edits(ObjectKey.of(plain))

    # No finalizer: one that nobody may take away any more (the rights went with the namespace)
    # would hold object and namespace for ever. The cluster itself deletes the jobs, which the
    # object owns; what we miss while we are away, ``Sync`` finds by listing.
    @kopf.on.event(*resource, registry=registry, id="release")
    @_handler
    def release(type: str | None, body: kopf.Body, **_: Any) -> None:
        """An object has gone: so must its experiment, with whatever of it runs."""
        if type == "DELETED":
            objects.release(str(body.metadata.uid))

    @kopf.on.probe(registry=registry, id="not served")
    def not_served(**_: Any) -> dict[str, str]:
        return sync.trouble()

    return registry


def _own_account(**kwargs: Any) -> Any:
    """The pod's account, at the address that the kubelet told the pod.

    kopf would look up ``kubernetes.default.svc``, which not every cluster's DNS knows.
    """
    found = kopf.login_with_service_account(**kwargs)
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    if found is None or not host:
        return found
    host = f"[{host}]" if ":" in host else host
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return dataclasses.replace(found, server=f"https://{host}:{port}")


def _create(sync: Sync, body: dict[str, Any]) -> None:
    try:
        objects.create_from(body)
    except ProblemsError as error:
        sync.refuse(body, error.problems)
        raise kopf.PermanentError(f"The manifest cannot run: {error}") from None
    sync.saw(body)


def _plain(body: kopf.Body) -> dict[str, Any]:
    """The object as plain data, as kopf's views do not compare or serialise like dicts."""
    return {key: _copied(value) for key, value in body.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _handler(act: Callable[..., None]) -> Callable[..., None]:
    """Handlers run in threads: give each fresh connections, and sort its errors for kopf."""

    @functools.wraps(act)
    def wrapped(**kwargs: Any) -> None:
        close_old_connections()
        try:
            act(**kwargs)
        except ClusterUnavailable as error:
            raise kopf.TemporaryError(f"No API server: {error}", delay=AGAIN_S) from None
        except ClusterRefused as error:
            if error.is_missing:
                return  # it went while we were at it
            raise kopf.TemporaryError(str(error), delay=AGAIN_S) from None
        except DatabaseError as error:
            raise kopf.TemporaryError(f"No database: {error}", delay=AGAIN_S) from None
        finally:
            close_old_connections()

    return wrapped
