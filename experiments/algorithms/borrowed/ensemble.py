"""What sources and own trials say together: a weighted mean of the sources' models, corrected.

The objective here is what the sources' models expect plus a difference of its own, which is a
Gaussian process, too: it knows the own trials, is uncertain away from them, and takes over where
these say otherwise. So proposals spread over what the sources call good, instead of repeating its
best spot, and the sources' weight falls as own trials come.

Own losses are put on the sources' scale by mean and deviation: only their order, and how far apart
they are, counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.gaussian_process import Bools, GaussianProcess, Hyper

LEAST_SPREAD = 0.5  # of own losses on the sources' scale
NOISE = 0.02  # of the difference
LEAST_DIFFERENCE, FIRST_DIFFERENCE = 0.15, 0.5  # its variance; that of scores is 1


@dataclass(frozen=True)
class Ensemble:
    """A weighted mean of processes, and what corrects it; of one set of targets."""

    members: Sequence[tuple[float, GaussianProcess]]  # weights above 0 that make 1
    difference: GaussianProcess | None = None

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Means (m, 1) and deviations (m,)."""
        mean = np.zeros((len(rows), 1))
        variance = np.zeros(len(rows))
        for weight, process in self._all():
            mu, sigma = process.predict(rows)
            mean += weight * mu[:, :1]
            variance += (weight * sigma) ** 2
        return mean, np.sqrt(variance)

    def predict_with_gradient(self, row: Floats) -> tuple[Floats, float, Floats, Floats]:
        """Means (1,), deviation, and their derivatives (d, 1) and (d,)."""
        mean, variance = np.zeros(1), 0.0
        d_mean, d_variance = np.zeros((len(row), 1)), np.zeros(len(row))
        for weight, process in self._all():
            mu, sigma, d_mu, d_sigma = process.predict_with_gradient(row)
            mean = mean + weight * mu[:1]
            d_mean = d_mean + weight * d_mu[:, :1]
            variance += (weight * sigma) ** 2
            d_variance = d_variance + weight * weight * sigma * d_sigma
        sigma = math.sqrt(variance)
        return mean, sigma, d_mean, d_variance / sigma

    def _all(self) -> Sequence[tuple[float, GaussianProcess]]:
        return self.members if self.difference is None else [*self.members, (1.0, self.difference)]


def corrected(
    members: Sequence[tuple[float, GaussianProcess]],
    rows: Floats,
    losses: Floats,
    misranked: float,
    categorical: Bools,
) -> tuple[Ensemble, float]:
    """The ensemble that knows the own trials, and the best level that they reached.

    Args:
        members: weights and models of the sources.
        rows: own trials. # (n, d)
        losses: theirs, standardised. # (n,)
        misranked: the share of pairs of own trials that the sources put the wrong way round.
    """
    expected = Ensemble(members).predict(rows)[0][:, 0]
    spread = max(LEAST_SPREAD, float(expected.std()))
    deviation = float(losses.std())
    targets = expected.mean() + spread * (losses - losses.mean()) / (deviation or 1.0)
    agreement = 1.0 - 2.0 * misranked  # about the correlation of the two
    variance = max(LEAST_DIFFERENCE, 1.0 - agreement * agreement)
    if len(rows) < 3:
        variance = FIRST_DIFFERENCE
    weights = sum(w * process.hyper.weights for w, process in members)
    smooth = members[0][1].nu
    hyper = Hyper(np.asarray(weights), variance, NOISE)
    difference = GaussianProcess(rows, targets - expected, categorical, smooth, hyper)
    return Ensemble(members, difference), float(targets.min())
