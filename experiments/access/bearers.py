"""Whom a bearer token stands for: REST's and the websocket's, and nobody else's."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from experiments import owner_key
from experiments.access import accounts
from experiments.access.tokens import user_of_api_token


def user_of(token: str) -> Any | None:
    """The active user whose token this is, or None.

    The owner of the data directory is the administrator: what lies there is theirs anyway.
    """
    if not token.startswith(owner_key.PREFIX):
        return user_of_api_token(token)
    if not owner_key.is_genuine(settings.DATA_DIR, token):
        return None
    user = accounts.find(accounts.ADMINISTRATOR)
    return user if user is not None and user.is_active else None
