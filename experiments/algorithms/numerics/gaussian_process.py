"""Gaussian-process regression on a ``Domain``'s rows: Matérn kernel, one length scale per column.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006: the posterior is Algorithm
2.1, the marginal likelihood and its gradient equations 5.8 and 5.9, the Matérn family equation
4.14. A categorical column counts as distance 1 between different categories. Called by the GP and
Metis tuners.

Hyper-parameters are fitted by maximum a posteriori: L-BFGS on their logarithms with the analytic
gradient, from a few fixed starts, so that the same data gives the same fit. Priors are log-normal;
that of the length scales grows with the square root of the number of columns (Hvarfner, Hellsten
and Nardi, "Vanilla Bayesian Optimization Performs Great in High Dimensions", ICML 2024, section 4).
It is centred on shorter scales than theirs and narrower: few noisy trials are else explained as
noise on a plane, whose optimum is always a corner. A category's scale is longer by as much as two
random categories are farther apart than two random numbers, so that a choice is expected to matter
as much as a number, not five times as much.

Symbols: n training rows, m query rows, d columns; x rows (n, d), y targets (n,), w inverse squared
length scales (d,), s signal variance, v noise variance, K = s k(x, x) + v I, L its Cholesky factor.
Cost: O(n^3 + n^2 d) per step of the fit, O(m n^2) per prediction with variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize, special
from scipy.spatial.distance import cdist

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SMOOTHEST = 50.0  # above this nu a Matérn kernel is the squared exponential to three digits


@dataclass(frozen=True)
class Hyper:
    """What a kernel is fitted by."""

    weights: Floats  # inverse squared length scales # (d,)
    scale: float  # signal variance
    noise: float  # noise variance


def matern(squared: Floats, nu: float) -> tuple[Floats, Floats]:
    """Return the kernel and its derivative by the squared distance, both at ``squared``."""
    if nu == 2.5:
        z = np.sqrt(5.0 * squared)
        decay = np.exp(-z)
        return (1.0 + z + z * z / 3.0) * decay, (-5.0 / 6.0) * (1.0 + z) * decay
    if nu == 1.5:
        z = np.sqrt(3.0 * squared)
        decay = np.exp(-z)
        return (1.0 + z) * decay, -1.5 * decay
    if nu == 0.5:
        z = np.sqrt(squared)
        decay = np.exp(-z)
        return decay, -0.5 * decay / np.maximum(z, 1e-8)
    if nu > SMOOTHEST:
        decay = np.exp(-0.5 * squared)
        return decay, -0.5 * decay
    # the general case; z * z / 2 ** … K is 1 at 0, where the Bessel function itself has no value
    z = np.maximum(np.sqrt(2.0 * nu * squared), 1e-8)
    factor = math.exp((1.0 - nu) * math.log(2.0) - math.lgamma(nu))
    value = factor * z**nu * special.kv(nu, z)
    slope = -factor * nu * z ** (nu - 1.0) * special.kv(nu - 1.0, z)
    return np.where(squared == 0.0, 1.0, np.nan_to_num(value)), np.nan_to_num(slope)


def column_distances(a: Floats, b: Floats, categorical: Bools) -> Floats:
    """Return the squared distance of every two rows in every column. # (d, n, m)"""
    difference = a.T[:, :, None] - b.T[:, None, :]
    squared = difference * difference
    if categorical.any():
        squared[categorical] = difference[categorical] != 0.0
    return squared


def distances(a: Floats, b: Floats, weights: Floats, categorical: Bools) -> Floats:
    """Return the weighted squared distance of every two rows. # (n, m)"""
    numeric = ~categorical
    root = np.sqrt(weights[numeric])
    squared: Floats = cdist(a[:, numeric] * root, b[:, numeric] * root, "sqeuclidean")
    for index in np.flatnonzero(categorical):
        squared += weights[index] * (a[:, index, None] != b[None, :, index])
    return squared


# -- fitting -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prior:
    """Normal priors of the logarithms of the hyper-parameters, and the least noise."""

    weight_mean: float
    weight_sd: float
    scale_mean: float
    scale_sd: float
    noise_mean: float
    noise_sd: float
    least_noise: float

    @classmethod
    def of(cls, n_columns: int, least_noise: float) -> Prior:
        """Return the prior for standardised targets on the unit cube."""
        length = math.log(0.7 * math.sqrt(max(1, n_columns)))
        return cls(-2.0 * length, 2.0, 0.0, 1.0, math.log(1e-4), 2.0, least_noise)


