"""A search space as numbers: configurations to rows of a ``numerics.domain.Domain`` and back.

Used by the tuners that model the objective over vectors (GPTuner, MetisTuner). Log types are
straight in their logarithm, quantised and whole numbers are levels, a choice of numbers is ordered:
its levels are even in the numbers, in their logarithm or in their rank, whichever suits. Any other
choice is categorical; the parameters of a nested branch are columns that count only under it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.algorithms.numerics.domain import Column, Domain, Floats
from experiments.algorithms.space.choices import MISSING, Branch, Choice, Product
from experiments.algorithms.space.parameters import Parameter
from experiments.algorithms.space.search_space import SearchSpace

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

# With more levels than this a column is searched as continuous and snapped when decoded.
MAX_LEVELS = 2048
# Spacing more uneven than this (largest gap over smallest) is replaced by ranks.
MAX_UNEVENNESS = 10.0


@dataclass(frozen=True)
class _Leaf:
    """One parameter with its column and how its values and the column's belong together."""

    name: str
    parameter: Parameter
    column: int | None  # None: a single value, which needs no column
    positions: tuple[float, ...] = ()  # of value number i; empty if continuous
    members: tuple[int, ...] = ()  # of a choice: where value number i stands in its list
    branches: tuple[tuple[_Leaf, ...], ...] = ()  # of a choice: what is nested, by value number

    def read_many(self, values: Sequence[Any]) -> Floats:
        """Return value numbers, or units if continuous; NaN for what is no value of this one."""
        if not isinstance(self.parameter, Choice):
            if self.positions:
                return self.parameter.indices_of(values)
            return self.parameter.to_units(values)
        numbers: dict[int | None, float] = {None: math.nan}
        numbers.update({member: float(number) for number, member in enumerate(self.members)})
        return np.array([numbers[place] for place in self.parameter.locate_many(values)])


