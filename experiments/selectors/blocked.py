"""Whether anything of an experiment can run on its cluster now, and what keeps it. Pure reading."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Q

from experiments.models import Experiment
from experiments.states import Phase, TrialState
from experiments.training.kubernetes.blocked import obstacle


class Blocked(NamedTuple):
    """Every trial that was given to the cluster stands before an obstacle."""

    reason: str  # one word
    message: str


def blocked(experiment: Experiment) -> Blocked | None:
    """None where something runs, may run any moment, or is not meant to run."""
    if experiment.phase != Phase.RUNNING or experiment.suspended:
        return None
    given = Q(state=TrialState.RUNNING) | Q(state=TrialState.WAITING, handle__isnull=False)
    rows = list(
        experiment.trials.filter(given)
        .order_by("number")
        .values_list("number", "reason", "n_reports", "has_final")
    )
    if not rows:  # not even a job could be made
        kind = obstacle(experiment.message)
        return Blocked(kind, f"No trial can run. {experiment.message}") if kind else None
    kinds = [obstacle(reason) for _, reason, n, final in rows if not (n or final)]
    if len(kinds) < len(rows) or not all(kinds):
        return None
    number, reason, *_ = rows[0]
    words = f"No trial can run. Trial {number}: {reason}"
    if (n_others := len(rows) - 1) > 0:
        words = f"No trial can run ({n_others + 1} wait). Trial {number}: {reason}"
    return Blocked(kinds[0], words)
