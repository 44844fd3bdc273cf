"""Charts as tables: what several of them share.

Every chart has a ``table`` beside its ``figure``, of the same ``info``. Numbers are as they were
reported, not as an axis places them; where a figure draws densities, the table has each trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from experiments.charts import axes, style
from experiments.charts.axes import Axis
from experiments.charts.base import Cell, Figure, Table, TrialRecord
from experiments.charts.words import gettext as _


def state_of(trial: TrialRecord) -> str:
    name = style.state_name(trial.state)
    return _("{state}, excluded", state=name) if trial.excluded else name


def time_of(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def with_parameters(
    columns: Mapping[str, Sequence[Cell]], trials: Sequence[TrialRecord], shown: Iterable[Axis]
) -> Table:
    """A row a trial: its number, these columns, and its value of each of the parameters."""
    parameters = [trial.parameters for trial in trials]
    given: list[tuple[str, Sequence[Cell]]] = [
        (_("Trial"), [trial.number for trial in trials]),
        *columns.items(),
        *((axis.label, axes.cells(axis, parameters)) for axis in shown),
    ]
    rows = list(zip(*(cells for _name, cells in given), strict=True))
    return Table(tuple(name for name, _cells in given), rows)


def of_lines(figure: Figure, what: str = "") -> Table:
    """A figure of lines: each point with the line it is on. ``what`` a line is, in words."""
    layout = figure["layout"]
    if not figure["data"]:
        return Table(())
    titles = [_title(layout["xaxis"]), _title(layout["yaxis"])]
    rows: list[tuple[Cell, ...]] = []
    for trace in figure["data"]:
        if trace.get("hoverinfo") == "skip" and trace.get("fill"):
            continue  # a band's outline: no line of its own
        numbers = trace.get("customdata")
        name = style.unescaped(style.unwrapped(trace.get("name", "")))
        for i, (x, y) in enumerate(zip(trace["x"], trace["y"], strict=True)):
            if x is not None and y is not None:
                rows.append((f"#{numbers[i]}" if numbers else name, x, y))
    return Table((what or _("Line"), *titles), rows)


def _title(axis: Mapping[str, Any]) -> str:
    return style.unescaped(axis["title"]["text"])
