"""Failed trials, grouped by how they failed, and where they fail: all, and each group by itself.

Called by REST and by the report. Each cause has a place of its own (a step that is too long, a
network that is too large), which all failures together blur.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.algorithms.space.flat import flat
from experiments.charts.columns import is_any_of
from experiments.engine import triage
from experiments.models import Experiment
from experiments.selectors import selection, trial_records
from experiments.selectors.kept import turns
from experiments.selectors.selection import WHOLE, Selection
from experiments.states import WENT_WRONG, TrialState

COLUMNS = ("exit_code", "reason", "retried")  # beside a trial's record
NEWEST = 5000  # of either kind; what went wrong before them is of another day
MOST_GROUPS = 20
MOST_PLACED = 5  # groups of which it is said where they fail: the largest
MOST_NUMBERS = 500  # of a group: so many can be ticked
_WELL = frozenset({TrialState.SUCCEEDED, TrialState.EARLY_STOPPED})


def failures_json(experiment: Experiment, asked: Selection = WHOLE) -> dict[str, Any]:
    """Failures that nobody retried or excluded, in groups; and parameters that tell them apart.

    Of the selected trials. Raises ProblemsError for a condition that makes no sense.
    """
    with turns.of(experiment.pk):
        return _failures(experiment, selection.keys(experiment, asked))


def _failures(experiment: Experiment, chosen: Collection[int] | None) -> dict[str, Any]:
    rows, columns = trial_records.with_columns(experiment, COLUMNS)
    every = rows.kept.columns
    counts = ~every.excluded
    if chosen is not None:
        counts &= np.isin(rows.pks, list(chosen))
    is_retried = np.array(columns["retried"], dtype=bool)
    failed = _newest(counts & is_any_of(every.state, WENT_WRONG) & ~is_retried)
    went_well = _newest(counts & is_any_of(every.state, _WELL)) if failed else []
    well = triage.Well([flat(rows.trials[place].parameters) for place in went_well])
    found = [
        triage.Failure(rows.trials[i].number, columns["exit_code"][i], columns["reason"][i])
        for i in failed
    ]
    groups = triage.groups(found)[:MOST_GROUPS]
    parameters = {rows.trials[i].number: flat(rows.trials[i].parameters) for i in failed}
    n_placed = MOST_PLACED if len(groups) > 1 else 0  # of one it is what all say
    wheres = [
        triage.where([parameters[n] for n in group.trials], well) if i < n_placed else []
        for i, group in enumerate(groups)
    ]
    return {
        "failed": len(failed),
        "groups": [
            {
                "exit_code": group.exit_code,
                "reason": group.reason,
                "count": len(group.trials),
                "trials": list(group.trials[:MOST_NUMBERS]),
                "where": _places(where),
            }
            for group, where in zip(groups, wheres, strict=True)
        ],
        "where": _places(triage.where(list(parameters.values()), well)),
    }


def _newest(flags: NDArray[np.bool_]) -> list[int]:
    """Places of the trials, newest first."""
    found: list[int] = np.flatnonzero(flags)[: -NEWEST - 1 : -1].tolist()
    return found


def _places(places: Iterable[triage.Where]) -> list[dict[str, Any]]:
    return [{**asdict(place), "values": list(place.values)} for place in places]
