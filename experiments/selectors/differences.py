"""What differs between several sets of named values, row by row: the heart of every comparison.

Called by ``compare`` and ``across`` with flat mappings, one a column. Pure: no row is read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DiffRow:
    """One name in every column that has it; ``differs``: not all columns say the same."""

    name: str
    values: dict[str, Any]  # by the column's key; a column that lacks the name is not in it
    differs: bool

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "values": self.values, "differs": self.differs}


def diff_rows(columns: Mapping[str, Mapping[str, Any]], first: Iterable[str] = ()) -> list[DiffRow]:
    """A row for each name that any column has; those of ``first`` in that order, then as found.

    A name that some columns lack differs: a parameter of one branch is no parameter of the other.
    """
    names = dict.fromkeys(first)
    for column in columns.values():
        names.update(dict.fromkeys(column))
    rows = []
    known = {name for name in names if any(name in column for column in columns.values())}
    for name in _below_their_own(list(names)):
        if name not in known:
            continue
        values = {key: column[name] for key, column in columns.items() if name in column}
        differs = len(values) != len(columns) or not _all_same(list(values.values()))
        rows.append(DiffRow(name, values, differs))
    return rows


def _below_their_own(names: Sequence[str]) -> list[str]:
    """Each name right behind the one that it is nested in, wherever it was found first."""
    known = set(names)
    below: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        parents = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
        below.setdefault(next((p for p in parents if p in known), ""), []).append(name)
    ordered: list[str] = []
    waiting = list(reversed(below.get("", [])))
    while waiting:
        name = waiting.pop()
        ordered.append(name)
        if name:  # a parameter may be named "": it holds nothing
            waiting.extend(reversed(below.get(name, [])))
    return ordered


def _all_same(values: Sequence[Any]) -> bool:
    texts = {_text(value) for value in values}
    return len(texts) <= 1


def _text(value: Any) -> str:
    """Equal for what is equal to a person: 1 and 1.0, but not true and 1, nor "1" and 1."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
