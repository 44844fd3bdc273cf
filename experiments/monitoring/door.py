"""Where Prometheus reads: a port of each role's own, and ``/metrics`` of the web process.

The port (AUTOTUNE_METRICS, off unless set) asks nobody who they are: it is for a cluster's inside.
The web process also answers at its own address, whoever has an API token: of itself and, as there
may be nobody else to ask, of the rows. Anybody else is told 404.
"""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    generate_latest,
    start_http_server,
)

from experiments import counted
from experiments.access import bearers
from experiments.access.policy import may_see_metrics
from experiments.monitoring.rows import RowsCollector

logger = logging.getLogger(__name__)

# Added to the port of AUTOTUNE_METRICS, so that the roles of one machine, or pod, keep apart.
OFFSETS = {"web": 0, "worker": 1, "ticker": 2, "operator": 3}
_DOORS = {
    "t": "trials", "n": "trials", "api": "rest", "static": "static",
    "healthz": "probe", "readyz": "probe", "metrics": "probe",
}  # fmt: skip

ROWS = CollectorRegistry()
ROWS.register(RowsCollector())


class _Together:
    """Two registries as one."""

    def collect(self) -> Any:
        yield from counted.REGISTRY.collect()
        yield from ROWS.collect()


def serve(role: str) -> None:
    """Serve this role's figures, where AUTOTUNE_METRICS names an address; never raises.

    The ticker, of which there is one, adds what the rows say of the whole installation.
    """
    if not settings.METRICS:
        return
    address = urlsplit(f"//{settings.METRICS}")
    port = (address.port or 0) + OFFSETS[role]
    source: Any = _Together() if role == "ticker" else counted.REGISTRY
    try:
        start_http_server(port, address.hostname or "", registry=source)
    except OSError as error:  # e.g. a second worker of this machine
        logger.warning("No metrics of this %s: port %s: %s", role, port, error.strerror)


class Metrics:
    """ASGI middleware: counts what is answered, and answers ``/metrics`` itself."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        door = _DOORS.get(path[1:].partition("/")[0], "pages")
        begun = time.monotonic()

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                counted.HTTP_REQUESTS.labels(door, message["status"]).inc()
            await send(message)

        try:
            if path == "/metrics":
                await _answer(scope["method"], dict(scope["headers"]), counting)
            else:
                await self._app(scope, receive, counting)
        finally:
            counted.HTTP_SECONDS.labels(door).observe(time.monotonic() - begun)


async def _answer(method: str, headers: dict[bytes, bytes], send: Any) -> None:
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    status, body = 404, b"Not Found\n"
    if token and method == "GET":
        status, body = await sync_to_async(_for_token, thread_sensitive=False)(token)
    kind = CONTENT_TYPE_LATEST if status == 200 else "text/plain; charset=utf-8"
    fields = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _for_token(token: str) -> tuple[int, bytes]:
    close_old_connections()
    try:
        is_let_in = may_see_metrics(bearers.user_of(token))
    except DatabaseError:
        return 503, b"The database does not answer.\n"
    finally:
        connection.close()
    if not is_let_in:
        return 404, b"Not Found\n"
    return 200, generate_latest(_Together())
