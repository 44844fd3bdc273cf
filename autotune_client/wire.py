"""Requests that arrive: tried again through restarts of the server, for as long as is patient.

Every request of this package may come twice, because the server tells the second from the first:
reading changes nothing, asking and creating carry a key, telling is by trial and attempt.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from autotune_client.errors import Refused, Unreachable
from autotune_client.finding import Place

TIMEOUT_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 3.0
KEPT_S = 3.0  # a connection that nothing was sent on; servers close theirs after five
AGAIN = (408, 425, 429, 502, 503, 504)

Headers = dict[str, str]


class _Own(threading.local):
    """A thread's connection, closed when the thread or the wire has gone."""

    connection: http.client.HTTPConnection | None = None
    address = ""
    pid = 0
    used_at = 0.0
    unknown = 0  # answers in a row that we are nobody

    def keep(self, connection: http.client.HTTPConnection, address: str) -> None:
        self.connection, self.address, self.pid = connection, address, os.getpid()
        self.closing = _Closing(connection)


class _Closing:
    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection, self._pid = connection, os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid():  # a forked child closes a copy, which says nothing
            self._connection.close()


class Wire:
    """A server, by HTTP: a kept connection for each thread."""

    def __init__(self, place: Place, patience_s: float) -> None:
        self.place = place
        self.patience_s = patience_s
        self._own = _Own()

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, *, headers: Headers | None = None) -> Any:
        return self.ask("POST", path, {} if body is None else body, headers=headers)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: Headers | None = None,
        patience_s: float | None = None,
    ) -> Any:
        """The answer to a request below ``/api/v1/``, as JSON.

        Raises:
            Refused: the server will not take it, however often it comes.
            Unreachable: nobody answered for as long as we are patient.
        """
        text = f"/api/v1/{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        raw = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        _status, _headers, answer = self.send(method, text, raw, sent, patience_s=patience_s)
        return json.loads(answer) if answer else None

    def send(
        self,
        method: str,
        path: str,
        raw: bytes | None,
        headers: Headers,
        *,
        patience_s: float | None = None,
    ) -> tuple[int, Headers, bytes]:
        """One request, tried again; a status below 300. ``path`` is below the server's address."""
        patience_s = self.patience_s if patience_s is None else patience_s
        limit, pause = time.monotonic() + patience_s, FIRST_PAUSE_S
        while True:
            try:
                status, answered, answer = self._attempt(method, path, raw, headers)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                self.place.gone()
                words = f"{type(error).__name__}: {error}"
            else:
                if status < 300:
                    return status, answered, answer
                if status not in AGAIN and not (status == 401 and self._is_starting()):
                    raise _refusal(status, answer)
                words = f"status {status}"
            if time.monotonic() + pause > limit:
                raise Unreachable(f"{method} {path} was not answered: {words}.")
            time.sleep(pause * random.uniform(0.7, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _is_starting(self) -> bool:
        """Whether the key with which an owner shows itself may just be changing."""
        self._own.unknown += 1
        return self.place.is_own and self._own.unknown < 20

    def _attempt(
        self, method: str, path: str, raw: bytes | None, headers: Headers
    ) -> tuple[int, Headers, bytes]:
        address = self.place.address()
        connection = self._connection(address)
        sent = {"Authorization": f"Bearer {self.place.bearer()}", **headers}
        if path.startswith("/t/"):  # the path itself is what allows it
            del sent["Authorization"]
        connection.request(method, urlsplit(address).path + path, raw, sent)
        response = connection.getresponse()
        answer = response.read()
        self._own.used_at = time.monotonic()
        if response.status != 401:
            self._own.unknown = 0
        names = {name.lower(): value for name, value in response.getheaders()}
        return response.status, names, answer

    def _connection(self, address: str) -> http.client.HTTPConnection:
        own = self._own
        is_fresh = time.monotonic() - own.used_at < KEPT_S
        if own.connection is not None:
            if (own.address, own.pid) == (address, os.getpid()) and is_fresh:
                return own.connection
            if own.pid == os.getpid():
                own.connection.close()
        parts = urlsplit(address)
        is_safe = parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_safe else http.client.HTTPConnection
        made = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        own.keep(made, address)
        return made

    def _drop(self) -> None:
        if self._own.connection is not None:
            self._own.connection.close()
            self._own.connection = None


def _refusal(status: int, answer: bytes) -> Refused:
    try:
        problems = list(json.loads(answer)["errors"])
        lines = [
            f"{each['path']}: {each['message']} {each['hint']}".removeprefix(": ").strip()
            for each in problems
        ]
    except (ValueError, KeyError, TypeError):
        problems, lines = [], [answer.decode("utf-8", "replace")[:300] or f"status {status}"]
    return Refused("\n".join(lines), status, problems)
