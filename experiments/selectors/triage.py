"""Failed trials, grouped by how they failed, and where they fail: all, and each group by itself.

Called by REST and by the report. Each cause has a place of its own (a step that is too long, a
network that is too large), which all failures together blur.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any

from experiments.algorithms.space.flat import flat
from experiments.engine import triage
from experiments.models import Experiment
from experiments.selectors import selection, trial_columns
from experiments.selectors.kept import turns
from experiments.selectors.selection import WHOLE, Selection
from experiments.states import WENT_WRONG, TrialState

NEWEST = 5000  # of either kind; what went wrong before them is of another day
MOST_GROUPS = 20
MOST_PLACED = 5  # groups of which it is said where they fail: the largest
MOST_NUMBERS = 200  # of a group
_WELL = frozenset({TrialState.SUCCEEDED, TrialState.EARLY_STOPPED})


def failures_json(experiment: Experiment, asked: Selection = WHOLE) -> dict[str, Any]:
    """Failures that nobody retried or excluded, in groups; and parameters that tell them apart.

    Of the selected trials. Raises ProblemsError for a condition that makes no sense.
    """
    with turns.of(experiment.pk):
        return _failures(experiment, selection.keys(experiment, asked))


def _failures(experiment: Experiment, chosen: Collection[int] | None) -> dict[str, Any]:
    is_in = selection.is_in(chosen) if chosen is not None else lambda _: True
    wanted = ("number", "exit_code", "reason", "parameters", "state", "excluded", "retried", "id")
    trials = trial_columns.of(experiment, wanted)
    newest = zip(*(reversed(trials[name]) for name in wanted), strict=True)
    rows = [row for row in newest if is_in(row[7])]
    went_wrong = (row for row in rows if row[4] in WENT_WRONG and not row[5] and not row[6])
    failed = list(islice(went_wrong, NEWEST))
    went_well = (row[3] for row in rows if row[4] in _WELL and not row[5])
    well = list(map(flat, islice(went_well, NEWEST))) if failed else []
    groups = triage.groups([triage.Failure(*row[:3]) for row in failed])[:MOST_GROUPS]
    parameters = {row[0]: flat(row[3]) for row in failed}
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


def _places(places: Iterable[triage.Where]) -> list[dict[str, Any]]:
    return [{**asdict(place), "values": list(place.values)} for place in places]
