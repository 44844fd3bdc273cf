"""Where the best trials lie along each parameter that matters: what a next search may look into.

Told only of parameters whose effect is beyond chance, and only where the best take up so little of
what was tried that there is something to leave out, or lie at an end of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from experiments.charts import ped_anova, scale, style
from experiments.charts.axes import Axis, labels_of
from experiments.charts.base import Floats
from experiments.charts.ped_anova import Score
from experiments.charts.words import gettext as _
from experiments.charts.words import listed, together

MIDDLE = (0.05, 0.95)  # of the best trials: a stray one says nothing
MOST_WIDTH = 0.75  # of what was tried; above that there is little to leave out
LEAST_RATE = 0.5  # of a choice that few of the best took: so many of those that chance would give
MOST_SAID = 5  # parameters


@dataclass(frozen=True)
class Promising:
    """What of one parameter is worth another search."""

    axis: Axis
    low: float = 0.0  # places on the axis
    high: float = 0.0
    choices: tuple[str, ...] = ()  # of a choice
    end: int = 0  # -1 or 1: the best lie at the low or the high end of what was tried

    @property
    def is_narrower(self) -> bool:
        return bool(self.choices) or self.high > self.low


def promising(scores: Iterable[Score], losses: Floats) -> tuple[Promising, ...]:
    """Of each parameter that matters, in the order given."""
    found = (_of(score, losses) for score in scores if score.is_scored and score.is_beyond_chance)
    return tuple(part for part in found if part is not None)[:MOST_SAID]


def _of(score: Score, losses: Floats) -> Promising | None:
    axis, places = score.axis, np.array(score.axis.places)
    active = ped_anova.active_in(axis, places)
    places, losses = places[active], losses[active]
    is_best = ped_anova.best_of(losses)
    if is_best is None:
        return None
    best = places[is_best]
    if axis.kind == "choice":
        return _choices(axis, places, best)
    at = float(places[losses.argmin()])
    low, high = (float(end) for end in np.quantile(best, MIDDLE))
    low, high = min(low, at), max(high, at)
    ends = float(places.min()), float(places.max())
    end = _end(score)
    low, high = (ends[0] if end < 0 else low), (ends[1] if end > 0 else high)
    if high - low <= MOST_WIDTH * (ends[1] - ends[0]):
        return Promising(axis, low, high, end=end)
    return Promising(axis, end=end) if end else None


def _end(score: Score) -> int:
    """Whether trials get better up to one end of what was tried."""
    goodness = score.trend.goodness if score.trend else ()
    if len(goodness) < ped_anova.LEAST_BINS:
        return 0
    top = int(np.argmax(goodness))
    return -1 if top == 0 else 1 if top == len(goodness) - 1 else 0


def _choices(axis: Axis, places: Floats, best: Floats) -> Promising | None:
    names = labels_of(axis.choices)
    tried = np.unique(places)
    rates = [(best == place).mean() / (places == place).mean() for place in tried]
    kept = [int(p) for p, rate in zip(tried, rates, strict=True) if rate >= LEAST_RATE]
    if not kept or len(kept) == tried.size:
        return None
    return Promising(axis, choices=tuple(names[place] for place in kept))


def said(parts: Iterable[Promising]) -> str:
    """As sentences; empty where there is nothing to say."""
    parts = list(parts)
    narrower = [_narrower(part) for part in parts if part.is_narrower]
    sentences = []
    if narrower:
        sentences.append(
            _(
                "For a next search, narrow to where the best lie: {parts}.",
                parts=_semicolons(narrower),
            )
        )
    at_end = [style.plain_text(part.axis.label) for part in parts if part.end < 0]
    if at_end:
        sentences.append(_("Best at its low end, so try lower too: {names}.", names=listed(at_end)))
    at_end = [style.plain_text(part.axis.label) for part in parts if part.end > 0]
    if at_end:
        sentences.append(
            _("Best at its high end, so try higher too: {names}.", names=listed(at_end))
        )
    return together(sentences)


def _semicolons(parts: list[str]) -> str:
    return _("; ").join(parts)


def _narrower(part: Promising) -> str:
    name = style.plain_text(part.axis.label)
    if part.choices:
        choices = listed(style.plain_text(choice) for choice in part.choices)
        return f"{name} {choices}"
    low, high = (
        style.number_text(scale.power_of_ten(end) if part.axis.kind == "log" else end, 2)
        for end in (part.low, part.high)
    )
    return _("{name} {low} to {high}", name=name, low=low, high=high)
