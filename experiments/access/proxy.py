"""People whom a proxy in front signs in (OIDC, SSO) and names in headers of every request.

``ProxyDoor`` stands before everything else: it knows who really sent a request, believes the
headers of the proxy alone and hands them on as an ``Identity`` in the scope; from everybody else
they are taken away. ``ProxyUserMiddleware`` (pages, REST) and the websocket's door make users of
them. Guarantees: without the header nobody is such a user, whatever their session says; a person
of the proxy is never an account of this installation, whatever their name.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from asgiref.typing import ASGI3Application
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model, login, logout
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from experiments.access import accounts, busy
from experiments.access.namespaces import Unsure
from experiments.models import ProxyAccount

logger = logging.getLogger(__name__)

BACKEND = "experiments.access.proxy.ProxyBackend"
SCOPE_KEY = "autotune.identity"
SECRET_HEADER = b"x-autotune-proxy-secret"
SEEN_EVERY = timedelta(hours=1)
MOST_GROUPS = 500
LONGEST = 253  # characters of a name
LONGEST_USERNAME = 150  # Django's
OF_THE_CLUSTER = "system:"  # names that no proxy may give

Scope = MutableMapping[str, Any]


class Identity(NamedTuple):
    """Who sent a request, as the proxy tells it."""

    name: str
    groups: tuple[str, ...]


# ---------------------------------------------------------------- requests


class ProxyDoor:
    """ASGI middleware; nothing that changes who the client is may stand before it."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket") and settings.USER_HEADER:
            ours = (settings.USER_HEADER, settings.GROUPS_HEADER, SECRET_HEADER)
            others = [(name, value) for name, value in scope["headers"] if name not in ours]
            scope = {**scope, "headers": others, SCOPE_KEY: _identity(scope)}
        await self._app(scope, receive, send)


def _identity(scope: Scope) -> Identity | None:
    names = _values(scope, settings.USER_HEADER)
    if not names:
        return None
    if not _is_the_proxy(scope):
        logger.warning("A request of %s names a user, but is not the proxy's", scope.get("client"))
        return None
    if len(names) > 1 or not _is_name(names[0]):
        logger.warning("The proxy names no user that can be: %.300r", names)
        return None
    told = ",".join(_values(scope, settings.GROUPS_HEADER)).split(",")
    groups = dict.fromkeys(group.strip() for group in told)
    return Identity(names[0], tuple(filter(_is_name, groups))[:MOST_GROUPS])


def _values(scope: Scope, header: bytes) -> list[str]:
    """What stands in a header, each time that it is there; "" for what is no text."""
    found = [value for name, value in scope["headers"] if name == header and header]
    return [_text(raw) for raw in found]


def _text(raw: bytes) -> str:
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return ""


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable()


def _is_the_proxy(scope: Scope) -> bool:
    if settings.PROXY_SECRET:
        given = _values(scope, SECRET_HEADER)
        if not hmac.compare_digest("".join(given).encode(), settings.PROXY_SECRET.encode()):
            return False
    try:
        address = ip_address((scope.get("client") or ("",))[0])
    except ValueError:  # a socket of this machine
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in settings.PROXIES)


# ---------------------------------------------------------------- users


def user_of(identity: Identity) -> Any | None:
    """The user that stands for this person, made where new; None where they may not come in."""
    name = settings.USER_PREFIX + identity.name
    if name.startswith(OF_THE_CLUSTER):
        logger.warning("%r is refused: names with %r are the cluster's", name, OF_THE_CLUSTER)
        return None
    found = ProxyAccount.objects.select_related("user").filter(name=identity.name).first()
    account = found or _made(identity)
    groups, now = list(identity.groups), timezone.now()
    if account.groups != groups or now - account.seen_at > SEEN_EVERY:
        account.groups, account.seen_at = groups, now
        with suppress(OperationalError), busy.without_waiting():
            ProxyAccount.objects.filter(pk=account.pk).update(groups=groups, seen_at=now)
    account.user.proxy_account = account  # so that nobody asks for it again
    return account.user if account.user.is_active else None


def _made(identity: Identity) -> ProxyAccount:
    try:
        with transaction.atomic():
            user = get_user_model().objects.create_user(_free_name(identity.name))
            return ProxyAccount.objects.create(
                user=user, name=identity.name, groups=list(identity.groups), seen_at=timezone.now()
            )
    except IntegrityError:  # another process made it at this very moment
        return ProxyAccount.objects.select_related("user").get(name=identity.name)


def _free_name(name: str) -> str:
    """What to call a new user here: our own accounts keep their names, however they are written."""
    users, digest = get_user_model().objects, hashlib.sha256(name.encode()).hexdigest()[:16]
    for username in (name, f"proxy:{name}"):
        if len(username) > LONGEST_USERNAME or username.casefold() == accounts.ADMINISTRATOR:
            continue
        if not users.filter(username__iexact=username).exists():
            return username
    return f"proxy:{name[:100]}:{digest}"


class ProxyBackend(ModelBackend):
    """Marks sessions of the proxy's people, which end with the setting; nobody signs in by it."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:  # type: ignore[override]
        return None

    def get_user(self, user_id: Any) -> Any | None:
        return super().get_user(user_id) if settings.USER_HEADER else None


def is_by_proxy(session: Any) -> bool:
    """Whether this session is one of the proxy's people: worth nothing without its header."""
    return bool(session.get(BACKEND_SESSION_KEY) == BACKEND)


class ProxyUserMiddleware:
    """Signs in whom the proxy names, for this request and with a session for forms' sake."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.USER_HEADER:
            self._sign_in(request)
        return self.get_response(request)

    def _sign_in(self, request: HttpRequest) -> None:
        identity: Identity | None = getattr(request, "scope", {}).get(SCOPE_KEY)
        user = None if identity is None else user_of(identity)
        if user is None:
            if identity is not None or is_by_proxy(request.session):
                logout(request)
            return
        if not is_by_proxy(request.session) or request.user.pk != user.pk:
            login(request, user, BACKEND)
        request.user = user
        request.is_by_proxy = True  # type: ignore[attr-defined]  # who signs out at the proxy

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A page that cannot be shown, since the cluster does not say whether it may be."""
        if not isinstance(error, Unsure):
            return None
        answer = render(request, "unsure.html", status=503)
        answer["Retry-After"] = str(error.retry_after)
        return answer


def websocket_user(scope: Scope) -> Any:
    """Whom a websocket of the site's own pages is for; ``scope`` has its session and its user."""
    identity: Identity | None = scope.get(SCOPE_KEY)
    if identity is not None:
        return user_of(identity) or AnonymousUser()
    return AnonymousUser() if is_by_proxy(scope["session"]) else scope["user"]
