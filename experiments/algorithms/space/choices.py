"""Choice with nested branches, and ``Product``, parameters side by side.

A product is what a branch holds and what a search space is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from experiments.algorithms.space.parameters import Floats, Parameter, freeze, is_number, join, show
from experiments.problems import Problem

MISSING = object()  # stands for the value of a parameter that a configuration lacks


class Product:
    """Named parameters side by side: a whole search space, or one branch of a nested choice."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters = dict(parameters)

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a value for every parameter."""
        return {name: p.sample(rng) for name, p in self.parameters.items()}

    def problems(self, values: Any, path: str) -> list[Problem]:
        """Say what is wrong with the values: missing, unknown or outside; empty if nothing."""
        if not isinstance(values, Mapping):
            return [Problem(path, f"must be an object of parameters, but got {show(values)}.")]
        found = [
            Problem(join(path, str(name)), "is not a parameter of the search space.")
            for name in values
            if name not in self.parameters
        ]
        for name, parameter in self.parameters.items():
            if name in values:
                found += parameter.problems(values[name], join(path, name))
            else:
                found.append(Problem(join(path, name), "is missing."))
        return found

    def contains(self, values: Any) -> bool:
        """Say whether the values are a configuration; quicker than finding out why not."""
        return (
            isinstance(values, Mapping)
            and len(values) == len(self.parameters)
            and all(n in values and p.contains(values[n]) for n, p in self.parameters.items())
        )

    def n_distinct(self) -> int | None:
        """Count the distinct configurations; None if there is no end of them."""
        total = 1
        for parameter in self.parameters.values():
            n_values = parameter.n_distinct()
            if n_values is None:
                return None
            total *= n_values
        return total

    def at(self, index: int) -> dict[str, Any]:
        """Return configuration number ``index``; the last parameter runs fastest."""
        values: dict[str, Any] = {}
        for name, parameter in reversed(self.parameters.items()):
            index, rest = divmod(index, parameter.n_distinct() or 1)
            values[name] = parameter.at(rest)
        return {name: values[name] for name in self.parameters}

    def index_of(self, values: Mapping[str, Any]) -> int:
        """Return the number of a configuration inside a finite space."""
        index = 0
        for name, parameter in self.parameters.items():
            index = index * (parameter.n_distinct() or 1) + parameter.index_of(values[name])
        return index

    def indices_of(self, many: Sequence[Any]) -> list[int | None]:
        """Return the numbers of many configurations of a finite space, None for those outside.

        As ``index_of`` after ``contains``, at about a tenth of the cost.
        """
        sizes = [parameter.n_distinct() or 1 for parameter in self.parameters.values()]
        if max(sizes, default=1) > 2**53:  # beyond what indices_of of a parameter tells exactly
            return [self.index_of(values) if self.contains(values) else None for values in many]
        n_names = len(self.parameters)
        shaped = [v if isinstance(v, dict | Mapping) and len(v) == n_names else None for v in many]
        is_inside = np.array([values is not None for values in shaped], dtype=bool)
        numbers = np.zeros(len(many), dtype=np.int64 if math.prod(sizes) < 2**63 else object)
        for (name, parameter), size in zip(self.parameters.items(), sizes, strict=True):
            found = parameter.indices_of([(v or {}).get(name, MISSING) for v in shaped])
            is_inside &= ~np.isnan(found)
            numbers = numbers * size + np.nan_to_num(found).astype(np.int64).astype(numbers.dtype)
        return [int(n) if inside else None for n, inside in zip(numbers, is_inside, strict=True)]

    def key(self, values: Mapping[str, Any]) -> Hashable:
        """Return a hashable shared by exactly the configurations that are the same."""
        known = tuple(p.key(values.get(name)) for name, p in self.parameters.items())
        return known, freeze({k: v for k, v in values.items() if k not in self.parameters})

    def perturb(
        self, values: Mapping[str, Any], rng: np.random.Generator, scale: float = 0.1
    ) -> dict[str, Any]:
        """Move every parameter to a neighbour."""
        return {n: p.perturb(values[n], rng, scale) for n, p in self.parameters.items()}

    def walk(self, path: str) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter, nested ones too, with its path in the manifest."""
        for name, parameter in self.parameters.items():
            yield join(path, name), parameter
            for below, child in parameter.children():
                yield join(path, name) + below, child

    def as_json(self) -> dict[str, Any]:
        """Return the entries as the user would write them."""
        return {name: parameter.as_json() for name, parameter in self.parameters.items()}


@dataclass(frozen=True)
class Branch:
    """A member of a choice with a search space of its own: ``{"_name": ..., parameter: ...}``."""

    name: str
    product: Product

    def as_json(self) -> dict[str, Any]:
        return {"_name": self.name, **self.product.as_json()}