class _Posterior:
    """The negative logarithm of likelihood times prior, as a function of log (w, s, v)."""

    def __init__(self, x: Floats, y: Floats, categorical: Bools, nu: float, prior: Prior) -> None:
        self.n_rows, self.n_columns = x.shape
        self.y = y
        self.nu = nu
        self.prior = prior
        cube = column_distances(x, x, categorical)
        self.squared = cube.reshape(self.n_columns, -1)  # (d, n * n)
        self.means = np.append(np.full(self.n_columns, prior.weight_mean), [0.0, 0.0])
        self.means[:-2] -= log_spreads(x, categorical)
        self.means[-2:] = prior.scale_mean, prior.noise_mean
        self.sds = np.full(self.n_columns + 2, prior.weight_sd)
        self.sds[-2:] = prior.scale_sd, prior.noise_sd

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        n_rows, prior = self.n_rows, self.prior
        weights = np.exp(theta[:-2])
        scale = math.exp(theta[-2])
        noise = math.exp(theta[-1])
        squared = (weights @ self.squared).reshape(n_rows, n_rows)
        kernel, slope = matern(squared, self.nu)
        covariance = scale * kernel
        covariance[np.diag_indices(n_rows)] += noise + prior.least_noise
        lower, info = linalg.lapack.dpotrf(covariance, lower=1, clean=1)
        gap = (theta - self.means) / self.sds
        if info:  # not positive definite to machine precision: send the search back
            return 1e10, gap / self.sds
        alpha, _ = linalg.lapack.dpotrs(lower, self.y, lower=1)
        inverse, _ = linalg.lapack.dpotri(lower, lower=1)
        # dpotri fills the lower triangle only
        inverse = inverse + inverse.T
        inverse[np.diag_indices(n_rows)] *= 0.5
        value = 0.5 * float(self.y @ alpha) + float(np.log(np.diag(lower)).sum())
        value += 0.5 * float(gap @ gap)
        outer = inverse - np.outer(alpha, alpha)  # 2 d value / d covariance
        gradient = gap / self.sds
        by_distance = (outer * slope).ravel()
        gradient[:-2] += 0.5 * scale * weights * (self.squared @ by_distance)
        gradient[-2] += 0.5 * scale * float(np.vdot(outer, kernel))
        gradient[-1] += 0.5 * noise * float(np.trace(outer))
        return value, gradient


def log_spreads(x: Floats, categorical: Bools) -> Floats:
    """Return how much farther apart than numbers random values of each column are, # (d,).

    It is the logarithm of the ratio of mean squared distances: 1/6 for numbers between 0 and 1,
    1 - 1/k for k categories, of which those count that were seen.
    """
    found = np.zeros(x.shape[1])
    for index in np.flatnonzero(categorical):
        n_seen = max(2, len(np.unique(x[:, index])))
        found[index] = math.log(6.0 * (1.0 - 1.0 / n_seen))
    return found


def fit(
    x: Floats,
    y: Floats,
    categorical: Bools,
    nu: float,
    prior: Prior,
    max_steps: int = 60,
    starts: tuple[float, ...] = (1.0, 0.25),
) -> tuple[Hyper, float]:
    """Return the hyper-parameters that fit best, and the logarithm of likelihood times prior.

    Args:
        x: training rows. # (n, d)
        y: standardised targets. # (n,)
        categorical: which columns are categories. # (d,)
        nu: smoothness of the Matérn kernel.
        prior: priors of the hyper-parameters.
        max_steps: steps of L-BFGS from each start.
        starts: length scales of numbers to start from, times the square root of d.
    """
    n_columns = x.shape[1]
    objective = _Posterior(x, y, categorical, nu, prior)
    limits = [(math.log(1e-4), math.log(1e4))] * n_columns
    limits += [(math.log(1e-3), math.log(1e3)), (math.log(1e-9), math.log(10.0))]
    best: Any = None
    spreads = log_spreads(x, categorical)
    for start in starts:
        theta = np.append(-2.0 * math.log(start * math.sqrt(max(1, n_columns))) - spreads, [0, 0])
        theta[-2:] = 0.0, math.log(1e-3)
        found = optimize.minimize(
            objective,
            theta,
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": max_steps, "ftol": 1e-6, "gtol": 1e-3},
        )
        if best is None or found.fun < best.fun:
            best = found
    weights = np.exp(best.x[:-2])
    noise = math.exp(best.x[-1]) + prior.least_noise
    return Hyper(weights, math.exp(best.x[-2]), noise), -float(best.fun)


# -- predicting ----------------------------------------------------------------------------------


