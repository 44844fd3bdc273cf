"""From rows to a Plotly figure: reads what a chart needs in few queries and draws it.

Called by REST, pages and exported reports. Quick enough to be asked again each second by every
open page: trials are read once for all charts, and figures of an unchanged experiment are kept for
a while. One figure of an experiment is made at a time, in the order in which they were asked for:
all at once would each be done as late as the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeGuard

import numpy as np
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import get_language, gettext

from experiments.algorithms import registry
from experiments.algorithms.space.batch import spread
from experiments.charts import CHARTS, style, words
from experiments.charts.base import (
    DEFAULT_METRIC,
    Chart,
    Figure,
    Record,
    StopReceipt,
    Table,
)
from experiments.charts.columns import is_any_of
from experiments.models import Curve, Event, Experiment, Metric, Trial
from experiments.selectors import curve_data, selection, trial_records
from experiments.selectors.kept import Kept, turns
from experiments.selectors.selection import WHOLE, Selection
from experiments.selectors.trial_columns import GOING_ON
from experiments.selectors.trial_records import Rows
from experiments.states import PHASE_ENDED, TrialState

KEEP_S = 5.0  # seconds; durations of running trials grow without any news
MOST_KEPT = 64
MOST_NAMES = 10_000  # metrics offered; the page makes them searchable
FEW_NAMES = 30  # that are asked for one by one

_kept: Kept[tuple[Any, ...], Figure] = Kept(MOST_KEPT)
KEEP_TABLE_S = 30.0  # while somebody turns its pages
_tables: Kept[tuple[Any, ...], Table] = Kept(8)


def figure(
    experiment: Experiment, kind: str, options: Mapping[str, str], selected: Selection = WHOLE
) -> Figure:
    """The chart of that kind, of the selected trials, in the language of the request.

    Raises KeyError for an unknown kind, ProblemsError for an option that makes no sense.
    """
    chart = CHARTS[kind]
    key = _key(experiment, kind, options, selected)
    keep_s = None if experiment.phase in PHASE_ENDED else KEEP_S
    with turns.of(experiment.pk):
        if (found := _kept.get(key, for_s=keep_s)) is not None:
            return found
        drawn, is_whole = _drawn(experiment, chart, options, selected)
        if is_whole:
            _kept.put(key, drawn)
    return drawn


def _drawn(
    experiment: Experiment, chart: Chart, options: Mapping[str, str], selected: Selection
) -> tuple[Figure, bool]:
    """The figure, and whether it has all that there is to draw."""
    given = _given(experiment, chart, options, selected)
    with words.spoken_by(gettext):
        if selected.is_whole or given.trials:
            drawn = chart.draw(given, options)
        else:
            drawn = style.empty(chart.kind, words.gettext("No trial is selected."))
    if chart.needs_curves:
        drawn["layout"]["meta"]["metrics"] = list(metric_names(experiment))
    drawn["layout"]["meta"]["seq"] = experiment.last_seq
    drawn["layout"]["meta"]["redrawn_at"] = sorted(chart.redrawn_at)
    drawn["layout"]["meta"]["selected"] = not selected.is_whole
    return drawn, not drawn["layout"]["meta"].get("n_unread")


def table(
    experiment: Experiment, kind: str, options: Mapping[str, str], selected: Selection = WHOLE
) -> Table:
    """What the chart of that kind draws, in rows and columns; raises as ``figure``."""
    chart = CHARTS[kind]
    key = _key(experiment, kind, options, selected)
    if (found := _tables.get(key, for_s=KEEP_TABLE_S)) is not None:
        return found
    with words.spoken_by(gettext):
        made = chart.tabulate(_given(experiment, chart, options, selected), options)
    _tables.put(key, made)
    return made


def _key(
    experiment: Experiment, kind: str, options: Mapping[str, str], selected: Selection
) -> tuple[Any, ...]:
    """Of what is kept: the same until there is news, for who reads the same language."""
    language = get_language()
    return (
        experiment.pk,
        experiment.last_seq,
        kind,
        language,
        tuple(sorted(options.items())),
        selected,
    )


def _given(
    experiment: Experiment, chart: Chart, options: Mapping[str, str], selected: Selection
) -> Record:
    given = record(experiment, chart, options, selection.keys(experiment, selected))
    if chart.needs_first_reports is not None:
        numbers = chart.needs_first_reports(given, options)
        given = replace(given, first_reports=_first_reports(experiment, numbers))
    return given


def record(
    experiment: Experiment,
    chart: Chart,
    options: Mapping[str, str],
    chosen: Collection[int] | None = None,
) -> Record:
    """The experiment as that chart needs to see it; ``chosen``: keys of the selected trials."""
    rows = trial_records.of(experiment, chosen)
    found = Record(
        optimize_mode=experiment.optimize_mode,
        space=search_space(experiment),
        trials=rows.trials,
        kept=rows.kept,
        now=timezone.now(),
        ended=experiment.phase in PHASE_ENDED,
    )
    if not chart.needs_curves:
        return found
    receipts = _receipts(experiment, rows, options)
    last = max(receipts, default=None)
    found = replace(found, receipts=receipts, last_stopped=last)
    return curve_data.with_curves(experiment, found, rows, options)


def _first_reports(experiment: Experiment, numbers: Sequence[int]) -> dict[int, datetime]:
    """When each of these trials reported for the first time."""
    first = Metric.objects.filter(
        trial__experiment_id=experiment.pk,
        trial__number__in=numbers,
        kind=Metric.Kind.PERIODICAL,
        sequence=0,
    )
    rows = first.order_by().values_list("trial__number").annotate(Min("time"))
    return dict(rows)


def search_space(experiment: Experiment) -> dict[str, Any]:
    """The search space as charts and tables have it; of a Batch, spread out."""
    spec = experiment.configuration
    tuner = registry.find("tuner", (spec.get("tuner") or {}).get("builtinTunerName"))
    is_batch = isinstance(tuner, registry.Entry) and tuner.name == "Batch"
    space: dict[str, Any] = spec["searchSpace"]
    return spread(space) if is_batch else space


def metric_names(experiment: Experiment) -> tuple[str, ...]:
    """Names of the intermediate metrics reported so far, the default one first."""
    names = _kept_names(experiment)
    running = Trial.objects.filter(experiment_id=experiment.pk, state__in=GOING_ON)
    reports = Metric.objects.filter(trial__in=running, kind=Metric.Kind.PERIODICAL)
    names.update(reports.order_by("name").values_list("name", flat=True).distinct()[:MOST_NAMES])
    return tuple(default_first(names)[:MOST_NAMES])


def _kept_names(experiment: Experiment) -> set[str]:
    """From one name to the next by the index; every row only where names are many."""
    rows = Curve.objects.filter(experiment_id=experiment.pk).order_by("name")
    kept = rows.values_list("name", flat=True)
    names: set[str] = set()
    last: str | None = kept.first()
    while last is not None and len(names) < FEW_NAMES:
        names.add(last)
        last = kept.filter(name__gt=last).first()
    return names if last is None else set(kept.distinct()[:MOST_NAMES])


def default_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != DEFAULT_METRIC, name))


def _receipts(
    experiment: Experiment, rows: Rows, options: Mapping[str, str]
) -> dict[int, StopReceipt]:
    """Why that trial was stopped early, in the assessor's numbers; else, why the last one was."""
    number = options.get("trial")
    if number:
        receipt = stop_receipt(experiment, int(number)) if number.isdecimal() else None
        return {} if receipt is None else {int(number): receipt}
    is_judged = options.get("metric", DEFAULT_METRIC) in ("", DEFAULT_METRIC)
    if not is_judged or not experiment.configuration.get("assessor"):
        return {}
    every = rows.kept.columns
    stopped = np.flatnonzero(is_any_of(every.state, frozenset({TrialState.EARLY_STOPPED})))
    if not stopped.size:
        return {}
    last = int(every.number[stopped[np.nan_to_num(every.finished[stopped]).argmax()]])
    receipt = stop_receipt(experiment, last)
    return {} if receipt is None else {last: receipt}


