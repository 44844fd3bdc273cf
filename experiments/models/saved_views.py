"""Views of an experiment's page that somebody gave a name: filter, columns, order, charts.

Whoever may see the experiment sees them; nothing depends on these rows.
"""

from __future__ import annotations

from django.db import models

from experiments.models.authored import Authored
from experiments.models.state import Experiment


class SavedView(Authored):
    """``query`` is what stands in the page's address after the question mark."""

    # The last release deletes experiments without knowing of these rows: no constraint may stop it.
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="saved_views", db_constraint=False
    )
    name = models.CharField(max_length=100)
    query = models.TextField()

    class Meta(Authored.Meta):
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="saved_view_name_unique")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id}: {self.name}"
