"""Numbers and choices of trials by name: what an axis or a colour of ``scatter`` can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.charts import axes, style
from experiments.charts.axes import Axis
from experiments.charts.base import Floats, TrialRecord
from experiments.charts.columns import ABSENT, Column, Columns, as_numbers
from experiments.charts.comparable import Comparable
from experiments.charts.words import gettext as _

PARAMETER, METRIC = "param:", "metric:"
Maker = Callable[[], Axis | None]  # makes the axis; None where no trial has such a number
Reader = Callable[[TrialRecord], Any]  # a trial's number as a table shows it; None where none


def makers(space: Mapping[str, Any], trials: Comparable) -> dict[str, tuple[str, Maker]]:
    """What an axis can show: its words, and how it is made."""
    columns = trials.columns
    plain = {
        "value": (_("Value"), columns.value),
        "duration": (_("Duration (s)"), _durations(columns)),
        "number": (_("Trial"), columns.number.astype(np.float64)),
    }
    found: dict[str, tuple[str, Maker]] = {}
    for name, (words, numbers) in plain.items():
        found[name] = (words, partial(axes.axis_of, words, Column.of_numbers(numbers)))
    for axis in axes.axes(space, trials.parameters):
        if not axis.is_constant:
            found[PARAMETER + axis.label] = (axis.label, partial(_given, axis))
    for name in sorted(trials.metrics.names()):
        words = _("metric {name}", name=name)
        found[METRIC + name] = (words, partial(_metric_axis, words, name, trials))
    return found


def colour_makers(trials: Comparable) -> dict[str, tuple[str, Maker]]:
    """What only a colour shows: when a trial began, and how it ended."""
    return {
        name: (words, partial(_read_axis, words, read, trials.trials))
        for name, (words, read) in _colour_readers(trials.trials).items()
    }


def cells(name: str, axis: Axis, trials: Sequence[TrialRecord]) -> list[Any]:
    """Every trial's value of it as a table shows it; None where it has none.

    When trials began is counted from the first of those given.
    """
    if name.startswith(PARAMETER):
        return axes.cells(axis, [t.parameters for t in trials])
    if name.startswith(METRIC):
        read = _metric(name.removeprefix(METRIC))
    else:
        own: dict[str, Reader] = {"duration": _duration, "number": _number, "value": _value}
        read = own.get(name) or _colour_readers(trials)[name][1]
    return [read(trial) for trial in trials]


def _given(axis: Axis) -> Axis:
    return axis


def _metric_axis(words: str, name: str, trials: Comparable) -> Axis | None:
    column = trials.metrics.column((name,))
    if column.numbers is None:  # some are no numbers
        return _read_axis(words, _metric(name), trials.trials)
    return axes.axis_of(words, column)


def _read_axis(words: str, read: Reader, trials: Sequence[TrialRecord]) -> Axis | None:
    values = [ABSENT if (value := read(trial)) is None else value for trial in trials]
    return axes.axis_of(words, Column(values, as_numbers(values)))


def _colour_readers(trials: Sequence[TrialRecord]) -> dict[str, tuple[str, Reader]]:
    begun = [trial.started_at for trial in trials if trial.started_at is not None]
    first, last = min(begun, default=None), max(begun, default=None)
    found: dict[str, tuple[str, Reader]] = {
        "state": (_("State"), lambda trial: style.state_name(trial.state))
    }
    if first is None or last is None or first == last:
        return found
    unit_s, unit = style.time_unit((last - first).total_seconds())

    def start(trial: TrialRecord) -> float | None:
        began = trial.started_at
        return None if began is None else round((began - first).total_seconds() / unit_s, 5)

    return {"start": (_("Start ({unit} after the first)", unit=unit), start), **found}


def _durations(columns: Columns) -> Floats:
    """Seconds, in whole milliseconds."""
    seconds: Floats = np.rint((columns.finished - columns.started) / 1e3) / 1e3
    return seconds


def _duration(trial: TrialRecord) -> float | None:
    if trial.started_at is None or trial.finished_at is None:
        return None
    return round((trial.finished_at - trial.started_at).total_seconds() * 1e3) / 1e3


def _value(trial: TrialRecord) -> float | None:
    return trial.value


def _number(trial: TrialRecord) -> int:
    return trial.number


def _metric(name: str) -> Reader:
    def read(trial: TrialRecord) -> Any:
        value = trial.metrics.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) else None

    return read
