"""A figure of somebody's as rows and columns: what each trace draws, point by point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.charts.base import Cell, Table
from experiments.charts.own_text import plain
from experiments.charts.words import gettext as _

_ORDER = ("x", "y", "z", "labels", "values", "text")
_NO_COLUMN = frozenset({"ids", "customdata", "selectedpoints"})


def table(figure: Mapping[str, Any]) -> Table:
    """One row a point, of all traces after each other; columns are Plotly's own names."""
    traces = [(_name(trace, i), dict(_columns(trace))) for i, trace in enumerate(figure["data"])]
    names = dict.fromkeys(name for _name_of, columns in traces for name in columns)
    ordered = sorted(names, key=lambda n: _ORDER.index(n) if n in _ORDER else len(_ORDER))
    rows = [row for name, columns in traces for row in _rows(name, columns, ordered)]
    return Table((_("Trace"), *ordered), rows)


def _name(trace: Mapping[str, Any], place: int) -> str:
    return plain(str(trace.get("name") or "")) or str(place + 1)


def _columns(trace: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    rows = trace.get("z")
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        yield from _cells(trace, rows)
        return
    for name, values in trace.items():
        if isinstance(values, list) and name not in _NO_COLUMN:
            yield name, values
    for part in ("marker", "error_x", "error_y"):
        for name, values in dict(trace.get(part) or {}).items():
            if isinstance(values, list) and name != "colorscale":
                yield f"{part}.{name}", values


def _cells(trace: Mapping[str, Any], rows: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """A matrix: one row a cell."""
    places = [(i, j) for i, row in enumerate(rows) for j in range(len(row or ()))]
    for name, at in (("x", 1), ("y", 0)):
        given = trace.get(name)
        ends = given if isinstance(given, list) else []
        yield name, [ends[p[at]] if p[at] < len(ends) else p[at] for p in places]
    yield "z", [rows[i][j] for i, j in places]


def _rows(
    name: str, columns: Mapping[str, list[Any]], ordered: list[str]
) -> Iterator[tuple[Cell, ...]]:
    n = max((len(values) for values in columns.values()), default=0)
    for i in range(n):
        cells = (columns.get(each, []) for each in ordered)
        yield (name, *(_cell(values[i]) if i < len(values) else None for values in cells))


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return plain(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return json.dumps(value, ensure_ascii=False)
