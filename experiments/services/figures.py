"""Keeping figures that people made with an experiment: for REST.

Callers have authorised already. What makes no sense raises ProblemsError by its path.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.charts import own
from experiments.models import Experiment, OwnFigure
from experiments.models.own_figures import MAX_NAME
from experiments.problems import Problem, ProblemsError
from experiments.states import EventKind

MOST_FIGURES = 20  # of one experiment; docs/rest.md names it


def keep(experiment: Experiment, name: str, given: Any, author: Any) -> tuple[OwnFigure, bool]:
    """Keep a figure under its name, in the place of an earlier one; whether it is a new name."""
    if not may_be_named(name):
        words = f"must be 1 to {MAX_NAME} printable characters without / and \\, but got {name!r}."
        raise ProblemsError([Problem("name", words)])
    read = own.read(given)
    with transaction.atomic():
        # Whoever keeps one of the same experiment waits here, so that the limit holds.
        Experiment.objects.select_for_update().filter(pk=experiment.pk).first()
        others = experiment.own_figures.exclude(name=name)
        if others.count() >= MOST_FIGURES:
            words = f"is one more than the {MOST_FIGURES} figures that an experiment may have."
            raise ProblemsError([Problem("name", words, "Delete one first.")])
        figure, is_new = OwnFigure.objects.update_or_create(
            experiment=experiment,
            name=name,
            defaults={
                "title": read.title,
                "text": read.text,
                "size": len(read.text.encode()),
                "n_traces": read.n_traces,
                "n_points": read.n_points,
                "author": author,
                "changed_at": timezone.now(),
            },
        )
        experiment.record(EventKind.FIGURE_KEPT, reason=name, data={"size": figure.size})
    return figure, is_new


def delete(figure: OwnFigure) -> None:
    """Delete it for good; an event says that it was there."""
    with transaction.atomic():
        figure.delete()
        figure.experiment.record(EventKind.FIGURE_DELETED, reason=figure.name)


def may_be_named(name: str) -> bool:
    is_plain = name.isprintable() and not any(c in "/\\" for c in name)
    return 0 < len(name) <= MAX_NAME and is_plain and name.strip() == name and name.strip(".") != ""
