"""How a websocket is refused before it opens: by a plain HTTP answer, for programs to understand.

Used by the door and by the consumers behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def refuse(scope: Scope, send: Send, status: int, words: str) -> None:
    """Answer a websocket's request, after its ``websocket.connect`` has been received."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 4000 + status})
        return
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class RefusalIsNoError(logging.Filter):
    """For uvicorn's log, in which each such answer is an error that says nothing.

    uvicorn 0.54 takes for done only what it has accepted or closed itself.
    """

    WORDS = "ASGI callable returned without completing handshake."

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != self.WORDS
