"""An experiment as a file: JSON (the contract), YAML, CSV, and a report of one HTML page.

Pure reading; called by REST and the command line. Names and values come from users: CSV cells never
become formulas, HTML is escaped throughout.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from django.utils import timezone

from experiments.algorithms.space.flat import flat
from experiments.manifest.yaml_text import dump_yaml
from experiments.models import Event, Experiment, Metric, Trial
from experiments.selectors import fast_rows, own_figures, report, selection
from experiments.selectors.manifest import current_manifest
from experiments.selectors.present import experiment_json, iso
from experiments.states import EventKind

CONTENT_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "yaml": "application/yaml",
    "html": "text/html; charset=utf-8",
}
_FIRST_BATCH, _BATCH = 10, 200  # trials whose reports are read in one query
_MOST_REPORTS = 20_000  # in one piece, about

_FIXED_COLUMNS = (
    "number", "id", "state", "origin", "reason", "value", "excluded", "exit_code",
    "started_at", "finished_at", "duration_seconds", "excluded_reason",
)  # fmt: skip


def export(experiment: Experiment, format: str, chosen: Sequence[int] | None = None) -> bytes:
    """The experiment in one of ``CONTENT_TYPES``, in UTF-8.

    ``chosen``: primary keys of the trials to take, by number; None: all of them.
    """
    if format == "csv":
        return csv_text(experiment, chosen).encode()
    if format == "html":
        return report.html_text(experiment, csv_text(experiment)).encode()
    if format == "yaml":
        return dump_yaml(export_json(experiment, chosen)).encode()
    return b"".join(json_chunks(experiment, chosen))


def export_json(experiment: Experiment, chosen: Sequence[int] | None = None) -> dict[str, Any]:
    """The JSON export: experiment, best trial, every trial with every report."""
    trials = list(_trials_json(experiment, chosen))
    best_id = experiment.best_trial_id
    best = _one_trial(experiment, best_id) if best_id else None
    figures = _figures(experiment)
    return {
        "experiment": _head(experiment),
        "best": best,
        "trials": trials,
        **({"figures": figures} if figures else {}),
    }


def json_chunks(experiment: Experiment, chosen: Sequence[int] | None = None) -> Iterator[bytes]:
    """The JSON export in pieces of some trials, so that it is never all in memory."""
    best_id = experiment.best_trial_id
    best = _one_trial(experiment, best_id) if best_id else None
    head = '{"experiment": ' + _dumps(_head(experiment)) + ',\n "best": ' + _dumps(best)
    yield (head + ',\n "trials": [').encode()
    between = "\n  "
    for batch in _batches(experiment, chosen):
        yield (between + ",\n  ".join(map(_dumps, batch))).encode()
        between = ",\n  "
    figures = _figures(experiment)
    tail = f'],\n "figures": {_dumps(figures)}}}\n' if figures else "]}\n"
    yield tail.encode()


def _dumps(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _figures(experiment: Experiment) -> list[dict[str, Any]]:
    """Figures that people keep with it, by name."""
    found = experiment.own_figures.all()
    return [{"name": figure.name, "figure": own_figures.drawn(figure)} for figure in found]


def _head(experiment: Experiment) -> dict[str, Any]:
    head = experiment_json(experiment)
    del head["best"]
    return {**head, "manifest": current_manifest(experiment)}


def _one_trial(experiment: Experiment, pk: int) -> dict[str, Any] | None:
    trial = experiment.trials.filter(pk=pk).first()
    if trial is None:
        return None
    return _trial_json(trial, _reports([trial])[trial.pk], _exclusions([trial]))


def _trials_json(experiment: Experiment, chosen: Sequence[int] | None) -> Iterator[dict[str, Any]]:
    return chain.from_iterable(_batches(experiment, chosen))


def _batches(
    experiment: Experiment, chosen: Sequence[int] | None
) -> Iterator[list[dict[str, Any]]]:
    """Every trial with its reports: so many trials at once as have ``_MOST_REPORTS``, about."""
    done, last, size = 0, -1, _FIRST_BATCH
    while True:
        rows = experiment.trials.order_by("number")
        if chosen is None:
            batch = list(rows.filter(number__gt=last)[:size])
        else:
            batch = list(rows.filter(pk__in=chosen[done : done + size]))
        if not batch:
            return
        is_last = len(batch) < size if chosen is None else done + size >= len(chosen)
        reports = _reports(batch)
        reasons = _exclusions(batch)
        yield [_trial_json(trial, reports[trial.pk], reasons) for trial in batch]
        if is_last:
            return
        done += size
        last = batch[-1].number
        n_reports = sum(map(len, reports.values()))
        size = max(1, min(_BATCH, size * _MOST_REPORTS // max(1, n_reports)))


def _reports(trials: list[Trial]) -> dict[int, list[dict[str, Any]]]:
    """Intermediate reports of each trial, in order, in one query."""
    found: dict[int, list[dict[str, Any]]] = {trial.pk: [] for trial in trials}
    rows = Metric.objects.filter(trial_id__in=found, kind=Metric.Kind.PERIODICAL).order_by(
        "trial_id", "sequence", "name"
    )
    columns = fast_rows.columns(
        rows, ("trial", "sequence", "step", "name", "value", "nonfinite", "time"), as_iso=True
    )
    for pk, sequence, step, name, value, nonfinite, time in zip(*columns, strict=True):
        found[pk].append(
            {
                "sequence": sequence,
                "step": step,
                "name": name,
                "value": nonfinite if value is None else value,
                "time": time,
            }
        )
    return found


def _exclusions(trials: Sequence[Trial]) -> dict[int, str]:
    """Why those that are excluded are: what was said last."""
    excluded = [trial.pk for trial in trials if trial.excluded]
    events = Event.objects.filter(what=EventKind.EXCLUDED).order_by("seq")
    found: dict[int, str] = {}
    for start in range(0, len(excluded), _BATCH):
        part = excluded[start : start + _BATCH]
        found.update(events.filter(trial__in=part).values_list("trial_id", "reason"))
    return found


def _trial_json(
    trial: Trial, intermediate: list[dict[str, Any]], exclusions: Mapping[int, str]
) -> dict[str, Any]:
    excluded = {"excluded": True, "excluded_reason": exclusions.get(trial.pk, "")}
    return {
        "number": trial.number,
        "id": trial.key,
        "state": trial.state,
        "origin": trial.origin,
        "reason": trial.reason,
        "parameters": trial.parameters,
        "value": trial.value,
        "metrics": trial.metrics,
        "started_at": iso(trial.started_at),
        "finished_at": iso(trial.finished_at),
        "intermediate": intermediate,
        **(excluded if trial.excluded else {}),
    }


# ---- tables


def _table(
    experiment: Experiment, chosen: Sequence[int] | None = None
) -> tuple[list[str], list[list[Any]]]:
    """One row a trial; parameters (nested ones by dotted names) and metrics are those of any."""
    is_chosen = selection.is_in(chosen)
    rows_of = selection.rows(experiment, chosen).order_by("number")
    trials = [trial for trial in rows_of if is_chosen(trial.pk)]
    values = [flat(trial.parameters) for trial in trials]
    exclusions = _exclusions(trials)
    parameters = _names(iter(values))
    metrics = _names(trial.metrics for trial in trials)
    header = [
        *_FIXED_COLUMNS,
        *(f"param:{name}" for name in parameters),
        *(f"metric:{name}" for name in metrics),
    ]
    now = timezone.now()
    rows = [
        [
            trial.number,
            trial.key,
            trial.state,
            trial.origin,
            trial.reason,
            trial.value,
            trial.excluded,
            trial.exit_code,
            iso(trial.started_at),
            iso(trial.finished_at),
            ((trial.finished_at or now) - trial.started_at).total_seconds()
            if trial.started_at
            else None,
            exclusions.get(trial.pk, ""),
            *(found.get(name) for name in parameters),
            *(trial.metrics.get(name) for name in metrics),
        ]
        for trial, found in zip(trials, values, strict=True)
    ]
    return header, rows


def _names(mappings: Iterator[dict[str, Any]]) -> list[str]:
    """Every name, in the order of first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def csv_text(experiment: Experiment, chosen: Sequence[int] | None = None) -> str:
    return csv_of(*_table(experiment, chosen))


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([_cell(name) for name in header])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


# A spreadsheet runs text that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def _cell(value: Any) -> Any:
    """A CSV cell: numbers as they are, text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else _dumps(value)
    if text in _NOT_FINITE:
        return text
    return "'" + text if text.startswith(_FORMULA_STARTS) else text
