"""How likely a trial is to run, learnt from those that ran and those that failed.

A Gaussian process on +1 (ran) and -1 (failed), read as a probit: a row's probability is that a
normal of the process's mean and variance, and the noise of the border, lies above 0. Cheaper than
classification proper (Rasmussen and Williams, "Gaussian Processes for Machine Learning", section
6.5, compares them) and as good where only the product with an acquisition counts (Gelbart, Snoek
and Adams, "Bayesian Optimization with Unknown Constraints", UAI 2014). One length scale per column
finds the one parameter of ten that fails.

Symbols: n training rows, m query rows, d columns. Cost: that of ``gaussian_process``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from experiments.algorithms.numerics.acquisition import LOG_ROOT_2PI
from experiments.algorithms.numerics.gaussian_process import GaussianProcess, Hyper, Prior, fit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NU = 0.5  # a border is steep
BLUR = 0.1  # variance of the border
LEAST_NOISE = 0.02
# Where many of the latest trials failed the optimum lies at the border, and each step over it looks
# like a gain. So what is not SAFE (a probability of nine in ten) then costs the more.
SAFE = 1.28
COST_BY_SHARE = 40.0
N_LATEST = 10
MAX_STEPS = 25


@dataclass(frozen=True)
class Feasibility:
    """What is believed of failures."""

    process: GaussianProcess
    level: float  # mean of the labels
    cost: float = 0.0  # of each deviation that a row lacks to be safe

    def probability(self, rows: Floats) -> Floats:
        """Return how likely a trial at each row is to run. # (m,)"""
        found: Floats = special.ndtr(self._margin(rows))
        return found

    def likely(self, row: Floats) -> float:
        """Return how likely a trial at one row is to run, to two digits."""
        return round(float(self.probability(row[None, :])[0]), 2)

    def log_probability(self, rows: Floats) -> Floats:
        """Return its logarithm. # (m,)"""
        found: Floats = special.log_ndtr(self._margin(rows))
        return found

    def __call__(self, rows: Floats) -> Floats:
        """Return the merit: what is added to the logarithm of what a trial promises. # (m,)"""
        margin = self._margin(rows)
        found: Floats = special.log_ndtr(margin) + self.cost * np.minimum(margin - SAFE, 0.0)
        return found

    def with_gradient(self, row: Floats) -> tuple[float, Floats]:
        """Return the merit at one row and its gradient. # (d,)"""
        mu, sigma, d_mu, d_sigma = self.process.predict_with_gradient(row)
        width = math.sqrt(sigma * sigma + BLUR)
        margin = (self.level + float(mu[0])) / width
        value = float(special.log_ndtr(margin))
        slope = math.exp(-0.5 * margin * margin - LOG_ROOT_2PI - value)
        if margin < SAFE:
            value += self.cost * (margin - SAFE)
            slope += self.cost
        d_margin = d_mu[:, 0] / width - margin * sigma / (width * width) * d_sigma
        return value, slope * d_margin

    def _margin(self, rows: Floats) -> Floats:
        mu, sigma = self.process.predict(rows)
        margin: Floats = (self.level + mu[:, 0]) / np.sqrt(sigma * sigma + BLUR)
        return margin


def fit_labels(rows: Floats, ran: Bools, categorical: Bools) -> Hyper:
    """Return the hyper-parameters that explain which rows ran."""
    labels = np.where(ran, 1.0, -1.0)
    prior = replace(
        Prior.of(rows.shape[1], LEAST_NOISE),
        weight_sd=1.0,
        noise_mean=math.log(LEAST_NOISE),
        noise_sd=0.5,
    )
    found, _ = fit(
        rows, labels - labels.mean(), categorical, NU, prior, max_steps=MAX_STEPS, starts=(0.5,)
    )
    return found


def learn(rows: Floats, ran: Bools, categorical: Bools, hyper: Hyper) -> Feasibility:
    """Return what is believed by these hyper-parameters."""
    labels = np.where(ran, 1.0, -1.0)
    level = float(labels.mean())
    cost = COST_BY_SHARE * float((~ran[-N_LATEST:]).mean())
    process = GaussianProcess(rows, labels - level, categorical, NU, hyper)
    return Feasibility(process, level, cost)
