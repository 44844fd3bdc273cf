"""Static files ahead of Django: a page asks for seventy, and each would cost as much as a page.

An ASGI function that ``autotune_web.asgi`` puts around Django. WhiteNoise finds the files, and says
what a request for one gets (packed, unchanged, a part of it); who develops gets them from Django,
which looks at the disk each time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

from experiments.access.security import POLICY, hsts

_LARGE = 64 * 1024  # bytes; more is read beside the event loop
_ASKED = {  # of a request's headers, what WhiteNoise looks at
    b"accept-encoding": "HTTP_ACCEPT_ENCODING",
    b"if-none-match": "HTTP_IF_NONE_MATCH",
    b"if-modified-since": "HTTP_IF_MODIFIED_SINCE",
    b"range": "HTTP_RANGE",
}


class StaticFiles:
    """ASGI middleware that answers with files and passes everything else on."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app
        self._files: Any = None  # by address; found when the first one is asked for
        self._finding = asyncio.Lock()  # a page asks for many at once, and one look is enough

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        found = None
        if scope["type"] == "http" and scope["path"].startswith(settings.STATIC_URL):
            found = await self._found(scope["path"])
        if scope["type"] != "http" or found is None:
            await self._app(scope, receive, send)
            return
        asked = {_ASKED[name]: value.decode("latin-1") for name, value in scope["headers"]
                 if name in _ASKED}  # fmt: skip
        answer = found.get_response(scope["method"], asked)
        body = b""
        if answer.file is not None:
            with answer.file as file:
                large = int(dict(answer.headers).get("Content-Length", 0)) > _LARGE
                body = await asyncio.to_thread(file.read) if large else file.read()
        await send(
            {
                "type": "http.response.start",
                "status": int(answer.status),
                "headers": [
                    (name.lower().encode(), value.encode("latin-1"))
                    for name, value in (*answer.headers, *_headers())
                ],
                "trailers": False,
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _found(self, path: str) -> Any:
        if settings.DEBUG:
            return None
        async with self._finding:
            if self._files is None:
                middleware = await asyncio.to_thread(WhiteNoiseMiddleware, None)
                self._files = middleware.files
        return self._files.get(path)


def _headers() -> list[tuple[str, str]]:
    """As Django's middleware puts on everything else."""
    return [
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", settings.SECURE_REFERRER_POLICY),
        ("Cross-Origin-Opener-Policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY),
        *(("Strict-Transport-Security", value) for value in [hsts()] if value),
    ]
