"""Plotly figures that people keep with an experiment.

``text`` has been read by ``charts.own``: nothing in it loads, links or runs anything.
"""

from __future__ import annotations

from django.db import models

from experiments.models.authored import Authored
from experiments.models.state import Experiment

MAX_NAME = 80


class OwnFigure(Authored):
    # The last release deletes experiments without knowing of these rows: no constraint may stop it.
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="own_figures", db_constraint=False
    )
    name = models.CharField(max_length=MAX_NAME)
    title = models.CharField(max_length=300, blank=True, default="")
    text = models.TextField()  # the figure as JSON; large, so not read with lists
    size = models.PositiveIntegerField()  # bytes of it
    n_traces = models.PositiveIntegerField()
    n_points = models.PositiveIntegerField()

    class Meta(Authored.Meta):
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="own_figure_name_unique")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id}: {self.name}"
