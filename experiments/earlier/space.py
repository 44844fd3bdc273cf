"""The search space of trials that were made elsewhere: found again where the file does not say it,
and conditional parameters put below the choice that they depend on.

Called by the readers. What stands only under some value of a choice becomes a branch of it, as a
manifest writes it: ``{"_name": "svm", "C": …}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.algorithms.space.parameters import freeze, is_number
from experiments.earlier.study import PastTrial
from experiments.problems import Problem

MOST_MEMBERS = 1000


def inferred(values: Sequence[Any]) -> dict[str, Any]:
    """An entry that holds these values: a range of numbers, or a choice, nested ones too."""
    if any(isinstance(v, Mapping) and "_name" in v for v in values):
        return {"_type": "choice", "_value": _members(values)}
    numbers = [v for v in values if is_number(v) and math.isfinite(v)]
    if len(numbers) < len(values) or not numbers:
        members = {freeze(value): value for value in values}
        return {"_type": "choice", "_value": list(members.values())[:MOST_MEMBERS]}
    low, high = min(numbers), max(numbers)
    if all(isinstance(v, int) for v in numbers):
        return {"_type": "randint", "_value": [low, high + 1]}
    if low > 0 and high / low > 100:
        return {"_type": "loguniform", "_value": [low, high]}
    return {"_type": "uniform", "_value": [low, high]}


def _members(values: Sequence[Any]) -> list[Any]:
    branches: dict[str, list[dict[str, Any]]] = {}
    plain: dict[Any, Any] = {}
    for value in values:
        if isinstance(value, Mapping) and "_name" in value:
            below = {name: inner for name, inner in value.items() if name != "_name"}
            branches.setdefault(str(value["_name"]), []).append(below)
        else:
            plain[freeze(value)] = value
    nested = [{"_name": name, **inferred_space(rows)} for name, rows in branches.items()]
    return [*plain.values(), *nested][:MOST_MEMBERS]


def unflattened(row: Mapping[str, Any]) -> dict[str, Any]:
    """``opt`` and ``opt.lr`` as one nested choice again."""
    found: dict[str, Any] = {}
    for name in sorted(row, key=lambda name: name.count(".")):
        above, _, own = name.rpartition(".")
        place = found
        for part in _known_parts(above, row):
            inner = place.get(part)
            if not isinstance(inner, dict):
                place[part] = inner = {"_name": _text(inner)}
            place = inner
        place[own if place is not found else name] = row[name]
    return {name: found[name] for name in row if name in found}


def _known_parts(above: str, row: Mapping[str, Any]) -> list[str]:
    """The nested choices that a dotted name stands below; none where one of them lacks."""
    parts = above.split(".") if above else []
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return parts if all(name in row for name in names) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_from_values(trials: Sequence[PastTrial], left: list[Problem], hint: str) -> dict[str, Any]:
    """The space of a file that does not say it, and in ``left`` that it is so."""
    left.append(Problem("", "The search space is read from the values of the trials.", hint))
    return inferred_space([trial.parameters for trial in trials])


def inferred_space(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of all parameters that any of the trials has."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: inferred(values) for name, values in found.items()}


class Tree:
    """Flat parameters, and the choices below which some of them belong."""

    def __init__(
        self, entries: Mapping[str, Mapping[str, Any]], told: Sequence[Mapping[str, Any]]
    ) -> None:
        """``told``: the parameters of the trials that say what depends on what."""
        self._entries = entries
        self._below: dict[str, tuple[str, list[Any]]] = {}  # parameter: its choice, the values
        self.loose: list[str] = []  # missing sometimes, and no choice says when
        present = {n: frozenset(i for i, t in enumerate(told) if n in t) for n in entries}
        choices = [n for n, e in entries.items() if e["_type"] == "choice"]
        for name in entries:
            if not present[name] or len(present[name]) == len(told):
                continue
            found = None
            for choice in choices:
                if choice == name or not present[name] < present[choice]:
                    continue
                by_value: dict[Any, list[int]] = {}
                for i in present[choice]:
                    by_value.setdefault(freeze(told[i][choice]), []).append(i)
                under = [v for v, rows in by_value.items() if rows[0] in present[name]]
                rows = frozenset(i for v in under for i in by_value[v])
                if rows == present[name] and (
                    found is None or len(present[choice]) < len(present[found[0]])
                ):
                    found = choice, under
            if found is None:
                self.loose.append(name)
            else:
                self._below[name] = found

    def space(self, above: str | None = None, value: Any = None) -> dict[str, Any]:
        """The entries below a value of a choice; those of the top without one."""
        found: dict[str, Any] = {}
        for name, entry in self._entries.items():
            place = self._below.get(name)
            is_here = place is None if above is None else bool(
                place and place[0] == above and freeze(value) in place[1]
            )  # fmt: skip
            if is_here:
                found[name] = self._entry(name, entry)
        return found

    def _entry(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        if entry["_type"] != "choice" or not any(p[0] == name for p in self._below.values()):
            return dict(entry)
        members = []
        for member in entry["_value"]:
            below = self.space(name, member)
            members.append({"_name": branch_name(member), **below} if below else member)
        return {"_type": "choice", "_value": members}

    def nested(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's parameters, each at its place."""
        return self._nested(flat, None, None)

    def _nested(self, flat: Mapping[str, Any], above: str | None, value: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, given in flat.items():
            place = self._place(name, flat)
            is_here = place is None if above is None else bool(
                place and place[0] == above and freeze(value) in place[1]
            )  # fmt: skip
            if not is_here:
                continue
            below = self._nested(flat, name, given)
            found[name] = {"_name": branch_name(given), **below} if below else given
        return found

    def _place(self, name: str, flat: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
        """Where a trial's parameter belongs; at the top where its choice says otherwise."""
        place = self._below.get(name)
        if place is None or place[0] not in flat or freeze(flat[place[0]]) not in place[1]:
            return None
        return place


def branch_name(member: Any) -> str:
    """What a branch is called: the value itself, or its JSON."""
    return member if isinstance(member, str) else json.dumps(member)
