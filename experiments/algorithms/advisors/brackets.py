"""Successive halving: many configurations on a small budget, the best of them on more.

Base of Hyperband and BOHB (a *bracket* is one such tournament, a *rung* one of its rounds), and the
bookkeeping of ASHA. A configuration that is promoted runs again, as a new trial with a larger
budget, which its parameters carry under ``TRIAL_BUDGET``; a script may resume from a checkpoint.

Everything is read from the notes of the history, ``{"bracket", "rung", "config", "budget"}`` and,
where promoted, ``from`` (a trial's number), so a crash loses nothing. A failed trial counts as
ended and is never promoted: a rung waits for running trials only, and a rung without a survivor
ends its bracket. A retry carries the note of what it retries and stands for it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from experiments.algorithms.base import (
    BUDGET_KEY,
    Observation,
    Outcome,
    Proposal,
    Suggestion,
    Tuner,
)
from experiments.algorithms.one_by_one import MAX_DRAWS, Tried, derive_rng
from experiments.algorithms.settings import Args

A = TypeVar("A", bound=Args)
Budget = int | float


@dataclass(frozen=True)
class Rung:
    """One round: so many configurations, each with this budget."""

    n_configurations: int
    budget: Budget


@dataclass(frozen=True)
class Slot:
    """The place of a trial in the tournament."""

    bracket: int
    rung: int
    config: int

    @classmethod
    def of(cls, note: Mapping[str, Any]) -> Slot | None:
        """Return the place that a trial's note tells, None for trials of another origin."""
        found = [note.get(name) for name in ("bracket", "rung", "config")]
        if not all(isinstance(number, int) and number >= 0 for number in found):
            return None
        return cls(*(int(number) for number in found if number is not None))


