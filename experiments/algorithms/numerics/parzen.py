"""Parzen densities over a domain: a mixture of one kernel per row, and the even density as a prior.

Used by TPE. Each kernel is a product over columns: a normal truncated to [0, 1] where the column is
continuous, its mass between the middles of neighbouring levels where it is ordered, and for a
categorical one the row's own category with a leak to all. So the density is *joint*: a draw keeps
the columns of one row together (Falkner et al., "BOHB", ICML 2018, section 4.1; Optuna's
multivariate TPE). Where a column does not count (a branch not taken) a kernel holds the prior.

Densities are relative to the prior's, the even one, so the prior's own is 1 everywhere.

Symbols: n kernels, d columns, c rows asked for. Cost: numpy on n x c x d numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from experiments.algorithms.numerics.domain import Domain, Floats

Indices = npt.NDArray[np.intp]

PRIOR_VARIANCE = 1.0 / 12.0  # of the even distribution on [0, 1]
MIN_SCALE = 0.03
LEAK = 0.5
_LOG_ROOT_2_PI = 0.5 * np.log(2.0 * np.pi)
_TINY = 1e-300


class Cells:
    """What densities need to know of a domain."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.ordered = np.flatnonzero(~domain.continuous & ~domain.categorical)
        self.categorical = np.flatnonzero(domain.categorical)
        self.edges: dict[int, Floats] = {}  # of an ordered column's levels: one more than levels
        self.n_categories = np.ones(domain.n_columns)
        self.steps = np.zeros(domain.n_columns)  # mean distance of an ordered column's levels
        for index in self.ordered:
            levels = domain.columns[index].levels
            assert levels is not None
            middles = (levels[1:] + levels[:-1]) / 2.0
            self.edges[int(index)] = np.concatenate([[0.0], middles, [1.0]])
            self.steps[index] = 1.0 / len(levels)
        for index in self.categorical:
            levels = domain.columns[index].levels
            assert levels is not None
            self.n_categories[index] = len(levels)
        self.is_conditional = any(column.parent is not None for column in domain.columns)

    def places(self, index: int, rows: Floats) -> Indices:
        """Return the numbers of the levels that rows hold in an ordered column, # (c,)."""
        result: Indices = np.searchsorted(self.edges[index][1:-1], rows[:, index])
        return result


def scott_scales(cells: Cells, rows: Floats, weights: Floats, least: float = 0.0) -> Floats:
    """Return kernel widths of numeric columns for weighted rows, by Scott's rule, # (d,).

    That is n^(-1/(d+4)) standard deviations, n rows in d columns (Scott, "Multivariate Density
    Estimation", 1992, equation 6.42). One more row of the prior's variance stands for what n rows
    cannot know; columns not counting are left out; no kernel is narrower than ``MIN_SCALE`` or
    half a level, nor than it would be for rows of deviation ``least``.
    """
    n_columns = cells.domain.n_columns
    shares = weights[:, None] * cells.domain.counting(rows)
    n_rows = (shares > 0).sum(axis=0)
    total = np.maximum(shares.sum(axis=0), _TINY)
    mean = (shares * rows).sum(axis=0) / total
    variance = (shares * (rows - mean) ** 2).sum(axis=0) / total
    variance = (n_rows * variance + PRIOR_VARIANCE) / (n_rows + 1.0)
    deviations = np.maximum(np.sqrt(variance), least)
    scales = deviations * np.maximum(n_rows, 1.0) ** (-1.0 / (n_columns + 4.0))
    result: Floats = np.maximum(scales, np.maximum(MIN_SCALE, 0.5 * cells.steps))
    return result


class Parzen:
    """A mixture of kernels around rows, and of the prior."""

    def __init__(
        self, cells: Cells, centres: Floats, weights: Floats, scales: Floats, prior_weight: float
    ) -> None:
        """
        Args:
            cells: of the domain.
            centres: rows. # (n, d)
            weights: of the kernels, any positive scale. # (n,)
            scales: standard deviations of the numeric columns. # (n, d) or (d,)
            prior_weight: of the prior, on the scale of ``weights``.
        """
        self._cells = cells
        self._centres = centres
        weights = np.append(weights, prior_weight)
        self._weights = weights / weights.sum()
        self._scales = np.broadcast_to(scales, centres.shape)
        # a category seen n times among n trials keeps a chance as if all together had been seen
        # LEAK times per category more
        more = LEAK * cells.n_categories
        self._leaks = more / (len(centres) + more)
        self._low: Floats = ndtr(-centres / scales)  # mass left of 0
        self._mass: Floats = ndtr((1.0 - centres) / scales) - self._low
        self._counts = cells.domain.counting(centres) if cells.is_conditional else None

    def sample(self, n_rows: int, rng: np.random.Generator) -> Floats:
        """Draw rows."""
        domain = self._cells.domain
        fresh = rng.random((n_rows, domain.n_columns))
        stay = rng.random((n_rows, domain.n_columns))
        n_kernels = len(self._centres)
        picked = rng.choice(n_kernels + 1, size=n_rows, p=self._weights)
        anew = domain.snap_each(fresh)
        if not n_kernels:
            return domain.tidy(anew)
        kernel = np.minimum(picked, n_kernels - 1)
        centres = self._centres[kernel]
        drawn = centres + self._scales[kernel] * ndtri(
            self._low[kernel] + fresh * self._mass[kernel]
        )
        units = np.clip(np.where(domain.categorical, fresh, drawn), 0.0, 1.0)
        near = domain.snap_each(units)
        near = np.where(domain.categorical & (stay >= self._leaks), centres, near)
        is_even = (picked == n_kernels)[:, None]
        if self._counts is not None:
            is_even = is_even | ~self._counts[kernel]
        return domain.tidy(np.where(is_even, anew, near))

    def log_density(self, rows: Floats) -> Floats:
        """Return the log of the density relative to the prior's, # (c,)."""
        cells = self._cells
        logs = np.zeros((len(rows), len(self._centres)))
        counts = cells.domain.counting(rows) if self._counts is not None else None
        for index in range(cells.domain.n_columns):
            each = self._column(index, rows)
            if counts is not None and self._counts is not None:
                each = np.where(counts[:, index, None] & self._counts[None, :, index], each, 0.0)
            logs += each
        logs = np.concatenate([logs, np.zeros((len(rows), 1))], axis=1)
        logs += np.log(np.maximum(self._weights, _TINY))
        top = logs.max(axis=1)
        result: Floats = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
        return result

    def _column(self, index: int, rows: Floats) -> Floats:
        """Return one column's log density, # (c, n)."""
        cells = self._cells
        values, centres = rows[:, index, None], self._centres[None, :, index]
        mass, scale = self._mass[None, :, index], self._scales[None, :, index]
        if cells.domain.categorical[index]:
            leak = self._leaks[index]
            same, other = np.log((1.0 - leak) * cells.n_categories[index] + leak), np.log(leak)
            result: Floats = np.where(values == centres, same, other)
        elif cells.domain.continuous[index]:
            result = -0.5 * ((values - centres) / scale) ** 2
            result -= np.log(scale * mass) + _LOG_ROOT_2_PI
        else:
            edges, places = cells.edges[index], cells.places(index, rows)
            # the cells asked for, or all of them where these are fewer
            few = len(edges) <= 2 * len(rows)
            low, high = (edges[:-1], edges[1:]) if few else (edges[places], edges[places + 1])
            below = ndtr((low[:, None] - centres) / scale)
            masses = ndtr((high[:, None] - centres) / scale) - below
            result = np.log(np.maximum(masses / (mass * (high - low)[:, None]), _TINY))
            result = result[places] if few else result
        return result
