"""When an experiment will be done at its pace, and what its trials have cost. Called by REST."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from django.db.models import Min
from django.utils import timezone

from experiments.engine import pace
from experiments.manifest.forecast import gpus_of_a_trial
from experiments.models import Experiment, Metric
from experiments.problems import ProblemsError
from experiments.selectors import trial_columns
from experiments.selectors.let_finish import let_finish_json
from experiments.selectors.present import count_trials
from experiments.states import Phase, TrialState

NEWEST = 200  # ended trials that tell the pace; the first ones may have been quicker or slower

ENDED_BY_ITSELF = frozenset({TrialState.SUCCEEDED, TrialState.FAILED, TrialState.EARLY_STOPPED})


def pace_json(experiment: Experiment) -> dict[str, Any]:
    """Seconds left (None: ended, suspended, or too few trials), spent on trials, and saved.

    Time that trials wait for a slot or a node counts as left, but not as spent.
    """
    now = timezone.now()
    columns = ("state", "created_at", "started_at", "finished_at", "n_reports", "number")
    trials = trial_columns.of(experiment, columns)
    rows = list(zip(*(trials[name] for name in columns[:4]), strict=True))
    ran = [(state, _between(start, end or now)) for state, _, start, end in rows if start]
    by_state: dict[str, list[float]] = {state: [] for state in TrialState}
    for state, seconds in ran:
        by_state.setdefault(state, []).append(seconds)
    held = [_between(made, end) for state, made, _, end in rows if end and state in ENDED_BY_ITSELF]
    running = [_between(made, now) for state, made, _, _ in rows if state == TrialState.RUNNING]
    left = None
    if _goes_on(experiment):
        n_waiting = sum(state == TrialState.WAITING for state, *_ in rows)
        seconds_left = experiment.seconds_left_at(now)
        left = pace.time_left(
            held[-NEWEST:],
            running,
            n_to_come=n_waiting
            if experiment.exhausted
            else max(n_waiting, _n_open(experiment) - len(running)),
            at_once=experiment.concurrency,
            limit_s=math.inf if seconds_left is None else max(0.0, seconds_left),
        )
    spent = sum(seconds for _, seconds in ran)
    gpus = _gpus(experiment)
    stopped = _stopped(experiment, trials)
    saved = pace.saved_by_stopping(
        by_state[TrialState.SUCCEEDED],
        [
            n for state, n in zip(trials["state"], trials["n_reports"], strict=True)
            if state == TrialState.SUCCEEDED
        ],
        stopped,
    ) or (None, None)  # fmt: skip
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


def _stopped(experiment: Experiment, trials: trial_columns.TrialColumns) -> list[pace.Stopped]:
    if TrialState.EARLY_STOPPED not in trials["state"]:
        return []
    first = dict(
        Metric.objects.filter(
            trial__experiment_id=experiment.pk,
            trial__state=TrialState.EARLY_STOPPED,
            kind=Metric.Kind.PERIODICAL,
            sequence=0,
        )
        .order_by()
        .values_list("trial__number")
        .annotate(Min("time"))
    )
    names = ("state", "started_at", "finished_at", "n_reports", "number")
    return [
        pace.Stopped(
            seconds=_between(start, end),
            n_reports=n,
            reporting_s=_between(first[number], end) if number in first else None,
        )
        for state, start, end, n, number in zip(*(trials[name] for name in names), strict=True)
        if state == TrialState.EARLY_STOPPED and start and end
    ]


def _n_open(experiment: Experiment) -> float:
    """Trials that have not ended, of those it may have."""
    if experiment.max_trials is None:
        return math.inf
    return experiment.max_trials - count_trials([experiment])[experiment.pk].finished


def _goes_on(experiment: Experiment) -> bool:
    is_ending = experiment.suspended or experiment.finish_requested or experiment.deleting
    return experiment.phase == Phase.RUNNING and not is_ending


def _between(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _gpus(experiment: Experiment) -> int:
    try:
        return gpus_of_a_trial(experiment.spec)
    except ProblemsError:  # a later release of ours refuses what was taken
        return 0
