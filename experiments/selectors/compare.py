"""A few trials of one experiment side by side: what they share, where they differ, their curves.

Called by REST and the page with the numbers as the address has them (``read_numbers``). Reads those
trials and their reports only, in a constant number of queries, however large the experiment is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from experiments.algorithms.space.flat import flat
from experiments.charts import overlay
from experiments.charts.base import (
    DEFAULT_METRIC,
    Figure,
    Record,
    ReportedCurve,
    Table,
    TrialRecord,
)
from experiments.charts.words import spoken_by
from experiments.models import Experiment, Metric, Trial, curves
from experiments.problems import Problem, ProblemsError
from experiments.selectors import chart_data, curve_data
from experiments.selectors.differences import diff_rows
from experiments.selectors.kept import Kept
from experiments.selectors.present import trial_json

FEWEST = 2
MOST = 20
LIMITS = {"fewest": FEWEST, "most": MOST}  # for pages
MOST_KEPT = 2000  # trials
_NUMBER = re.compile(r"[0-9]{1,9}")

LastReport = dict[str, float | str]  # by the metric's name
_kept: Kept[tuple[int, int], LastReport] = Kept(MOST_KEPT)  # by trial, as of its seq


def chosen_trials(experiment: Experiment, text: str) -> list[Trial]:
    """The trials that ``3,7,12`` names, in that order, each once.

    Raises:
        ProblemsError: saying what must hold and what came.
    """
    numbers = _numbers(text)
    found = {trial.number: trial for trial in experiment.trials.filter(number__in=numbers)}
    missing = [number for number in numbers if number not in found]
    if missing:
        words = ngettext(
            "must name trials of this experiment, but it has no trial %(numbers)s.",
            "must name trials of this experiment, but it has no trials %(numbers)s.",
            len(missing),
        ) % {"numbers": ", ".join(map(str, missing))}
        raise ProblemsError([Problem("trials", words, _hint(experiment))])
    for trial in found.values():
        trial.experiment = experiment
    return [found[number] for number in numbers]


def _numbers(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    odd = [word for word in words if not _NUMBER.fullmatch(word)]
    hint = _("E.g. trials=3,7,12.")
    if odd:
        message = _("must be numbers of trials with commas between them, but got %(got)r.") % {
            "got": odd[0][:60]
        }
        raise ProblemsError([Problem("trials", message, hint)])
    numbers = list(dict.fromkeys(int(word) for word in words))
    if not FEWEST <= len(numbers) <= MOST:
        message = _("must name %(fewest)d to %(most)d different trials, but got %(n)d.") % {
            "fewest": FEWEST,
            "most": MOST,
            "n": len(numbers),
        }
        raise ProblemsError([Problem("trials", message, hint)])
    return numbers


def _hint(experiment: Experiment) -> str:
    last = experiment.trials.order_by("-number").values_list("number", flat=True).first()
    if last is None:
        return _("It has no trials yet.")
    return _("Its trials go up to %(last)d.") % {"last": last}


def compare_json(experiment: Experiment, trials: Sequence[Trial]) -> dict[str, Any]:
    """Everything the comparison shows but the curves; columns go by trial number, as text."""
    best = best_of(experiment, trials)
    line_looks = overlay.line_looks(trial.number for trial in trials)
    last_reports = _last_reports(trials)
    metrics = {
        str(t.number): {**last_reports.get(t.pk, {}), **_without_default(t.metrics)} for t in trials
    }
    metric_rows = []
    for row in diff_rows(metrics):
        latest = [t.number for t in trials if row.name in last_reports.get(t.pk, {})]
        finals = {t.number for t in trials if row.name in t.metrics}
        metric_rows.append({**row.as_dict(), "latest": [n for n in latest if n not in finals]})
    parameters = {str(t.number): flat(t.parameters) for t in trials}
    return {
        "seq": experiment.last_seq,
        "optimize_mode": experiment.optimize_mode,
        "best": None if best is None else best.number,
        "experiment_best": experiment.best_trial.number if experiment.best_trial else None,
        "trials": [
            {
                **trial_json(trial),
                "duration": _seconds(trial.duration),
                "delta": _delta(trial, best),
                "colour": line_looks[trial.number].colour,
                "dash": line_looks[trial.number].dash,
            }
            for trial in trials
        ],
        "parameters": [row.as_dict() for row in diff_rows(parameters)],
        "metrics": metric_rows,
    }


def best_of(experiment: Experiment, trials: Sequence[Trial]) -> Trial | None:
    """The best of these by the rule of the experiment's best: see ``MAY_BE_BEST``."""
    sign = 1 if experiment.optimize_mode == "minimize" else -1
    candidates = [
        (sign * t.value, t.number, t) for t in trials if t.may_be_best and t.value is not None
    ]
    return min(candidates)[2] if candidates else None


