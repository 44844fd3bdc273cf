"""The trials whose values may be compared, and what was left out of them.

Shared by the charts that explain the objective. A chart that leaves trials out says so, with the
words of ``left_out``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.charts.base import VALUED_STATES, Floats, Record, TrialRecord
from experiments.charts.columns import Columns, Parameters, Places, SomeParameters, is_any_of
from experiments.charts.words import gettext as _
from experiments.charts.words import listed, together
from experiments.states import FINISHED


@dataclass(frozen=True, eq=False)
class Comparable:
    """Every trial that ended with a value and is not excluded, by number."""

    trials: tuple[TrialRecord, ...]
    values: Floats  # (n,)
    losses: Floats  # (n,) the values so turned that less is better
    n_valueless: int  # ended without a value
    n_excluded: int
    columns: Columns
    parameters: Parameters
    metrics: Parameters

    @property
    def left_out(self) -> str:
        """What is missing, as a sentence; empty where nothing is."""
        parts = []
        if self.n_valueless:
            parts.append(_("{n} without a final value", n=self.n_valueless))
        if self.n_excluded:
            parts.append(_("{n} excluded", n=self.n_excluded))
        return _("Left out: {parts}.", parts=listed(parts)) if parts else ""

    @property
    def nothing(self) -> str:
        """Why there is nothing to draw, where no trial can be compared."""
        if not self.n_valueless:
            return together([_("No trial has ended with a value yet."), self.left_out])
        words = [_("None of {n} ended trials has a final value.", n=self.n_valueless)]
        if self.n_excluded:
            words.append(_("Left out: {parts}.", parts=_("{n} excluded", n=self.n_excluded)))
        return together(words)


def comparable(record: Record) -> Comparable:
    every = record.columns
    places = with_values(record)
    places = places[np.argsort(every.number[places], kind="stable")]
    is_left = is_any_of(every.state, FINISHED) & ~every.excluded
    values = every.value[places]
    return Comparable(
        trials=tuple([record.trials[place] for place in places.tolist()]),
        values=values,
        losses=-values if record.maximize else values,
        n_valueless=int(is_left.sum()) - places.size,
        n_excluded=int((is_any_of(every.state, FINISHED) & every.excluded).sum()),
        columns=every.among(places),
        parameters=SomeParameters(record.parameters, places),
        metrics=SomeParameters(record.facts.metrics, places),
    )


def with_values(record: Record) -> Places:
    """Which trials ended with a value and are not excluded."""
    every = record.columns
    has_value = is_any_of(every.state, VALUED_STATES) & ~np.isnan(every.value)
    return np.flatnonzero(has_value & ~every.excluded)


def goodness(losses: Floats) -> Floats:
    """Each loss's rank from 0 for the worst to 1 for the best; equal ones share the middle."""
    if losses.size < 2:
        return np.full(losses.size, 0.5)
    _, group, count = np.unique(-losses, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    middle = last - (count + 1) / 2.0
    ranks: Floats = middle[group] / (losses.size - 1)
    return ranks
