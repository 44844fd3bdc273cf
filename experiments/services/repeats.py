"""Run parameters again, to see how much of what they gave was luck.

Called by REST, which has authorised.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.utils.translation import gettext as _

from experiments import wake
from experiments.algorithms.space.parameters import freeze
from experiments.models import Experiment, Trial
from experiments.problems import Problem, ProblemsError
from experiments.services import actions
from experiments.states import REPEAT, TrialState
from experiments.trials.changes import add_trial

MOST = 200  # trials at once
MOST_TIMES = 50


def repeat(experiment: Experiment, pks: Collection[int], times: int) -> list[Trial]:
    """Try the parameters of these trials ``times`` more: the new trials.

    Trials without a result are passed over; trials with the same parameters count as one. They come
    on top of the budget, and an experiment that is done runs again for them.
    """
    actions.open_for_trials(experiment)
    ended = experiment.trials.filter(
        state__in=[TrialState.SUCCEEDED, TrialState.EARLY_STOPPED], value__isnull=False
    )
    chosen = frozenset(pks)
    different: dict[object, Trial] = {}
    for trial in ended.order_by("number"):
        if trial.pk in chosen:
            different.setdefault(freeze(trial.parameters), trial)
    if len(different) * times > MOST:
        message = _("At most %(most)d trials are added at once, but these would be %(n)d.")
        values = {"most": MOST, "n": len(different) * times}
        raise ProblemsError([Problem("times", message % values)])
    if not different:
        return []
    with transaction.atomic():
        # in turns, so that an end before its time leaves each with about as many
        made = [
            add_trial(
                experiment,
                trial.parameters,
                origin=REPEAT,
                reason=f"Repeats trial {trial.number}.",
            )
            for _turn in range(times)
            for trial in different.values()
        ]
        actions.make_room(experiment)
        experiment.refresh_from_db()
        actions.reopen(experiment)
        transaction.on_commit(lambda: wake.reconcile_soon(experiment.pk))
    return made
