"""Forecast of a learning curve's last value: a Bayesian mixture of parametric curve families.

Domhan, Springenberg & Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep Neural
Networks by Extrapolation of Learning Curves", IJCAI 2015, whose families these are. There their
parameters are sampled by MCMC; here every family is a grid of *shapes* g with g(1) = 0 and
g(n_steps) = 1, and the curve is

    y(t) = start + change * g(t) + noise,

which is linear in what is left. With normal priors on start and change, and a grid for the noise,
posterior weights and the distribution of y(n_steps) = start + change come in closed form, for all
shapes at once: two milliseconds instead of a second, and no fit that fails.

A shape that has not moved yet leaves ``change`` to its prior, so a curve that is still flat is
uncertain, not hopeless, as long as shapes that start that late are left.

Symbols: n reports, S shapes, K noise levels. Arrays in, numbers out; the sign of values is free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

# Standard deviations of the noise, as shares of the scale. The smallest also stands for what the
# families cannot express: a fit is never trusted beyond it.
NOISE_LEVELS = np.geomspace(0.004, 0.4, 11)

# Standard deviation of the change to come, as a share of it: the second half of an S need not
# mirror the first, and before its middle the height is hardly known.
DISCREPANCY = {"sigmoid": 0.35}

# Prior weight of each family; its shapes share it evenly.
FAMILIES = {
    "pow3": 0.15,  # a - b t^-d
    "pow4": 0.1,  # a - b (t + c)^-d
    "exp3": 0.25,  # a - b exp(-k t)
    "weibull": 0.15,  # a - b exp(-(k t)^d): exp4 and janoschek too
    "hill3": 0.1,  # a - b / (1 + (t / k)^d): log-power and MMF too
    "sigmoid": 0.2,  # a + b / (1 + exp(-(t - c) / w)): late bloomers
    "ilog2": 0.05,  # a - b / log(t + c): vapor and log-log-linear are this flat
}


@dataclass(frozen=True)
class Shapes:
    """Every shape for curves of ``n_steps`` reports."""

    family: npt.NDArray[np.int64]  # (S,), position in FAMILIES
    values: Floats  # (S, n_steps)
    log_share: Floats  # (S,), of the weight of its family


def _raw_shapes(t: Floats) -> Iterator[tuple[str, Floats]]:
    """Yield each family's curves over the steps ``t``, rising or falling, not yet normalised.

    Families of one parameter are so fine that a curve between two neighbours is either of them to
    within the least noise. Coarser ones would make up for the difference with another last value,
    and be sure of it: with a third of these shapes, a quarter of the curves ended below the
    quantile of 6 %.
    """
    n_steps = float(t[-1])
    for exponent in np.geomspace(0.05, 3.0, 160):
        yield "pow3", -(t**-exponent)
    for exponent in np.geomspace(0.05, 3.0, 40):
        for shift in (1.0, 0.1 * n_steps):
            yield "pow4", -((t + shift) ** -exponent)
    for rate in np.geomspace(0.4 / n_steps, 3.0, 240):
        yield "exp3", -np.exp(-rate * t)
    for rate in np.geomspace(0.4 / n_steps, 3.0, 96):
        for power in (0.5, 0.7, 1.4, 2.0, 3.0):
            yield "weibull", -np.exp(-((rate * t) ** power))
    for half in np.geomspace(1.0, n_steps, 30):
        for power in (0.7, 1.0, 1.5, 2.5, 4.0):
            yield "hill3", -1.0 / (1.0 + (t / half) ** power)
    for centre in np.linspace(0.04, 0.8, 58) * n_steps:
        for width in np.geomspace(0.015, 0.25, 20) * n_steps:
            yield "sigmoid", 1.0 / (1.0 + np.exp(-np.clip((t - centre) / width, -500, 500)))
    for shift in (0.5, 1.0, 3.0, 10.0):
        yield "ilog2", -1.0 / np.log(t + 1.0 + shift)


@lru_cache(maxsize=8)
def shapes(n_steps: int) -> Shapes:
    """Return all shapes for curves of that length, normalised to go from 0 to 1."""
    t = np.arange(1, n_steps + 1, dtype=np.float64)
    names: list[str] = []
    rows: list[Floats] = []
    for family, curve in _raw_shapes(t):
        rise = curve[-1] - curve[0]
        if rise > 1e-9:
            names.append(family)
            rows.append((curve - curve[0]) / rise)
    order = list(FAMILIES)
    log_share = -np.log([names.count(name) for name in names])
    return Shapes(np.array([order.index(name) for name in names]), np.array(rows), log_share)


@dataclass(frozen=True)
class Prior:
    """What is believed of a curve before it is seen."""

    change: float  # from first report to last, its expected value …
    change_sd: float  # … and standard deviation
    families: Mapping[str, float] = field(default_factory=lambda: FAMILIES)  # weights, sum 1
    noises: tuple[float, ...] = ()  # standard deviations of the noise of other curves
    n_pseudo: float = 4.0  # how many other curves the even belief about the noise is worth


@dataclass(frozen=True)
class Forecast:
    """A mixture of normal distributions of the noise-free last value, in units of the scale."""

    base: float  # what 0 stands for
    scale: float  # what 1 stands for, above base
    weights: Floats  # (components,), sum 1
    means: Floats  # (components,)
    sds: Floats  # (components,)
    families: dict[str, float]  # posterior weight of each family
    noise: float  # expected standard deviation of the noise

    @property
    def mean(self) -> float:
        return self.base + self.scale * float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        mean = self.weights @ self.means
        return self.scale * float(np.sqrt(self.weights @ ((self.means - mean) ** 2 + self.sds**2)))

    def probability_below(self, value: float) -> float:
        """Return the probability that the last value is at most ``value``."""
        return self._below((value - self.base) / self.scale)

    def quantile(self, probability: float) -> float:
        """Return the value below which the last value lies with that probability."""
        low = float((self.means - 8 * self.sds).min())
        high = float((self.means + 8 * self.sds).max())
        for _ in range(40):
            middle = 0.5 * (low + high)
            if self._below(middle) < probability:
                low = middle
            else:
                high = middle
        return self.base + self.scale * 0.5 * (low + high)

    def _below(self, scaled: float) -> float:
        with np.errstate(over="ignore"):  # infinitely far off is as certain as far off
            return float(self.weights @ ndtr((scaled - self.means) / self.sds))


def without_spikes(values: Floats) -> Floats:
    """Pull single outliers back to their neighbours (Hampel's filter over five reports).

    Only what lies beyond 4 robust deviations from the median of its window, and further from both
    neighbours' side than the window's other values spread, is pulled: a steep start stays.
    """
    n_values = values.size
    if n_values < 5:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(values, 5)  # (n - 4, 5)
    middle = np.median(windows, axis=1)
    spread = 1.4826 * np.median(np.abs(windows - middle[:, None]), axis=1)
    centre = values[2:-2]
    is_peak = np.sign(centre - values[1:-3]) * np.sign(centre - values[3:-1]) > 0
    is_spike = is_peak & (np.abs(centre - middle) > 4.0 * spread + 1e-12 * np.abs(middle))
    cleaned = values.copy()
    cleaned[2:-2] = np.where(is_spike, middle, centre)
    return cleaned


def forecast(steps: npt.NDArray[np.int64], values: Floats, n_steps: int, prior: Prior) -> Forecast:
    """Forecast the value at ``n_steps`` from reports at ``steps`` (from 1, ascending).

    Args:
        steps: (n,), none beyond ``n_steps``.
        values: (n,), finite.
        prior: what other curves of this kind did; it also sets the scale of the noise levels.
    """
    library = shapes(n_steps)
    cleaned = without_spikes(values)
    base = float(cleaned[0])
    scale = max(prior.change_sd, float(np.ptp(cleaned)), 1e-9 * abs(base), 1e-300)
    y = (cleaned - base) / scale  # (n,)
    g = library.values[:, steps - 1]  # (S, n)
    n_values = y.size
    precision = 1.0 / NOISE_LEVELS**2  # (K,)
    # a priori: start ~ N(first report, 0.3^2), change ~ N(prior), both in units of the scale
    start_precision = 1.0 / 0.3**2
    change_precision = (scale / max(prior.change_sd, 1e-3 * scale)) ** 2
    change_mean = prior.change / scale

    sum_g, sum_gg, sum_gy = g.sum(1), (g * g).sum(1), g @ y  # (S,)
    p11 = n_values * precision + start_precision  # (K,)
    p12 = sum_g[:, None] * precision  # (S, K)
    p22 = sum_gg[:, None] * precision + change_precision
    r1 = y.sum() * precision
    r2 = sum_gy[:, None] * precision + change_precision * change_mean
    determinant = p11 * p22 - p12**2
    start = (p22 * r1 - p12 * r2) / determinant
    change = (p11 * r2 - p12 * r1) / determinant
    explained = start * r1 + change * r2
    misfit = (y @ y) * precision + change_precision * change_mean**2 - explained
    families = np.log([prior.families[name] for name in FAMILIES])[library.family]  # (S,)
    log_weights = (
        (library.log_share + families)[:, None]
        + np.log(_noise_prior(prior, scale))
        - n_values * np.log(NOISE_LEVELS)
        - 0.5 * np.log(determinant)
        - 0.5 * misfit
    )
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    variance = (p11 + p22 - 2 * p12) / determinant  # of start + change
    shares = np.array([DISCREPANCY.get(name, 0.0) for name in FAMILIES])[library.family]
    to_come = change * (1.0 - g[:, -1:])
    doubt = (shares[:, None] * to_come) ** 2
    by_family = np.bincount(library.family, weights.sum(1), len(FAMILIES))
    kept = weights > 1e-5
    kept_weights = weights[kept]
    return Forecast(
        base=base,
        scale=scale,
        weights=kept_weights / kept_weights.sum(),
        means=(start + change)[kept],
        sds=np.maximum(np.sqrt(variance[kept] + doubt[kept]), 1e-6),
        families=dict(zip(FAMILIES, by_family.tolist(), strict=True)),
        noise=float(scale * weights.sum(0) @ NOISE_LEVELS),
    )


def _noise_prior(prior: Prior, scale: float) -> Floats:
    """Return the weight of each noise level: even, and a bump for every curve seen before."""
    weights = np.full(NOISE_LEVELS.size, prior.n_pseudo / NOISE_LEVELS.size)
    for noise in prior.noises:
        distance = np.log(NOISE_LEVELS) + math.log(scale) - math.log(max(noise, 1e-300))
        bump = np.exp(-0.5 * (np.clip(distance, -20, 20) / 0.4) ** 2) + 1e-12
        weights += bump / bump.sum()
    weights /= weights.sum()
    return weights
