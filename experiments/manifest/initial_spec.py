"""The manifest's ``initial``: configurations that are tried first. Called by ``spec``.

Each is an object of some or all parameters; what one leaves open the tuner chooses when its turn
comes (``engine.initial``). Here every value is held against the search space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.algorithms.space.choices import Branch, Choice
from experiments.algorithms.space.parameters import Parameter, join
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest import reading
from experiments.manifest.algorithm_spec import AlgorithmSpec, read_json_mapping
from experiments.manifest.fields import SPEC
from experiments.manifest.reading import Notes, at
from experiments.problems import Problem, ProblemsError, nearest

PATH = "spec.initial"
Initial = tuple[Mapping[str, Any], ...]


def parse_initial(
    notes: Notes,
    raw: Any,
    space: SearchSpace,
    tuner: AlgorithmSpec | None,
    max_trials: int | None,
) -> Initial:
    """Read the list; problems are noted by entry and parameter."""
    if raw is None:
        return ()
    most = SPEC.rows("initial").most or 0
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        message = f"must be a list of configurations, but got {reading.kind_of(raw)}."
        notes.error(PATH, message, "E.g. initial: [{lr: 0.01}].")
        return ()
    if len(raw) > most:
        notes.error(PATH, f"must be at most {most} configurations, but got {len(raw)}.")
        return ()
    if raw and tuner is not None and tuner.name == "Batch":
        message = "is not for Batch, which runs its own list in order."
        notes.error(PATH, message, "Put the configuration first in that list.")
        return ()
    found = []
    for number, entry in enumerate(raw):
        path = at(PATH, number)
        values = read_json_mapping(notes, entry, path)
        if values is None:
            continue
        if not values:
            notes.error(path, "must set at least one parameter.", "E.g. {lr: 0.01}.")
        problems = partly_problems(space.parameters, values, path)
        if problems:
            notes.absorb(ProblemsError(problems))
        found.append(values)
    if max_trials is not None and len(found) > max_trials:
        notes.warn(PATH, f"Of {len(found)} configurations the first maxTrialNum={max_trials} run.")
    return tuple(found)


def partly_problems(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], path: str
) -> list[Problem]:
    """Say what is wrong with values of which some may be missing."""
    found = []
    for name, value in values.items():
        here = join(path, str(name))
        parameter = parameters.get(name)
        if parameter is None:
            close = nearest(str(name), list(parameters))
            hint = f"Did you mean '{close}'?" if close else ""
            message = f"'{name}' is not a parameter of the search space."
            found.append(Problem(here, message, hint))
        elif isinstance(branch := branch_of(parameter, value), Branch):
            below = {key: inner for key, inner in value.items() if key != "_name"}
            found += partly_problems(branch.product.parameters, below, here)
        else:
            found += parameter.problems(value, here)
    return found


def branch_of(parameter: Parameter, value: Any) -> Branch | None:
    """Return the branch of a nested choice that an object names, None for any other value."""
    if not isinstance(parameter, Choice) or not isinstance(value, Mapping):
        return None
    position = parameter.locate(value)
    member = None if position is None else parameter.members[position]
    return member if isinstance(member, Branch) else None
