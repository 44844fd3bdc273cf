"""A mixture of normal distributions with diagonal covariances, fitted by expectation maximisation.

Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.2. Called by the Metis tuner.

Symbols: n rows, d columns, k components. Cost: O(n d k) per step, at most ``MAX_STEPS`` steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_STEPS = 50
LEAST_VARIANCE = 1e-3  # added to every variance: rows may coincide


@dataclass(frozen=True)
class Mixture:
    """Shares (k,), means (k, d) and variances (k, d) of the components."""

    shares: Floats
    means: Floats
    variances: Floats

    def log_density(self, rows: Floats) -> Floats:
        """Return the logarithm of the density at every row. # (n,)"""
        found: Floats = np.logaddexp.reduce(self._log_parts(rows), axis=1)
        return found

    def _log_parts(self, rows: Floats) -> Floats:
        """Return the logarithm of every component's share times density. # (n, k)"""
        gap = rows[:, None, :] - self.means  # (n, k, d)
        exponent = (gap * gap / self.variances).sum(axis=2)
        volume = np.log(2.0 * np.pi * self.variances).sum(axis=1)
        parts: Floats = np.log(self.shares) - 0.5 * (exponent + volume)
        return parts

    def improved(self, rows: Floats) -> tuple[Mixture, float]:
        """Return the next step of expectation maximisation, and the mean log density before it."""
        parts = self._log_parts(rows)
        total = np.logaddexp.reduce(parts, axis=1)
        duty = np.exp(parts - total[:, None])  # (n, k)
        weight = duty.sum(axis=0) + 1e-10
        means = (duty.T @ rows) / weight[:, None]
        squares = (duty.T @ (rows * rows)) / weight[:, None]
        variances = np.maximum(squares - means * means, 0.0) + LEAST_VARIANCE
        return Mixture(weight / weight.sum(), means, variances), float(total.mean())


def fit_mixture(rows: Floats, n_components: int) -> Mixture:
    """Fit a mixture, starting from equal parts of the rows along their widest direction."""
    centred = rows - rows.mean(axis=0)
    widest = int(np.argmax(centred.var(axis=0)))
    order = np.argsort(centred[:, widest], kind="stable")
    parts = np.array_split(rows[order], min(n_components, len(rows)))
    mixture = Mixture(
        np.array([len(part) / len(rows) for part in parts]),
        np.array([part.mean(axis=0) for part in parts]),
        np.array([part.var(axis=0) + LEAST_VARIANCE for part in parts]),
    )
    level = -np.inf
    for _ in range(MAX_STEPS):
        mixture, found = mixture.improved(rows)
        if found - level < 1e-4:
            break
        level = found
    return mixture