class VectorSpace:
    """Translates the configurations of one search space."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._columns: list[Column] = []
        self._leaves = self._read(space.parameters, None, 0.0)
        self.domain = Domain(self._columns)

    def encode(self, params: Mapping[str, Any]) -> Floats | None:
        """Return a configuration's row, or None if it lies outside the space."""
        if not self.space.holds(params):
            return None
        row = np.array([column.inactive for column in self._columns])
        self._write(self._leaves, params, row)
        return row

    def encode_many(self, configurations: Sequence[Mapping[str, Any]]) -> tuple[Floats, Bools]:
        """Return the rows of many configurations, and which of these lie inside the space.

        Equal to ``encode`` up to rounding, at about a tenth of its cost. Rows of configurations
        outside are meaningless.
        """
        rows = np.tile([column.inactive for column in self._columns], (len(configurations), 1))
        is_inside = np.ones(len(configurations), dtype=bool)
        self._write_many(self._leaves, configurations, np.arange(len(rows)), 0, rows, is_inside)
        return rows, is_inside

    def decode(self, row: Floats) -> dict[str, Any]:
        """Return the configuration of a row."""
        return self._values(self._leaves, row)

    def is_continuous(self) -> bool:
        """Say whether any parameter takes values without end."""
        return self.space.n_distinct() is None

    def _read(
        self, parameters: Mapping[str, Parameter], parent: int | None, branch: float
    ) -> tuple[_Leaf, ...]:
        leaves = []
        for name, parameter in parameters.items():
            if isinstance(parameter, Choice):
                leaves.append(self._read_choice(name, parameter, parent, branch))
                continue
            n_values = parameter.n_distinct()
            if n_values == 1:
                leaves.append(_Leaf(name, parameter, None, (0.0,)))
            elif parameter.n_categories is not None and n_values is not None:
                positions = np.arange(float(n_values))
                column = self._add(Column(positions, True, parent, branch))
                leaves.append(_Leaf(name, parameter, column, tuple(positions)))
            elif n_values is not None and n_values <= MAX_LEVELS:
                units = [parameter.to_unit(value) for value in parameter.grid()]
                column = self._add(Column(np.array(units), False, parent, branch))
                leaves.append(_Leaf(name, parameter, column, tuple(units)))
            else:
                column = self._add(Column(None, False, parent, branch))
                leaves.append(_Leaf(name, parameter, column))
        return tuple(leaves)

    def _read_choice(self, name: str, choice: Choice, parent: int | None, branch: float) -> _Leaf:
        members = tuple(dict.fromkeys(choice.locate(_value_of(m)) or 0 for m in choice.members))
        products: list[Product | None] = []
        for position in members:
            member = choice.members[position]
            products.append(member.product if isinstance(member, Branch) else None)
        column: int | None = None
        positions: tuple[float, ...] = (0.0,)
        if len(members) > 1 and choice.is_numeric:
            positions = even_positions([float(choice.members[m]) for m in members])
            column = self._add(Column(np.sort(np.array(positions)), False, parent, branch))
        elif len(members) > 1:
            positions = tuple(float(i) for i in range(len(members)))
            column = self._add(Column(np.array(positions), True, parent, branch))
        branches = tuple(
            self._read(
                product.parameters,
                parent if column is None else column,
                branch if column is None else float(number),
            )
            if product is not None
            else ()
            for number, product in enumerate(products)
        )
        return _Leaf(name, choice, column, positions, members, branches)

    def _add(self, column: Column) -> int:
        self._columns.append(column)
        return len(self._columns) - 1

    def _write(self, leaves: Sequence[_Leaf], params: Mapping[str, Any], row: Floats) -> None:
        for leaf in leaves:
            value = params[leaf.name]
            if isinstance(leaf.parameter, Choice):
                position = leaf.parameter.locate(value)
                assert position is not None
                number = leaf.members.index(position)
                if leaf.column is not None:
                    row[leaf.column] = leaf.positions[number]
                if leaf.branches[number]:
                    self._write(leaf.branches[number], value, row)
            elif leaf.column is not None:
                if leaf.positions:
                    row[leaf.column] = leaf.positions[leaf.parameter.index_of(value)]
                else:
                    row[leaf.column] = leaf.parameter.to_unit(value)

    def _write_many(
        self,
        leaves: Sequence[_Leaf],
        configurations: Sequence[Any],
        where: Indices,
        n_extra: int,
        rows: Floats,
        is_inside: Bools,
    ) -> None:
        """Write the columns of ``leaves`` to ``rows[where]``; ``n_extra`` keys are none of them."""
        mappings = [c if isinstance(c, dict | Mapping) else {} for c in configurations]
        is_inside[where[np.array([len(m) for m in mappings]) != len(leaves) + n_extra]] = False
        for leaf, values in zip(leaves, _values_of(leaves, mappings), strict=True):
            found = leaf.read_many(values)
            is_missing = np.isnan(found)
            is_inside[where[is_missing]] = False
            found[is_missing] = 0.0
            if leaf.column is not None:
                positions = np.array(leaf.positions)
                rows[where, leaf.column] = positions[found.astype(int)] if leaf.positions else found
            for number, below in enumerate(leaf.branches):
                chosen = np.flatnonzero((found == number) & ~is_missing) if below else ()
                if len(chosen):
                    inner = [values[i] for i in chosen]
                    self._write_many(below, inner, where[chosen], 1, rows, is_inside)

    def _values(self, leaves: Sequence[_Leaf], row: Floats) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for leaf in leaves:
            number = 0
            if leaf.column is not None and leaf.positions:
                distances = np.abs(np.array(leaf.positions) - row[leaf.column])
                number = int(np.argmin(distances))
            if isinstance(leaf.parameter, Choice):
                value = leaf.parameter.members[leaf.members[number]]
                if isinstance(value, Branch):
                    below = self._values(leaf.branches[number], row)
                    value = {"_name": value.name, **below}
                values[leaf.name] = value
            elif leaf.positions:
                values[leaf.name] = leaf.parameter.at(number)
            else:
                assert leaf.column is not None
                unit = min(max(float(row[leaf.column]), 0.0), 1.0)
                values[leaf.name] = leaf.parameter.from_unit(unit)
        return values


def _values_of(leaves: Sequence[_Leaf], mappings: Sequence[Any]) -> Sequence[Any]:
    """Return the values of every parameter in all the mappings, MISSING where one lacks it."""
    names = [leaf.name for leaf in leaves]
    if len(names) > 1 and mappings:
        try:
            return list(zip(*map(itemgetter(*names), mappings), strict=True))
        except KeyError:
            pass
    return [[mapping.get(name, MISSING) for mapping in mappings] for name in names]


def _value_of(member: Any) -> Any:
    """Return what ``Choice.locate`` finds a member by."""
    return {"_name": member.name} if isinstance(member, Branch) else member


def even_positions(numbers: Sequence[float]) -> tuple[float, ...]:
    """Place numbers in [0, 1] on the scale that spaces them most evenly.

    The scale is the numbers themselves or, if all are positive, their logarithm; if both leave one
    gap more than ten times another, the rank. The outermost stay half a mean gap off the ends, so
    that the nearest of the positions to a uniform draw is about equally often any of them.
    """
    n_numbers = len(numbers)
    order = np.argsort(np.argsort(numbers)).astype(float)
    if n_numbers == 1:
        return (0.5,)
    scales = [np.array(numbers)]
    if min(numbers) > 0:
        scales.append(np.log(scales[0]))
    best, best_unevenness = order, MAX_UNEVENNESS
    for scale in scales:
        gaps = np.diff(np.sort(scale))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            unevenness = float(gaps.max() / gaps.min())
        if math.isfinite(unevenness) and unevenness < best_unevenness:
            best, best_unevenness = scale, unevenness
    low, high = float(best.min()), float(best.max())
    half = 0.5 / n_numbers
    return tuple(float(half + (1.0 - 2.0 * half) * (v - low) / (high - low)) for v in best)
