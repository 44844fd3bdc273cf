"""Requests of trackers' clients as a trial's reports: which number is which point of which curve.

Called by ``rows`` for each ``Tracked``, inside its transaction and with the trial's row locked.

Every metric is a curve of its own, numbered in the order in which its values come. The one that
``spec.metrics.objective`` names is the trial's value, unless the script had reported one itself
before. A request that comes again changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from experiments.models import Experiment, Metric, TrackedTrial
from experiments.reports.tracking import TRAINER, Entry, Run, Tracked
from experiments.reports.wire import MAX_NAME_LENGTH, json_number

MOST_SERIES = 1000  # metrics of a trial; docs/trials.md names these
MOST_PAIRS = 1000  # parameters, and tags
MOST_RUNS = 200
KEPT_DIGESTS = 64  # requests after which a repeated one is not known any more


class Point(NamedTuple):
    """One number as a row of ``Metric`` has it."""

    sequence: int
    step: float | None
    name: str
    value: float


def row_of(trial_id: int, experiment_id: str) -> TrackedTrial:
    """The trial's row, or a new one that is not stored yet."""
    found = TrackedTrial.objects.filter(pk=trial_id).first()
    if found is not None:
        return found
    manifest = Experiment.objects.only("manifest").get(pk=experiment_id).configuration
    objective = (manifest.get("metrics") or {}).get("objective") or ""
    return TrackedTrial(trial_id=trial_id, objective=objective)


def merge(row: TrackedTrial, item: Tracked, *, may_decide: bool) -> list[Point]:
    """Note what the request says; return the numbers that are new.

    ``may_decide``: the objective's values are the trial's own, as nobody else reports them.
    """
    if item.digest:
        if item.digest in row.recent:
            return []
        row.recent = [*row.recent[1 - KEPT_DIGESTS :], item.digest]
    if item.run is not None:
        _note_run(row, item.run)
    for kept, given in ((row.params, item.params), (row.tags, item.tags)):
        for name, text in given.items():
            if name in kept or len(kept) < MOST_PAIRS:
                kept[name] = text
    row.files += item.files
    before = _child(row, item.run)
    points = [_point(row, item.door, before, entry, may_decide) for entry in item.entries]
    return [point for point in points if point is not None]


def longest(row: TrackedTrial) -> int:
    """How many reports the trial has: those of its longest curve."""
    return max((count for count, *_ in row.series.values()), default=0)


def expected_end(item: Tracked, now: datetime) -> datetime | None:
    return None if item.seconds_left is None else now + timedelta(seconds=item.seconds_left)


def _note_run(row: TrackedTrial, run: Run) -> None:
    known = row.runs.get(run.id)
    if known is None and len(row.runs) >= MOST_RUNS:
        return
    given = {"name": run.name, "status": run.status, "parent": run.parent, "start": run.started_ms}
    row.runs[run.id] = {**(known or given), **{k: v for k, v in given.items() if v}}


def _child(row: TrackedTrial, run: Run | None) -> str:
    """What stands before the names of a child run's metrics: "fold 1/"."""
    known = row.runs.get(run.id, {}) if run else {}
    return f"{known.get('name') or run.id[:8]}/" if run and known.get("parent") else ""


def _point(
    row: TrackedTrial, door: str, before: str, entry: Entry, may_decide: bool
) -> Point | None:
    name = (before + entry.name)[-MAX_NAME_LENGTH:]
    known = row.series.get(name)
    if known is None and len(row.series) >= MOST_SERIES:
        return None
    count, last_step, by, last = known or (0, None, door, None)
    value = json_number(entry.value)
    if by != door or (known is not None and entry.of_model and _is_stored(row, name, entry)):
        return None  # the same metric, told twice
    if door == TRAINER and known is not None and value == last:
        return None  # it repeats what was logged last
    step = last_step if entry.step is None else entry.step
    is_unnumbered = step is None or (door != TRAINER and step == last_step == 0 and count > 0)
    row.series[name] = [count + 1, step, by, value]
    is_default = name == row.objective and may_decide
    shown = name if name != Metric.DEFAULT_NAME else f"{name} (logged)"
    return Point(
        count,
        float(count) if is_unnumbered else step,
        Metric.DEFAULT_NAME if is_default else shown,
        entry.value,
    )


def _is_stored(row: TrackedTrial, name: str, entry: Entry) -> bool:
    stored = [name, Metric.DEFAULT_NAME] if name == row.objective else [name]
    rows = Metric.objects.filter(trial_id=row.trial_id, kind=Metric.Kind.PERIODICAL)
    rows = rows.filter(name__in=stored, step=entry.step)
    value = json_number(entry.value)
    is_named = isinstance(value, str)
    return rows.filter(**({"nonfinite": value} if is_named else {"value": value})).exists()
