"""The orderly end on this machine: running trials go back to the queue. Used by the supervisor."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from experiments.models import Trial
from experiments.states import TrialState
from experiments.training.base import ENDED
from experiments.trials.backends import backend
from experiments.trials.elsewhere import is_elsewhere
from experiments.trials.ends import end_trial
from experiments.trials.launching import launched


def requeue_local_trials(grace: timedelta = timedelta(seconds=1.2)) -> int:
    """Stop running local trials and put them back to WAITING, to start anew next time.

    For the supervisor's orderly end: a laptop's owner who pressed Ctrl-C wants the machine back and
    no trial lost. Their reports are dropped, since they will come again from the first.
    """
    if not backend().runs_here:
        return 0
    _own_up_to_launches()
    found = Trial.objects.filter(state=TrialState.RUNNING).select_related("experiment")
    running = [trial for trial in found if not is_elsewhere(trial.handle)]
    for trial in running:
        if trial.handle:
            backend().stop(trial.handle)
    deadline = time.monotonic() + grace.total_seconds()
    left = running
    n_requeued = 0
    while left and time.monotonic() < deadline:
        statuses = backend().poll([trial.handle or {} for trial in left])
        still = []
        for trial, status in zip(left, statuses, strict=True):
            if status.state not in ENDED:
                still.append(trial)
            else:
                end_trial(trial, status)
                n_requeued += trial.state == TrialState.WAITING
        left = still
        if left:
            time.sleep(0.05)
    return n_requeued


def _own_up_to_launches() -> None:
    """Mark as running what a worker launched and died before it could say so.

    Left alone, such a job would be found by the next start, which may serve at another address.
    """
    for trial in Trial.objects.filter(state=TrialState.WAITING).select_related("experiment"):
        handle = launched(trial, backend())
        if handle is not None:
            trial.move(TrialState.RUNNING, handle=handle, started_at=timezone.now())
