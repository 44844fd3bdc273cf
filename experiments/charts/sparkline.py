"""A line small enough for a table's row: the best value so far, as the points of an SVG polyline.

Pure; fed by ``selectors.trend``, drawn by the template tag of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.charts.scale import DRAWABLE

WIDTH = 96
HEIGHT = 24
EDGE = 2.0  # room for the line's own width


@dataclass(frozen=True)
class BestLine:
    """Where the best value stepped, by trial number; on to the newest trial."""

    steps: tuple[tuple[int, float], ...]  # (number, best from there on), ascending
    last: int  # number of the newest trial

    @property
    def first_value(self) -> float:
        return self.steps[0][1]

    @property
    def last_value(self) -> float:
        return self.steps[-1][1]


def running_best(
    values: Sequence[tuple[int, float]], *, maximize: bool
) -> tuple[tuple[int, float], ...]:
    """Those of ``values``, (number, value) by number, that are better than all before."""
    steps: list[tuple[int, float]] = []
    for number, value in values:
        if not steps or (value > steps[-1][1] if maximize else value < steps[-1][1]):
            steps.append((number, value))
    return tuple(steps)


def points(line: BestLine) -> str:
    """The ``points`` of a polyline that steps; level where the best never changed."""
    values = [min(max(value, -DRAWABLE), DRAWABLE) for _, value in line.steps]
    low, high = min(values), max(values)
    height = high / 2 - low / 2  # halves: the width of two huge ones overflows
    span = max(1, line.last)

    def x(number: int) -> str:
        return f"{EDGE + (WIDTH - 2 * EDGE) * min(number, span) / span:.1f}"

    def y(value: float) -> str:
        share = 0.5 if height <= 0 else (value / 2 - low / 2) / height
        return f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * share:.1f}"

    found = [f"{x(line.steps[0][0])},{y(values[0])}"]
    for i in range(1, len(values)):
        at = x(line.steps[i][0])
        found += [f"{at},{y(values[i - 1])}", f"{at},{y(values[i])}"]
    found.append(f"{x(max(line.last, line.steps[-1][0]))},{y(values[-1])}")
    return " ".join(found)
