"""Where population based training keeps its checkpoints on this server.

A tuner is pure and knows no directories: without ``all_checkpoint_dir`` it proposes relative ones.
``reconcile`` calls here to put them below the server's data before a trial's row is written, to
make them before a trial starts that sees this server's files, and to remove them with their
experiment.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from experiments.algorithms.base import LOAD_KEY, SAVE_KEY
from experiments.trials.backends import backend

_KEYS = (LOAD_KEY, SAVE_KEY)


def directory_of(experiment_id: str) -> Path:
    """Return the directory of an experiment's checkpoints, whether it exists or not."""
    return Path(settings.DATA_DIR) / "checkpoints" / experiment_id


def placed(
    parameters: Mapping[str, Any], added: tuple[str, ...], experiment_id: str
) -> dict[str, Any]:
    """Return proposed parameters with absolute checkpoint directories.

    Args:
        added: the names that the tuner adds itself; a search space may use the same for its own.
    """
    found = dict(parameters)
    for key in set(_KEYS) & set(added) & set(found):
        given = Path(str(found[key]))
        if backend().shares_files:
            given = given.expanduser()
        found[key] = str(given if given.is_absolute() else directory_of(experiment_id) / given)
    return found


def make(parameters: Mapping[str, Any], added: tuple[str, ...]) -> None:
    """Make the directories that a trial loads from and saves to, where it sees our files.

    Raises:
        OSError: if they cannot be made.
    """
    if not backend().shares_files:
        return  # they lie on a volume that only trials see
    for key in set(_KEYS) & set(added) & set(parameters):
        Path(str(parameters[key])).mkdir(parents=True, exist_ok=True)


def forget(experiment_id: str) -> None:
    """Remove an experiment's checkpoints; those in a directory of the user's own stay."""
    shutil.rmtree(directory_of(experiment_id), ignore_errors=True)
