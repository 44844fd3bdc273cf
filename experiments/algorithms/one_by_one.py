"""Tuners that decide one trial at a time, and do not repeat themselves.

Base of Random, Anneal and TPE. Guarantees what ``base.Tuner`` asks: proposing two at once is
proposing one, counting it as running, and proposing again; every draw's seed comes from (seed,
length of the history, attempt), so the same history gives the same proposals (see ``base``).

No exact duplicate is proposed while untried configurations exist in a finite space: a draw that was
tried already is drawn again a few times, then replaced by an untried point of the grid. Once all
are tried, duplicates are allowed: the space is not a reason to end early, the experiment's limits
are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from experiments.algorithms.base import LIKELY, Observation, Outcome, Proposal, Suggestion, Tuner
from experiments.algorithms.space.search_space import SearchSpace

A = TypeVar("A")

MAX_DRAWS = 8  # draws for one proposal before taking an untried grid point


def derive_rng(seed: int, *numbers: int) -> np.random.Generator:
    """Return a generator that depends on these numbers only; a negative seed is fine."""
    return np.random.default_rng([seed % 2**64, *numbers])


class OneByOneTuner(Tuner[A]):
    """Asks ``draw`` for one configuration at a time."""

    may_repeat = False  # whether ``draw`` proposes duplicates on purpose

    @abstractmethod
    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        """Return one configuration and its origin."""

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        """Return how likely a trial is to run by what failed before, None where nobody knows."""
        return None

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        seen = list(history)
        tried = Tried(self.space, [o.parameters for o in seen])
        suggestions: list[Suggestion] = []
        for _ in range(count):
            suggestion = self._suggest(seen, tried)
            likely = self.likely(seen, suggestion.parameters)
            if likely is not None:
                suggestion = replace(suggestion, note={**suggestion.note, LIKELY: likely})
            suggestions.append(suggestion)
            tried.add(suggestion.parameters)
            number = max((o.number for o in seen), default=-1) + 1
            seen.append(
                Observation(number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note)
            )
        return Proposal(tuple(suggestions))

    def _suggest(self, seen: Sequence[Observation], tried: Tried) -> Suggestion:
        first: Suggestion | None = None
        for attempt in range(MAX_DRAWS):
            params, origin = self.draw(seen, derive_rng(self.seed, len(seen), attempt))
            suggestion = Suggestion(params, origin=origin)
            if self.may_repeat or tried.is_complete or not tried.holds(params):
                return suggestion
            first = first or suggestion
        untried = tried.pick_untried(derive_rng(self.seed, len(seen), MAX_DRAWS))
        if untried is not None:
            return Suggestion(untried, origin="random")
        assert first is not None
        return first


class Tried:
    """Configurations that were proposed before, whatever became of them.

    In a finite space by their numbers, so that the untried ones can be counted and found; in an
    infinite one by comparing, which costs next to nothing where values hardly ever repeat.
    """

    def __init__(
        self,
        space: SearchSpace,
        tried: Sequence[Mapping[str, Any]],
        numbers: Sequence[int | None] | None = None,
    ) -> None:
        """
        Args:
            space: what they are configurations of.
            tried: the configurations.
            numbers: of a finite space, if known: ``space.indices_of(tried)``.
        """
        self._space = space
        self._n_distinct = space.n_distinct()
        self._numbers: set[int] = set()
        self._configurations: list[Mapping[str, Any]] = []
        if self._n_distinct is None:
            self._configurations += tried
        else:  # None: the user's own trial, outside the space
            numbers = space.indices_of(tried) if numbers is None else numbers
            self._numbers.update(number for number in numbers if number is not None)

    def add(self, params: Mapping[str, Any]) -> None:
        if self._n_distinct is None:
            self._configurations.append(params)
            return
        number = self._space.index_of(params)
        if number is not None:
            self._numbers.add(number)

    def holds(self, params: Mapping[str, Any]) -> bool:
        if self._n_distinct is not None:
            return self._space.index_of(params) in self._numbers
        # == takes 1 for True, key does not, but is slower
        equal = [tried for tried in self._configurations if tried == params]
        return any(self._space.key(tried) == self._space.key(params) for tried in equal)

    @property
    def is_complete(self) -> bool:
        return self._n_distinct is not None and len(self._numbers) >= self._n_distinct

    def pick_untried(self, rng: np.random.Generator) -> dict[str, Any] | None:
        """Return an untried configuration of a finite space: the next one from a random place."""
        if self._n_distinct is None or self.is_complete:
            return None
        # a random place below an int of any size: numpy's integers() ends at 64 bits
        index = int(rng.random() * min(self._n_distinct, 2**53))
        while index in self._numbers:  # at most one step more than there are tried ones
            index = (index + 1) % self._n_distinct
        return self._space.at(index)
