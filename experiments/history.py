"""An experiment's trials as its algorithms see them.

Called by ``reconcile`` for every question to a tuner or assessor. Curves of finished trials are
read once a process and kept: what a trial reports after its end is stored, but no algorithm hears
of it, so they never change.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from django.db.models import Q

from experiments.engine.session import Curve, TrialRecord
from experiments.models import Experiment, Metric, Trial

MAX_KEPT = 20_000  # curves of finished trials

_kept: dict[int, Curve] = {}  # by trial id
_lock = Lock()


def trial_records(experiment: Experiment) -> list[TrialRecord]:
    """Every trial of the experiment with its curve of the default metric, by number."""
    trials = list(experiment.trials.order_by("number"))
    curves = _curves(experiment, trials)
    return [
        TrialRecord(
            number=trial.number,
            parameters=trial.parameters,
            state=trial.state,
            value=trial.value,
            curve=curves[trial.pk],
            note=trial.note,
            excluded=trial.excluded,
        )
        for trial in trials
    ]


def forget() -> None:
    """Drop what is kept: for tests that compare with a fresh process."""
    with _lock:
        _kept.clear()


def _curves(experiment: Experiment, trials: Sequence[Trial]) -> dict[int, Curve]:
    with _lock:
        curves = {trial.pk: _kept[trial.pk] for trial in trials if trial.pk in _kept}
    ends = {trial.pk: trial.finished_at for trial in trials if trial.pk not in curves}
    points: dict[int, list[tuple[int, float]]] = {pk: [] for pk in ends}
    wanted = [trial.pk for trial in trials if trial.pk in ends and trial.n_reports]
    # A database takes only so many numbers in one question.
    these = Q(trial_id__in=wanted) if len(wanted) <= 500 else Q(experiment=experiment)
    rows = (
        Metric.objects.filter(
            these,
            kind=Metric.Kind.PERIODICAL,
            name=Metric.DEFAULT_NAME,
            value__isnull=False,
        )
        .order_by("sequence")
        .values_list("trial_id", "sequence", "value", "time")
    )
    for pk, sequence, value, time in rows:
        if pk in ends and ((end := ends[pk]) is None or time <= end):
            points[pk].append((sequence, value))
    read = {pk: tuple(found) for pk, found in points.items()}
    with _lock:
        if len(_kept) > MAX_KEPT:
            _kept.clear()
        _kept.update({trial.pk: read[trial.pk] for trial in trials
                      if trial.is_finished and trial.pk in read})  # fmt: skip
    return curves | read
