"""What a person can do to a file that a trial attached. Callers have authorised already."""

from __future__ import annotations

from django.db import transaction

from experiments.models import Artifact
from experiments.states import EventKind


def delete(artifact: Artifact) -> None:
    """Delete it for good; the timeline says that it was there."""
    with transaction.atomic():
        trial = artifact.trial
        data = {"artifact": artifact.pk, "size": artifact.size}
        artifact.delete()
        trial.experiment.record(EventKind.DETACHED, trial=trial, reason=artifact.name, data=data)
