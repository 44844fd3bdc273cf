"""Files that trials attach: pictures, models, whatever a person wants beside the numbers.

Their bytes are rows too, in pieces, so that every process that has the database has the files: no
shared disk is needed, and they go with their experiment. ``reports.artifacts`` writes them while
they come in; what is not complete yet is shown nowhere.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from experiments.models.state import Experiment, Trial

PIECE_BYTES = 512 * 1024  # of a file, sent and kept at a time; below what proxies let through
MAX_NAME = 200  # characters


class Artifact(models.Model):
    """One file of one trial. Its bytes never change: a new one of its name takes its place."""

    # The last release deletes trials without knowing of these rows: no constraint may stop it.
    trial = models.ForeignKey(
        Trial, on_delete=models.CASCADE, related_name="artifacts", db_constraint=False
    )
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="artifacts", db_constraint=False
    )
    name = models.CharField(max_length=MAX_NAME)
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)
    image_type = models.CharField(max_length=20, blank=True, default="")  # of a raster image
    complete = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["trial", "name"], condition=Q(complete=True), name="artifact_name_unique"
            ),
            models.UniqueConstraint(
                fields=["trial", "name", "sha256"],
                condition=Q(complete=False),
                name="artifact_once_on_its_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.trial_id} {self.name}"

    @property
    def n_pieces(self) -> int:
        return -(-self.size // PIECE_BYTES)

    def bytes_of(self, piece: int) -> int:
        """How many bytes that piece has: all are full but the last."""
        return min(PIECE_BYTES, self.size - piece * PIECE_BYTES)


class ArtifactPiece(models.Model):
    """So many bytes of a file; the first has number 0."""

    artifact = models.ForeignKey(
        Artifact, on_delete=models.CASCADE, related_name="pieces", db_index=False
    )
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["artifact", "number"], name="artifact_piece_unique")
        ]

    def __str__(self) -> str:
        return f"{self.artifact_id} {self.number}"
