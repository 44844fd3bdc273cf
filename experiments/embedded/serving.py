"""The web server: uvicorn, which loses no request at a restart and waits for no slow sender.

Run by ``manage.py web``. Guarantees beside uvicorn's own: a connection that was accepted before the
end gets its answer even if its request had not arrived yet (trial SDKs never ask twice); who takes
too long to send a request is told so (408) and let go; nothing is logged but by our own formatter.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG = 2048  # connections that may wait while a web process starts; the kernel may allow fewer
MOST_FILES = 65_536  # open at once, where the kernel allows that many; shells give us 1024
HEADER_S = 10.0  # from the first byte (or the connection's begin) to the end of the headers
BODY_S = 20.0  # and for the body this long, and a second more for each BODY_RATE bytes of it
BODY_RATE = 8 * 1024
SILENT_AT_END_S = 0.5  # what a connection without a word gets when the server ends
BEGUN_AT_END_S = 2.0  # what the headers of one get that has begun by then
DRAIN_S = 25  # for requests that are being answered when the server ends
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # e.g. localhost as ::1 without IPv6
_LATE = b"The request took too long to arrive."


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for headers and bodies, and an end that drops no request."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit: asyncio.TimerHandle | None = None
        self._is_checked = False
        self._n_received = 0  # bytes of this body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(SILENT_AT_END_S if self._is_ending else HEADER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            self._stop_waiting()  # it has become a websocket
        # Empty lines before a request begin nothing, but end the wait for the next one.
        elif self._limit is None and self._is_idle and self.timeout_keep_alive_task is None:
            self._wait(HEADER_S)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait(HEADER_S)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if self.parser.should_upgrade() and self._should_upgrade():
            super().on_headers_complete()
            return
        self._n_received = 0
        self._wait(BODY_S)
        super().on_headers_complete()
        if self._is_ending or self._is_leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._n_received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_waiting()
        super().on_message_complete()

    def shutdown(self) -> None:
        """uvicorn closes what has sent no whole request; here the rest may be on its way."""
        if self.cycle is None:
            self._wait(BEGUN_AT_END_S if self._has_begun else SILENT_AT_END_S)
        elif not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif self._limit is None:  # between two requests: a client knows that this can happen
            self.transport.close()
        else:
            self._wait(BEGUN_AT_END_S)

    @property
    def _is_ending(self) -> bool:
        return bool(getattr(self.server_state, "is_ending", False))

    @property
    def _is_leaving(self) -> bool:
        return bool(getattr(self.server_state, "is_leaving", False))

    @property
    def _is_idle(self) -> bool:
        """No request is being answered; the headers of one may have begun."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _has_begun(self) -> bool:
        return self.scope is not None

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._is_checked = False
        self._limit = self.loop.call_later(seconds, self._late)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _late(self) -> None:
        if self.transport.is_closing():
            return
        if not self._is_idle:
            earned = self._n_received / BODY_RATE if self.cycle.more_body else HEADER_S
            self._n_received = 0
            if earned >= 1:
                self._wait(earned)
                return
        if not self._is_checked:
            # What lies in the socket is read before: it may be we who were busy.
            self._is_checked = True
            self._limit = self.loop.call_later(0.1, self._late)
            return
        if self._has_begun and (self._is_idle or not self.cycle.response_started):
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_LATE), _LATE)
            )
        self.transport.close()


class Server(uvicorn.Server):
    """Tells its connections that the end has come, those too that are accepted in that moment.

    Where several are behind a balancer it takes leave first: for ``leave_s`` it is not ready, and
    serves whoever is sent to it all the same, each over a connection that ends with the answer.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        leave_s: float = 0.0,
        on_leave: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._leave_s = leave_s
        self._on_leave = on_leave

    async def main_loop(self) -> None:
        await super().main_loop()
        if not self._leave_s:
            return
        self.server_state.is_leaving = True  # type: ignore[attr-defined]
        self._on_leave()
        until = time.monotonic() + self._leave_s
        while time.monotonic() < until and len(self._captured_signals) < 2:
            await asyncio.sleep(0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.server_state.is_ending = True  # type: ignore[attr-defined]
        await super().shutdown(sockets)


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of ``host``. Raises OSError where one is refused."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # "::" alone means every address of this machine, IPv4's too.
    has_others = any(family == socket.AF_INET for family, *_ in found)
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                listener = opened.enter_context(socket.socket(family, kind, protocol))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(has_others))
                listener.bind(address)
                listener.listen(BACKLOG)
            except OSError as error:
                is_last = (family, kind, protocol, _, address) == found[-1]
                if error.errno not in _ABSENT or (is_last and not sockets):
                    raise
                continue
            sockets.append(listener)
        opened.pop_all()
    return sockets


def inherited() -> list[socket.socket]:
    """Sockets that systemd listens on for us (LISTEN_FDS), none elsewhere."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=3 + number) for number in range(count)]


def allow_many_files() -> None:
    """Let a thousand silent connections not keep the next one out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def serve(
    sockets: list[socket.socket],
    leave_s: float = 0.0,
    on_leave: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM, take leave for ``leave_s``, then answer what has begun.

    Args:
        on_leave: has readiness say no, when the leave begins.
    """
    allow_many_files()
    config = uvicorn.Config(
        "autotune_web.asgi:behind_proxies",
        http=PatientProtocol,
        log_config=None,  # through the root logger, whose formatter takes secrets out
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # asgi.py does it, once it has seen who speaks
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
    )
    Server(config, leave_s, on_leave).run(sockets=sockets)