class Choice(Parameter):
    """One of the listed members: plain JSON values, or branches.

    A member listed twice is drawn twice as often, but is one value of the grid.
    """

    type: ClassVar[str] = "choice"

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = tuple(members)
        self._first: dict[Hashable, int] = {}  # frozen member -> its first position
        for position, member in enumerate(self.members):
            self._first.setdefault(self._frozen(member), position)
        self._distinct = tuple(self._first.values())
        sizes = [self._n_below(position) for position in self._distinct]
        ends = list(accumulate(size or 1 for size in sizes))
        self._n_distinct = None if None in sizes else ends[-1]
        # where in the grid each distinct member begins, in a finite choice
        self._starts = [0, *ends[:-1]]
        self._start_of = dict(zip(self._distinct, self._starts, strict=True))

    @staticmethod
    def _frozen(member: Any) -> Hashable:
        return ("branch", member.name) if isinstance(member, Branch) else freeze(member)

    @property
    def is_numeric(self) -> bool:
        """Whether every member is a number."""
        return all(is_number(member) for member in self.members)

    @property
    def is_nested(self) -> bool:
        """Whether a member has parameters of its own."""
        return any(isinstance(member, Branch) for member in self.members)

    @property
    def n_categories(self) -> int:
        return len(self.members)

    def locate(self, value: Any) -> int | None:
        """Return the position of the member that ``value`` comes from, or None."""
        if isinstance(value, Mapping) and isinstance(value.get("_name"), str):
            position = self._first.get(("branch", value["_name"]))
            if position is not None:
                return position
        return self._first.get(freeze(value))

    def locate_many(self, values: Sequence[Any]) -> list[int | None]:
        """Return ``locate`` of many values; quicker where all are words or numbers."""
        if set(map(type, values)) <= {str, int, float}:  # not bool: True would be found as 1
            return [self._first.get(value) for value in values]
        return [self.locate(value) for value in values]

    def _value(self, position: int, below: dict[str, Any]) -> Any:
        member = self.members[position]
        return {"_name": member.name, **below} if isinstance(member, Branch) else member

    def sample(self, rng: np.random.Generator) -> Any:
        position = int(rng.integers(len(self.members)))
        member = self.members[position]
        below = member.product.sample(rng) if isinstance(member, Branch) else {}
        return self._value(position, below)

    def from_unit(self, unit: float) -> Any:
        """Return the member at ``unit``; a branch comes with the middle of its own parameters."""
        position = min(int(unit * len(self.members)), len(self.members) - 1)
        member = self.members[position]
        below = member.product.parameters if isinstance(member, Branch) else {}
        return self._value(position, {name: p.from_unit(0.5) for name, p in below.items()})

    def to_unit(self, value: Any) -> float:
        position = self.locate(value)
        if position is None:
            raise ValueError(f"{show(value)} is not a member of this choice.")
        return (position + 0.5) / len(self.members)

    def problems(self, value: Any, path: str) -> list[Problem]:
        position = self.locate(value)
        if position is None:
            options = ", ".join(show(o) for o in self._options()[:10])
            return [Problem(path, f"must be one of {options}, but got {show(value)}.")]
        member = self.members[position]
        if not isinstance(member, Branch):
            return []
        return member.product.problems({k: v for k, v in value.items() if k != "_name"}, path)

    def contains(self, value: Any) -> bool:
        position = self.locate(value)
        if position is None:
            return False
        member = self.members[position]
        if not isinstance(member, Branch):
            return True
        return member.product.contains({k: v for k, v in value.items() if k != "_name"})

    def _options(self) -> list[Any]:
        members = (self.members[position] for position in self._distinct)
        return [m.name if isinstance(m, Branch) else m for m in members]

    def perturb(self, value: Any, rng: np.random.Generator, scale: float = 0.1) -> Any:
        """Return another member, or now and then the same branch with its own values moved."""
        position = self.locate(value)
        others = [p for p in self._distinct if p != position]
        if position is not None:
            member = self.members[position]
            inside = isinstance(member, Branch) and bool(member.product.parameters)
            if inside and (not others or rng.random() < 0.5):
                return self._value(position, member.product.perturb(value, rng, scale))
        if not others:
            return value
        chosen = others[int(rng.integers(len(others)))]
        member = self.members[chosen]
        below = member.product.sample(rng) if isinstance(member, Branch) else {}
        return self._value(chosen, below)

    def _n_below(self, position: int) -> int | None:
        member = self.members[position]
        return member.product.n_distinct() if isinstance(member, Branch) else 1

    def n_distinct(self) -> int | None:
        return self._n_distinct

    def at(self, index: int) -> Any:
        if not 0 <= index < (self._n_distinct or 0):
            raise IndexError("A choice was asked for a member beyond its last.")
        number = bisect_right(self._starts, index) - 1
        position = self._distinct[number]
        member = self.members[position]
        is_branch = isinstance(member, Branch)
        below = member.product.at(index - self._starts[number]) if is_branch else {}
        return self._value(position, below)

    def index_of(self, value: Any) -> int:
        position = self.locate(value)
        if position is None:
            raise ValueError(f"{show(value)} is not a member of this choice.")
        member = self.members[position]
        below = member.product.index_of(value) if isinstance(member, Branch) else 0
        return self._start_of[position] + below

    def indices_of(self, values: Sequence[Any]) -> Floats:
        if self.is_nested:
            return super().indices_of(values)
        places = self.locate_many(values)
        return np.array([math.nan if p is None else self._start_of[p] for p in places], dtype=float)

    def key(self, value: Any) -> Hashable:
        position = self.locate(value)
        if position is None:
            return freeze(value)
        member = self.members[position]
        return position, member.product.key(value) if isinstance(member, Branch) else None

    def children(self) -> Iterator[tuple[str, Parameter]]:
        for position, member in enumerate(self.members):
            if isinstance(member, Branch):
                yield from member.product.walk(f"._value[{position}]")

    def json_value(self) -> list[Any]:
        return [m.as_json() if isinstance(m, Branch) else m for m in self.members]
