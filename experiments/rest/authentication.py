"""REST authentication by ``Authorization: Bearer …``, or by being this very process."""

from __future__ import annotations

from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from experiments.access import accounts, bearers


class OwnRequest(WSGIRequest):
    """A request of this process to itself, for who owns the data directory (``rest.inside``).

    What comes in by a socket is never of this class.
    """


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        if isinstance(request._request, OwnRequest):
            return accounts.find(accounts.ADMINISTRATOR), None
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            return None
        user = bearers.user_of(token.strip())
        if user is None:
            raise AuthenticationFailed("Unknown or withdrawn API token.")
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
