"""The parameters that choose: choice with nested branches, layer_choice and input_choice.

Also ``Product``, parameters side by side, which is what a branch holds and what a search space is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from experiments.algorithms.parameters import Parameter, freeze, is_number, join, show
from experiments.algorithms.problems import Problem


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
        total = 0
        for position in self._distinct:
            n_values = self._n_below(position)
            if n_values is None:
                return None
            total += n_values
        return total

    def at(self, index: int) -> Any:
        for position in self._distinct:
            n_values = self._n_below(position) or 1
            if index < n_values:
                member = self.members[position]
                below = member.product.at(index) if isinstance(member, Branch) else {}
                return self._value(position, below)
            index -= n_values
        raise IndexError("A choice was asked for a member beyond its last.")

    def index_of(self, value: Any) -> int:
        found = self.locate(value)
        index = 0
        for position in self._distinct:
            if position == found:
                member = self.members[position]
                return index + (member.product.index_of(value) if isinstance(member, Branch) else 0)
            index += self._n_below(position) or 1
        raise ValueError(f"{show(value)} is not a member of this choice.")

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


def _places(value: Any) -> Any:
    """Return ``_idx`` of the value of a layer_choice or input_choice, None if it is neither."""
    is_pair = isinstance(value, dict | Mapping) and len(value) == 2
    return value.get("_idx") if is_pair else None


def _is_same(given: Any, candidate: Any) -> bool:
    """Compare as ``freeze`` does, quicker for text: most candidates are."""
    if type(given) is str or type(candidate) is str:
        return bool(given == candidate)
    return freeze(given) == freeze(candidate)


class LayerChoice(Parameter):
    """One of several layers of a network; its value names it and its place, as NNI writes it."""

    type: ClassVar[str] = "layer_choice"

    def __init__(self, candidates: Sequence[Any]) -> None:
        self.candidates = tuple(candidates)

    @property
    def n_categories(self) -> int:
        return len(self.candidates)

    def at(self, index: int) -> dict[str, Any]:
        return {"_value": self.candidates[index], "_idx": index}

    def index_of(self, value: Any) -> int:
        return int(value["_idx"])

    def from_unit(self, unit: float) -> dict[str, Any]:
        return self.at(min(int(unit * len(self.candidates)), len(self.candidates) - 1))

    def to_unit(self, value: Any) -> float:
        return (self.index_of(value) + 0.5) / len(self.candidates)

    def contains(self, value: Any) -> bool:
        index = _places(value)
        return (
            isinstance(index, int)
            and not isinstance(index, bool)
            and 0 <= index < len(self.candidates)
            and _is_same(value.get("_value"), self.candidates[index])
        )

    def problems(self, value: Any, path: str) -> list[Problem]:
        if self.contains(value):
            return []
        return [
            Problem(path, f"must be one of the layers, like {show(self.at(0))}, not {show(value)}.")
        ]

    def perturb(self, value: Any, rng: np.random.Generator, scale: float = 0.1) -> Any:
        others = [i for i in range(len(self.candidates)) if i != self.index_of(value)]
        return self.at(others[int(rng.integers(len(others)))]) if others else value

    def n_distinct(self) -> int:
        return len(self.candidates)

    def json_value(self) -> list[Any]:
        return list(self.candidates)


class InputChoice(Parameter):
    """Some of several inputs of a layer: between ``least`` and ``most`` of the candidates.

    Candidates may have equal names; their places tell them apart.
    """

    type: ClassVar[str] = "input_choice"

    def __init__(self, candidates: Sequence[Any], n_chosen: Any, least: int, most: int) -> None:
        self.candidates = tuple(candidates)
        self.n_chosen = n_chosen  # as written: a count, [least, most] or null
        self.least = least
        self.most = most

    @property
    def n_categories(self) -> int | None:
        # beyond this the subsets are too many to learn one by one
        return self.n_distinct() if self.n_distinct() <= 256 else None

    def value(self, places: Sequence[int]) -> dict[str, Any]:
        """Return the value of these places, ascending."""
        return {"_value": [self.candidates[i] for i in places], "_idx": list(places)}

    def at(self, index: int) -> dict[str, Any]:
        n_candidates = len(self.candidates)
        n_places = self.least
        while index >= math.comb(n_candidates, n_places):
            index -= math.comb(n_candidates, n_places)
            n_places += 1
        places: list[int] = []
        place = 0
        while len(places) < n_places:  # the combination of that rank, in itertools' order
            n_with = math.comb(n_candidates - place - 1, n_places - len(places) - 1)
            if index < n_with:
                places.append(place)
            else:
                index -= n_with
            place += 1
        return self.value(places)

    def index_of(self, value: Any) -> int:
        n_candidates, places = len(self.candidates), value["_idx"]
        index = sum(math.comb(n_candidates, n) for n in range(self.least, len(places)))
        start = 0
        for taken, place in enumerate(places):
            n_left = len(places) - taken - 1
            index += sum(math.comb(n_candidates - p - 1, n_left) for p in range(start, place))
            start = place + 1
        return index

    def from_unit(self, unit: float) -> dict[str, Any]:
        return self.at(min(int(unit * self.n_distinct()), self.n_distinct() - 1))

    def to_unit(self, value: Any) -> float:
        return (self.index_of(value) + 0.5) / self.n_distinct()

    def contains(self, value: Any) -> bool:
        places = _places(value)
        if not isinstance(places, list) or not self.least <= len(places) <= self.most:
            return False
        if not all(type(p) is int and 0 <= p < len(self.candidates) for p in places):
            return False
        if any(after <= before for before, after in pairwise(places)):
            return False
        names = value.get("_value")
        return (
            isinstance(names, list)
            and len(names) == len(places)
            and all(_is_same(n, self.candidates[p]) for n, p in zip(names, places, strict=True))
        )

    def problems(self, value: Any, path: str) -> list[Problem]:
        if self.contains(value):
            return []
        like = show(self.at(0))
        return [Problem(path, f"must be a choice of inputs, like {like}, but got {show(value)}.")]

    def perturb(self, value: Any, rng: np.random.Generator, scale: float = 0.1) -> Any:
        """Swap, add or drop one input."""
        chosen = set(value["_idx"])
        rest = [i for i in range(len(self.candidates)) if i not in chosen]
        neighbours = [chosen - {i} | {j} for i in chosen for j in rest]
        if len(chosen) < self.most:
            neighbours += [chosen | {j} for j in rest]
        if len(chosen) > self.least:
            neighbours += [chosen - {i} for i in chosen]
        if not neighbours:
            return value
        return self.value(sorted(neighbours[int(rng.integers(len(neighbours)))]))

    def n_distinct(self) -> int:
        n_candidates = len(self.candidates)
        return sum(math.comb(n_candidates, n) for n in range(self.least, self.most + 1))

    def json_value(self) -> dict[str, Any]:
        return {"candidates": list(self.candidates), "n_chosen": self.n_chosen}
