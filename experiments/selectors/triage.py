"""Failed trials, grouped by how they failed, and where they fail. Called by REST."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from experiments.algorithms.space.flat import flat
from experiments.engine import triage
from experiments.models import Experiment
from experiments.selectors import selection
from experiments.selectors.selection import WHOLE, Selection
from experiments.states import WENT_WRONG, TrialState

NEWEST = 5000  # of either kind; what went wrong before them is of another day
MOST_GROUPS = 20
MOST_NUMBERS = 200  # of a group


def failures_json(experiment: Experiment, asked: Selection = WHOLE) -> dict[str, Any]:
    """Failures that nobody retried or excluded, in groups; and parameters that tell them apart.

    Of the selected trials. Raises ProblemsError for a condition that makes no sense.
    """
    chosen = selection.keys(experiment, asked)
    counted = selection.rows(experiment, chosen).filter(excluded=False).order_by("-number")
    open_ones = counted.filter(state__in=WENT_WRONG, retried=False)
    columns = ("pk", "number", "exit_code", "reason", "parameters")
    failed = [row[1:] for row in _newest(open_ones.values_list(*columns), chosen)]
    well_ones: list[Any] = []
    if failed:
        well = counted.filter(state__in=[TrialState.SUCCEEDED, TrialState.EARLY_STOPPED])
        well_ones = [row[1] for row in _newest(well.values_list("pk", "parameters"), chosen)]
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


def _newest(rows: QuerySet[Any, Any], chosen: Collection[int] | None) -> list[Any]:
    """Of these rows, whose first column is the key, those that are chosen."""
    if chosen is None:
        return list(rows[:NEWEST])
    is_in = selection.is_in(chosen)
    return list(islice((row for row in rows.iterator(2000) if is_in(row[0])), NEWEST))
