"""The training backend this installation is configured for, made once a process.

Beside it stands ``Elsewhere``, for the experiments whose trials programs ask for: callers need not
know which of the two has a trial.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from django.conf import settings

from experiments.manifest.spec import ExperimentSpec
from experiments.training.base import Backend, Handle, JobStatus, Launch
from experiments.training.local.backend import LocalBackend
from experiments.training.local.gpus import Gpus
from experiments.training.local.interpreter import trial_path
from experiments.trials.elsewhere import Elsewhere, is_elsewhere

_BY_LAUNCH = frozenset(
    {"launch", "find", "room", "capacity", "forecast", "programs", "documents"}
) | {"refusals"}
_BY_HANDLE = frozenset({"allow", "stop", "logs", "read_log", "forget", "abandon"})


class _Both:
    """The engine, but for what programs elsewhere have; its traits are the engine's."""

    def __init__(self, engine: Backend) -> None:
        self.engine = engine
        self._elsewhere = Elsewhere()

    def __getattr__(self, name: str) -> Any:
        if name in _BY_LAUNCH:
            return lambda launch, *more: getattr(self._of_launch(launch), name)(launch, *more)
        if name in _BY_HANDLE:
            return lambda handle, *more: getattr(self._of_handle(handle), name)(handle, *more)
        return getattr(self.engine, name)

    def _of_launch(self, launch: Launch) -> Backend:
        return self.engine if launch.lost_after_s is None else self._elsewhere

    def _of_handle(self, handle: Handle) -> Backend:
        return self._elsewhere if is_elsewhere(handle) else self.engine

    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        """As the contract has it: one status per handle, in order."""
        own = [handle for handle in handles if not is_elsewhere(handle)]
        others = [handle for handle in handles if is_elsewhere(handle)]
        told = iter(self.engine.poll(own) if own or not others else [])
        heard = iter(self._elsewhere.poll(others) if others else [])
        return [next(heard if is_elsewhere(handle) else told) for handle in handles]


def namespace_of(spec: ExperimentSpec) -> str:
    """The namespace that a manifest names; "" where it names none, or there is no cluster."""
    return "" if backend().runs_here else spec.namespace


@lru_cache(maxsize=1)
def backend() -> Backend:
    """Return the backend of this process: see ``Backend`` for what it can be asked."""
    return cast(Backend, _Both(_engine()))


def _engine() -> Backend:
    """The backend named by AUTOTUNE_TRAINING_ENGINE: the only place that asks its name."""
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
