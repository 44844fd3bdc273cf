"""This project's tuners behind the ask/tell protocol of a side-by-side optimiser benchmark.

The harness imports this module with the repository root on ``PYTHONPATH`` and calls::

    OPTIMIZERS: {name: {"types": supported search types}}
    make(name, space, mode, seed) -> object with ask(), tell(params, value), warm(pairs)

It drives exactly the code that experiments run: the search space is parsed from the manifest's
format, the tuner comes from the registry with its default settings, is built anew for every
proposal and is asked with the whole history, in which outstanding trials are running.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.settings import parse_settings
from experiments.algorithms.space.search_space import SearchSpace

NAMES = {
    "autotune_auto": "Auto",
    "autotune_random": "Random",
    "autotune_anneal": "Anneal",
    "autotune_tpe": "TPE",
    "autotune_evolution": "Evolution",
    "autotune_cmaes": "CMA-ES",
    "autotune_gp": "GPTuner",
    "autotune_metis": "MetisTuner",
}


def _types(name: str) -> set[str]:
    entry = TUNERS[NAMES[name]]
    # the harness calls a choice with members other than numbers "choice_str"
    return set(entry.types) | (set() if entry.numeric_choice_only else {"choice_str"})


OPTIMIZERS = {name: {"types": _types(name)} for name in NAMES}


class Optimizer:
    """One experiment of the harness."""

    def __init__(self, name: str, space: Mapping[str, Any], mode: str, seed: int) -> None:
        entry = TUNERS[NAMES[name]]
        self.space = SearchSpace.parse(space)
        self.args, _ = parse_settings(entry.args, {"optimize_mode": mode}, "classArgs")
        self.tuner_class = entry.load()
        self.seed = seed
        self.sign = -1.0 if mode == "maximize" else 1.0
        self.history: list[Observation] = []
        self.numbers: dict[int, int] = {}  # id of a proposal handed out -> its trial's number

    def ask(self) -> dict[str, Any]:
        tuner = self.tuner_class(self.space, self.args, self.seed)
        proposal = tuner.propose(self.history, 1)
        if not proposal.suggestions:
            raise StopIteration
        (suggestion,) = proposal.suggestions
        number = len(self.history)
        params = suggestion.parameters
        self.history.append(
            Observation(number, params, Outcome.RUNNING, note=dict(suggestion.note))
        )
        self.numbers[id(params)] = number
        return params

    def tell(self, params: Mapping[str, Any], value: float) -> None:
        number = self.numbers.pop(id(params))
        asked = self.history[number]
        self.history[number] = self._finished(number, asked.parameters, value, asked.note)

    def warm(self, pairs: Iterable[tuple[Mapping[str, Any], float]]) -> None:
        for params, value in pairs:
            self.history.append(self._finished(len(self.history), params, value, {}))

    def _finished(
        self, number: int, params: Mapping[str, Any], value: float, note: Mapping[str, Any]
    ) -> Observation:
        if not math.isfinite(value):
            return Observation(number, params, Outcome.FAILED, note=note)
        loss = self.sign * float(value)
        return Observation(number, params, Outcome.DONE, loss, note=note, completed=True)


def make(name: str, space: Mapping[str, Any], mode: str, seed: int) -> Optimizer:
    """Return a fresh optimiser of that name."""
    return Optimizer(name, space, mode, seed)
