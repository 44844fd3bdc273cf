"""The search space of an experiment: parsed once, then asked by every tuner and check.

Made by ``manifest.spec`` from the manifest's ``searchSpace``. Parsing reports every problem at
once; a space that was parsed is sound, so nothing below checks again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.algorithms.space.choices import Product
from experiments.algorithms.space.parameters import Parameter
from experiments.algorithms.space.reading import read_space
from experiments.problems import Problem, ProblemsError


class SearchSpace:
    """Named parameters, in the order given."""

    def __init__(
        self, parameters: Mapping[str, Parameter], warnings: tuple[Problem, ...] = ()
    ) -> None:
        self.parameters = dict(parameters)
        self.warnings = warnings
        self._product = Product(self.parameters)

    def __eq__(self, other: object) -> bool:
        """Equal when the user would write them equally, whatever the order and the warnings."""
        return isinstance(other, SearchSpace) and self.as_json() == other.as_json()

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.parameters)))

    def __repr__(self) -> str:
        return f"SearchSpace({self.as_json()!r})"

    @classmethod
    def parse(cls, raw: Mapping[str, Any], path: str = "spec.searchSpace") -> SearchSpace:
        """Read a search space in the specification's (NNI's) format.

        Raises:
            ProblemsError: with every problem found.
        """
        parameters, problems, warnings = read_space(raw, path)
        if problems:
            raise ProblemsError(problems)
        return cls(parameters, tuple(warnings))

    def types(self) -> set[str]:
        """Return the ``_type`` names in use, nested ones too."""
        return {parameter.type for _, parameter in self.walk()}

    def walk(self, path: str = "spec.searchSpace") -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter, nested ones too, with its path in the manifest."""
        return self._product.walk(path)

    def configuration(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters that somebody wrote in the form in which trials get them."""
        return dict(params)

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one configuration."""
        return self._product.sample(rng)

    def contains(self, params: Mapping[str, Any], path: str = "parameters") -> list[Problem]:
        """Say what is wrong with a configuration: keys missing or unknown, values outside."""
        return self._product.problems(params, path)

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Say whether a configuration lies inside; quicker than ``contains``."""
        return self._product.contains(params)

    def n_distinct(self) -> int | None:
        """Count the distinct configurations; None if there is no end of them."""
        return self._product.n_distinct()

    def at(self, index: int) -> dict[str, Any]:
        """Return configuration number ``index`` of a finite space, last parameter fastest."""
        return self._product.at(index)

    def index_of(self, params: Mapping[str, Any]) -> int | None:
        """Return the number of a configuration of a finite space; None if it lies outside."""
        return self._product.index_of(params) if self._product.contains(params) else None

    def indices_of(self, many: Sequence[Any]) -> list[int | None]:
        """Return ``index_of`` for each of many configurations of a finite space; quicker."""
        return self._product.indices_of(many)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Yield every configuration of a finite space in order, one at a time.

        Raises:
            ValueError: if the space has no end.
        """
        n_distinct = self.n_distinct()
        if n_distinct is None:
            raise ValueError("This search space has no grid: its configurations have no end.")
        return (self.at(index) for index in range(n_distinct))

    def key(self, params: Mapping[str, Any]) -> Hashable:
        """Return a hashable shared by exactly the configurations that are the same."""
        return self._product.key(params)

    def as_json(self) -> dict[str, Any]:
        """Return the space as the user would write it."""
        return self._product.as_json()
