"""A box of columns, continuous and discrete, with columns that count only under a condition.

What the numeric parts know of a search space; made by ``vectors.VectorSpace``. A configuration is a
*row* of ``n_columns`` floats: a continuous column holds a number in [0, 1], an ordered one the
position of a level in [0, 1], a categorical one the number of a category. A column whose condition
does not hold has a fixed value, so that rows that are the same configuration are equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

INACTIVE_NUMBER = 0.5
INACTIVE_CATEGORY = -1.0
MAX_SOBOL = 21_201  # columns that scipy's Sobol sequence can have

# A discrete column with more levels than this offers only some of them as neighbours.
MAX_NEIGHBOURS = 24


@dataclass(frozen=True)
class Column:
    """One dimension.

    ``levels`` are the positions of an ordered column (ascending), 0 … n - 1 for a categorical one,
    None for a continuous one. The column counts where column ``parent`` equals ``branch``.
    """

    levels: Floats | None = field(default=None, compare=False)
    categorical: bool = False
    parent: int | None = None
    branch: float = 0.0

    @property
    def inactive(self) -> float:
        """What the column holds where it does not count."""
        return INACTIVE_CATEGORY if self.categorical else INACTIVE_NUMBER


class Domain:
    """Columns side by side; a parent stands before its children."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.n_columns = len(self.columns)
        self.categorical: Bools = np.array([c.categorical for c in self.columns], dtype=bool)
        self.continuous: Bools = np.array([c.levels is None for c in self.columns], dtype=bool)
        self.discrete: list[int] = np.flatnonzero(~self.continuous).tolist()
        self._conditional: Bools = np.array(
            [c.parent is not None for c in self.columns], dtype=bool
        )
        self._inactive: Floats = np.array([c.inactive for c in self.columns])

    def tidy(self, rows: Floats) -> Floats:
        """Set columns whose condition does not hold to their fixed value, in place."""
        for index, column in enumerate(self.columns):
            if column.parent is None:
                continue
            rows[rows[:, column.parent] != column.branch, index] = column.inactive
        return rows

    def active(self, row: Floats) -> Bools:
        """Say which columns of one row count."""
        is_active = np.ones(self.n_columns, dtype=bool)
        for index, column in enumerate(self.columns):
            if column.parent is not None:
                is_active[index] = bool(row[column.parent] == column.branch)
        return is_active

    def counting(self, rows: Floats) -> Bools:
        """Say which columns of which rows count, # (len(rows), n_columns)."""
        counts = np.ones(rows.shape, dtype=bool)
        for index, column in enumerate(self.columns):
            if column.parent is not None:
                counts[:, index] = rows[:, column.parent] == column.branch
        return counts

    def snap(self, units: Floats) -> Floats:
        """Turn points of the unit cube into rows."""
        return self.tidy(self.snap_each(units))

    def snap_each(self, units: Floats) -> Floats:
        """Snap every column, whether it counts or not."""
        rows = units.copy()
        for index in self.discrete:
            rows[:, index] = self.snap_column(index, units[:, index])
        return rows

    def snap_column(self, index: int, units: Floats) -> Floats:
        """Turn points of [0, 1] into values of one column."""
        levels = self.columns[index].levels
        if levels is None:
            return units
        if self.categorical[index]:
            return np.minimum(np.floor(units * len(levels)), len(levels) - 1.0)
        return nearest_level(levels, units)

    def _levels(self, index: int) -> Floats:
        levels = self.columns[index].levels
        assert levels is not None
        return levels

    def features(self, rows: Floats) -> Floats:
        """Return rows as numbers only: a categorical column becomes one of 0 and 1 per category."""
        parts = []
        for index in range(self.n_columns):
            column = rows[:, index : index + 1]
            parts.append(column == self._levels(index) if self.categorical[index] else column)
        return np.concatenate(parts, axis=1, dtype=float)

    def grid(self, limit: int) -> Floats | None:
        """Return every row, or None if there are more than ``limit`` combinations of levels."""
        if not self.n_columns:
            return np.zeros((1, 0))
        if self.continuous.any():
            return None
        levels = [self._levels(index) for index in range(self.n_columns)]
        if math.prod(len(each) for each in levels) > limit:
            return None
        mesh = np.meshgrid(*levels, indexing="ij")
        rows = self.tidy(np.stack([each.ravel() for each in mesh], axis=1))
        return np.unique(rows, axis=0) if self._conditional.any() else rows

    def sobol(self, n_rows: int, rng: np.random.Generator) -> Floats:
        """Draw rows that cover the domain evenly: a scrambled Sobol sequence."""
        if not self.n_columns:
            return np.zeros((n_rows, 0))
        if self.n_columns > MAX_SOBOL:
            return self.snap(rng.random((n_rows, self.n_columns)))
        sequence = qmc.Sobol(self.n_columns, seed=rng)  # which SciPy before 1.15 knows, too
        n_drawn = 1 << max(0, n_rows - 1).bit_length()  # a power of two keeps the balance
        return self.snap(sequence.random(n_drawn)[:n_rows])

    def around(self, centres: Floats, scales: Floats, rng: np.random.Generator) -> Floats:
        """Draw one row near every centre: some of its columns moved, at least one.

        Args:
            centres: rows to start from. # (n_rows, n_columns)
            scales: standard deviation of the moves of the numbers. # (n_rows,)
            rng: source of the draws.
        """
        n_rows = len(centres)
        share = max(1.0, 0.4 * self.n_columns) / self.n_columns
        moved = rng.random((n_rows, self.n_columns)) < share
        moved[np.arange(n_rows), rng.integers(self.n_columns, size=n_rows)] = True
        units = np.abs(centres + rng.normal(size=centres.shape) * scales[:, None]) % 2.0
        units = np.where(units > 1.0, 2.0 - units, units)  # reflected: no pile-up on the bounds
        fresh = rng.random(centres.shape)
        units = np.where(self.categorical, fresh, units)  # a category has no neighbours
        rows = np.where(moved, self.snap_each(units), centres)
        return self.wake(rows, fresh)

    def wake(self, rows: Floats, units: Floats) -> Floats:
        """Give columns that have just come to count a value of their own, from ``units``."""
        if not self._conditional.any():
            return rows
        woken = self._conditional & (rows == self._inactive)
        return self.tidy(np.where(woken, self.snap_each(units), rows))

    def neighbours(self, row: Floats) -> Floats:
        """Return the rows that differ from ``row`` in one discrete column that counts."""
        is_active = self.active(row)
        found = []
        for index in self.discrete:
            if not is_active[index]:
                continue
            others = _nearby(self._levels(index), row[index])
            block = np.repeat(row[None, :], len(others), axis=0)
            block[:, index] = others
            found.append(block)
        if not found:
            return np.empty((0, self.n_columns))
        rows = np.concatenate(found)
        return self.wake(rows, np.full(rows.shape, 0.5))


def nearest_level(levels: Floats, positions: Floats) -> Floats:
    """Return the level nearest to each position; ``levels`` ascend."""
    middles = (levels[1:] + levels[:-1]) / 2.0
    found: Floats = levels[np.searchsorted(middles, positions)]
    return found


def _nearby(levels: Floats, value: float) -> Floats:
    """Return the other levels, or of many those at distances 1, 2, 4, … on both sides."""
    here = int(np.searchsorted(levels, value))
    n_levels = len(levels)
    if n_levels <= MAX_NEIGHBOURS:
        return np.delete(levels, here)
    steps = 2 ** np.arange(int(np.log2(n_levels)) + 1)
    indices = np.concatenate([here - steps, here + steps])
    nearby: Floats = levels[indices[(indices >= 0) & (indices < n_levels)]]
    return nearby
