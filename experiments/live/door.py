"""Who may open a websocket: the site's own pages with their session, programs with a REST token.

ASGI, in front of the consumers (autotune_web/asgi.py). A refusal is a plain HTTP answer and leaves
no traceback: 404 for paths there are none, 401 for a token that is none, 403 for other origins.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http.request import split_domain_port, validate_host

from experiments.access import bearers, proxy
from experiments.live.consumers import STILL_IN
from experiments.live.refusal import Receive, Scope, Send, refuse
from experiments.live.routing import websocket_urlpatterns

SessionStore: Any = import_module(settings.SESSION_ENGINE).SessionStore


class WebsocketDoor:
    """ASGI application of all websockets."""

    def __init__(self) -> None:
        # The stubs type scopes by hand; ours are as the server gives them.
        self._routes: Any = URLRouter(websocket_urlpatterns)
        self._with_session: Any = AuthMiddlewareStack(self._of_session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/")
        if not any(route.pattern.match(path) for route in websocket_urlpatterns):
            await _refuse(scope, receive, send, 404, "There is no such websocket.")
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, token = headers.get(b"authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token"):
            user = await database_sync_to_async(bearers.user_of)(token.strip())
            if user is None:
                await _refuse(scope, receive, send, 401, "Unknown or withdrawn API token.")
                return
            still = partial(_is_token, token.strip())
            await self._routes({**scope, "user": user, STILL_IN: still}, receive, send)
        elif is_own(headers.get(b"origin", ""), headers.get(b"host", ""), scope["scheme"]):
            await self._with_session(scope, receive, send)
        else:
            await _refuse(scope, receive, send, 403, "Another site's page may not follow this one.")

    async def _of_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = await database_sync_to_async(proxy.websocket_user)(scope)
        is_by_session = scope["user"].is_authenticated and user == scope["user"]
        still = partial(_is_signed_in, scope["session"].session_key) if is_by_session else _always
        await self._routes({**scope, "user": user, STILL_IN: still}, receive, send)


def _is_token(token: str) -> bool:
    return bearers.user_of(token) is not None


def _is_signed_in(session_key: str) -> bool:
    """Whether nobody has signed out, nor the session has run out, since."""
    return SESSION_KEY in SessionStore(session_key)


def _always() -> bool:
    return True


def is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of this very site asks: same scheme, name and port.

    A browser sends its cookies to every port of a host, and names the page's origin itself.
    """
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    here = f"{'https' if scheme == 'wss' else 'http'}://{host}"
    return origin.lower() in (here.lower(), *settings.CSRF_TRUSTED_ORIGINS)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    await receive()  # websocket.connect
    await refuse(scope, send, status, words)
