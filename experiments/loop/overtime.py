"""Trials that run longer than ``spec.maxTrialSeconds``: each is stopped, and has failed.

Called by ``reconcile`` on every pass. What it reported is kept; the time in which the machine
slept does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from experiments.manifest.spec import ExperimentSpec
from experiments.models import Experiment, Trial, clock
from experiments.states import EventKind, TrialState
from experiments.trials import changes


def stop_overdue(experiment: Experiment, spec: ExperimentSpec, running: Sequence[Trial]) -> None:
    """Decide to stop each trial whose time is up; the stop itself is carried out by the pass."""
    limit = spec.max_trial_seconds
    if limit is None:
        return
    for trial in running:
        if not trial.stop_as and _seconds_of(experiment, trial) > limit:
            reason = f"It ran longer than maxTrialSeconds={limit}."
            changes.request_stop(trial, TrialState.FAILED, reason)


def _seconds_of(experiment: Experiment, trial: Trial) -> float:
    """How long this attempt has run, without the time in which the machine slept."""
    if trial.started_at is None:
        return 0.0
    ran = (timezone.now() - trial.started_at).total_seconds()
    # Who started it on this machine knows best: events tell of no sleep while the experiment was
    # suspended, or while no server ran.
    if (slept_s := clock.slept_in(trial.handle or {})) is not None:
        return ran - slept_s
    slept = experiment.events.filter(what=EventKind.SLEPT, time__gte=trial.started_at)
    return ran - sum(float(each["seconds"]) for each in slept.values_list("data", flat=True))
