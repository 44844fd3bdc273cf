"""Which two parameters act together: the best value of one depends on the other's.

Called by ``pair``. Trials are ranked by value and put into the cells of a table, up to four bins of
each parameter; the means of the cells are compared with what the two parameters give each by itself
(rows plus columns), by the F test of a two-way analysis of variance on ranks (Conover and Iman
1981). Bonferroni's correction is for all pairs: one in a hundred experiments without any is told of
one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.charts.axes import Axis
from experiments.charts.base import Floats
from experiments.charts.ped_anova import LEAST, Codes, active_in

BINS = 4
LEAST_CELL = 3  # trials: cells of fewer are left out
CHANCE = 0.01
MOST_TOLD = 3
MOST_AXES = 25  # the first ones given: their pairs are looked at
LEAST_SHARE = 0.02  # of the spread of ranks: less is of no use to anybody


@dataclass(frozen=True)
class Together:
    """Two parameters, and the share of the spread of ranks that they explain only together."""

    first: Axis
    second: Axis
    share: float
    chance: float  # that so much comes by chance, before the correction


def acting_together(axes: Sequence[Axis], ranks: Floats) -> list[Together]:
    """The pairs that act together beyond chance, the strongest first; at most three.

    A nested parameter is set against its own choice where several branches have it.
    """
    shown = axes[:MOST_AXES]
    coded = [_coded(axis) for axis in shown]
    found = []
    n_looked_at = 0
    for i, j in itertools.combinations(range(len(shown)), 2):
        (a, in_a), (b, in_b) = coded[i], coded[j]
        both = in_a & in_b
        tested = _tested(a[both], b[both], ranks[both]) if both.sum() >= LEAST else None
        if tested is None:
            continue
        n_looked_at += 1
        found.append(Together(shown[i], shown[j], *tested))
    limit = CHANCE / max(1, n_looked_at)
    told = [t for t in found if t.chance <= limit and t.share >= LEAST_SHARE]
    return sorted(told, key=lambda t: -t.share)[:MOST_TOLD]


def _coded(axis: Axis) -> tuple[Codes, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Each trial's bin, as many in each; and which trials have the parameter."""
    places = np.array(axis.places)
    active = active_in(axis, places)
    codes = np.zeros(places.size, dtype=np.intp)
    values, own = np.unique(places[active], return_inverse=True)
    if axis.kind != "choice" and values.size > BINS:
        ends = np.unique(np.quantile(places[active], np.linspace(0, 1, BINS + 1)[1:-1]))
        own = np.searchsorted(ends, places[active], side="left")
    codes[active] = own
    return codes, active


def _tested(a: Codes, b: Codes, ranks: Floats) -> tuple[float, float] | None:
    """The share that only both explain, and its chance; None where the table tells nothing."""
    n_columns = int(b.max()) + 1
    cell = a * n_columns + b
    counts = np.bincount(cell)
    kept = (counts >= LEAST_CELL)[cell]
    if kept.sum() < LEAST:
        return None
    cells, place = np.unique(cell[kept], return_inverse=True)
    values = ranks[kept]
    count = np.bincount(place).astype(np.float64)
    means = np.bincount(place, weights=values) / count
    rows, columns = cells // n_columns, cells % n_columns
    design = np.concatenate(
        [rows[:, None] == np.unique(rows), columns[:, None] == np.unique(columns)], axis=1
    ).astype(np.float64)
    weight = np.sqrt(count)[:, None]
    fitted, _rest, rank, _singular = np.linalg.lstsq(
        design * weight, means * weight[:, 0], rcond=None
    )
    free = cells.size - int(rank)
    free_within = values.size - cells.size
    if free < 1 or free_within < 1:
        return None
    together = float((count * (means - design @ fitted) ** 2).sum())
    within = float(((values - means[place]) ** 2).sum())
    whole = float(((values - values.mean()) ** 2).sum())
    if whole <= 0:
        return None
    if within <= 0:
        return together / whole, 0.0 if together > 1e-12 * whole else 1.0
    ratio = (together / free) / (within / free_within)
    from scipy import special  # servers and commands start without it, see the registry

    return together / whole, float(special.fdtrc(free, free_within, ratio))
