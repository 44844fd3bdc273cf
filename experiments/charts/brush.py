"""What dragging over a figure selects: what each of its axes means to the language of conditions.

Charts put it into ``layout.meta.selects``, by the short name of the axis ("x", "y2"), parallel
coordinates by the name of the dimension; ``static/js/charts/brush.js`` makes conditions of it, as
``selectors.trial_filter`` reads them. Names and values are escaped, as all text of a figure is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from experiments.charts import style
from experiments.charts.axes import Axis

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

Selects = dict[str, Any]


def field(name: str, *, unit: float = 1.0, log: bool = False) -> Selects:
    """A number that trials have; one on the axis stands for ``unit`` of it.

    ``log``: the axis has decimal logarithms.
    """
    found: Selects = {"name": name}
    if unit != 1.0:
        found["unit"] = unit
    if log:
        found["log"] = True
    return found


def time(name: str) -> Selects:
    """A moment that trials have, drawn on an axis of dates in UTC."""
    return {"name": name, "time": True}


def lasting(start: str, end: str) -> Selects:
    """An axis of dates along which trials last from one moment to another."""
    return {"name": start, "end": end, "time": True}


def metric(name: str) -> Selects:
    """A final metric."""
    return {"name": style.escaped(f"metric:{_quoted(name)}")}


def parameter(axis: Axis, *, by_place: bool = False) -> Selects:
    """A parameter; ``by_place``: the axis has decimal logarithms where the parameter's is log."""
    found: Selects = {"name": style.escaped(f"param:{_quoted(axis.label)}")}
    if axis.kind == "choice":
        found["members"] = [style.escaped(literal(value)) for value in axis.choices]
    elif axis.kind == "log" and by_place:
        found["log"] = True
    if by_place and axis.slot is not None:
        found["missing"] = axis.slot
    return found


def _quoted(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(value: Any) -> str:
    """A value as an expression writes it; of a nested choice its name."""
    if isinstance(value, Mapping) and "_name" in value:
        value = value["_name"]
    if value is None:
        return "none"
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
