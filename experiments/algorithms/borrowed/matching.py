"""Trials of one search space as trials of another: parameters are matched by name and kind.

Called when an experiment borrows from earlier ones. A parameter that the other space lacks is drawn
at random for each trial, so that a model finds that it tells nothing; one that only the other space
has is passed over. A number between two steps goes to the nearer one; what lies outside is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.algorithms.space.choices import Branch, Choice
from experiments.algorithms.space.flat import flat
from experiments.algorithms.space.layers import InputChoice, LayerChoice
from experiments.algorithms.space.parameters import Parameter, freeze, is_number, show
from experiments.algorithms.space.search_space import SearchSpace

LONGEST = 60  # characters of a reason
# Tuners that never learn, or from their own batches alone.
DEAF = frozenset({"Random", "GridSearch", "Batch", "PPOTuner"})


class Outside(Exception):
    """A trial lies outside the space; the message is short: "lr > 0.1"."""


def matched(
    space: SearchSpace, parameters: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """The trial's parameters in ``space``. Raises Outside."""
    values = flat(parameters)
    found = _below(space.parameters, values, "", rng)
    if not space.holds(found):
        raise Outside("other values")
    return found


def shares_names(space: SearchSpace, parameters: Mapping[str, Any]) -> bool:
    """Whether the spaces have a parameter of one name at all."""
    return any(name in parameters for name in space.parameters)


def _below(
    parameters: Mapping[str, Parameter],
    values: Mapping[str, Any],
    above: str,
    rng: np.random.Generator,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        full = above + name
        if full not in values:
            found[name] = parameter.sample(rng)
        elif isinstance(parameter, Choice):
            found[name] = _member(parameter, values, full, rng)
        elif isinstance(parameter, LayerChoice | InputChoice):
            if not parameter.contains(values[full]):
                raise _outside(full, values[full])
            found[name] = values[full]
        else:
            found[name] = _number(parameter, values[full], full)
    return found


def _member(choice: Choice, values: Mapping[str, Any], full: str, rng: np.random.Generator) -> Any:
    value = values[full]
    for member in choice.members:
        if isinstance(member, Branch):
            if member.name == value:
                below = _below(member.product.parameters, values, f"{full}.", rng)
                return {"_name": member.name, **below}
        elif _is_same(member, value):
            return member
    if choice.is_numeric and is_number(value):
        return _nearest(choice, float(value), full)
    raise _outside(full, value)


def _is_same(member: Any, value: Any) -> bool:
    if is_number(member) and is_number(value):
        return math.isclose(member, value, rel_tol=1e-9)
    return freeze(member) == freeze(value)


def _nearest(choice: Choice, value: float, full: str) -> Any:
    low, high = min(choice.members), max(choice.members)
    if not low <= value <= high:
        raise _beyond(full, value, low, high)
    return min(choice.members, key=lambda member: abs(member - value))


def _number(parameter: Parameter, value: Any, full: str) -> Any:
    if not is_number(value):
        raise _outside(full, value)
    low, high = parameter.ends()  # type: ignore[attr-defined]  # of every numeric parameter
    if not low <= value <= high:
        raise _beyond(full, value, low, high)
    if parameter.contains(value):
        return value
    nearest = parameter.nearest(float(value))
    if not parameter.contains(nearest):
        raise _outside(full, value)
    return nearest


def _beyond(full: str, value: float, low: float, high: float) -> Outside:
    end, sign = (high, ">") if value > high else (low, "<")
    return Outside(f"{full} {sign} {end:g}"[:LONGEST])


def _outside(full: str, value: Any) -> Outside:
    return Outside(f"{full} = {show(value)}"[:LONGEST])
