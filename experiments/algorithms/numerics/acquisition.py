"""What a trial promises, from a Gaussian process's mean and deviation there; larger is better.

Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", 1998
(expected improvement); Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian
Optimization", NeurIPS 2023, section 4.1 (its logarithm, without underflow); Srinivas et al., 2010
(confidence bound). Losses are minimised. Called by the GP and Metis tuners.

Each utility takes means mu and deviations sigma of any shapes that broadcast, and returns its value
and its derivatives by mu and by sigma. Cost: O(size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from experiments.algorithms.numerics.gaussian_process import GaussianProcess

Floats = npt.NDArray[np.float64]
Utility = tuple[Floats, Floats, Floats]  # value, d value / d mu, d value / d sigma

LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
N_RESULTS = 64
ROOT_HALF_PI = math.sqrt(math.pi / 2.0)


def log_h(z: Floats) -> tuple[Floats, Floats]:
    """Return log(phi(z) + z Phi(z)), the logarithm of EI at sigma 1, and its derivative."""
    near = np.maximum(z, -1.0)
    density = np.exp(-0.5 * near * near - LOG_ROOT_2PI)
    area = special.ndtr(near)
    h = density + near * area
    # below -1: phi times (1 + z Phi/phi), the bracket about 1/z^2 and all cancellation far out
    far = np.minimum(z, -1.0)
    ratio = ROOT_HALF_PI * special.erfcx(-far / math.sqrt(2.0))  # Phi / phi
    series = (1.0 - 3.0 / (far * far)) / (far * far)
    bracket = np.where(far > -1e3, 1.0 + far * ratio, series)
    far_value = -0.5 * far * far - LOG_ROOT_2PI + np.log(bracket)
    is_near = z > -1.0
    return np.where(is_near, np.log(h), far_value), np.where(is_near, area / h, ratio / bracket)


def log_ei(mu: Floats, sigma: Floats, threshold: Floats) -> Utility:
    """Return the logarithm of the expected improvement below ``threshold``."""
    z = (threshold - mu) / sigma
    value, slope = log_h(z)
    return value + np.log(sigma), -slope / sigma, (1.0 - slope * z) / sigma


def log_poi(mu: Floats, sigma: Floats, threshold: Floats) -> Utility:
    """Return the logarithm of the probability of falling below ``threshold``."""
    z = (threshold - mu) / sigma
    value = special.log_ndtr(z)
    slope = np.exp(-0.5 * z * z - LOG_ROOT_2PI - value)
    # far out the density underflows before the logarithm does; there slope tends to -z
    slope = np.where(z < -30.0, -z, slope)
    return value, -slope / sigma, -slope * z / sigma


def confidence_bound(mu: Floats, sigma: Floats, kappa: float) -> Utility:
    """Return how far the mean less ``kappa`` deviations lies below 0."""
    return kappa * sigma - mu, np.full_like(mu, -1.0), np.full_like(mu, kappa)


@dataclass(frozen=True)
class Acquisition:
    """A utility on a Gaussian process, averaged over the process's sets of targets.

    The sets are fantasies: guesses of what running trials will reach (Snoek, Larochelle and Adams,
    "Practical Bayesian Optimization of Machine Learning Algorithms", 2012, section 3.2).
    """

    process: GaussianProcess
    utility: str  # "ei", "poi" or "ucb"
    thresholds: Floats  # of every set, for ei and poi # (n_sets,)
    kappa: float = 0.0  # for ucb

    def __call__(self, rows: Floats) -> Floats:
        """Return the value at every row. # (m,)"""
        mu, sigma = self.process.predict(rows)
        return self._mean(mu, sigma[:, None])[0]

    def with_gradient(self, row: Floats) -> tuple[float, Floats]:
        """Return the value at one row and its gradient. # (d,)"""
        mu, sigma, d_mu, d_sigma = self.process.predict_with_gradient(row)
        value, by_mu, by_sigma = self._mean(mu[None, :], np.array([[sigma]]))
        return float(value[0]), d_mu @ by_mu[0] + d_sigma * float(by_sigma[0].sum())

    def _mean(self, mu: Floats, sigma: Floats) -> Utility:
        """Average over the last axis, in the linear scale of the logarithmic utilities."""
        if self.utility == "ucb":
            value, by_mu, by_sigma = confidence_bound(mu, sigma + 0.0 * mu, self.kappa)
            n_sets = mu.shape[-1]
            return value.mean(axis=-1), by_mu / n_sets, by_sigma / n_sets
        of = log_ei if self.utility == "ei" else log_poi
        value, by_mu, by_sigma = of(mu, sigma, self.thresholds)
        if mu.shape[-1] == 1:
            return value[..., 0], by_mu, by_sigma
        largest = value.max(axis=-1, keepdims=True)
        shares = np.exp(value - largest)
        total = shares.sum(axis=-1, keepdims=True)
        shares /= total
        mean = (largest + np.log(total))[..., 0] - math.log(mu.shape[-1])
        return mean, shares * by_mu, shares * by_sigma


def expected_gain(process: GaussianProcess, rows: Floats, reference: Floats) -> Floats:
    """Return how far a trial at each row is expected to lower the lowest mean.

    The lowest mean is looked for among the rows and the ``reference`` (r, d); the expectation is
    over equally likely results. For the first set of targets. Cost: O((m + r) (n^2 + m)).
    """
    everything = np.concatenate([rows, reference])
    mean, covariance = process.joint(everything)
    # a standard normal in equally likely parts, each standing at its own mean
    edges = special.ndtri(np.arange(N_RESULTS + 1) / N_RESULTS)
    results = -N_RESULTS * np.diff(np.exp(-0.5 * edges * edges - LOG_ROOT_2PI))
    lowest = float(mean[:, 0].min())
    gains = np.empty(len(rows))
    for index in range(len(rows)):
        variance = max(float(covariance[index, index]), 0.0) + process.hyper.noise
        effect = covariance[:, index] / math.sqrt(variance)  # of one deviation of the result
        after = mean[:, 0, None] + effect[:, None] * results  # (m + r, n_results)
        gains[index] = lowest - float(after.min(axis=0).mean())
    return gains
