"""The training backend this installation is configured for, made once a process."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from experiments.training.base import Backend
from experiments.training.local.backend import LocalBackend


@lru_cache(maxsize=1)
def backend() -> Backend:
    """Return the backend named by AUTOTUNE_TRAINING_ENGINE."""
    if settings.TRAINING_ENGINE == "local":
        return LocalBackend(root=settings.TRIALS_DIR, client_dir=settings.CLIENT_DIR)
    # Imported where it is used: the client of Kubernetes takes half a second to load.
    from experiments.training.kubernetes.backend import KubernetesBackend

    return KubernetesBackend(settings.TRAINING_ENGINE, settings.TRIALS_DIR)
