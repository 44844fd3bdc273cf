"""The configurations that the user wants tried first, laid over what the tuner proposes.

Called by ``session.propose``. The tuner is asked as always, so that notes, budgets of advisors and
checkpoints of a population come from it; then what the user set takes the place of what it chose,
and the rest stays as it is. Which configuration is next is read from the notes in the history, so a
restart changes nothing. A proposal that goes on from an earlier trial (a promotion) is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.algorithms.base import Observation, Outcome, Proposal, Suggestion
from experiments.algorithms.space.choices import Product
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest.initial_spec import Initial, branch_of

NOTE = "initial"  # the number of the configuration, in the note of its trial
ORIGIN = "initial"
_GOES_ON = ("promoted", "exploit", "continued")

Ask = Callable[[Sequence[Observation], int], Proposal]


def n_started(history: Sequence[Observation]) -> int:
    """Return how many of the configurations have had their turn."""
    return max((int(o.note[NOTE]) + 1 for o in history if NOTE in o.note), default=0)


def propose_initial(
    ask: Ask,
    initial: Initial,
    space: SearchSpace,
    history: Sequence[Observation],
    count: int,
    seed: int,
) -> Proposal:
    """Return up to ``count`` suggestions, of which the first are the user's own."""
    seen = list(history)
    found: list[Suggestion] = []
    turn = n_started(seen)
    while turn < len(initial) and len(found) < count:
        proposal = ask(seen, 1)
        if not proposal.suggestions:
            return replace(proposal, suggestions=tuple(found))
        (suggestion,) = proposal.suggestions
        if not suggestion.origin.startswith(_GOES_ON):
            rng = np.random.default_rng([seed % 2**64, len(seen), turn])
            suggestion = _laid_over(suggestion, initial[turn], turn, space, rng)
            turn += 1
        found.append(suggestion)
        seen.append(_running(seen, suggestion))
    if len(found) == count:
        return Proposal(tuple(found))
    rest = ask(seen, count - len(found))
    return replace(rest, suggestions=(*found, *rest.suggestions))


def _running(seen: Sequence[Observation], suggestion: Suggestion) -> Observation:
    number = max((o.number for o in seen), default=-1) + 1
    return Observation(number, suggestion.parameters, Outcome.RUNNING, note=suggestion.note)


def _laid_over(
    suggestion: Suggestion,
    values: Mapping[str, Any],
    turn: int,
    space: SearchSpace,
    rng: np.random.Generator,
) -> Suggestion:
    parameters = _filled(Product(space.parameters), values, suggestion.parameters, rng)
    return replace(
        suggestion, parameters=parameters, note={**suggestion.note, NOTE: turn}, origin=ORIGIN
    )


def _filled(
    product: Product,
    values: Mapping[str, Any],
    proposed: Mapping[str, Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return ``proposed`` with ``values`` in it; a branch that it lacks is drawn at random."""
    result = dict(proposed)
    for name, value in values.items():
        branch = branch_of(product.parameters[name], value)
        if branch is None:
            result[name] = value
            continue
        was = proposed[name]
        if not isinstance(was, Mapping) or was.get("_name") != branch.name:
            was = {"_name": branch.name, **branch.product.sample(rng)}
        inner = {key: each for key, each in value.items() if key != "_name"}
        result[name] = _filled(branch.product, inner, was, rng)
    return result
