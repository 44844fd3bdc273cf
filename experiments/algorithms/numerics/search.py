"""Finds the row of a ``Domain`` where a function that is cheap to compute is largest.

Called by the GP and Metis tuners with an acquisition. Score a pool of rows, take the best of them
that lie apart, and improve each in turns: its continuous columns by L-BFGS with the gradient, its
discrete ones by trying all neighbours.

Cost: one evaluation of the pool at once, then about 20 single ones and 5 small batches per start.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import optimize

from experiments.algorithms.numerics.domain import Domain

Floats = npt.NDArray[np.float64]

MAX_ROUNDS = 4  # turns of continuous and discrete improvement
MAX_MOVES = 12  # discrete moves of one start in one turn
TOO_NEAR = 1e-3  # starts that differ less than this (in every column) are one


class Objective(Protocol):
    """A function over rows, with a gradient."""

    def __call__(self, rows: Floats) -> Floats: ...

    def with_gradient(self, row: Floats) -> tuple[float, Floats]: ...


@dataclass(frozen=True)
class Product:
    """Two objectives on a logarithmic scale, multiplied: what is promised, and how likely it is."""

    first: Objective
    second: Objective

    def __call__(self, rows: Floats) -> Floats:
        value: Floats = self.first(rows) + self.second(rows)
        return value

    def with_gradient(self, row: Floats) -> tuple[float, Floats]:
        value, gradient = self.first.with_gradient(row)
        more, slope = self.second.with_gradient(row)
        return value + more, gradient + slope


def row_keys(rows: Floats) -> list[bytes]:
    """Return, for every row, what equal rows share."""
    plain = np.ascontiguousarray(rows + 0.0)  # + 0.0: -0.0 and 0.0 are equal
    if not plain.size:
        return [b""] * len(rows)
    return [row.tobytes() for row in plain]


def best_row(
    domain: Domain,
    objective: Objective,
    pool: Floats,
    taken: Collection[bytes],
    n_starts: int,
) -> Floats:
    """Return the best row found, one that is not taken if there is any such in sight.

    Args:
        domain: where to search.
        objective: what to maximise.
        pool: rows to start from. # (n, d)
        taken: keys of rows not to return.
        n_starts: how many of the pool are improved.
    """
    values = _values(objective, pool, taken)
    order = np.argsort(-values, kind="stable")
    best: Floats = pool[order[0]]
    best_value = float(values[order[0]])
    for start in _apart(pool[order], n_starts):
        row, value = _improve(domain, objective, start, taken)
        if value > best_value:
            best, best_value = row, value
    return best


def _values(objective: Objective, rows: Floats, taken: Collection[bytes]) -> Floats:
    values = objective(rows)
    if taken:
        is_taken = np.array([key in taken for key in row_keys(rows)], dtype=bool)
        values[is_taken] = -np.inf
    return values


def _apart(rows: Floats, n_starts: int) -> list[Floats]:
    """Return the first rows that are not nearly equal to an earlier one."""
    chosen: list[Floats] = []
    for row in rows if n_starts else ():
        if all(np.abs(row - other).max() > TOO_NEAR for other in chosen):
            chosen.append(row)
        if len(chosen) >= n_starts:
            break
    return chosen


def _improve(
    domain: Domain, objective: Objective, start: Floats, taken: Collection[bytes]
) -> tuple[Floats, float]:
    """Climb from one row."""
    row = start
    value = float(_values(objective, row[None, :], taken)[0])
    for _ in range(MAX_ROUNDS):
        before = value
        climbed, level = _climb(domain, objective, row, value)
        if row_keys(climbed[None, :])[0] not in taken:
            row, value = climbed, level
        row, value, has_moved = _step(domain, objective, row, value, taken)
        if not has_moved or value - before < 1e-6:
            break
    return row, value


def _climb(domain: Domain, objective: Objective, row: Floats, value: float) -> tuple[Floats, float]:
    """Improve the continuous columns that count."""
    free = np.flatnonzero(domain.continuous & domain.active(row))
    if not len(free):
        return row, value
    moving = row.copy()

    def negated(numbers: Floats) -> tuple[float, Floats]:
        moving[free] = numbers
        found, gradient = objective.with_gradient(moving)
        return -found, -gradient[free]

    found = optimize.minimize(
        negated,
        row[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(free),
        options={"maxiter": 40, "ftol": 1e-8},
    )
    if -found.fun <= value:
        return row, value
    moving[free] = np.clip(found.x, 0.0, 1.0)
    return moving, -float(found.fun)


def _step(
    domain: Domain, objective: Objective, row: Floats, value: float, taken: Collection[bytes]
) -> tuple[Floats, float, bool]:
    """Move to the best neighbour as long as that helps."""
    has_moved = False
    for _ in range(MAX_MOVES):
        rows = domain.neighbours(row)
        if not len(rows):
            break
        values = _values(objective, rows, taken)
        best = int(np.argmax(values))
        if values[best] <= value:
            break
        row, value, has_moved = rows[best], float(values[best]), True
    return row, value, has_moved
