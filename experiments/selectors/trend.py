"""How the best value of many experiments went, small: one query for a whole page of the list.

The database gives the best of each of 64 spans of trials, so that what is read is bounded however
many trials there are; the running best is taken over these. What cannot have changed is kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from django.db.models import Case, F, IntegerField, Max, Min, Value, When

from experiments.charts.sparkline import BestLine, running_best
from experiments.models import Experiment, Trial
from experiments.selectors.present import TrialCounts
from experiments.states import TrialState

SPANS = 64
MOST_KEPT = 4000
KEEP_S = 30.0  # of one that goes on: excluding a trial that is not the best changes no count

_Key = tuple[Any, ...]
_kept: OrderedDict[str, tuple[_Key, float, BestLine | None]] = OrderedDict()
_lock = Lock()


def best_lines(
    experiments: Iterable[Experiment], counts: Mapping[str, TrialCounts]
) -> dict[str, BestLine | None]:
    """The line of each experiment id; None where no trial that counts has succeeded."""
    found: dict[str, BestLine | None] = {}
    unknown: list[Experiment] = []
    now = time.monotonic()
    with _lock:
        for experiment in experiments:
            kept = _kept.get(experiment.pk)
            is_fresh = kept is not None and (experiment.is_ended or now - kept[1] < KEEP_S)
            if kept is not None and is_fresh and kept[0] == _key(experiment, counts):
                found[experiment.pk] = kept[2]
            else:
                unknown.append(experiment)
    read = _read(unknown, counts) if unknown else {}
    with _lock:
        for experiment in unknown:
            line = found[experiment.pk] = read.get(experiment.pk)
            _kept[experiment.pk] = (_key(experiment, counts), now, line)
            _kept.move_to_end(experiment.pk)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return found


def forget() -> None:
    with _lock:
        _kept.clear()


def _key(experiment: Experiment, counts: Mapping[str, TrialCounts]) -> _Key:
    if experiment.is_ended:
        return ("ended", experiment.last_seq)
    return (tuple(counts[experiment.pk].by_state.values()), experiment.best_trial_id)


def _read(experiments: list[Experiment], counts: Mapping[str, TrialCounts]) -> dict[str, BestLine]:
    totals = {e.pk: sum(counts[e.pk].by_state.values()) for e in experiments}
    widths = Case(
        *(
            When(experiment_id=pk, then=Value(max(1, -(-total // SPANS))))
            for pk, total in totals.items()
        ),
        output_field=IntegerField(),
    )
    rows = (
        Trial.objects.filter(
            experiment_id__in=totals,
            state=TrialState.SUCCEEDED,
            excluded=False,
            value__isnull=False,
        )
        .order_by()
        .annotate(span=F("number") / widths)
        .values_list("experiment_id", "span")
        .annotate(first=Min("number"), lowest=Min("value"), highest=Max("value"))
        .order_by("experiment_id", "span")
    )
    by_experiment: dict[str, list[tuple[int, float, float]]] = {}
    for pk, _span, first, lowest, highest in rows:
        by_experiment.setdefault(pk, []).append((first, lowest, highest))
    lines = {}
    for experiment in experiments:
        spans = by_experiment.get(experiment.pk)
        if not spans:
            continue
        maximize = experiment.optimize_mode != "minimize"
        values = [(first, highest if maximize else lowest) for first, lowest, highest in spans]
        last = max(totals[experiment.pk] - 1, spans[-1][0])
        lines[experiment.pk] = BestLine(running_best(values, maximize=maximize), last)
    return lines