def _delta(trial: Trial, best: Trial | None) -> float | None:
    """How far its value, or its latest one while it runs, is from the best's."""
    value = trial.value if trial.value is not None else trial.latest_value
    if value is None or best is None or best.value is None:
        return None
    delta = value - best.value
    return delta if np.isfinite(delta) else None


def _seconds(taken: timedelta | None) -> float | None:
    return None if taken is None else max(0.0, taken.total_seconds())


def _without_default(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name != DEFAULT_METRIC}


def _last_reports(trials: Sequence[Trial]) -> dict[int, LastReport]:
    """The newest intermediate value of each other metric, by trial; kept of those that ended."""
    kept = {t.pk: _kept.get((t.pk, t.seq)) for t in trials}
    found = {pk: report for pk, report in kept.items() if report is not None}
    unknown = [t for t in trials if t.pk not in found]
    if not unknown:
        return found
    fresh: dict[int, LastReport] = {t.pk: {} for t in unknown}
    newest = Window(
        RowNumber(), partition_by=[F("trial_id"), F("name")], order_by=F("sequence").desc()
    )
    rows = (
        Metric.objects.filter(trial__in=list(fresh), kind=Metric.Kind.PERIODICAL)
        .exclude(name=DEFAULT_METRIC)
        .annotate(place=newest)
        .filter(place=1)
        .order_by("name")
    )
    for metric in rows:
        fresh[metric.trial_id][metric.name] = metric.json_value
    for trial in unknown:
        if trial.is_finished:
            _kept.put((trial.pk, trial.seq), fresh[trial.pk])
    return found | fresh


def forget() -> None:
    _kept.clear()


# ---- curves


def curves_figure(
    experiment: Experiment, trials: Sequence[Trial], options: Mapping[str, str]
) -> Figure:
    """Their curves over each other; raises ProblemsError for an option that makes no sense."""
    with spoken_by(_):
        figure = overlay.draw(_overlaid(experiment, trials, options), options)
    figure["layout"]["meta"] |= {
        "metrics": _metric_names(trials),
        "seq": experiment.last_seq,
        "redrawn_at": sorted(overlay.REDRAWN_AT),
    }
    return figure


def curves_table(
    experiment: Experiment, trials: Sequence[Trial], options: Mapping[str, str]
) -> Table:
    with spoken_by(_):
        return overlay.tabulate(_overlaid(experiment, trials, options), options)


def _overlaid(
    experiment: Experiment, trials: Sequence[Trial], options: Mapping[str, str]
) -> Record:
    name = options.get("metric") or DEFAULT_METRIC
    return Record(
        optimize_mode=experiment.optimize_mode,
        space=chart_data.search_space(experiment),
        trials=tuple(_record(trial) for trial in trials),
        now=timezone.now(),
        curves=_curves(experiment, trials, name, with_time=options.get("x") == "time"),
    )


def _record(trial: Trial) -> TrialRecord:
    return TrialRecord(*(getattr(trial, name) for name in TrialRecord._fields))


def _metric_names(trials: Sequence[Trial]) -> list[str]:
    """What these trials reported on the way, the default one first."""
    rows = Metric.objects.filter(
        trial__in=[t.pk for t in trials], kind=Metric.Kind.PERIODICAL
    ).order_by("name")
    names = rows.values_list("name", flat=True).distinct()[: chart_data.MOST_NAMES]
    return chart_data.default_first(names)


def _curves(
    experiment: Experiment, trials: Sequence[Trial], name: str, *, with_time: bool
) -> tuple[ReportedCurve, ...]:
    """Exactly the reports up to the experiment's ``last_seq``; the page adds what comes after."""
    points = curves.raw_points([t.pk for t in trials], name=name, up_to_seq=experiment.last_seq)
    return tuple(
        curve_data.reported(trial.number, points[trial.pk, name], with_time=with_time)
        for trial in trials
        if (trial.pk, name) in points
    )
