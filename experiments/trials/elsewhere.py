"""Trials that programs elsewhere run, as one more backend of the loop.

A trial is given out when a program has asked for one and waits (``Ask``); launching it is writing
who has it (``Loan``). It ends when that program tells what came of it (``services.elsewhere``),
when it is stopped, or when nothing was heard of it for too long: then it is lost, and starts anew
with whoever asks next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from experiments.models import Ask, Loan, Metric, Trial
from experiments.training.base import (
    Backend,
    Handle,
    JobState,
    JobStatus,
    Launch,
    LaunchError,
    LogFile,
    NotYet,
)

LOAN = "loan"  # in a trial's handle: a program elsewhere has it


def is_elsewhere(handle: Handle | None) -> bool:
    """Whether what this handle is of runs elsewhere."""
    return bool(handle) and LOAN in (handle or {})


def restart_silence() -> None:
    """Leave out the time in which nothing of ours could hear; called when the ticker starts."""
    Loan.objects.filter(told__isnull=True).update(heard_at=timezone.now())


def status_of(told: Any) -> JobStatus:
    """What a program told of its trial, as the loop knows ends."""
    if "failed" in told:
        return JobStatus(JobState.FAILED, message=told["failed"])
    if "stopped" in told:
        return JobStatus(JobState.STOPPED)
    if "lost" in told:
        return JobStatus(JobState.LOST, message=told["lost"])
    return JobStatus(JobState.SUCCEEDED)


class Elsewhere(Backend):
    """Gives trials to programs that ask."""

    name = "elsewhere"

    def launch(self, launch: Launch) -> Handle:
        if (loan := _loan_of(launch)) is None:
            loan = _give_out(launch)
        return _handle(loan, launch)

    def room(self, launch: Launch, most: int) -> int:
        waiting = _waiting_asks(launch.experiment_id).annotate(n=Count("loans"))
        free = sum(max(0, ask.wanted - ask.n) for ask in waiting)
        return min(most, free)

    def find(self, launch: Launch) -> Handle | None:
        loan = _loan_of(launch)
        return None if loan is None else _handle(loan, launch)

    def documents(self, launch: Launch) -> list[dict[str, Any]]:
        raise LaunchError("Nothing is started for it: programs elsewhere ask for the trials.")

    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        now = timezone.now()
        loans = Loan.objects.select_related("trial").in_bulk([handle[LOAN] for handle in handles])
        return [_status(loans.get(handle[LOAN]), handle, now) for handle in handles]

    def stop(self, handle: Handle) -> None:
        return  # the trial's row says it, to ``poll`` and to the program

    def logs(self, handle: Handle) -> list[LogFile]:
        return []

    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        return b""

    def forget(self, handle: Handle) -> None:
        return  # the rows go with the trial's


def _waiting_asks(experiment_id: str) -> QuerySet[Ask]:
    return Ask.objects.filter(experiment_id=experiment_id, until__gt=timezone.now()).order_by("pk")


def _loan_of(launch: Launch) -> Loan | None:
    return Loan.objects.filter(trial__key=launch.trial_key, attempt=launch.attempt).first()


def _give_out(launch: Launch) -> Loan:
    """Write who has it: the program that has waited longest. Raises NotYet."""
    with transaction.atomic():
        for ask in _waiting_asks(launch.experiment_id).select_for_update():
            if ask.loans.count() < ask.wanted:
                trial = Trial.objects.get(key=launch.trial_key)
                return Loan.objects.create(ask=ask, trial=trial, attempt=launch.attempt)
    raise NotYet("Waits for a program to ask for it.")


def _handle(loan: Loan, launch: Launch) -> Handle:
    return {"name": launch.name, LOAN: loan.pk, "lost_after_s": launch.lost_after_s}


def _status(loan: Loan | None, handle: Handle, now: datetime) -> JobStatus:
    if loan is None:
        return JobStatus(JobState.LOST, message="Nobody knows any more who has it.")
    if loan.trial.stop_as:  # what runs elsewhere cannot be ended from here, nor waited for
        return JobStatus(JobState.STOPPED)
    if loan.told is not None:
        return status_of(loan.told)
    patience = timedelta(seconds=float(handle["lost_after_s"]))
    if now - loan.heard_at > patience and now - _reported_at(loan) > patience:
        words = f"Nothing was heard of it for {handle['lost_after_s']} seconds."
        return JobStatus(JobState.LOST, message=words)
    return JobStatus(JobState.RUNNING)


def _reported_at(loan: Loan) -> datetime:
    """When its newest report came: a script may report without any other sign of life."""
    newest: datetime | None = Metric.objects.filter(trial=loan.trial).aggregate(t=Max("time"))["t"]
    return newest or loan.heard_at
