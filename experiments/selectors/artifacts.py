"""Files of a trial, as they are listed and handed out. Called by pages and REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.models import Artifact, Trial
from experiments.selectors.present import iso


def artifacts_json(trial: Trial) -> list[dict[str, Any]]:
    """The complete files of a trial, by name."""
    return [artifact_json(artifact) for artifact in trial.artifacts.filter(complete=True)]


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.pk,
        "name": artifact.name,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "image_type": artifact.image_type or None,
        "created_at": iso(artifact.created_at),
    }


def pieces(artifact: Artifact) -> Iterator[bytes]:
    """Its bytes, a piece at a time."""
    for number in range(artifact.n_pieces):
        yield bytes(artifact.pieces.values_list("data", flat=True).get(number=number))
