"""Which server a command speaks to, and how: one request, one answer.

Found by ``--url`` or ``AUTOTUNE_URL`` with a token, else beside the lock of the data directory,
whose owner needs no token (``owner_key``). Where nobody serves the directory, the same requests are
answered by this process, which loads Django for it: ``Inside``.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from experiments import owner_key, places
from experiments.shell import language
from experiments.shell.language import gettext as _
from experiments.shell.trouble import BAD_INPUT, NOT_FOUND, OUR_FAULT, Trouble

TIMEOUT_S = 60.0
STARTING_S = 20.0  # what a server that is just being started gets to say where it serves
KEPT_S = 3.0  # a connection that nothing was sent on; servers close theirs after five seconds
BUSY_TRIES = 3  # of a server that is busy, as it says itself

Headers = dict[str, str]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Headers  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Door(Protocol):
    """Who answers requests below ``/api/v1/``."""

    is_server: bool
    is_own: bool  # of this data directory
    url: str  # its address, for people

    def ask(
        self, method: str, path: str, query: dict[str, Any], body: bytes | None, headers: Headers
    ) -> Answer: ...


Ask = Callable[[str, str, dict[str, Any], bytes | None, Headers], tuple[int, Headers, bytes]]


@dataclass(frozen=True)
class WithoutServer:
    """What Django does for the shell; both are called only where they are needed."""

    answerer: Callable[[], Ask]  # raises Trouble where the directory cannot be read
    sign_in_link: Callable[[str, str], str]


class Inside:
    """No server runs: this process answers itself."""

    is_server = False
    is_own = True
    url = ""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def ask(
        self, method: str, path: str, query: dict[str, Any], body: bytes | None, headers: Headers
    ) -> Answer:
        return Answer(*self._ask(method, path, query, body, headers))


class Server:
    """A server, by HTTP; the connection is kept."""

    is_server = True

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        shown: str,
        is_own: bool,
        is_passing: bool = False,
    ) -> None:
        parts = urlsplit(url)
        self.url = shown
        self.is_own = is_own
        self.is_passing = is_passing  # it ends with a run
        self._base = parts.path.rstrip("/")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._token = token
        self._used_at = time.monotonic()

    def ask(
        self, method: str, path: str, query: dict[str, Any], body: bytes | None, headers: Headers
    ) -> Answer:
        target = f"{self._base}/api/v1/{path}"
        if query:
            target += f"?{urlencode(query, doseq=True)}"
        sent = {**headers, "Authorization": f"Bearer {self._token()}"}
        if time.monotonic() - self._used_at > KEPT_S:
            self._connection.close()
        self._used_at = time.monotonic()
        try:
            return self._send(method, target, body, sent)
        except (http.client.HTTPException, ConnectionError):
            # It closed the connection that we kept, or is being restarted.
            self._connection.close()
            if method == "POST":  # it may have been done
                raise
            return self._send(method, target, body, sent)

    def _send(self, method: str, target: str, body: bytes | None, headers: Headers) -> Answer:
        self._connection.request(method, target, body, headers)
        answer = self._connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, answer.read())


def named(url: str | None, token: str | None, *, or_environment: bool = True) -> Server | None:
    """The server that options name, or else the environment; None where nobody does."""
    given = os.environ if or_environment else {}
    if address := url or given.get("AUTOTUNE_URL", "").strip():
        return by_url(address, token or os.environ.get("AUTOTUNE_TOKEN", "").strip())
    if token:
        raise Trouble(BAD_INPUT, _("--token needs --url (AUTOTUNE_URL): which server is it for?"))
    return None


def by_url(url: str, token: str) -> Server:
    """The server that somebody named."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port or an address in brackets
        is_valid = False
    if not is_valid:
        words = _("--url (AUTOTUNE_URL) must be http(s)://HOST[:PORT], but is {url}.")
        raise Trouble(BAD_INPUT, words.format(url=repr(url)))
    if not token:
        raise Trouble(
            BAD_INPUT,
            _(
                "--url (AUTOTUNE_URL) needs a token: --token or AUTOTUNE_TOKEN. Its pages make "
                "one, under API tokens."
            ),
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        words = _("The token (--token, AUTOTUNE_TOKEN) must be one word of ASCII.")
        raise Trouble(BAD_INPUT, words)
    return Server(url, lambda: token, shown=url.rstrip("/"), is_own=False)


def of_directory(directory: Path) -> Server | None:
    """The server of this data directory; None where none runs."""
    deadline = time.monotonic() + STARTING_S
    while owner := _owner(directory):
        if "url" in owner:
            here = owner.get("here") or owner["url"]
            return Server(
                here,
                lambda: _own_token(directory),
                shown=owner["url"],
                is_own=True,
                is_passing=owner.get("for") != "up",
            )
        if time.monotonic() > deadline:
            words = _("Process {pid} has {directory} but does not say where it serves.")
            raise Trouble(OUR_FAULT, words.format(pid=owner["pid"], directory=directory))
        time.sleep(0.1)  # it is starting
    return None


def _owner(directory: Path) -> dict[str, Any]:
    """What the lock's holder says of itself; empty where there is none alive."""
    try:
        found = json.loads((directory / "lock").read_text())
        os.kill(found["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(found)


def _own_token(directory: Path) -> str:
    try:
        return owner_key.token(directory)
    except OSError as error:
        raise Trouble(
            BAD_INPUT,
            _(
                "{path} cannot be read ({reason}): only who owns the data directory needs no token."
            ).format(path=directory / owner_key.FILE, reason=error.strerror),
            _("Others set AUTOTUNE_URL and AUTOTUNE_TOKEN."),
        ) from None


def nothing_in(directory: Path) -> Trouble:
    """What is said of a data directory that there is not."""
    words = _(
        "There is nothing in {directory} yet: start {command} up first, or name the directory "
        "that it serves with --data."
    )
    return Trouble(BAD_INPUT, words.format(directory=directory, command=places.COMMAND))


class Client:
    """Requests of the commands: refusals become ``Trouble`` with the server's own words."""

    def __init__(self, find: Callable[[], Door]) -> None:
        self._find = find

    @cached_property
    def door(self) -> Door:
        """Looked for when it is first asked: some commands need nobody."""
        return self._find()

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: Headers | None = None,
    ) -> Answer:
        """The answer, if it is none that refuses."""
        sent = {"Accept-Language": language.code(), **(headers or {})}
        raw = body if isinstance(body, bytes) else None
        if body is not None and raw is None:
            raw = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        for attempt in range(BUSY_TRIES):
            answer = self._ask(method, path, query or {}, raw, sent)
            if answer.status != 503 or attempt == BUSY_TRIES - 1:
                break
            time.sleep(1.0)
        if answer.status >= 300:
            raise self._refusal(answer)
        return answer

    def _ask(
        self, method: str, path: str, query: dict[str, Any], raw: bytes | None, sent: Headers
    ) -> Answer:
        try:
            return self.door.ask(method, path, query, raw, sent)
        except (OSError, http.client.HTTPException) as error:
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            told = _("The server at {url} cannot be reached: {reason}.")
            raise Trouble(OUR_FAULT, told.format(url=self.door.url, reason=words)) from None

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, query).json

    def post(self, path: str, body: Any = None) -> Any:
        return self.ask("POST", path, body={} if body is None else body).json

    def pages(self, path: str, limit: int, **query: Any) -> tuple[list[dict[str, Any]], int]:
        """Rows of a list, at most ``limit`` (0: all), and how many there are."""
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            size = min(limit, 200) if limit else 200
            answer = self.get(path, page=page, page_size=size, **query)
            rows += answer["results"]
            if not answer["next"] or (limit and len(rows) >= limit):
                return rows[: limit or None], answer["count"]
            page += 1

    def _refusal(self, answer: Answer) -> Trouble:
        code = OUR_FAULT if answer.status >= 500 else BAD_INPUT
        if answer.status == 404:
            code = NOT_FOUND
        try:
            lines = [_words(problem) for problem in answer.json["errors"]]
        except (ValueError, KeyError, TypeError):
            words = _("The server at {url} answered with status {status}.")
            lines = [words.format(url=self.door.url, status=answer.status)]
            if answer.status < 400:
                lines.append(_("Is that the address of AutoTune Web?"))
        if answer.status == 401 and self.door.is_own:
            lines = [
                _("The server at {url} does not know the owner of this data directory.").format(
                    url=self.door.url
                ),
                _("Is it of an earlier release? Start {command} up anew.").format(
                    command=places.COMMAND
                ),
            ]
        return Trouble(code, *lines)


def _words(problem: dict[str, Any]) -> str:
    path = f"{problem['path']}: " if problem["path"] else ""
    hint = f" {problem['hint']}" if problem["hint"] else ""
    return f"{path}{problem['message']}{hint}"
