"""Rows as plain JSON: the one shape that REST, websocket, export and pages' scripts share.

Pure reading; times are ISO 8601 with offset, non-finite numbers the strings "NaN", "Infinity",
"-Infinity".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone

from experiments.models import Event, Experiment, Metric, Trial
from experiments.states import FINISHED, WENT_WRONG, TrialState


def iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def trial_json(trial: Trial) -> dict[str, Any]:
    """One row of the trial table, and one element of a websocket message's ``trials``."""
    return {
        "number": trial.number,
        "id": trial.key,
        "state": trial.state,
        "stopping": bool(trial.stop_as) and trial.state not in FINISHED,
        "origin": trial.origin,
        "reason": trial.reason,
        "parameters": trial.parameters,
        "value": trial.value,
        "metrics": trial.metrics,
        "latest_value": trial.latest_value,
        "latest_sequence": trial.latest_sequence,
        "n_reports": trial.n_reports,
        "has_final": trial.has_final,
        "excluded": trial.excluded,
        "retriable": trial.is_retriable,
        "attempt": trial.attempt,
        "exit_code": trial.exit_code,
        "created_at": iso(trial.created_at),
        "started_at": iso(trial.started_at),
        "finished_at": iso(trial.finished_at),
        "seq": trial.seq,
    }


def metric_json(metric: Metric, trial_number: int) -> dict[str, Any]:
    """One number of one report, as the websocket and ``metrics/`` send it."""
    return {
        "trial": trial_number,
        "kind": metric.kind,
        "sequence": metric.sequence,
        "step": metric.step,
        "name": metric.name,
        "value": metric.json_value,
        "time": iso(metric.time),
        "seq": metric.seq,
    }


def event_json(event: Event, trial_number: int | None) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "trial": trial_number,
        "what": event.what,
        "from": event.from_state,
        "to": event.to_state,
        "reason": event.reason,
        "data": event.data,
        "time": iso(event.time),
    }


@dataclass(frozen=True)
class TrialCounts:
    """How many trials an experiment has."""

    by_state: dict[str, int]
    to_retry: int  # failed or lost, and not retried yet


def count_trials(experiments: Iterable[Experiment]) -> dict[str, TrialCounts]:
    """Trials of each experiment id, in one query."""
    ids = [experiment.pk for experiment in experiments]
    by_state = {pk: {state.value: 0 for state in TrialState} for pk in ids}
    to_retry = dict.fromkeys(ids, 0)
    rows = (
        Trial.objects.filter(experiment_id__in=ids)
        .values_list("experiment_id", "state", "retried")
        .annotate(n=Count("id"))
        .order_by()
    )
    for pk, state, retried, n in rows:
        by_state[pk][state] += n
        if state in WENT_WRONG and not retried:
            to_retry[pk] += n
    return {pk: TrialCounts(by_state[pk], to_retry[pk]) for pk in ids}


def experiment_json(experiment: Experiment, counts: TrialCounts | None = None) -> dict[str, Any]:
    """Head of an experiment: everything but its manifest and trials."""
    if counts is None:
        counts = count_trials([experiment])[experiment.pk]
    by_state = counts.by_state
    best = experiment.best_trial
    return {
        "id": experiment.pk,
        "name": experiment.name,
        "project": experiment.project.name,
        "notes": experiment.notes,
        "origin": experiment.origin,
        "optimize_mode": experiment.optimize_mode,
        "phase": experiment.phase,
        "suspended": experiment.suspended,
        "finishing": experiment.finish_requested and not experiment.is_ended,
        "message": experiment.message,
        "max_exec_seconds": experiment.max_exec_seconds,
        "max_trials": experiment.max_trials,
        "concurrency": experiment.concurrency,
        "active_seconds": round(experiment.active_seconds_at(timezone.now()), 3),
        "clock_running": experiment.clock_at is not None,
        "counts": by_state,
        "n_trials": sum(by_state.values()),
        "n_finished": sum(by_state[state] for state in FINISHED),
        "n_to_retry": counts.to_retry,
        "best": trial_json(best) if best else None,
        "seed": experiment.seed,
        "created_at": iso(experiment.created_at),
        "started_at": iso(experiment.started_at),
        "finished_at": iso(experiment.finished_at),
        "seq": experiment.last_seq,
    }
