"""The search space of Batch: one choice, whose members that are objects are whole configurations.

As in NNI, a trial gets such a member itself: of ``{"combine_params": {"_type": "choice", "_value":
[{"optimizer": "Adam", "lr": 0.1}, 5]}}`` the first trial has ``optimizer`` and ``lr``, the second
``combine_params`` = 5. Made by ``engine.spec`` for Batch alone; charts and tables use ``spread``.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.algorithms.space.parameters import freeze, show
from experiments.algorithms.space.search_space import SearchSpace
from experiments.problems import Problem


def is_configuration(member: Any) -> bool:
    """Whether a member stands for several parameters; a nested branch (``_name``) does not."""
    return isinstance(member, Mapping) and "_name" not in member


class BatchSpace(SearchSpace):
    """A space of one choice, with its objects unwrapped; wrapped ones are understood too."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space.parameters, space.warnings)
        ((self._name, self._choice),) = space.parameters.items()

    def configuration(self, params: Mapping[str, Any]) -> dict[str, Any]:
        wrapped = self._wrapped(params)
        member = wrapped[self._name]
        return copy.deepcopy(dict(member) if is_configuration(member) else wrapped)

    def _wrapped(self, params: Mapping[str, Any]) -> dict[str, Any]:
        is_wrapped = set(params) == {self._name} and self._choice.contains(params[self._name])
        return dict(params) if is_wrapped else {self._name: dict(params)}

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        return self.configuration(super().sample(rng))

    def contains(self, params: Mapping[str, Any], path: str = "parameters") -> list[Problem]:
        if self.holds(params):
            return []
        n_distinct = self.n_distinct()
        members = "members" if n_distinct is None else f"{n_distinct} configurations"
        message = f"must be one of the batch's {members}, but got {show(params)}."
        return [Problem(path, message)]

    def holds(self, params: Mapping[str, Any]) -> bool:
        return super().holds(self._wrapped(params))

    def at(self, index: int) -> dict[str, Any]:
        return self.configuration(super().at(index))

    def index_of(self, params: Mapping[str, Any]) -> int | None:
        return super().index_of(self._wrapped(params))

    def indices_of(self, many: Sequence[Any]) -> list[int | None]:
        return super().indices_of([self._wrapped(params) for params in many])

    def key(self, params: Mapping[str, Any]) -> Hashable:
        return super().key(self._wrapped(params))


def spread(space: Mapping[str, Any]) -> dict[str, Any]:
    """A Batch's search space, as written, as if its configurations' parameters stood in it."""
    found: dict[str, dict[Hashable, Any]] = {}
    for name, node in space.items():
        for member in node.get("_value", ()):
            values = member if is_configuration(member) else {name: member}
            for inner, value in values.items():
                found.setdefault(inner, {}).setdefault(freeze(value), value)
    return {
        name: {"_type": "choice", "_value": list(values.values())} for name, values in found.items()
    }
