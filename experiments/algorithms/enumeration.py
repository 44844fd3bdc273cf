"""Tuners that go through a finite space in order. Base of GridSearch and Batch.

Configurations are numbered, never listed, so a grid of 10^9 points takes no memory. Whatever is in
the history counts as tried: running, failed, and the user's own trials too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from experiments.algorithms.base import Observation, Proposal, Suggestion, Tuner

A = TypeVar("A")


class EnumeratingTuner(Tuner[A]):
    """Proposes every configuration once; ``exhausted`` as soon as it has fewer than asked for."""

    origin: ClassVar[str]

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        n_distinct = self.space.n_distinct()
        if n_distinct is None:
            raise ValueError(
                f"{type(self).__name__} needs a finite search space, but this one has types "
                f"{sorted(self.space.types())}."
            )
        tried = set(self.space.indices_of([o.parameters for o in history]))
        suggestions: list[Suggestion] = []
        index = 0
        while index < n_distinct and len(suggestions) < count:
            if index not in tried:
                suggestions.append(Suggestion(self.space.at(index), origin=self.origin))
            index += 1
        return Proposal(tuple(suggestions), exhausted=len(suggestions) < count)
