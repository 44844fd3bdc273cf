"""Trials that were launched and wait for a place: in a queue, or for a node that has room.

Called by ``reconcile``. Such a trial is WAITING with a handle: its job is there, none of it runs,
and it keeps its place among ``trialConcurrency``. That is no active time: where nothing else
runs, the experiment's clock stands still. Where a queue takes a place away again, the same trial
starts anew as another attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from experiments import hints
from experiments.models import Experiment, Trial, clock
from experiments.redaction import redact
from experiments.states import EventKind, Phase, TrialState
from experiments.training.base import Handle, JobState, JobStatus
from experiments.trials.ends import end_trial

WITHDRAWN = "It has left its queue, as the experiment is suspended."
PLACED = Q(state=TrialState.WAITING, handle__isnull=False)  # its job is in the queue


def launched(experiment: Experiment) -> list[Trial]:
    """The trials that have a job, whether anything of it runs or not."""
    with_a_job = Q(state=TrialState.RUNNING) | PLACED
    return list(experiment.trials.filter(with_a_job).defer("parameters", "note", "metrics"))


def own_up(trial: Trial, handle: Handle, words: str) -> bool:
    """Note that a waiting trial has a job, which waits too; False where it was changed meanwhile.

    Raises LostLease.
    """
    with transaction.atomic():
        seq = trial.experiment.next_seq()
        won = Trial.objects.filter(
            pk=trial.pk, state=TrialState.WAITING, attempt=trial.attempt, handle__isnull=True
        ).update(handle=handle, seq=seq)
    if won:
        trial.handle = handle
        say_why_it_waits(trial, redact(words))
    return bool(won)


def follow(trial: Trial, status: JobStatus, stop: Callable[[Handle], None]) -> bool:
    """Bring a trial in step with a job that has not ended; True where it waits for a place."""
    if not _waits(trial, status):
        if trial.state == TrialState.WAITING:
            trial.move(TrialState.RUNNING, started_at=timezone.now())
        return False
    words = redact(status.message)
    if trial.state == TrialState.WAITING:
        say_why_it_waits(trial, words)
    elif status.disrupted:
        _start_anew(trial, status, stop)
    else:
        told = {"waits_at_attempt": trial.attempt}
        trial.move(TrialState.WAITING, reason=words, data=told, started_at=None)
    return True


def _waits(trial: Trial, status: JobStatus) -> bool:
    return status.queued or (status.incomplete and not trial.n_reports and not trial.has_final)


def _start_anew(trial: Trial, status: JobStatus, stop: Callable[[Handle], None]) -> None:
    """Its queue has taken its place away: what is left goes, and another attempt queues up."""
    if trial.handle:
        stop(trial.handle)
    why = f"Disrupted. {status.message}"
    end_trial(trial, replace(status, state=JobState.LOST, message=why))


def withdraw(out: Sequence[Trial], stop: Callable[[Handle], None]) -> None:
    """Take what has not begun out of its queue: a suspended experiment starts no trials."""
    for trial in out:
        if trial.state != TrialState.WAITING or trial.n_reports or trial.stop_as:
            continue
        if trial.handle:
            stop(trial.handle)
        with transaction.atomic():
            experiment = trial.experiment
            seq = experiment.next_seq()
            left = Trial.objects.filter(
                pk=trial.pk, state=TrialState.WAITING, attempt=trial.attempt, n_reports=0
            )
            columns = {"attempt": trial.attempt + 1, "handle": None, "reason": WITHDRAWN}
            if left.update(seq=seq, **columns):
                trial.attempt, trial.handle, trial.reason = trial.attempt + 1, None, WITHDRAWN
                experiment.record(EventKind.REMARK, trial=trial, reason=WITHDRAWN, seq=seq)


def begun(trial: Trial, status: JobStatus) -> None:
    """Move a trial on whose job had its place and has ended, all between two looks at it."""
    was_stopped = status.state is JobState.STOPPED and trial.stop_as == TrialState.CANCELED
    if trial.state == TrialState.WAITING and not was_stopped:
        trial.move(TrialState.RUNNING, started_at=timezone.now())


def say_why_it_waits(trial: Trial, words: str) -> None:
    """Show on a waiting trial for what it waits; an event tells of the first time only.

    Who holds what it waits for may change every second.
    """
    if words == trial.reason:
        return
    experiment = trial.experiment
    told = experiment.events.filter(trial=trial, data__waits_at_attempt=trial.attempt)
    with transaction.atomic():
        if not Trial.objects.filter(pk=trial.pk, state=TrialState.WAITING).update(reason=words):
            return
        trial.reason = words
        if not told.exists():
            data = {"waits_at_attempt": trial.attempt}
            experiment.record(EventKind.REMARK, trial=trial, reason=words, data=data)
            return
        Trial.objects.filter(pk=trial.pk).update(seq=experiment.next_seq())
        hints.hint_on_commit(experiment.pk)


def set_the_clock(experiment: Experiment, out: Sequence[Trial], *, trouble: bool = False) -> None:
    """Let the clock of active time stand while nothing can run, and go on as soon as it can.

    Args:
        out: the trials that have a job.
        trouble: no trial can be started now, through nobody's fault here.
    """
    if experiment.phase != Phase.RUNNING:
        return
    runs = any(trial.state == TrialState.RUNNING for trial in out)
    stands = experiment.suspended or (not runs and (trouble or bool(out)))
    if stands == (experiment.clock_at is None):
        return
    now = timezone.now()
    columns = {
        "active_seconds": experiment.active_seconds_at(now),
        **clock.columns(None if stands else now),
    }
    won = Experiment.objects.filter(
        pk=experiment.pk,
        phase=Phase.RUNNING,
        suspended=experiment.suspended,
        clock_at=experiment.clock_at,
    ).update(**columns)
    if won:
        for name, value in columns.items():
            setattr(experiment, name, value)
        experiment.announce()
