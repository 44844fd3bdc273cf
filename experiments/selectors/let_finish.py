"""How often an assessor was wrong, told by the trials that it would have stopped and that ran on.

Called by ``pace``. Medianstop says of a trial that it is worse than the others are in the middle:
it was wrong where the trial ended better than the median of those that it never wanted to stop.
Curvefitting says that the trial will not reach a threshold: it was wrong where the trial did.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from experiments.models import Event, Experiment, Trial
from experiments.states import EventKind, TrialState


def let_finish_json(experiment: Experiment) -> dict[str, Any] | None:
    """None where no trial was let run on."""
    events = experiment.events.filter(what=EventKind.LET_FINISH, trial__isnull=False)
    found = list(events.select_related("trial").order_by("seq"))
    if not found:
        return None
    succeeded = experiment.trials.filter(
        state=TrialState.SUCCEEDED, value__isnull=False, excluded=False
    )
    others = succeeded.exclude(pk__in=[event.trial_id for event in found])
    values = [value for value in others.values_list("value", flat=True) if value is not None]
    middle = median(values) if values else None
    # One that failed or was killed says nothing for the assessor, whatever it reported before.
    ended = [event for event in found if event.trial and _has_result(event.trial)]
    wrong = [event for event in ended if _was_wrong(experiment, event, middle)]
    return {
        "trials": [event.trial.number for event in found if event.trial],
        "ended": len(ended),
        "wrong": [event.trial.number for event in wrong if event.trial],
    }


def _has_result(trial: Trial) -> bool:
    return trial.state == TrialState.SUCCEEDED and trial.value is not None


def _was_wrong(experiment: Experiment, event: Event, middle: float | None) -> bool:
    trial = event.trial
    bar = event.data.get("threshold_value", middle)
    if trial is None or trial.value is None or not isinstance(bar, (int, float)):
        return False
    if experiment.optimize_mode == "minimize":
        return bool(trial.value < bar)
    return bool(trial.value > bar)
