"""One change to many trials at once: a number and an Event for each, in a few statements.

Called by ``services``; the same rules as ``Experiment.record``, which does it for one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection, transaction

from experiments import hints
from experiments.actor import actor
from experiments.models.state import Event, Experiment, Trial, raise_seq
from experiments.states import EventKind

_BATCH = 200  # rows in one statement


def change_trials(
    experiment: Experiment,
    what: EventKind,
    pks: Collection[int],
    *,
    given: dict[str, Any],
    wanted: dict[str, Any],
    reason: str = "",
) -> list[int]:
    """Set the columns ``wanted`` of those trials that still have ``given``, and say so of each.

    Returns the numbers of the trials that were changed, in order.
    """
    who = actor()
    with transaction.atomic():
        Experiment.objects.select_for_update().get(pk=experiment.pk)  # who comes second sees all
        trials: list[Trial] = []
        chosen = list(pks)
        for start in range(0, len(chosen), _BATCH):
            part = chosen[start : start + _BATCH]
            trials += experiment.trials.filter(pk__in=part, **given).only(
                "pk", "number", "experiment"
            )
        if not trials:
            return []
        trials.sort(key=lambda trial: trial.number)
        with connection.cursor() as cursor:
            experiment.last_seq = raise_seq(cursor, experiment.pk, by=len(trials))
        first = experiment.last_seq - len(trials) + 1
        for seq, trial in enumerate(trials, first):
            trial.seq = seq
            for name, value in wanted.items():
                setattr(trial, name, value)
        Trial.objects.bulk_update(trials, ["seq", *wanted], batch_size=_BATCH)
        Event.objects.bulk_create(
            (
                Event(
                    experiment_id=experiment.pk, seq=trial.seq, trial=trial, what=what,
                    reason=reason, data={"user": who} if who else {},
                )
                for trial in trials
            ),
            batch_size=_BATCH,
        )  # fmt: skip
        hints.hint_on_commit(experiment.pk)
    return [trial.number for trial in trials]
