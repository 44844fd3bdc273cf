"""The local administrator, and how they get in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.urls import reverse

from experiments.access.tokens import make_sign_in_link

ADMINISTRATOR = "admin"


def find(name: str) -> Any | None:
    """The active user of this name; the administrator is made when first asked for."""
    users = get_user_model()
    if name == ADMINISTRATOR:
        user, created = users.objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        if created:
            user.set_unusable_password()  # signed in by link, until they set one
            user.save(update_fields=["password"])
        return user
    return users.objects.filter(username=name, is_active=True).first()


def sign_in_url(user: Any, base_url: str) -> str:
    """A link for the terminal: whoever opens it first is signed in as ``user``."""
    return base_url.rstrip("/") + reverse("sign-in-link", args=[make_sign_in_link(user)])
