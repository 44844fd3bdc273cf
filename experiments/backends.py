"""The training backend this installation is configured for, made once a process."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from experiments.training.base import Backend
from experiments.training.local import LocalBackend


@lru_cache(maxsize=1)
def backend() -> Backend:
    """Return the backend named by AUTOTUNE_TRAINING_ENGINE.

    Raises:
        ImproperlyConfigured: where it is not available in this installation.
    """
    if settings.TRAINING_ENGINE == "local":
        return LocalBackend(root=settings.TRIALS_DIR, client_dir=settings.CLIENT_DIR)
    raise ImproperlyConfigured(
        f"AUTOTUNE_TRAINING_ENGINE={settings.TRAINING_ENGINE!r} is not available yet; use 'local'."
    )
