"""What trials speak to: parameters out, reports in, for T9k's SDK, NNI's and our own client.

An ASGI function that stands ahead of Django (autotune_web/asgi.py), because Django's request path
costs more than a report. Paths ``/t/TOKEN/…`` (T9k and our client; ``mlflow/…`` and ``trainer``
below it are those of trackers' clients), ``/n/TOKEN`` (NNI) and
``/client/autotune_trial.py`` are its own, all others are passed on. It never redirects (a
redirected POST loses its report) and never answers a failure with anything but one line, the only
thing of it that a user will see. It also answers the server's lifespan messages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from experiments.access.tokens import TrialClaim, read_trial_token
from experiments.live import hub
from experiments.models import Trial, release
from experiments.redaction import redact
from experiments.reports import artifacts, mlflow_api, mlflow_kept, tracking, wire
from experiments.reports.rows import STORED, Answer, BadText, Item
from experiments.reports.store import ReportStore, StoreIsFull
from experiments.reports.tracking import Tracked
from experiments.reports.wire import BadReport, Report
from experiments.states import TrialState

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 1024 * 1024  # bytes; T9k's SDK itself refuses more than 1,000,000 characters
DRAINED_BODY = 64 * MAX_BODY  # bytes read of a body that is too large, so that its sender hears so
KEPT_BYTES = 4096  # of an unreadable body; fewer are stored

_TEXT = b"text/plain; charset=utf-8"
_JSON = b"application/json"
_FULL = Answer(503, "not stored: too many reports wait; send it again in a second")
_TOO_LARGE = Answer(413, f"not stored: a report must have at most {MAX_BODY} bytes")
# nni.load runs code for such keys
_MAGIC_KEY = re.compile(r"__\w+__")
_TRACKED = {"trainer": tracking.trainer_status, "tracked": tracking.collected}
_CLIENT_PATH = ["client", "autotune_trial.py"]


class _Parameters(NamedTuple):
    """What a trial may fetch."""

    record: dict[str, Any]
    is_canceled: bool


class TrialApi:
    """ASGI middleware; one per process, as it owns the report writer."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.store = ReportStore()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="trial-parameters")
        self._files = ThreadPoolExecutor(2, thread_name_prefix="trial-files")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(receive, send)
            return
        if kind == "http":
            parts = [part for part in scope["path"].split("/") if part]
            if parts and parts[0] in ("t", "n"):
                await self._trial(parts, scope, receive, send)
                return
            if parts == _CLIENT_PATH:
                await self._client(scope["method"], send)
                return
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """Flush the writer and end the threads."""
        await asyncio.to_thread(self.store.close)
        await hub.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if words := await asyncio.to_thread(_refusal):
                    await send({"type": "lifespan.startup.failed", "message": words})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # ---- routes

    async def _trial(
        self, parts: list[str], scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        method = scope["method"]
        claim = _claim(parts[1]) if len(parts) > 1 else None
        route = parts[2:]
        if parts[0] == "n" and not route:
            if method == "GET":
                await self._nni_get(claim, send)
            elif method == "PUT":
                answer = await self._report(claim, scope, receive, _parse_nni_body)
                # a line that is no command would disturb NNI's client
                await _reply(send, Answer(200, "") if answer.status == 200 else answer)
            else:
                await _reply(send, Answer(405, "use GET or PUT"), allow=b"GET, PUT")
        elif parts[0] == "t" and route == ["apis", "v1", "metric"]:
            if method == "POST":
                await _reply(send, await self._report(claim, scope, receive, wire.parse_t9k))
            else:
                await _reply(send, Answer(405, "use POST"), allow=b"POST")
        elif parts[0] == "t" and route[:3] == ["apis", "v1", "parameter"] and len(route) == 4:
            if method == "GET":
                await self._t9k_get(claim, route[3], send)
            else:
                await _reply(send, Answer(405, "use GET"), allow=b"GET")
        elif parts[0] == "t" and route[:1] == ["artifacts"]:
            await self._artifact(claim, route[1:], scope, receive, send)
        elif parts[0] == "t" and route[:1] == ["mlflow"]:
            await self._mlflow(claim, route[1:], scope, receive, send)
        elif parts[0] == "t" and len(route) == 1 and route[0] in _TRACKED:
            if method == "POST":
                parse = _TRACKED[route[0]]
                await _reply(send, await self._report(claim, scope, receive, parse))
            else:
                await _reply(send, Answer(405, "use POST"), allow=b"POST")
        else:
            await _reply(send, Answer(404, "no such path of the trial API"))

    async def _client(self, method: str, send: Send) -> None:
        if method != "GET":
            await _reply(send, Answer(405, "use GET"), allow=b"GET")
            return
        try:
            text = await asyncio.to_thread((settings.CLIENT_DIR / _CLIENT_PATH[1]).read_bytes)
        except FileNotFoundError:
            await _reply(send, Answer(404, "the client is not installed here"))
            return
        await _respond(send, 200, b"text/x-python; charset=utf-8", text)

    # ---- parameters

    async def _t9k_get(self, claim: TrialClaim | None, key: str, send: Send) -> None:
        try:
            found = await self._parameters(claim) if claim and claim.key == key else None
        except (OperationalError, InterfaceError):
            logger.exception("Parameters of trial %s could not be read", key)
            await _respond(send, 503, _JSON, b'{"error": "the database cannot be read now"}')
            return
        if found is None:
            # An object without parameters makes the script fail at once; null would let it run on
            # with its defaults.
            error = json.dumps({"error": f"unknown trial {key}"})
            await _respond(send, 404, _JSON, error.encode())
            return
        await _respond(send, 200, _JSON, _dump(found.record).encode())

    async def _nni_get(self, claim: TrialClaim | None, send: Send) -> None:
        try:
            found = await self._parameters(claim) if claim else None
        except (OperationalError, InterfaceError):
            logger.exception("Parameters could not be read")
            await asyncio.sleep(1)  # NNI's client asks again at once
            await _reply(send, Answer(408, "the database cannot be read now"))
            return
        if found is None:
            await _reply(send, Answer(410, "unknown trial"))
        elif found.is_canceled:
            await _reply(send, Answer(410, "the trial is canceled"))
        elif (key := _magic_key(found.record["parameters"])) is not None:
            await _reply(send, Answer(410, f"NNI would run the parameter named {key!r} as code"))
        else:
            message = {"type": "parameter", "parameter": _dump(found.record)}
            await _respond(send, 200, _JSON, json.dumps(message).encode())

    async def _parameters(self, claim: TrialClaim) -> _Parameters | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, _read_parameters, claim)

    # ---- files

    async def _artifact(
        self,
        claim: TrialClaim | None,
        route: list[str],
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        """POST a file's announcement, PUT its pieces to ID/NUMBER, POST to ID when all are sent."""
        body = await _read_body(scope, receive)
        if body is None:
            return  # nobody hears the answer
        if claim is None:
            answer = Answer(404, "unknown trial: the address holds no valid token")
        elif not body.is_whole:
            answer = Answer(413, f"not attached: a request must have at most {MAX_BODY} bytes")
        elif any(not part.isdecimal() or len(part) > 18 for part in route) or len(route) > 2:
            answer = Answer(404, "no such path of the trial API")
        elif scope["method"] != ("PUT" if len(route) == 2 else "POST"):
            allowed = "PUT" if len(route) == 2 else "POST"
            await _reply(send, Answer(405, f"use {allowed}"), allow=allowed.encode())
            return
        else:
            loop = asyncio.get_running_loop()
            call = partial(_artifact_step, claim, [int(part) for part in route], body.data)
            answer = await loop.run_in_executor(self._files, call)
        await _reply(send, answer)

    # ---- MLflow

    async def _mlflow(
        self,
        claim: TrialClaim | None,
        route: list[str],
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        is_file = mlflow_api.is_file(route)
        body = await (_drained(receive) if is_file else _read_body(scope, receive))
        if body is None:
            return  # nobody hears the answer
        if claim is None:
            reply = mlflow_api.failure(404, "unknown trial: the address holds no valid token")
        elif not body.is_whole:
            reply = mlflow_api.failure(413, _TOO_LARGE.line)
        else:
            reply = await self._ask_mlflow(claim, route, scope, body.data)
        extra = [(b"retry-after", b"1")] if reply.status == 503 else []
        await _respond(send, reply.status, _JSON, json.dumps(reply.body).encode(), extra)

    async def _ask_mlflow(
        self, claim: TrialClaim, route: list[str], scope: MutableMapping[str, Any], body: bytes
    ) -> mlflow_api.Reply:
        loop = asyncio.get_running_loop()
        door = mlflow_api.Door(
            claim,
            partial(self._submit, claim),
            lambda: loop.run_in_executor(self._readers, mlflow_kept.load, claim),
            lambda name: loop.run_in_executor(self._readers, mlflow_kept.history, claim, name),
        )
        query = scope.get("query_string", b"")
        try:
            return await door.answer(mlflow_api.Request(scope["method"], route, query, body))
        except (OperationalError, InterfaceError):
            logger.exception("What trial %s logged could not be read", claim.key)
            return mlflow_api.failure(503, "the database cannot be read now")

    # ---- reports

    async def _report(
        self,
        claim: TrialClaim | None,
        scope: MutableMapping[str, Any],
        receive: Receive,
        parse: Callable[[bytes], Report | Tracked | None],
    ) -> Answer:
        body = await _read_body(scope, receive)
        if body is None:
            return _TOO_LARGE  # nobody hears it
        if claim is None:
            line = "unknown trial: the address holds no valid token"
            return Answer(404, line) if body.is_whole else _TOO_LARGE
        if not body.is_whole:
            return await self._refuse(claim, _TOO_LARGE, body.data)
        try:
            report = parse(body.data)
        except BadReport as error:
            return await self._refuse(claim, Answer(400, f"not stored: {error}"), body.data)
        if report is None:  # NNI announces that it will ask for parameters
            return Answer(200, "")
        if isinstance(report, Report) and report.trial_key != claim.key:
            line = f"not stored: the token is of trial {claim.key}, the report of another"
            return await self._refuse(claim, Answer(403, line), body.data)
        return await self._submit(claim, report)

    async def _refuse(self, claim: TrialClaim, answer: Answer, body: bytes) -> Answer:
        """Give that answer, and keep what came: a refused result is why its trial fails."""
        text = redact(body[:KEPT_BYTES].decode("utf-8", "replace"))
        item = BadText(redact(answer.line), text, is_final=wire.looks_final(body))
        kept = await self._submit(claim, item)
        # that its text was not kept is our trouble alone
        return kept if kept.status == 404 else answer

    async def _submit(self, claim: TrialClaim, item: Item) -> Answer:
        try:
            return await self.store.submit(claim, item)
        except StoreIsFull:
            return _FULL


def _refusal() -> str:
    """Why this version must not serve its database; "" where it may, or the database is away."""
    try:
        return release.too_new()
    except DatabaseError:
        return ""
    finally:
        connection.close()


@lru_cache(maxsize=4096)
def _claim(token: str) -> TrialClaim | None:
    """Check a token once, not at each report."""
    return read_trial_token(token)


def _read_parameters(claim: TrialClaim) -> _Parameters | None:
    """Read in one of our threads; the trial's row never changes its parameters."""
    try:
        row = (
            Trial.objects.filter(pk=claim.trial_id, key=claim.key)
            .values_list("number", "parameters", "state", "stop_as")
            .first()
        )
    finally:
        connection.close()  # fetched once per trial: no thread keeps a connection for it
    if row is None:
        return None
    number, parameters, state, stop_as = row
    record = {
        "parameter_id": number,
        "parameter_source": "algorithm",
        "parameters": parameters,
    }
    return _Parameters(record, TrialState.CANCELED in (state, stop_as))


def _artifact_step(claim: TrialClaim, route: list[int], body: bytes) -> Answer:
    """One request about a file, in one of our threads."""
    try:
        if not route:
            return Answer(200, json.dumps(artifacts.begin(claim, body)))
        if len(route) == 2:
            artifacts.put(claim, route[0], route[1], body)
        else:
            artifacts.finish(claim, route[0])
        return STORED
    except artifacts.Refused as refused:
        return Answer(refused.status, str(refused))
    except (IntegrityError, ObjectDoesNotExist):  # with its experiment, or by another process
        return Answer(404, "not attached: the file was deleted while it was sent")
    except (OperationalError, InterfaceError):
        logger.exception("A file of trial %s could not be kept", claim.key)
        return Answer(503, "not attached: the database cannot be written now; send it again")
    finally:
        connection.close()


def _dump(record: dict[str, Any]) -> str:
    # Bare NaN would be refused by T9k's SDK; none can be in a JSON column.
    return json.dumps(record, sort_keys=True, allow_nan=False)


def _magic_key(value: Any) -> str | None:
    """First key, at any depth, that nni.load would interpret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if _MAGIC_KEY.fullmatch(key):
                return str(key)
            if (found := _magic_key(inner)) is not None:
                return found
    elif isinstance(value, list):
        for inner in value:
            if (found := _magic_key(inner)) is not None:
                return found
    return None


def _parse_nni_body(body: bytes) -> Report | None:
    command = wire.parse_command(body)
    return None if command["type"] == "request_parameter" else wire.parse_nni(command)


class _Body(NamedTuple):
    """What came of a request's body: all of it, or of one that is too large beginning and end."""

    data: bytes
    is_whole: bool


async def _read_body(scope: MutableMapping[str, Any], receive: Receive) -> _Body | None:
    """The request's body; None where its sender has gone.

    One that is too large is read on, unless it is absurd: a client whose connection is closed while
    it sends never sees the answer, and NNI's would end its trial for that.
    """
    is_absurd = any(
        name == b"content-length" and value.isdigit() and int(value) > DRAINED_BODY
        for name, value in scope["headers"]
    )
    chunks: list[bytes] = []
    end = b""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None  # nobody hears the answer, and half a body is no bad report
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY or not chunks:
            chunks.append(chunk)
        else:
            end = (end + chunk)[-KEPT_BYTES:]
        if not message.get("more_body"):
            return _Body(b"".join(chunks) + end, size <= MAX_BODY)
        if is_absurd or size > DRAINED_BODY:
            return _Body(b"".join(chunks) + end, is_whole=False)


async def _drained(receive: Receive) -> _Body | None:
    """A body that is read to its end and not kept, however long it is."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if not message.get("more_body"):
            return _Body(b"", is_whole=True)


async def _reply(send: Send, answer: Answer, *, allow: bytes = b"") -> None:
    """Send one plain-text line."""
    if answer is STORED:  # what nearly every report gets
        for message in _STORED:
            await send(message)
        return
    extra = [(b"allow", allow)] if allow else []
    if answer.status == 503:
        extra.append((b"retry-after", b"1"))
    if answer.stop:
        extra.append((b"autotune-verdict", b"stop"))
    await _respond(send, answer.status, _TEXT, answer.line.encode("utf-8", "replace"), extra)


async def _respond(
    send: Send,
    status: int,
    content_type: bytes,
    body: bytes,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    for message in _messages(status, content_type, body, extra):
        await send(message)


def _messages(
    status: int, content_type: bytes, body: bytes, extra: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[Message, Message]:
    """The two messages of an answer."""
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *extra,
    ]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


_STORED = _messages(STORED.status, _TEXT, STORED.line.encode())