class GaussianProcess:
    """A posterior; ``y`` may hold several sets of targets at the same rows."""

    def __init__(self, x: Floats, y: Floats, categorical: Bools, nu: float, hyper: Hyper) -> None:
        self.x = x
        self.y = y.reshape(len(x), -1)  # (n, n_sets)
        self.categorical = categorical
        self.nu = nu
        self.hyper = hyper
        covariance = self._kernel(x)
        covariance[np.diag_indices(len(x))] += hyper.noise
        self.lower = _cholesky(covariance)
        self.inverse_lower: Floats = linalg.lapack.dtrtri(self.lower, lower=1)[0]
        self.alpha: Floats = self.inverse_lower.T @ (self.inverse_lower @ self.y)  # (n, n_sets)

    def _kernel(self, rows: Floats) -> Floats:
        """Return the prior covariance of every row with every training row."""
        squared = distances(rows, self.x, self.hyper.weights, self.categorical)
        return self.hyper.scale * matern(squared, self.nu)[0]

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return the means (m, n_sets) and standard deviations (m,) of the noise-free function."""
        kernel = self._kernel(rows)
        half = kernel @ self.inverse_lower.T
        variance = self.hyper.scale - np.einsum("ij,ij->i", half, half)
        return kernel @ self.alpha, np.sqrt(np.maximum(variance, 1e-12 * self.hyper.scale))

    def predict_with_gradient(self, row: Floats) -> tuple[Floats, float, Floats, Floats]:
        """Return means (n_sets,), deviation, and their derivatives (d, n_sets) and (d,) at a row.

        Derivatives by categorical columns are meaningless; nobody asks for them.
        """
        hyper = self.hyper
        difference = row - self.x  # (n, d)
        squared = difference * difference
        if self.categorical.any():
            squared[:, self.categorical] = difference[:, self.categorical] != 0.0
        kernel, slope = matern(squared @ hyper.weights, self.nu)
        kernel = hyper.scale * kernel
        half = self.inverse_lower @ kernel
        variance = max(hyper.scale - float(half @ half), 1e-12 * hyper.scale)
        deviation = math.sqrt(variance)
        # d kernel_i / d row_j  # (d, n)
        by_row = (2.0 * hyper.scale) * hyper.weights[:, None] * (slope[:, None] * difference).T
        d_deviation = -(by_row @ (half @ self.inverse_lower)) / deviation
        return kernel @ self.alpha, deviation, by_row @ self.alpha, d_deviation

    def joint(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return means (m, n_sets) and covariance (m, m) of the noise-free function."""
        kernel = self._kernel(rows)
        half = kernel @ self.inverse_lower.T
        squared = distances(rows, rows, self.hyper.weights, self.categorical)
        covariance = self.hyper.scale * matern(squared, self.nu)[0] - half @ half.T
        return kernel @ self.alpha, covariance

    def extended(self, rows: Floats, targets: Floats) -> GaussianProcess:
        """Return the process given more rows (m, d) with sets of targets (m, n_sets)."""
        n_sets = targets.shape[1]
        y = np.concatenate([np.repeat(self.y[:, :1], n_sets, axis=1), targets])
        x = np.concatenate([self.x, rows])
        return GaussianProcess(x, y, self.categorical, self.nu, self.hyper)

    def without(self, index: int) -> GaussianProcess:
        """Return the process that does not know training row ``index``."""
        x, y = np.delete(self.x, index, axis=0), np.delete(self.y, index, axis=0)
        return GaussianProcess(x, y, self.categorical, self.nu, self.hyper)

    def leave_one_out(self) -> tuple[Floats, Floats]:
        """Return what every target would be predicted from the others: means, deviations (n,).

        Rasmussen and Williams, equation 5.12; the noise counts. For the first set of targets.
        """
        precision = np.einsum("ij,ij->j", self.inverse_lower, self.inverse_lower)
        return self.y[:, 0] - self.alpha[:, 0] / precision, 1.0 / np.sqrt(precision)


def _cholesky(covariance: Floats) -> Floats:
    """Factor a covariance, with as little added to its diagonal as it takes."""
    jitter = 0.0
    largest = float(covariance.diagonal().max())
    while True:
        lower, info = linalg.lapack.dpotrf(covariance, lower=1, clean=1)
        if not info:
            factor: Floats = lower
            return factor
        more = max(10.0 * jitter, 1e-10 * largest)
        covariance[np.diag_indices(len(covariance))] += more - jitter
        jitter = more


def sample_jointly(mean: Floats, covariance: Floats, normals: Floats) -> Floats:
    """Turn standard normals (m, n_sets) into draws of a joint normal distribution (m, n_sets)."""
    return mean[:, None] + _cholesky(covariance.copy()) @ normals
