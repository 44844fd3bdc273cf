"""When an experiment will be done at its pace, and what its trials have cost. Called by REST."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from experiments.charts.base import Floats
from experiments.charts.columns import Columns, is_any_of, micros
from experiments.engine import pace
from experiments.manifest.forecast import gpus_of_a_trial
from experiments.models import Experiment, Metric
from experiments.problems import ProblemsError
from experiments.selectors import fast_rows, trial_records
from experiments.selectors.kept import Kept
from experiments.selectors.let_finish import let_finish_json
from experiments.selectors.present import count_trials
from experiments.selectors.trial_records import Rows
from experiments.states import Phase, TrialState

FEW = 1000  # keys that a query names one by one
NEWEST = 200  # ended trials that tell the pace; the first ones may have been quicker or slower

ENDED_BY_ITSELF = frozenset({TrialState.SUCCEEDED, TrialState.FAILED, TrialState.EARLY_STOPPED})


def pace_json(experiment: Experiment) -> dict[str, Any]:
    """Seconds left (None: ended, suspended, or too few trials), spent on trials, and saved.

    Time that trials wait for a slot or a node counts as left, but not as spent.
    """
    now = timezone.now()
    rows = trial_records.of(experiment)
    every, n_reports = rows.kept.columns, rows.n_reports
    end = np.where(np.isnan(every.finished), micros(now), every.finished)
    ran_s = _between(every.started, end)  # NaN of those that did not start
    held_s = _between(every.created, every.finished)
    is_running = _are(every, TrialState.RUNNING)
    running = _between(every.created[is_running], micros(now)).tolist()
    ended = np.flatnonzero(is_any_of(every.state, ENDED_BY_ITSELF) & ~np.isnan(held_s))
    left = None
    if _goes_on(experiment):
        n_waiting = int(_are(every, TrialState.WAITING).sum())
        seconds_left = experiment.seconds_left_at(now)
        left = pace.time_left(
            held_s[ended[-NEWEST:]].tolist(),
            running,
            n_to_come=n_waiting
            if experiment.exhausted
            else max(n_waiting, _n_open(experiment) - len(running)),
            at_once=experiment.concurrency,
            limit_s=math.inf if seconds_left is None else max(0.0, seconds_left),
        )
    spent = float(np.nansum(ran_s))
    gpus = _gpus(experiment)
    stopped = _stopped(experiment, rows)
    succeeded = _are(every, TrialState.SUCCEEDED)
    saved = pace.saved_by_stopping(
        ran_s[succeeded & ~np.isnan(ran_s)].tolist(), n_reports[succeeded].tolist(), stopped
    ) or (None, None)
    return {
        "left": left
        and {"low_s": round(left.low_s, 1), "high_s": round(left.high_s, 1),
             "ends_by": left.ends_by},
        "trial_seconds": round(spent, 1),
        "gpus_per_trial": gpus,
        "gpu_seconds": round(spent * gpus, 1) if gpus else None,
        "stopped_early": len(stopped),
        "saved_seconds": _rounded(saved[0]),
        "saved_reports": _rounded(saved[1]),
        "let_finish": let_finish_json(experiment),
    }  # fmt: skip


def _are(every: Columns, state: TrialState) -> NDArray[np.bool_]:
    return is_any_of(every.state, frozenset({state}))


def _stopped(experiment: Experiment, rows: Rows) -> list[pace.Stopped]:
    every = rows.kept.columns
    is_stopped = _are(every, TrialState.EARLY_STOPPED)
    places = np.flatnonzero(is_stopped & ~np.isnan(every.started) & ~np.isnan(every.finished))
    if not places.size:
        return []
    first = _first_reports(experiment, rows.pks[places])
    found = zip(
        _between(every.started[places], every.finished[places]).tolist(),
        rows.n_reports[places].tolist(),
        _between(first, every.finished[places]).tolist(),
        strict=True,
    )
    return [
        pace.Stopped(seconds, n, None if math.isnan(reporting_s) else reporting_s)
        for seconds, n, reporting_s in found
    ]


# By experiment: its stopped trials, and when each reported first. That does not change any more.
_first: Kept[str, tuple[NDArray[np.int64], Floats]] = Kept(8)


def _first_reports(experiment: Experiment, pks: NDArray[np.int64]) -> Floats:
    """When each of these trials, that were stopped, reported first; NaN where it did not."""
    known = _first.get(experiment.pk) or (np.empty(0, dtype=np.int64), np.empty(0))
    new = np.setdiff1d(pks, known[0])
    if new.size:
        rows = Metric.objects.filter(
            trial__experiment_id=experiment.pk,
            trial__state=TrialState.EARLY_STOPPED,
            kind=Metric.Kind.PERIODICAL,
            sequence=0,
        )
        if new.size <= FEW:
            rows = rows.filter(trial__in=new.tolist())
        trials, times = fast_rows.columns(rows.order_by(), ("trial", "time"))
        at: dict[int, datetime] = {}
        for pk, time in zip(trials, times, strict=True):  # one a metric
            at[pk] = min(time, at.get(pk, time))
        found = [micros(at[pk]) if pk in at else math.nan for pk in new.tolist()]
        order = np.argsort(np.concatenate([known[0], new]))
        known = (
            np.concatenate([known[0], new])[order],
            np.concatenate([known[1], np.array(found, dtype=np.float64)])[order],
        )
        _first.put(experiment.pk, known)
    times_of: Floats = known[1][np.searchsorted(known[0], pks)]
    return times_of


def _n_open(experiment: Experiment) -> float:
    """Trials that have not ended, of those it may have."""
    if experiment.max_trials is None:
        return math.inf
    return experiment.max_trials - count_trials([experiment])[experiment.pk].finished


def _goes_on(experiment: Experiment) -> bool:
    is_ending = experiment.suspended or experiment.finish_requested or experiment.deleting
    return experiment.phase == Phase.RUNNING and not is_ending


def _between(start: Floats, end: Floats | float) -> Floats:
    """Seconds, of microseconds; NaN where one of them is."""
    seconds: Floats = np.maximum((end - start) / 1e6, 0.0)
    return seconds


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _gpus(experiment: Experiment) -> int:
    try:
        return gpus_of_a_trial(experiment.spec)
    except ProblemsError:  # a later release of ours refuses what was taken
        return 0
