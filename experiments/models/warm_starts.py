"""What an experiment borrows from earlier ones: their trials as they stood when it was made.

Kept with it, so that a source that is deleted, or goes on, changes nothing: rebuilt from its rows
after any crash, the tuner learns from the same. Borrowed trials are no ``Trial``: they use up no
budget and are never the best.
"""

from __future__ import annotations

from django.db import models

from experiments.models.state import Experiment


class WarmStart(models.Model):
    """One earlier experiment that one learns from."""

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="warm_starts", db_constraint=False
    )
    place = models.PositiveSmallIntegerField()  # in the manifest's list
    source_id = models.CharField(max_length=8)  # it may be gone
    source_name = models.CharField(max_length=63)
    n_offered = models.PositiveIntegerField()  # trials with a result
    # Of each that fits, best first: [parameters, value].
    trials = models.JSONField(default=list)
    # Why others do not: {reason: how many}.
    outside = models.JSONField(default=dict)

    class Meta:
        ordering = ["place"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "place"], name="warm_start_place")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} from {self.source_id}"

    @property
    def label(self) -> str:
        """What it is called in notes and remarks of trials."""
        return f"{self.source_name} ({self.source_id})"