def stop_event(experiment: Experiment, trial_number: int) -> Event | None:
    """The event that decided to stop the trial early, with the assessor's numbers in its data."""
    # its key first: joined, the database looks through all the experiment's stops
    trial = experiment.trials.filter(number=trial_number).order_by().values("pk")[:1]
    events = Event.objects.filter(
        experiment_id=experiment.pk, trial=trial, to_state=TrialState.EARLY_STOPPED
    ).order_by("seq")
    return next((e for e in events if e.data), None)


def stop_receipt(experiment: Experiment, trial_number: int) -> StopReceipt | None:
    """What the trial had to reach, in the names that assessors give their numbers."""
    event = stop_event(experiment, trial_number)
    return None if event is None else receipt_of(event.data)


def receipt_of(data: Mapping[str, Any]) -> StopReceipt:
    names = ("threshold_value", "median_value", "threshold")
    threshold = next((data[n] for n in names if _is_number(data.get(n))), None)
    sequence = data.get("step")
    pairs = zip(data.get("threshold_steps", ()), data.get("threshold_values", ()), strict=False)
    return StopReceipt(
        sequence=float(sequence) if _is_number(sequence) else None,
        threshold=None if threshold is None else float(threshold),
        line=tuple((float(s), float(v)) for s, v in pairs if _is_number(s) and _is_number(v)),
        forecast=_forecast_of(data),
    )


def _forecast_of(data: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    names = ("forecast_step", "forecast_value", "best_case_value", "worst_case_value")
    at, value, best, worst = (data.get(name) for name in names)
    if not (_is_number(at) and _is_number(value) and _is_number(best) and _is_number(worst)):
        return None
    return float(at), float(value), float(best), float(worst)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
