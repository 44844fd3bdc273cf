"""How the best value of many experiments went, small: one query for a whole page of the list.

The database gives the best of each of 64 spans of trials, so that what is read is bounded however
many trials there are; the running best is taken over these. What cannot have changed is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Case, F, IntegerField, Max, Min, Value, When

from experiments.charts.sparkline import BestLine, running_best
from experiments.models import MAY_BE_BEST, Experiment, Trial
from experiments.selectors.kept import Kept
from experiments.selectors.present import TrialCounts

SPANS = 64
MOST_KEPT = 4000
KEEP_S = 30.0  # of one that goes on: excluding a trial that is not the best changes no count

_Key = tuple[Any, ...]
_NO_LINE = BestLine((), 0)  # kept where there is none
_kept: Kept[_Key, BestLine] = Kept(MOST_KEPT)


def best_lines(
    experiments: Iterable[Experiment], counts: Mapping[str, TrialCounts]
) -> dict[str, BestLine | None]:
    """The line of each experiment id; None where no trial that counts has succeeded."""
    found: dict[str, BestLine | None] = {}
    unknown: list[Experiment] = []
    for experiment in experiments:
        for_s = None if experiment.is_ended else KEEP_S
        line = _kept.get(_key(experiment, counts), for_s=for_s)
        if line is None:
            unknown.append(experiment)
        else:
            found[experiment.pk] = None if line is _NO_LINE else line
    read = _read(unknown, counts) if unknown else {}
    for experiment in unknown:
        found[experiment.pk] = read.get(experiment.pk)
        _kept.put(_key(experiment, counts), found[experiment.pk] or _NO_LINE)
    return found


def forget() -> None:
    _kept.clear()


def _key(experiment: Experiment, counts: Mapping[str, TrialCounts]) -> _Key:
    if experiment.is_ended:
        return (experiment.pk, experiment.last_seq)
    by_state = tuple(counts[experiment.pk].by_state.values())
    return (experiment.pk, by_state, experiment.best_trial_id)


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
        Trial.objects.filter(MAY_BE_BEST, experiment_id__in=totals)
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
