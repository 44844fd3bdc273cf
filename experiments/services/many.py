"""What a person can do to many trials at once: the actions of ``actions`` for a selection.

Callers have authorised already and give primary keys. Trials for which an action makes no sense are
passed over: the selection was made a moment ago, and trials go on meanwhile. What was done is told
by the trials' numbers.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from experiments import wake
from experiments.models import Experiment, Trial, change_trials
from experiments.problems import Problem, ProblemsError
from experiments.services import actions
from experiments.states import FINISHED, RETRIABLE, EventKind, TrialState
from experiments.trials.changes import request_stop, update_best

MOST_RETRIED = 1000  # at once: each becomes a trial of its own


def set_excluded(
    experiment: Experiment, pks: Collection[int], excluded: bool, *, reason: str = ""
) -> list[int]:
    """Leave trials out of the best and of the tuner's history, or take them back in."""
    with transaction.atomic():
        changed = change_trials(
            experiment,
            EventKind.EXCLUDED if excluded else EventKind.RESTORED,
            pks,
            given={"excluded": not excluded},
            wanted={"excluded": excluded},
            reason=reason,
        )
        if changed:
            update_best(experiment)
            _wake(experiment)
    return changed


def kill(experiment: Experiment, pks: Collection[int]) -> list[int]:
    """Stop those that have not ended; each ends as CANCELED once its processes are gone."""
    going = _among(experiment, pks, experiment.trials.exclude(state__in=FINISHED))
    with transaction.atomic():
        stopped = [
            trial.number
            for trial in going
            if request_stop(trial, TrialState.CANCELED, actions.KILLED)
        ]
        if stopped:
            _wake(experiment)
    return stopped


def retry(experiment: Experiment, pks: Collection[int]) -> list[Trial]:
    """Try those again that ended without success and were not retried yet: the new trials."""
    retriable = experiment.trials.filter(state__in=RETRIABLE, retried=False)
    found = _among(experiment, pks, retriable)
    if len(found) > MOST_RETRIED:
        message = _("At most %(most)d trials are tried again at once, but these are %(n)d.")
        values = {"most": MOST_RETRIED, "n": len(found)}
        raise ProblemsError([Problem("trials", message % values)])
    with transaction.atomic():
        return [actions.retry_trial(trial) for trial in found]


def _among(experiment: Experiment, pks: Collection[int], trials: QuerySet[Trial]) -> list[Trial]:
    chosen = frozenset(pks)
    found = [trial for trial in trials.order_by("number") if trial.pk in chosen]
    for trial in found:
        trial.experiment = experiment
    return found


def _wake(experiment: Experiment) -> None:
    transaction.on_commit(lambda: wake.reconcile_soon(experiment.pk))
