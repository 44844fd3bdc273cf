"""What is written when a trial is added, when one is to stop, and which is the best.

Called by ``loop`` for what the plan says, and by ``services`` for what a person asks. Each function
writes rows and events in one transaction; nobody is woken, nothing is started or stopped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from experiments.models import MAY_BE_BEST, Experiment, Trial, new_trial_key, notices
from experiments.states import FINISHED, EventKind, TrialState


def add_trial(
    experiment: Experiment,
    parameters: Mapping[str, Any],
    *,
    origin: str,
    note: Mapping[str, Any] | None = None,
    retry_of: Trial | None = None,
    reason: str = "",
) -> Trial:
    """Write the row of a new WAITING trial under the next free number."""
    with transaction.atomic(savepoint=False):
        seq = experiment.next_seq()  # and the lock under which numbers are given
        highest = experiment.trials.aggregate(n=Max("number"))["n"]
        for _ in range(20):  # a key is 36^5: a clash is rare, and drawn again
            try:
                with transaction.atomic():
                    trial = Trial.objects.create(
                        experiment=experiment,
                        key=new_trial_key(),
                        number=0 if highest is None else highest + 1,
                        parameters=dict(parameters),
                        note=dict(note or {}),
                        origin=origin,
                        retry_of=retry_of,
                        seq=seq,
                    )
                break
            except IntegrityError:
                continue
        else:
            raise RuntimeError("No free trial key was found in 20 draws.")
        experiment.record(
            EventKind.STATE, trial=trial, new=TrialState.WAITING, reason=reason, seq=seq
        )
    return trial


def request_stop(
    trial: Trial, as_state: TrialState, reason: str, *, cut_off: bool = False, **data: Any
) -> bool:
    """Record the decision to stop a trial; False where it has ended or is being stopped already.

    ``cut_off``: because the experiment's time is up, so that it does not use up maxTrialNum.
    """
    with transaction.atomic(savepoint=False):
        won = (
            Trial.objects.filter(pk=trial.pk, stop_as="")
            .exclude(state__in=FINISHED)
            .update(stop_as=as_state, stop_reason=reason, cut_off=cut_off)
        )
        if not won:
            return False
        trial.stop_as, trial.stop_reason, trial.cut_off = as_state, reason, cut_off
        trial.experiment.record(
            EventKind.STOPPING, trial=trial, new=as_state, reason=reason, data=data
        )
    return True


def update_best(experiment: Experiment) -> None:
    """Point the experiment at its best finished, not excluded trial; earliest wins a tie."""
    if _best_id(experiment) == experiment.best_trial_id:
        return
    with transaction.atomic():
        # Trials end under this lock: who looks late still sees them all.
        Experiment.objects.select_for_update().filter(pk=experiment.pk).first()
        best_id = _best_id(experiment)
        before = experiment.best_trial_id
        Experiment.objects.filter(pk=experiment.pk).update(best_trial_id=best_id)
        if best_id is not None:
            _tell_of_best(experiment, before, best_id)
    experiment.best_trial_id = best_id


def _tell_of_best(experiment: Experiment, before: int | None, best_id: int) -> None:
    """Tell of a better one; not where the best was only left out."""
    if not notices.listening(experiment, notices.BEST):
        return
    known = Trial.objects.in_bulk([pk for pk in (before, best_id) if pk is not None])
    best, old = known[best_id], known.get(before or 0)
    assert best.value is not None
    if old is not None and old.value is not None:
        gain = best.value - old.value
        if (gain if experiment.optimize_mode != "minimize" else -gain) <= 0:
            return
    notices.queue(
        experiment,
        notices.BEST,
        f"{notices.BEST}:{best_id}",
        lambda: {"trial": best.number, "value": best.value},
    )


def _best_id(experiment: Experiment) -> int | None:
    order = "value" if experiment.optimize_mode == "minimize" else "-value"
    return (
        experiment.trials.filter(MAY_BE_BEST)
        .order_by(order, "number")
        .values_list("pk", flat=True)
        .first()
    )
