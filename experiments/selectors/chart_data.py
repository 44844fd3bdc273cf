"""From rows to a Plotly figure: reads what a chart needs in few queries and draws it.

Called by REST, pages and exported reports. Quick enough to be asked again each second by every
open page: rows come as tuples, and figures of an unchanged experiment are kept for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from itertools import compress
from typing import Any

from django.db.models import Min
from django.utils import timezone
from django.utils.translation import get_language, gettext

from experiments.algorithms import registry
from experiments.algorithms.space.batch import spread
from experiments.charts import CHARTS, words
from experiments.charts.base import (
    DEFAULT_METRIC,
    PARAMETERS,
    TIMES,
    Chart,
    Figure,
    Record,
    StopReceipt,
    TrialRecord,
)
from experiments.models import Curve, Event, Experiment, Metric, Trial
from experiments.selectors import curve_data, fast_rows, selection
from experiments.selectors.kept import Kept
from experiments.selectors.selection import WHOLE, Selection
from experiments.states import FINISHED, PHASE_ENDED, TrialState

KEEP_S = 5.0  # seconds; durations of running trials grow without any news
MOST_KEPT = 64
_COSTLY = PARAMETERS | TIMES
MOST_NAMES = 10_000  # metrics offered; the page makes them searchable

_kept: Kept[tuple[Any, ...], Figure] = Kept(MOST_KEPT)


def figure(
    experiment: Experiment, kind: str, options: Mapping[str, str], selected: Selection = WHOLE
) -> Figure:
    """The chart of that kind, of the selected trials, in the language of the request.

    Raises KeyError for an unknown kind, ProblemsError for an option that makes no sense.
    """
    chart = CHARTS[kind]
    language = get_language()
    sorted_options = tuple(sorted(options.items()))
    key = (experiment.pk, experiment.last_seq, kind, language, sorted_options, selected)
    if (found := _kept.get(key, for_s=KEEP_S)) is not None:
        return found
    with words.spoken_by(gettext):
        drawn = _drawn(experiment, chart, options, selection.keys(experiment, selected))
    if chart.needs_curves:
        drawn["layout"]["meta"]["metrics"] = list(metric_names(experiment))
    is_whole = not drawn["layout"]["meta"].get("n_unread")
    drawn["layout"]["meta"]["seq"] = experiment.last_seq
    drawn["layout"]["meta"]["redrawn_at"] = sorted(chart.redrawn_at)
    drawn["layout"]["meta"]["selected"] = not selected.is_whole
    if is_whole:
        _kept.put(key, drawn)
    return drawn


def _drawn(
    experiment: Experiment,
    chart: Chart,
    options: Mapping[str, str],
    chosen: Collection[int] | None,
) -> Figure:
    given = record(experiment, chart, options, chosen)
    if chart.needs_first_reports is not None:
        numbers = chart.needs_first_reports(given, options)
        given = replace(given, first_reports=_first_reports(experiment, numbers))
    return chart.draw(given, options)


def record(
    experiment: Experiment,
    chart: Chart,
    options: Mapping[str, str],
    chosen: Collection[int] | None = None,
) -> Record:
    """The experiment as that chart needs to see it; ``chosen``: keys of the selected trials."""
    wanted = chart.needs(options)
    names = [f.name for f in fields(TrialRecord) if f.name in wanted or f.name not in _COSTLY]
    rows = selection.rows(experiment, chosen).order_by("number")
    read = fast_rows.columns(rows, ["id", "n_reports", *names])
    if chosen is not None and len(chosen) > selection.FEW:
        keep = list(map(selection.is_in(chosen), read[0]))
        read = [tuple(compress(column, keep)) for column in read]
    pks, n_reports, *values = read
    trials = [
        TrialRecord(**dict(zip(names, found, strict=True))) for found in zip(*values, strict=True)
    ]
    found = Record(
        optimize_mode=experiment.optimize_mode,
        space=search_space(experiment),
        trials=tuple(trials),
        now=timezone.now(),
        ended=experiment.phase in PHASE_ENDED,
    )
    if not chart.needs_curves:
        return found
    receipts = _receipts(experiment, options["trial"]) if options.get("trial") else {}
    reported = [
        curve_data.Reported(pk, trial.number, trial.state in FINISHED, n)
        for pk, n, trial in zip(pks, n_reports, trials, strict=True)
    ]
    return curve_data.with_curves(experiment, replace(found, receipts=receipts), reported, options)


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
    kept = Curve.objects.filter(experiment_id=experiment.pk).order_by("name")
    names = set(kept.values_list("name", flat=True).distinct()[:MOST_NAMES])
    running = Trial.objects.filter(experiment_id=experiment.pk).exclude(state__in=FINISHED)
    reports = Metric.objects.filter(trial__in=running, kind=Metric.Kind.PERIODICAL)
    names.update(reports.order_by("name").values_list("name", flat=True).distinct()[:MOST_NAMES])
    return tuple(default_first(names)[:MOST_NAMES])


def default_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != DEFAULT_METRIC, name))


def _receipts(experiment: Experiment, trial_number: str) -> dict[int, StopReceipt]:
    """Why that trial was stopped early, in the assessor's numbers."""
    if not trial_number.isdecimal():
        return {}
    receipt = stop_receipt(experiment, int(trial_number))
    return {} if receipt is None else {int(trial_number): receipt}


def stop_event(experiment: Experiment, trial_number: int) -> Event | None:
    """The event that decided to stop the trial early, with the assessor's numbers in its data."""
    events = Event.objects.filter(
        experiment_id=experiment.pk,
        trial__number=trial_number,
        trial__experiment_id=experiment.pk,
        to_state=TrialState.EARLY_STOPPED,
    ).order_by("seq")
    return next((e for e in events if e.data), None)


def stop_receipt(experiment: Experiment, trial_number: int) -> StopReceipt | None:
    """What the trial had to reach, in the names that assessors give their numbers."""
    event = stop_event(experiment, trial_number)
    if event is None:
        return None
    data = event.data
    names = ("threshold_value", "median_value", "threshold")
    threshold = next((data[n] for n in names if _is_number(data.get(n))), None)
    sequence = data.get("step")
    pairs = zip(data.get("threshold_steps", ()), data.get("threshold_values", ()), strict=False)
    return StopReceipt(
        sequence=float(sequence) if _is_number(sequence) else None,
        threshold=None if threshold is None else float(threshold),
        line=tuple((float(s), float(v)) for s, v in pairs if _is_number(s) and _is_number(v)),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
