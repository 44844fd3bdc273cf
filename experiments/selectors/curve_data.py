"""The curves of a chart, read so that a chart of many trials stays cheap.

Called by ``chart_data``. Trials that have ended come out of ``models.curves``, thinned: no overview
ever reads every point. The reports themselves are read of running trials, and of the one trial
whose own chart it is. Trials that ended under an older release are thinned here, for ``THIN_FOR_S``
a call; the figure says how many are left (``meta.n_unread``), and the page asks again.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from django.db import DatabaseError
from django.db.models import QuerySet

from experiments.charts import crowd
from experiments.charts import curves as chart
from experiments.charts.base import DEFAULT_METRIC, Crowd, Options, Record, ReportedCurve
from experiments.models import Curve, Experiment, curves
from experiments.models.curves import Points
from experiments.selectors import fast_rows
from experiments.selectors.kept import Kept

# By experiment and trial, how many reports a kept curve was made of; out of date where rows are
# more or less than here, or a trial has another number of reports.
_known: Kept[str, dict[int, int]] = Kept(8)
THIN_FOR_S = 1.0
_THINNED_AT_ONCE = 20_000  # reports


class Reported(NamedTuple):
    """What of a trial decides from where its curve is read."""

    pk: int
    number: int
    is_finished: bool
    n_reports: int


def with_curves(
    experiment: Experiment, record: Record, trials: Sequence[Reported], options: Options
) -> Record:
    """The record with the curves of one metric: each on its own, or all but the best as a crowd.

    Of running trials exactly the reports up to the experiment's ``last_seq`` as it was read: pages
    add what comes after it, none twice and none left out.
    """
    name = options.get("metric") or DEFAULT_METRIC
    with_time = options.get("x") == "time"
    known = _known.get(experiment.pk) or {}
    missing = _missing(known, trials)
    if missing or len(known) != _rows(experiment, DEFAULT_METRIC).count():
        known = _kept(experiment, DEFAULT_METRIC)
        missing = _missing(known, trials)
    at_once: list[Reported] = []
    if missing:
        at_once = _thin(missing)
        known = _kept(experiment, DEFAULT_METRIC)
    _known.put(experiment.pk, known)
    n_unread = len(missing)
    kept = known if name == DEFAULT_METRIC else _kept(experiment, name)
    numbers = {t.pk: t.number for t in trials}
    going = [t.pk for t in trials if not t.is_finished] + [t.pk for t in at_once]
    raw = curves.raw_points(going, name=name, up_to_seq=experiment.last_seq)
    exact: dict[int, Points] = {numbers[pk]: points for (pk, _), points in raw.items()}
    coarse = {number: pk for pk, number in numbers.items() if pk in kept}
    wanted = chart.wanted(record, options, {*exact, *coarse})
    if wanted.is_all:
        exact = {n: points for n, points in exact.items() if n in wanted.own}
        coarse = {n: pk for n, pk in coarse.items() if n in wanted.own}
    pks = {t.number: t.pk for t in trials}
    if wanted.alone is not None and wanted.alone in coarse:
        for points in curves.raw_points([pks[wanted.alone]], name=name).values():
            exact[wanted.alone] = points
    finer = [pks[n] for n in (wanted.own if wanted.is_crowd else coarse) if n in coarse]
    exact = {**{numbers[pk]: p for pk, p in _fine(finer, name).items()}, **exact}
    rest = sorted(n for n in coarse if n not in exact)
    singly = [n for n in rest if not wanted.is_crowd or n in wanted.own]  # there is no finer one
    if singly:
        packed = _coarse(experiment, name, [coarse[n] for n in singly])
        exact |= {n: curves.unpacked(packed[coarse[n]]) for n in singly if coarse[n] in packed}
    rest = [n for n in rest if n not in wanted.own] if wanted.is_crowd else []
    found_crowd = None
    if rest:
        found_crowd = _crowd(experiment, name, rest, pks, record.last_stopped, with_time=with_time)
    found = tuple(reported(n, exact[n], with_time=with_time) for n in sorted(exact))
    return replace(record, curves=found, crowd=found_crowd, n_unread=n_unread)


def _missing(known: Mapping[int, int], trials: Sequence[Reported]) -> list[Reported]:
    """Ended trials whose curves are not kept as they are now."""
    return [t for t in trials if t.is_finished and t.n_reports and known.get(t.pk) != t.n_reports]


def _fine(pks: Sequence[int], name: str) -> dict[int, Points]:
    """What is kept of these trials beyond ``coarse``, where there is more."""
    rows = Curve.objects.filter(trial__in=pks, name=name)
    kept = rows.values_list("trial_id", "fine")
    return {pk: curves.unpacked_fine(bytes(packed)) for pk, packed in kept if packed is not None}


def _crowd(
    experiment: Experiment,
    name: str,
    numbers: Sequence[int],
    pks: Mapping[int, int],
    also: int | None,
    *,
    with_time: bool,
) -> Crowd | None:
    """These curves, or some evenly out of them where they are very many; ``also`` is among them."""
    n_all = len(numbers)
    chosen = [numbers[place] for place in crowd.taken(n_all).tolist()]
    place = bisect_left(numbers, also) if also is not None else n_all
    if place < n_all and numbers[place] == also and also not in set(chosen):
        insort(chosen, also)
    packed = _coarse(experiment, name, [pks[number] for number in chosen])
    found = {number: packed[pks[number]] for number in chosen if pks[number] in packed}
    if not found:
        return None
    sequence, step, value, at = curves.unpacked(b"".join(found.values()))
    length = np.array([len(one) for one in found.values()], dtype=np.int64) // curves.POINT_BYTES
    return Crowd(
        np.array(list(found), dtype=np.int64), length, sequence, step, value,
        at if with_time else np.empty(0), n_all=n_all,
    )  # fmt: skip


def forget() -> None:
    """For tests: keep nothing."""
    _known.clear()


def reported(number: int, points: Points, *, with_time: bool) -> ReportedCurve:
    sequence, step, value, at = points
    return ReportedCurve(number, sequence, step, value, at if with_time else np.empty(0))


def _kept(experiment: Experiment, name: str) -> dict[int, int]:
    """By trial: how many reports it had when it was thinned."""
    found = fast_rows.columns(_rows(experiment, name), ("trial", "n_reports"))
    return dict(zip(*found, strict=True))


def _rows(experiment: Experiment, name: str) -> QuerySet[Curve]:
    return Curve.objects.filter(experiment_id=experiment.pk, name=name)


def _coarse(experiment: Experiment, name: str, pks: Sequence[int]) -> dict[int, bytes]:
    """The coarse curves of these trials."""
    rows = _rows(experiment, name).filter(trial__in=pks)
    found = fast_rows.columns(rows, ("trial", "coarse"))
    return {pk: bytes(packed) for pk, packed in zip(*found, strict=True)}


def _thin(missing: list[Reported]) -> list[Reported]:
    """Thin trials as far as time allows, and take them out of ``missing``.

    Returns a few more that were taken out, but cannot be kept now: somebody writes for long, or
    nobody may. They are to be read as running trials are.
    """
    until = time.monotonic() + THIN_FOR_S
    while missing and time.monotonic() < until:
        part: list[Reported] = []
        n_reports = 0
        while missing and n_reports < _THINNED_AT_ONCE:
            part.append(missing.pop())
            n_reports += part[-1].n_reports
        try:
            curves.keep([t.pk for t in part])
        except DatabaseError:
            return part
    return []
