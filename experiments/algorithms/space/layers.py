"""The parameters that choose parts of a network: layer_choice and input_choice.

A value names what is chosen and its place, ``{"_value": ..., "_idx": ...}``, as NNI writes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from experiments.algorithms.space.parameters import Floats, Parameter, freeze, show
from experiments.problems import Problem

_WHOLE = frozenset({int})  # not bool: True would be taken for 1


def _places(value: Any) -> Any:
    """Return ``_idx`` of the value of a layer_choice or input_choice, None if it is neither."""
    is_pair = isinstance(value, dict | Mapping) and len(value) == 2
    return value.get("_idx") if is_pair else None


def _all_places(values: Sequence[Any]) -> list[Any] | None:
    """Return ``_idx`` of every value, None unless all of them are objects."""
    if set(map(type, values)) != {dict}:
        return None
    return [value.get("_idx") for value in values]


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
        self._values = [self.at(index) for index in range(len(self.candidates))]
        self._are_words = all(type(candidate) is str for candidate in self.candidates)

    @property
    def n_categories(self) -> int:
        return len(self.candidates)

    def at(self, index: int) -> dict[str, Any]:
        return {"_value": self.candidates[index], "_idx": index}

    def index_of(self, value: Any) -> int:
        return int(value["_idx"])

    def indices_of(self, values: Sequence[Any]) -> Floats:
        places = _all_places(values) if self._are_words else None
        if places is None:
            return super().indices_of(values)
        known, n_values = self._values, len(self._values)
        # == is as good as contains for words, once 1 is not True
        found = [
            place
            if type(place) is int and 0 <= place < n_values and value == known[place]
            else None
            for place, value in zip(places, values, strict=True)
        ]
        return np.array(found, dtype=float)

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
        self._are_words = all(type(candidate) is str for candidate in self.candidates)

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

    def indices_of(self, values: Sequence[Any]) -> Floats:
        is_simple = self._are_words and self.n_categories is not None
        places = _all_places(values) if is_simple else None
        if places is None:
            return super().indices_of(values)
        known = self._values
        numbers = [
            self._by_places.get(tuple(chosen))
            if type(chosen) is list and _WHOLE.issuperset(map(type, chosen))
            else None
            for chosen in places
        ]
        found = [
            number if number is not None and value == known[number] else None
            for number, value in zip(numbers, values, strict=True)
        ]
        return np.array(found, dtype=float)

    @cached_property
    def _values(self) -> list[dict[str, Any]]:
        return [self.at(index) for index in range(self.n_distinct())]

    @cached_property
    def _by_places(self) -> dict[tuple[int, ...], int]:
        """The number of every value, by the places chosen."""
        return {tuple(value["_idx"]): index for index, value in enumerate(self._values)}

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
