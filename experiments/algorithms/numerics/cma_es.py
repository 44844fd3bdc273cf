"""Covariance matrix adaptation: a normal distribution that moves to where losses are low.

Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772v2, figure 6 and table 1, with
positive weights only. Used by CMA-ES over the numeric columns of a search space; arrays in, arrays
out, nothing random.

Symbols as there: d columns, population size lam, mu parents with weights w, mean m, step size
sigma, covariance C, evolution paths ps and pc. Cost per update: O(lam d^2 + d^3).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import lapack

from experiments.algorithms.numerics.domain import Floats


def default_population(n_columns: int) -> int:
    """Return the usual population size, tutorial equation 48."""
    return 4 + int(3 * math.log(max(n_columns, 1)))


class Strategy:
    """What depends on the number of columns and the population size only, tutorial table 1."""

    def __init__(self, n_columns: int, population: int) -> None:
        d = float(n_columns)
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population // 2 + 1))
        self.population = population
        self.weights: Floats = raw / raw.sum()
        mu_eff = self.mu_eff = float(1.0 / (self.weights**2).sum())
        self.c_sigma = (mu_eff + 2) / (d + mu_eff + 5)
        self.d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + self.c_sigma
        self.c_c = (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d)
        self.c_1 = 2 / ((d + 1.3) ** 2 + mu_eff)
        self.c_mu = min(1 - self.c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((d + 2) ** 2 + mu_eff))
        # expected length of N(0, I): exact, where the tutorial has its series
        self.chi = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
        self.stall = (1.4 + 2 / (d + 1)) * self.chi
        self.settle()

    def settle(self) -> None:
        """Work out what follows from the rates."""
        self.gain_sigma = math.sqrt(self.c_sigma * (2 - self.c_sigma) * self.mu_eff)
        self.gain_c = math.sqrt(self.c_c * (2 - self.c_c) * self.mu_eff)
        rates = np.append(self.c_1, self.c_mu * self.weights)
        self.root_rates: Floats = np.sqrt(rates)[:, None]


class CMA:
    """The state between generations."""

    def __init__(self, mean: Floats, sigma: float, population: int) -> None:
        n_columns = len(mean)
        self.strategy = Strategy(n_columns, population)
        self.mean = mean.copy()
        self.sigma = sigma
        self.covariance: Floats = np.eye(n_columns)
        self._path_sigma = np.zeros(n_columns)
        self._path_c = np.zeros(n_columns)
        self._n_updates = 0
        self._basis: Floats = np.eye(n_columns)  # eigenvectors of C
        self._lengths: Floats = np.ones(n_columns)  # square roots of its eigenvalues

    def points(self, normals: Floats) -> Floats:
        """Turn standard normals into points of the distribution, # (n, d)."""
        result: Floats = self.mean + self.sigma * (normals * self._lengths) @ self._basis.T
        return result

    def deviations(self) -> Floats:
        """Return the standard deviation of every column, # (d,)."""
        result: Floats = self.sigma * np.sqrt(np.diag(self.covariance))
        return result

    def least_deviation(self) -> float:
        """Return what the largest of the deviations is at least; quicker than all of them."""
        # the largest eigenvalue is at most the sum of the variances
        return self.sigma * float(self._lengths[-1]) / math.sqrt(len(self.mean))

    def update(self, best_first: Floats) -> None:
        """Learn from one generation, # (lam, d)."""
        s = self.strategy
        steps = (best_first[: len(s.weights)] - self.mean) / self.sigma
        step = s.weights @ steps
        self.mean = self.mean + self.sigma * step
        self._n_updates += 1
        white = self._basis @ ((step @ self._basis) / self._lengths)  # C^(-1/2) step
        self._path_sigma = (1 - s.c_sigma) * self._path_sigma + s.gain_sigma * white
        length = math.sqrt(float(self._path_sigma @ self._path_sigma))
        settled = math.sqrt(1 - (1 - s.c_sigma) ** (2 * self._n_updates))
        moves = length / settled < s.stall  # h_sigma
        self._path_c = (1 - s.c_c) * self._path_c
        kept = 1 - s.c_1 - s.c_mu
        if moves:
            self._path_c += s.gain_c * step
        else:
            kept += s.c_1 * s.c_c * (2 - s.c_c)
        # rank one and rank mu in one product
        factors = np.concatenate([self._path_c[None, :], steps]) * s.root_rates
        self.covariance = kept * self.covariance + factors.T @ factors
        self.sigma *= math.exp(min(1.0, s.c_sigma / s.d_sigma * (length / s.chi - 1)))
        # numpy's eigh does the same at twice the time, and this is half of an update's
        squares, self._basis, _ = lapack.dsyev(self.covariance)
        self._lengths = np.sqrt(np.maximum(squares, 1e-20))
