"""Nested parameters side by side: ``{"opt": {"_name": "adam", "lr": 0.1}}`` as ``opt``, ``opt.lr``.

Used where every parameter has a column or a name of its own: tables, CSV, filters, orders.
``static/js/flat.js`` is the same for the browser. Where a name with a dot stands beside a nested
one of the same spelling, the outer one wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.algorithms.space.choices import Branch, Choice
from experiments.algorithms.space.parameters import Parameter

_PLAIN = frozenset({str, int, float, bool, type(None)})


def flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter by its dotted name; a nested choice itself stands as its ``_name``."""
    if all(type(value) in _PLAIN for value in parameters.values()):
        return dict(parameters)  # none is nested, as in most spaces; tables ask for thousands
    found: dict[str, Any] = {}
    for name, value in _walk(parameters, ""):
        found.setdefault(name, value)
    for name, value in parameters.items():
        found[name] = _own(value)
    return found


def _walk(parameters: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in parameters.items():
        yield above + name, _own(value)
        if isinstance(value, Mapping) and "_name" in value:
            below = {key: inner for key, inner in value.items() if key != "_name"}
            yield from _walk(below, f"{above}{name}.")


def _own(value: Any) -> Any:
    return value["_name"] if isinstance(value, Mapping) and "_name" in value else value


def flat_names(parameters: Mapping[str, Parameter], above: str = "") -> list[str]:
    """The dotted names that configurations of these parameters may have."""
    found: dict[str, None] = {}
    for name, parameter in parameters.items():
        found[above + name] = None
        for member in parameter.members if isinstance(parameter, Choice) else ():
            if isinstance(member, Branch):
                inner = flat_names(member.product.parameters, f"{above}{name}.")
                found.update(dict.fromkeys(inner))
    return list(found)


def nested(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``flat`` made, as the space has it: ``opt`` and ``opt.lr`` are one nested choice again.

    Values that belong nowhere stay as they are, for whoever checks them to name.
    """
    used: set[str] = set()
    found = _nested(parameters, values, "", used)
    return found | {name: value for name, value in values.items() if name not in used}


def _nested(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], above: str, used: set[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        full = above + name
        if full not in values:
            continue
        used.add(full)
        found[name] = value = values[full]
        members = parameter.members if isinstance(parameter, Choice) else ()
        for member in members:
            if isinstance(member, Branch) and member.name == value:
                inner = _nested(member.product.parameters, values, f"{full}.", used)
                found[name] = {"_name": value, **inner}
                break
    return found
