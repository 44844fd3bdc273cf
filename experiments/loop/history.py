"""An experiment's trials as its algorithms see them.

Called by ``reconcile`` for every question to a tuner or assessor. Curves of finished trials are
read once a process and kept: what a trial reports after its end is stored, but no algorithm hears
of it, so they never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple, cast

from experiments.algorithms.base import Curve
from experiments.engine.session import TrialSoFar
from experiments.models import Experiment, Metric
from experiments.states import FINISHED

_Point = tuple[int, int, float, datetime]

MAX_KEPT = 20_000  # curves of finished trials

_kept: dict[int, Curve] = {}  # by trial id
_lock = Lock()


class _Row(NamedTuple):
    """The columns of a trial that algorithms are told of, and what its curve depends on."""

    pk: int
    number: int
    parameters: Any
    state: str
    value: float | None
    note: Any
    excluded: bool
    n_reports: int
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def trials_so_far(experiment: Experiment) -> list[TrialSoFar]:
    """Every trial of the experiment with its curve of the default metric, by number."""
    rows = experiment.trials.order_by("number").values_list(*_Row._fields)
    trials = [_Row(*row) for row in rows]
    curves = _curves(experiment, trials)
    return [
        TrialSoFar(
            number=trial.number,
            parameters=trial.parameters,
            state=trial.state,
            value=trial.value,
            curve=curves[trial.pk],
            note=trial.note,
            excluded=trial.excluded,
            seconds=trial.seconds,
        )
        for trial in trials
    ]


def forget() -> None:
    """Drop what is kept: for tests that compare with a fresh process."""
    with _lock:
        _kept.clear()


def _curves(experiment: Experiment, trials: Sequence[_Row]) -> dict[int, Curve]:
    with _lock:
        curves = {trial.pk: _kept[trial.pk] for trial in trials if trial.pk in _kept}
    ends = {trial.pk: trial.finished_at for trial in trials if trial.pk not in curves}
    points: dict[int, list[tuple[int, float]]] = {pk: [] for pk in ends}
    wanted = [trial.pk for trial in trials if trial.pk in ends and trial.n_reports]
    for pk, sequence, value, time in _points(experiment, wanted):
        if (end := ends[pk]) is None or time <= end:
            points[pk].append((sequence, value))
    read = {pk: tuple(found) for pk, found in points.items()}
    with _lock:
        if len(_kept) > MAX_KEPT:
            _kept.clear()
        _kept.update({trial.pk: read[trial.pk] for trial in trials
                      if trial.state in FINISHED and trial.pk in read})  # fmt: skip
    return curves | read


def _points(experiment: Experiment, wanted: Sequence[int]) -> Iterable[_Point]:
    """(trial, sequence, value, time) of every number these trials reported, by sequence."""
    if not wanted:
        return ()
    rows = (
        Metric.objects.filter(
            kind=Metric.Kind.PERIODICAL, name=Metric.DEFAULT_NAME, value__isnull=False
        )
        .order_by("sequence")
        .values_list("trial_id", "sequence", "value", "time")
    )
    if len(wanted) <= 500:  # a database takes only so many numbers in one question
        return cast("Iterable[_Point]", rows.filter(trial_id__in=wanted))
    these = set(wanted)
    found = cast("Iterable[_Point]", rows.filter(experiment=experiment))
    return (row for row in found if row[0] in these)
