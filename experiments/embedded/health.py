"""Whether this process is alive and ready, for the probes of a cluster and the supervisor.

``/healthz`` answers while the event loop turns; ``/readyz`` once the database answers and is of
this version, and no more once this process was told to end (``leave``). An ASGI function ahead of
Django: a kubelet asks by a pod's address, which ALLOWED_HOSTS does not name. ``beat`` is the sign
of life of roles that serve no port.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from asgiref.sync import sync_to_async
from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor

from experiments.models import release

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 3.0
LEAVING = "this process ends"
_leaving = False
_migrated = False  # once true it stays so: a database is never brought back under us


def leave() -> None:
    """Be not ready from now on, so that balancers send nothing new."""
    global _leaving
    _leaving = True


def refusal() -> str:
    """Why a role of this version must not start on the database; "" where it may, or may be."""
    try:
        return release.too_new()
    except DatabaseError:
        return ""  # it is away: who needs it will say so, and tries again
    finally:
        close_old_connections()


def database_trouble() -> str:
    """What keeps the database from being used, in words; "" where nothing does."""
    global _migrated
    close_old_connections()
    try:
        if not _migrated:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if missing:
                return f"{len(missing)} migrations are missing"
            _migrated = True
        if words := release.too_new():
            return words
    except DatabaseError as error:
        return f"the database does not answer: {type(error).__name__}"
    finally:
        close_old_connections()
    return ""


def wait_until_migrated(say: Callable[[str], None]) -> None:
    """Return once the database is of our version: another role brings it there."""
    said = ""
    while words := database_trouble():
        beat()  # waiting is no reason to be killed
        if words != said:
            say(f"Waiting for the database: {words}")
            said = words
        time.sleep(LOOK_AGAIN_S)


def beat() -> None:
    """Touch AUTOTUNE_HEARTBEAT_FILE, if there is one; a probe looks at how old it is."""
    if not settings.HEARTBEAT_FILE:
        return
    try:
        path = Path(settings.HEARTBEAT_FILE)
        path.touch()
        os.utime(path)
    except OSError as error:
        logger.warning("AUTOTUNE_HEARTBEAT_FILE cannot be touched: %s", error)


class Health:
    """ASGI middleware that answers probes and passes everything else on."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http" and scope["path"] == "/healthz":
            await _answer(send, "")
        elif scope["type"] == "http" and scope["path"] == "/readyz" and _leaving:
            await _answer(send, LEAVING)
        elif scope["type"] == "http" and scope["path"] == "/readyz":
            await _answer(send, await sync_to_async(database_trouble, thread_sensitive=False)())
        else:
            await self._app(scope, receive, send)


async def _answer(send: ASGISendCallable, trouble: str) -> None:
    body = (trouble or "ok").encode()
    await send(
        {
            "type": "http.response.start",
            "status": 503 if trouble else 200,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
