"""Secrets of this machine's own engine: rows, encrypted with a key derived from SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models


class SecretError(Exception):
    """The API key cannot be had; the text is for the user."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class Secret(models.Model):
    """One API key, sealed; only ``reveal`` opens it."""

    project = models.ForeignKey("experiments.Project", on_delete=models.CASCADE)
    name = models.CharField(max_length=253)
    sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="secret_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    def reveal(self) -> str:
        """The value. Raises SecretError where SECRET_KEY is not the one it was sealed with."""
        try:
            return _box().decrypt(self.sealed.encode()).decode()
        except InvalidToken:
            pass
        raise SecretError(
            f"The secret '{self.name}' cannot be opened: SECRET_KEY has changed since it was set. "
            "Set it again."
        )


def opened(sealed: str) -> str:
    """What ``seal`` was given. Raises SecretError where SECRET_KEY is another by now."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        pass
    raise SecretError("The key cannot be opened: SECRET_KEY has changed since it was made.")


def seal(value: str) -> str:
    """What is stored of a secret."""
    return _box().encrypt(value.encode()).decode()


def _box() -> Fernet:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"autotune.secret.1")
    return Fernet(base64.urlsafe_b64encode(derive.derive(settings.SECRET_KEY.encode())))
