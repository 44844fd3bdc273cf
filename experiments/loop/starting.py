"""How trials start: from a WAITING row to a job that runs, or to words about why not.

Called by ``reconcile`` for what the plan says, under the experiment's lease. A trial for which
there is no room stays WAITING and says for what it waits; it uses up nothing of the budget.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from experiments.loop import queueing
from experiments.loop.lease import Lease
from experiments.manifest.spec import ExperimentSpec
from experiments.models import Experiment, Trial
from experiments.models.leases import LostLease
from experiments.redaction import redact
from experiments.states import FINISHED, TrialState
from experiments.training.base import QUEUED, Handle, LaunchError, NotYet
from experiments.trials import checkpoints
from experiments.trials.backends import backend
from experiments.trials.launching import launch_of

logger = logging.getLogger(__name__)

# What `kubectl apply` brought never runs as processes of whoever serves it.
NOT_HERE = "Waits for a server with AUTOTUNE_TRAINING_ENGINE=auto: it belongs to the cluster."
GIVE_UP_AFTER = 3  # launches refused in a row, before any trial ever ran


@dataclass(frozen=True)
class Outcome:
    """What came of launching. ``never_starts``: why no trial of the experiment ever will."""

    may_go_on: bool = True  # false: one must wait, or this pass is not the one to go on
    never_starts: str = ""


def launch(
    experiment: Experiment, spec: ExperimentSpec, waiting: Iterable[Trial], lease: Lease
) -> Outcome:
    """Launch trials in order, up to the first that must wait: the others ask for the same."""
    for trial in waiting:
        if not lease.renew():
            return Outcome(may_go_on=False)
        if experiment.origin == Experiment.Origin.KUBERNETES and backend().runs_here:
            queueing.say_why_it_waits(trial, NOT_HERE)
            return Outcome(may_go_on=False)
        try:
            if spec.elsewhere is None:
                checkpoints.make(trial.parameters, spec.adds)
            handle = backend().launch(launch_of(experiment, spec, trial))
        except NotYet as wait:
            queueing.say_why_it_waits(trial, redact(str(wait)))
            return Outcome(may_go_on=False)
        except (LaunchError, OSError) as error:
            why = redact(str(error))  # it may quote a command with the trial's address
            trial.move(TrialState.FAILED, reason=why, finished_at=timezone.now())
            if _never_started(experiment):
                return Outcome(may_go_on=False, never_starts=why)
            Experiment.objects.filter(pk=experiment.pk).update(wanted=True)
            continue
        if not _own_up(trial, handle):
            return Outcome(may_go_on=False)
    return Outcome()


def _own_up(trial: Trial, handle: Handle) -> bool:
    """WAITING → RUNNING, now that its job runs; it goes on waiting where a queue holds the job.

    False where somebody else was at it meanwhile. Then this pass cannot know what became of the
    trial: where it has ended, was launched anew or deleted, the job is ended too.
    """
    try:
        if words := handle.get(QUEUED):
            if queueing.own_up(trial, handle, words):
                return True
        elif trial.move(TrialState.RUNNING, handle=handle, started_at=timezone.now()):
            return True
    except LostLease as lost:
        logger.warning("Trial %s: %s", trial, lost)
    _stop_if_stray(trial, handle)
    return False


def _stop_if_stray(trial: Trial, handle: Handle) -> None:
    same = Trial.objects.filter(pk=trial.pk, attempt=trial.attempt).exclude(state__in=FINISHED)
    if not same.exists():
        backend().stop(handle)


def _never_started(experiment: Experiment) -> bool:
    """Whether nothing ever ran and several launches were refused: a set-up error."""
    if experiment.trials.exclude(started_at=None).exists():
        return False
    enough = min(GIVE_UP_AFTER, experiment.max_trials or GIVE_UP_AFTER)
    return experiment.trials.filter(state=TrialState.FAILED).count() >= enough
