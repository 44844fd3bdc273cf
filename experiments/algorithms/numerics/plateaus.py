"""Where a trial would only repeat what another one said: objectives with steps.

A rounded objective, or one looked up at the nearest of some measured points, is equal over whole
regions. A smooth model goes on finding a slope there and proposes one region's spot after the
other. How wide the regions are is learnt from the trials: each has an earlier one that is nearest,
and the likelier both are equal the nearer they are, the wider. What a trial promises is multiplied
by the probability that it says something new. Called by GPTuner, whose length scales measure.

Symbols: n trials, m rows, d columns, r the distance of a row to the nearest trial, p the radius;
the probability of an equal result is c + (1 - c) exp(-(r/p)^2), c by coincidence. Cost: O(n^2 d),
and O(n m d) for rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from experiments.algorithms.numerics.domain import Bools, Floats
from experiments.algorithms.numerics.gaussian_process import distances

RADII = np.geomspace(1e-3, 3.0, 36)  # in length scales
CHANCES = (0.01, 0.03, 0.1, 0.3)
LEAST_GAIN = 2.0  # of the logarithm of the likelihood over coincidence alone: two parameters more
LEAST_EQUAL = 2  # pairs
CERTAIN = 1.0 - 1e-6


@dataclass(frozen=True)
class Plateaus:
    """What is believed of steps."""

    rows: Floats  # of trials, finished and running # (n, d)
    weights: Floats  # of the columns in a squared distance # (d,)
    categorical: Bools  # (d,)
    radius: float

    def __call__(self, rows: Floats) -> Floats:
        """Return the logarithm of the probability of a new result at each row. # (m,)"""
        squared = distances(rows, self.rows, self.weights, self.categorical).min(axis=1)
        found: Floats = np.log1p(-CERTAIN * np.exp(-squared / self.radius**2))
        return found

    def with_gradient(self, row: Floats) -> tuple[float, Floats]:
        """Return that logarithm at one row and its gradient. # (d,)"""
        squared = distances(row[None, :], self.rows, self.weights, self.categorical)[0]
        nearest = int(np.argmin(squared))
        equal = CERTAIN * math.exp(-float(squared[nearest]) / self.radius**2)
        slope = 2.0 * self.weights * (row - self.rows[nearest]) / self.radius**2
        return math.log1p(-equal), equal / (1.0 - equal) * np.where(self.categorical, 0.0, slope)


def radius_of(rows: Floats, losses: Floats, weights: Floats, categorical: Bools) -> float | None:
    """Return how far equal results reach; None where no distance explains them.

    Args:
        rows: finished trials, in order. # (n, d)
        losses: theirs; only which are equal counts. # (n,)
        weights: of the columns in a squared distance. # (d,)
        categorical: which columns are categories. # (d,)
    """
    if len(np.unique(losses)) > len(losses) - LEAST_EQUAL:
        return None
    squared = distances(rows, rows, weights, categorical)
    squared[np.triu_indices(len(rows))] = np.inf  # earlier ones only
    nearest = squared[1:].argmin(axis=1)
    apart = squared[1:][np.arange(len(nearest)), nearest]
    is_equal = losses[1:] == losses[nearest]
    is_other = apart > 0.0  # the same configuration again says nothing of how far
    apart, is_equal = apart[is_other], is_equal[is_other]
    n_equal, n_pairs = int(is_equal.sum()), len(is_equal)
    if n_equal < LEAST_EQUAL or n_equal == n_pairs:
        return None
    share = n_equal / n_pairs
    by_chance = n_equal * math.log(share) + (n_pairs - n_equal) * math.log1p(-share)
    near = np.exp(-apart[None, None, :] / (RADII**2)[:, None, None])
    chances = np.array(CHANCES)[None, :, None]
    equal = np.minimum(chances + (1.0 - chances) * near, CERTAIN)
    likelihood = np.where(is_equal, np.log(equal), np.log1p(-equal)).sum(axis=2)
    best = np.unravel_index(int(np.argmax(likelihood)), likelihood.shape)
    return float(RADII[best[0]]) if likelihood[best] > by_chance + LEAST_GAIN else None
