"""The training backend this installation is configured for, made once a process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from experiments.training.base import Backend
from experiments.training.local.backend import LocalBackend
from experiments.training.local.gpus import Gpus
from experiments.training.local.interpreter import trial_path


@lru_cache(maxsize=1)
def backend() -> Backend:
    """Return the backend named by AUTOTUNE_TRAINING_ENGINE: the only place that asks its name."""
    if settings.TRAINING_ENGINE == "local":
        search_path = trial_path(
            os.environ,
            given=settings.TRIAL_PATH,
            python=settings.TRIAL_PYTHON,
            folder=settings.DATA_DIR / "python",
        )
        return LocalBackend(
            root=settings.TRIALS_DIR,
            client_dir=settings.CLIENT_DIR,
            search_path=search_path,
            own_code=settings.BASE_DIR / "examples",
            slots=Path(settings.SLOTS_DIR).absolute() if settings.SLOTS_DIR else None,
            gpus=Gpus(settings.GPUS),
        )
    # Imported where it is used: the client of Kubernetes takes half a second to load.
    from experiments.training.kubernetes.backend import KubernetesBackend
    from experiments.training.kubernetes.policy import read_policies

    return KubernetesBackend(
        settings.TRAINING_ENGINE,
        settings.TRIALS_DIR,
        policies=read_policies(settings.POD_POLICY, settings.OWN_NAMESPACE),
    )
