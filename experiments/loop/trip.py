"""The circuit breaker's rows: how trials ended for the engine to judge, and the suspension.

Called by ``reconcile`` alone. What trips it is ``engine.breaker``'s to say; ``services.actions``'
``resume`` is how people go on, which starts the count anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from experiments.engine.breaker import Ended, Tripped
from experiments.models import Experiment, Trial, notices
from experiments.states import EventKind, TrialState
from experiments.training.base import BackendUnavailable
from experiments.training.last_words import lines_of
from experiments.trials.logs import log_files, read_log

LOG_BYTES, LOG_LINES = 8192, 20  # of a log's end that are kept with the reason

# Ends that say something of the manifest: not what somebody stopped, nor what a machine lost.
_TELLING = frozenset({TrialState.SUCCEEDED, TrialState.FAILED, TrialState.EARLY_STOPPED})


def alike_of(experiment: Experiment) -> int:
    """How many failures alike suspend it now: twice as many each time that somebody went on."""
    return experiment.spec.alike << min(experiment.breaker_trips, 16)


def is_from_start(experiment: Experiment, states: Sequence[str]) -> bool:
    """Whether nothing but failures came of the experiment so far, and it never tripped."""
    return not experiment.breaker_trips and not any(
        state in _TELLING and state != TrialState.FAILED for state in states
    )


def how_they_ended(experiment: Experiment, states: Sequence[str], alike: int) -> tuple[Ended, ...]:
    """The telling ends since somebody went on, as ``breaker.look`` wants them.

    Args:
        states: of all trials; mostly they say that there is nothing to ask for.
    """
    if not alike or states.count(TrialState.FAILED) < alike:
        return ()
    found = experiment.trials.filter(state__in=_TELLING, finished_at__isnull=False)
    if experiment.breaker_since is not None:
        found = found.filter(finished_at__gt=experiment.breaker_since)
    columns = ("number", "state", "exit_code", "reason", "started_at", "finished_at")
    last = list(found.order_by("-finished_at", "-number").values_list(*columns)[:alike])[::-1]
    if is_from_start(experiment, states):
        first = list(found.order_by("finished_at", "number").values_list(*columns)[:alike])
        last = first + [row for row in last if row not in first]
    return tuple(_ended(*row) for row in last)


def _ended(
    number: int,
    state: str,
    exit_code: int | None,
    reason: str,
    started_at: datetime | None,
    finished_at: datetime,
) -> Ended:
    ran = 0.0 if started_at is None else (finished_at - started_at).total_seconds()
    return Ended(number, state == TrialState.FAILED, ran, exit_code, reason)


def suspend(experiment: Experiment, why: Tripped) -> None:
    """Suspend the experiment and say why, with the end of the last failed trial's log."""
    trial = experiment.trials.filter(number=why.trials[-1]).first()
    known = {"trials": list(why.trials), "reason": why.reason, "log": _last_lines(trial)}
    now = timezone.now()
    with transaction.atomic():
        won = Experiment.objects.filter(pk=experiment.pk, suspended=False).update(
            suspended=True,
            active_seconds=experiment.active_seconds_at(now),
            clock_at=None,
            breaker=known,
            breaker_trips=experiment.breaker_trips + 1,
        )
        if won:
            experiment.suspended, experiment.breaker = True, known
            experiment.record(
                EventKind.SUSPENDED, reason=why.reason, data={"trials": known["trials"]}
            )
            trial_number = why.trials[-1]
            notices.queue(
                experiment,
                notices.BREAKER,
                f"{notices.BREAKER}:{experiment.last_seq}",
                lambda: {"reason": why.reason, "trial": trial_number},
            )


def _last_lines(trial: Trial | None) -> str:
    if trial is None:
        return ""
    try:
        logs = log_files(trial)
        tail = read_log(trial, logs[0], -LOG_BYTES, LOG_BYTES) if logs else b""
    except BackendUnavailable:
        return ""
    return "\n".join(lines_of(tail)[-LOG_LINES:])
