"""Numbers and choices of trials by name: what an axis or a colour of ``scatter`` can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from experiments.charts import axes, style
from experiments.charts.axes import Axis
from experiments.charts.base import TrialRecord
from experiments.charts.words import gettext as _

PARAMETER, METRIC = "param:", "metric:"
Reader = Callable[[TrialRecord], Any]  # a trial's number; None where it has none


def readers(
    parameters: Sequence[Axis], trials: Sequence[TrialRecord]
) -> dict[str, tuple[str, Reader | None]]:
    """What an axis can show: its words, and how a trial's number is read.

    Parameters have no reader: their axes are the space's own.
    """
    found: dict[str, tuple[str, Reader | None]] = {
        "value": (_("Value"), _value),
        "duration": (_("Duration (s)"), _duration),
        "number": (_("Trial"), _number),
    }
    for axis in parameters:
        if not axis.is_constant:
            found[PARAMETER + axis.label] = (axis.label, None)
    names = dict.fromkeys(name for t in trials for name in t.metrics)
    for name in sorted(names):
        found[METRIC + name] = (_("metric {name}", name=name), _metric(name))
    return found


def colour_readers(trials: Sequence[TrialRecord]) -> dict[str, tuple[str, Reader | None]]:
    """What only a colour shows: when a trial began, and how it ended."""
    begun = [trial.started_at for trial in trials if trial.started_at is not None]
    first, last = min(begun, default=None), max(begun, default=None)
    found: dict[str, tuple[str, Reader | None]] = {
        "state": (_("State"), lambda trial: style.state_name(trial.state))
    }
    if first is None or last is None or first == last:
        return found
    unit_s, unit = style.time_unit((last - first).total_seconds())

    def start(trial: TrialRecord) -> float | None:
        began = trial.started_at
        return None if began is None else round((began - first).total_seconds() / unit_s, 5)

    return {"start": (_("Start ({unit} after the first)", unit=unit), start), **found}


def _duration(trial: TrialRecord) -> float | None:
    if trial.started_at is None or trial.finished_at is None:
        return None
    return round((trial.finished_at - trial.started_at).total_seconds(), 3)


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


def cells(name: str, axis: Axis, trials: Sequence[TrialRecord]) -> list[Any]:
    """Every trial's value of it as a table shows it; None where it has none."""
    if name.startswith(PARAMETER):
        return axes.cells(axis, [t.parameters for t in trials])
    if name.startswith(METRIC):
        read: Reader | None = _metric(name.removeprefix(METRIC))
    else:
        own = {"duration": _duration, "number": _number, "value": _value}
        read = own.get(name) or colour_readers(trials)[name][1]
    assert read is not None
    return [read(trial) for trial in trials]
