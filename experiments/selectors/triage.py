"""Failed trials, grouped by how they failed, and where they fail. Called by REST."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from experiments.algorithms.space.flat import flat
from experiments.engine import triage
from experiments.models import Experiment
from experiments.states import WENT_WRONG, TrialState

NEWEST = 5000  # of either kind; what went wrong before them is of another day
MOST_GROUPS = 20
MOST_NUMBERS = 200  # of a group


def failures_json(experiment: Experiment) -> dict[str, Any]:
    """Failures that nobody retried or excluded, in groups; and parameters that tell them apart."""
    counted = experiment.trials.filter(excluded=False).order_by("-number")
    open_ones = counted.filter(state__in=WENT_WRONG, retried=False)
    failed = list(open_ones.values_list("number", "exit_code", "reason", "parameters")[:NEWEST])
    well = counted.filter(state__in=[TrialState.SUCCEEDED, TrialState.EARLY_STOPPED])
    well_ones = list(well.values_list("parameters", flat=True)[:NEWEST]) if failed else []
    groups = triage.groups([triage.Failure(*row[:3]) for row in failed])
    places = triage.where([flat(row[3]) for row in failed], [flat(p) for p in well_ones])
    return {
        "failed": len(failed),
        "groups": [
            {
                "exit_code": group.exit_code,
                "reason": group.reason,
                "count": len(group.trials),
                "trials": list(group.trials[:MOST_NUMBERS]),
            }
            for group in groups[:MOST_GROUPS]
        ],
        "where": [{**asdict(place), "values": list(place.values)} for place in places],
    }
