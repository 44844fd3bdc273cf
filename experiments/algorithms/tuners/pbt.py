"""PBT: a population trains side by side; now and then the worst copy the best, and vary.

Jaderberg et al., "Population Based Training of Neural Networks", arXiv:1711.09846, with truncation
selection. One trial trains one member for one generation: it loads the state in
``load_checkpoint_dir``, trains a while, saves to ``save_checkpoint_dir`` and reports how good it is
now. When all of a generation have ended, each of the worst ``fraction`` goes on from the checkpoint
of one of the best, with its parameters *explored*: each drawn anew with ``resample_probability``,
else moved up or down by ``factor``. The others go on from their own with the same parameters. So
the parameters along one line of checkpoints are a schedule.

A member whose trial failed, or was stopped early and may have no checkpoint, counts among the
worst. If none of a generation succeeded, all draw new parameters and load what they loaded before.

Directories are ``<all_checkpoint_dir>/<member>/<generation>``; a first generation loads
``<all_checkpoint_dir>/<member>``, which is there and holds no checkpoint, as in NNI. Without
``all_checkpoint_dir`` they are relative, and the server puts them below its own data. Everything is
read from the notes ``{"generation", "member", "parent", "loads"}``. Cost per proposal: one pass
over the history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.algorithms.arguments import PBTArgs
from experiments.algorithms.base import (
    LOAD_KEY,
    SAVE_KEY,
    Observation,
    Outcome,
    Proposal,
    Suggestion,
    Tuner,
)
from experiments.algorithms.one_by_one import derive_rng
from experiments.algorithms.space.choices import Choice
from experiments.algorithms.space.parameters import Parameter

Generation = dict[int, Observation]  # the trial of each member


class PBTTuner(Tuner[PBTArgs]):
    """Proposes generation after generation; waits for a generation's last trials."""

    def propose(self, history: Sequence[Observation], count: int) -> Proposal:
        number, before, members = self._wanted(history)
        if number == 0:
            suggestions = [self._first(member) for member in members[:count]]
        else:
            plan = self._next_generation(number, before)
            suggestions = [plan[member] for member in members[:count]]
        return Proposal(tuple(suggestions))

    def propose_blind(self, history: Sequence[Observation], count: int) -> Proposal:
        """Let the next members start anew, at random, from what they loaded last."""
        number, before, members = self._wanted(history)
        suggestions = []
        for member in members[:count]:
            note = before[member].note if member in before else {}
            loads = str(note.get("loads", self._path(member)))
            params = self.space.sample(derive_rng(self.seed, number, member))
            suggestions.append(self._suggestion(params, number, member, loads, None, "random"))
        return Proposal(tuple(suggestions))

    def _wanted(self, history: Sequence[Observation]) -> tuple[int, Generation, list[int]]:
        """Return the generation to fill, the one before it, and its members still to come."""
        generations = _generations(history)
        number = max(generations, default=0)
        if self._is_over(generations.get(number, {})):
            number += 1
        here, before = generations.get(number, {}), generations.get(number - 1, {})
        return number, before, [m for m in range(self.args.population_size) if m not in here]

    def _is_over(self, generation: Generation) -> bool:
        """Say whether every member's trial has ended."""
        return len(generation) >= self.args.population_size and all(
            trial.outcome is not Outcome.RUNNING for trial in generation.values()
        )

    def _first(self, member: int) -> Suggestion:
        params = self.space.sample(derive_rng(self.seed, 0, member))
        return self._suggestion(params, 0, member, self._path(member), None, "start-up")

    def _next_generation(self, number: int, before: Generation) -> dict[int, Suggestion]:
        """Return what each member does next: exploit and explore, or go on."""
        ranked = sorted(before, key=lambda member: (_loss(before[member]), member))
        usable = [member for member in ranked if math.isfinite(_loss(before[member]))]
        n_cut = math.ceil(self.args.fraction * len(ranked))
        bottoms = {member for member in ranked[len(ranked) - n_cut :]} | (set(ranked) - set(usable))
        tops = usable[:n_cut]
        plan = {}
        for member in ranked:
            rng = derive_rng(self.seed, number, member)
            trial = before[member]
            parents = [top for top in tops if top != member]
            if member in bottoms and parents:
                parent = before[parents[int(rng.integers(len(parents)))]]
                plan[member] = self._suggestion(
                    self._explore(_searched(parent.parameters), rng),
                    number,
                    member,
                    self._path(int(parent.note["member"]), number - 1),
                    parent.number,
                    f"exploit of #{parent.number}",
                )
            elif member in usable:
                plan[member] = self._suggestion(
                    _searched(trial.parameters),
                    number,
                    member,
                    self._path(member, number - 1),
                    trial.number,
                    "continued",
                )
            else:  # nobody has anything to copy
                loads = str(trial.note.get("loads", self._path(member)))
                params = self.space.sample(rng)
                plan[member] = self._suggestion(params, number, member, loads, None, "start-up")
        return plan

    def _suggestion(
        self,
        params: dict[str, Any],
        generation: int,
        member: int,
        loads: str,
        parent: int | None,
        origin: str,
    ) -> Suggestion:
        note = {"generation": generation, "member": member, "parent": parent, "loads": loads}
        directories = {LOAD_KEY: loads, SAVE_KEY: self._path(member, generation)}
        return Suggestion({**params, **directories}, note, origin)

    def _path(self, member: int, generation: int | None = None) -> str:
        parts = [] if self.args.all_checkpoint_dir is None else [self.args.all_checkpoint_dir]
        parts.append(str(member))
        if generation is not None:
            parts.append(str(generation))
        return "/".join(part.rstrip("/") or part for part in parts)

    def _explore(self, params: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        explored = {}
        for name, parameter in self.space.parameters.items():
            if name not in params or not parameter.contains(params[name]):
                explored[name] = parameter.sample(rng)  # a custom trial's, outside the space
            elif rng.random() < self.args.resample_probability:
                explored[name] = parameter.sample(rng)
            else:
                explored[name] = _moved(parameter, params[name], self.args.factor, rng)
        return explored


def _moved(parameter: Parameter, value: Any, factor: float, rng: np.random.Generator) -> Any:
    """Return a value ``factor`` larger or smaller; of a choice, a neighbour in its list."""
    direction = 1.0 if rng.random() < 0.5 else -1.0
    if isinstance(parameter, Choice):
        if parameter.is_nested:
            return parameter.perturb(value, rng, factor)
        n_values = parameter.n_distinct() or 1
        index = parameter.index_of(value) + int(direction)
        if not 0 <= index < n_values:  # turned round at an end
            index = parameter.index_of(value) - int(direction)
        return parameter.at(min(max(index, 0), n_values - 1))
    if parameter.n_categories is not None:
        return parameter.perturb(value, rng, factor)
    # a value near 0 moves as if it were a tenth of the range away from it
    reach = 0.0 if parameter.is_log else 0.1 * _width(parameter)
    wanted = value + direction * factor * max(abs(value), reach)
    moved = parameter.nearest(wanted)
    return parameter.perturb(value, rng, 0.01) if moved == value else moved


def _width(parameter: Parameter) -> float:
    """Return how far apart the quarters of a parameter lie, twice: its range, if it has one."""
    return 2.0 * abs(float(parameter.from_unit(0.75)) - float(parameter.from_unit(0.25)))


def _generations(history: Sequence[Observation]) -> dict[int, Generation]:
    """Sort trials by generation and member; a retry stands for the trial it retries."""
    found: dict[int, Generation] = {}
    for trial in history:
        number, member = trial.note.get("generation"), trial.note.get("member")
        if not isinstance(number, int) or not isinstance(member, int):
            continue  # the user's own
        generation = found.setdefault(number, {})
        known = generation.get(member)
        if known is None or _order(trial) < _order(known):
            generation[member] = trial
    return found


def _order(trial: Observation) -> int:
    if trial.outcome is Outcome.RUNNING:
        return 1
    return 0 if math.isfinite(_loss(trial)) else 2


def _loss(trial: Observation) -> float:
    """Return the loss of a trial that ran to its end, infinity for others."""
    return trial.loss if trial.completed and trial.loss is not None else math.inf


def _searched(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in (LOAD_KEY, SAVE_KEY)}
