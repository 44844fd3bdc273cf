"""Whether the best trial is really the best, and whether more trials would help. Called by REST."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from experiments.engine.outlook import outlook
from experiments.engine.winner import Run, judge
from experiments.models import Experiment
from experiments.selectors import trial_columns
from experiments.selectors.kept import Kept, turns
from experiments.selectors.present import count_trials
from experiments.states import FINISHED, REPEAT, TrialState

COLUMNS = (
    "number", "state", "origin", "value", "parameters", "started_at", "finished_at", "excluded",
)  # fmt: skip
_told: Kept[tuple[str, int], dict[str, Any]] = Kept(16)


def winner_json(experiment: Experiment) -> dict[str, Any]:
    """The verdict on the best parameters, and the outlook; kept while nothing is new."""
    key = (experiment.pk, experiment.last_seq)
    with turns.of(experiment.pk):
        found = _told.get(key)
        if found is None:
            found = _winner(experiment)
            _told.put(key, found)
    return found


def _winner(experiment: Experiment) -> dict[str, Any]:
    trials = trial_columns.of(experiment, COLUMNS)
    parameters = trials["parameters"]
    rough = trials.once(
        "told_apart", partial(_roughly, parameters), partial(_roughly_again, parameters)
    )
    every = zip(*(trials[name] for name in COLUMNS), rough, strict=True)
    rows = [row for row in every if row[1] in FINISHED and not row[7]]
    is_well = [row[1] == TrialState.SUCCEEDED and row[3] is not None for row in rows]
    told_apart = keys([row[4] for row in rows], [row[8] for row in rows])
    runs = [
        Run(row[0], key, row[3] if well else None)
        for row, key, well in zip(rows, told_apart, is_well, strict=True)
    ]
    maximize = experiment.optimize_mode != "minimize"
    found = judge(runs, maximize=maximize)
    well_ones = [row for well, row in zip(is_well, rows, strict=True) if well]
    took = [_seconds(row[5], row[6]) for row in well_ones if row[5] and row[6]]
    return {
        "verdict": found.verdict,
        "contenders": [asdict(contender) for contender in found.contenders],
        "likeliest": found.likeliest,
        "noise": found.noise,
        "gap": found.gap,
        "n_different": found.n_different,
        "outlook": _outlook(experiment, rows, well_ones, maximize=maximize),
        "seconds_each": sum(took) / len(took) if took else None,
    }


def keys(
    each: Sequence[Mapping[str, Any]], rough: Sequence[Hashable] | None = None
) -> list[Hashable]:
    """What tells parameters apart: equal where they are the same as JSON, and only there.

    Most are like no others by the ``rough`` keys: only those that may be are written as JSON,
    which takes long.
    """
    rough = _roughly(each) if rough is None else rough
    n_alike = Counter(rough)
    return [
        key if n_alike[key] == 1 else _as_json(parameters)
        for key, parameters in zip(rough, each, strict=True)
    ]


_as_json = json.JSONEncoder(sort_keys=True).encode


def _roughly(each: Sequence[Mapping[str, Any]]) -> list[Hashable]:
    """Equal where parameters are; but 1, 1.0 and true are alike."""
    return [_rough(parameters) for parameters in each]


def _roughly_again(
    each: Sequence[Mapping[str, Any]], before: list[Hashable], places: Sequence[int]
) -> list[Hashable]:
    found = [*before, *[None] * (len(each) - len(before))]
    for place in places:
        found[place] = _rough(each[place])
    return found


def _rough(parameters: Mapping[str, Any]) -> Hashable:
    try:
        return frozenset(parameters.items())
    except TypeError:  # nested
        return _as_json(parameters)


def _outlook(
    experiment: Experiment, rows: list[Any], well_ones: list[Any], *, maximize: bool
) -> dict[str, Any] | None:
    """Of the trials that are left, or of as many again where none are.

    Trials that end without a value of their own find nothing better: the share that did not of
    those so far is taken for that of those to come. Repeats look for nothing.
    """
    searched = [row for row in rows if row[2] != REPEAT]
    told = [row for row in well_ones if row[2] != REPEAT]
    n_left = 0 if experiment.is_ended else _n_left(experiment)
    n_more = n_left if n_left > 0 else len(searched)
    values = [row[3] for row in sorted(told, key=itemgetter(6, 0))]
    n_telling = round(n_more * len(told) / max(1, len(searched)))
    found = outlook(values, n_more=n_telling, maximize=maximize)
    if found is None:
        return None
    return {**asdict(found), "n_more": n_more, "as_many_again": n_left <= 0}


def _n_left(experiment: Experiment) -> int:
    """Trials of the budget that have not ended; repeats are no search."""
    n_ended = count_trials([experiment])[experiment.pk].finished
    open_repeats = experiment.trials.filter(origin=REPEAT).exclude(state__in=FINISHED)
    return (experiment.max_trials or 0) - n_ended - open_repeats.count()


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
