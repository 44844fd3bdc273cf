"""Curves too many to be drawn one by one: which of them are, and bands of quantiles for all.

Pure; called by ``curves``. Works on all points at once, so that ten thousand curves take
milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.charts import reported, scale
from experiments.charts.bands import SHARES, Bands, steadily
from experiments.charts.base import Crowd, Floats

MOST_READ = 10_000  # of more some are read, evenly taken: their quantiles are 1 in 100 ranks off
N_LINES = 240  # drawn one by one, evenly out of all
N_PLACES = 48  # along the x axis at which the bands are worked out
LEAST_CURVES = 5  # that must have got so far for a band to say anything
_AT_ONCE = 5000  # curves


def places(crowd: Crowd, x: str) -> Floats:
    """Where each point stands on the x axis."""
    since_first = crowd.time
    if crowd.time.size:
        since_first = crowd.time - np.repeat(crowd.time[crowd.start], crowd.length)
    return reported.places(x, crowd.sequence, crowd.step, since_first)


def taken(numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Places of those that are read, of these trials' curves: all, or some evenly out of them."""
    return steadily(numbers, MOST_READ)


def drawn(crowd: Crowd) -> NDArray[np.intp]:
    """Places of the curves that are drawn one by one."""
    return steadily(crowd.trial, N_LINES)


def ends(crowd: Crowd) -> Floats:
    """Lowest and highest finite value of each curve that has one: (n, 2)."""
    value = scale.drawable(np.where(np.isfinite(crowd.value), crowd.value, np.nan))
    lowest = np.fmin.reduceat(value, crowd.start)
    highest = np.fmax.reduceat(value, crowd.start)
    found: Floats = np.stack([lowest, highest], axis=1)
    found = found[np.isfinite(lowest)]
    return found


def bands(crowd: Crowd, x: str) -> Bands | None:
    """None where no place is reached by enough curves with values."""
    xs, ys = places(crowd, x), scale.drawable(crowd.value)
    good = np.isfinite(xs)
    if not good.any():
        return None
    grid = np.linspace(float(xs[good].min()), float(xs[good].max()), N_PLACES)
    parts = []
    for first in range(0, crowd.trial.size, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        parts.append(_at(grid, xs, ys, crowd.start[part], crowd.length[part]))
    at = np.concatenate(parts)  # (n_curves, n_places); NaN where a curve has no value there
    kept, quantiles = [], []
    for place in range(N_PLACES):
        there = at[:, place]
        there = there[np.isfinite(there)]
        if there.size >= LEAST_CURVES:
            kept.append(grid[place])
            quantiles.append(np.quantile(there, SHARES))
    if not kept:
        return None
    n = int(crowd.trial.size)
    across, up = scale.rounded(np.array(kept), 6), np.array(quantiles).T
    return Bands(max(n, crowd.n_all), across, up, n_taken=n if crowd.n_all > n else None)


def _at(
    grid: Floats, xs: Floats, ys: Floats, start: NDArray[np.int64], length: NDArray[np.int64]
) -> Floats:
    """The curves' values at each place of the grid, on the straight line between two points."""
    nth = np.arange(int(length.max()))
    take = np.minimum(start[:, None] + nth, (start + length - 1)[:, None])
    x = np.where(nth < length[:, None], xs[take], np.inf)  # (n_curves, longest)
    before = (x[:, :, None] <= grid).sum(axis=1) - 1  # (n_curves, n_places)
    inside = (before >= 0) & (grid <= xs[start + length - 1][:, None])
    left = start[:, None] + np.clip(before, 0, None)
    right = np.minimum(left + 1, (start + length - 1)[:, None])
    width = xs[right] - xs[left]
    share = np.where(width > 0, (grid - xs[left]) / np.where(width > 0, width, 1.0), 0.0)
    value: Floats = np.where(inside, ys[left] + share * (ys[right] - ys[left]), np.nan)
    return value