def bare(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without its budget."""
    return {name: value for name, value in parameters.items() if name != BUDGET_KEY}


class Ledger:
    """What ran where: of each slot the trial that counts, a finished one before a running one."""

    def __init__(self, history: Sequence[Observation]) -> None:
        self.rungs: dict[tuple[int, int], dict[int, Observation]] = {}
        for observation in history:
            self.add(observation)

    def add(self, observation: Observation) -> None:
        slot = Slot.of(observation.note)
        if slot is None:
            return
        rung = self.rungs.setdefault((slot.bracket, slot.rung), {})
        known = rung.get(slot.config)
        if known is None or _rank(observation) < _rank(known):
            rung[slot.config] = observation

    def rung(self, bracket: int, rung: int) -> dict[int, Observation]:
        """Return the trials of a rung by the number of their configuration."""
        return self.rungs.get((bracket, rung), {})


def _rank(observation: Observation) -> int:
    return [Outcome.DONE, Outcome.RUNNING, Outcome.FAILED].index(observation.outcome)


def best_first(rung: Mapping[int, Observation]) -> list[int]:
    """Return the configurations that ended well, best first; the earlier wins a tie."""
    losses = {
        config: observation.loss
        for config, observation in rung.items()
        if observation.loss is not None
    }
    return sorted(losses, key=lambda config: (losses[config], config))


class DrawingAdvisor(Tuner[A]):
    """An advisor that decides one trial at a time, and draws new configurations."""

    is_blind = False  # whether configurations are drawn without ``draw``

    @abstractmethod
    def next_slot(self, ledger: Ledger) -> tuple[Slot, Budget] | None:
        """Return the place of the next trial, None to wait for running ones."""

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        """Return a new configuration and its origin."""
        return self.space.sample(rng), "random"

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        seen = list(history)
        ledger = Ledger(seen)
        tried = Tried(self.space, [bare(observation.parameters) for observation in seen])
        suggestions: list[Suggestion] = []
        for _ in range(count):
            found = self.next_slot(ledger)
            if found is None:
                break
            suggestion = self._suggest(*found, seen, ledger, tried)
            suggestions.append(suggestion)
            tried.add(bare(suggestion.parameters))
            number = max((o.number for o in seen), default=-1) + 1
            running = Observation(
                number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note
            )
            seen.append(running)
            ledger.add(running)
        return Proposal(tuple(suggestions))

    def propose_blind(self, history: Sequence[Observation], count: int) -> Proposal:
        """As ``propose``, with configurations drawn at random: rungs are counted, not computed."""
        without_model = type(self)(self.space, self.args, self.seed)
        without_model.is_blind = True
        return without_model.propose(history, count)

    def _suggest(
        self,
        slot: Slot,
        budget: Budget,
        seen: Sequence[Observation],
        ledger: Ledger,
        tried: Tried,
    ) -> Suggestion:
        note = {
            "bracket": slot.bracket,
            "rung": slot.rung,
            "config": slot.config,
            "budget": budget,
        }
        if slot.rung > 0:
            parent = ledger.rung(slot.bracket, slot.rung - 1)[slot.config]
            params, origin = bare(parent.parameters), "promoted"
            note["from"] = parent.number
        else:
            params, origin = self._fresh(seen, tried)
        return Suggestion({**params, BUDGET_KEY: budget}, note, origin)

    def _fresh(self, seen: Sequence[Observation], tried: Tried) -> tuple[dict[str, Any], str]:
        """Draw a configuration that was not tried before, as long as there are any."""
        first: tuple[dict[str, Any], str] | None = None
        for attempt in range(MAX_DRAWS):
            rng = derive_rng(self.seed, len(seen), attempt)
            drawn = (self.space.sample(rng), "random") if self.is_blind else self.draw(seen, rng)
            if tried.is_complete or not tried.holds(drawn[0]):
                return drawn
            first = first or drawn
        untried = tried.pick_untried(derive_rng(self.seed, len(seen), MAX_DRAWS))
        assert first is not None
        return first if untried is None else (untried, "random")


class BracketAdvisor(DrawingAdvisor[A]):
    """Runs brackets one after another, for ever; the experiment's limits end it."""

    @abstractmethod
    def rungs(self, bracket: int) -> Sequence[Rung]:
        """Return the rounds of bracket number ``bracket``, counted from 0 without end."""

    @property
    def is_serial(self) -> bool:
        """Whether a bracket waits for the one before instead of filling its gaps."""
        return False

    def next_slot(self, ledger: Ledger) -> tuple[Slot, Budget] | None:
        bracket = 0
        while True:
            found, is_over = self._next_in(bracket, ledger)
            if found is not None:
                return found
            if self.is_serial and not is_over:
                return None
            bracket += 1

    def _next_in(self, bracket: int, ledger: Ledger) -> tuple[tuple[Slot, Budget] | None, bool]:
        """Return what to start in a bracket, if anything, and whether the bracket is over."""
        rungs = self.rungs(bracket)
        here = ledger.rung(bracket, 0)
        if len(here) < rungs[0].n_configurations:
            config = max(here, default=-1) + 1
            return (Slot(bracket, 0, config), rungs[0].budget), False
        for number, rung in enumerate(rungs[1:], start=1):
            if any(each.outcome is Outcome.RUNNING for each in here.values()):
                return None, False
            above = ledger.rung(bracket, number)
            for config in best_first(here)[: rung.n_configurations]:
                if config not in above:
                    return (Slot(bracket, number, config), rung.budget), False
            here = above
        return None, not any(each.outcome is Outcome.RUNNING for each in here.values())


def n_rungs(low: float, high: float, eta: int) -> int:
    """Return how often ``low`` can be multiplied by ``eta`` without passing ``high``."""
    number = 0
    while low * eta ** (number + 1) <= high * (1 + 1e-9):
        number += 1
    return number


def halving(s: int, s_max: int, eta: int) -> list[int]:
    """Return how many configurations each rung of Hyperband's bracket ``s`` has."""
    n_first = -(-(s_max + 1) * eta**s // (s + 1))  # rounded up
    return [n_first // eta**rung for rung in range(s + 1)]


def ladder(low: float, high: float, eta: int) -> list[Budget]:
    """Return the budgets of the rungs: ``high`` divided by ``eta`` as long as ``low`` is reached.

    Between whole bounds they are rounded down to whole numbers: they count something, like epochs.
    """
    whole = float(low).is_integer() and float(high).is_integer()
    exact = [high / eta**s for s in range(n_rungs(low, high, eta), -1, -1)]
    if whole:
        return [int(budget * (1 + 1e-12)) for budget in exact]
    return [float(f"{budget:.12g}") for budget in exact]
