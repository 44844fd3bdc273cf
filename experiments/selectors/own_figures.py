"""Figures that people keep with an experiment, as they are listed and handed out."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext

from experiments.charts import own_table, words
from experiments.charts.base import Table
from experiments.models import Experiment, OwnFigure
from experiments.selectors.present import iso
from experiments.strict_json import read_json


def own_figures_json(experiment: Experiment) -> list[dict[str, Any]]:
    """All of an experiment, by name; without what they draw."""
    found = experiment.own_figures.defer("text").select_related("author")
    return [own_figure_json(figure) for figure in found]


def own_figure_json(figure: OwnFigure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "title": figure.title,
        "size": figure.size,
        "n_traces": figure.n_traces,
        "n_points": figure.n_points,
        "author": figure.author.get_username() if figure.author else None,
        "changed_at": iso(figure.changed_at),
    }


def drawn(figure: OwnFigure) -> dict[str, Any]:
    """``data`` and ``layout``."""
    found: dict[str, Any] = read_json(figure.text)
    return found


def table(figure: OwnFigure) -> Table:
    with words.spoken_by(gettext):
        return own_table.table(drawn(figure))
