"""The curves of a chart, read so that a chart of many trials stays cheap.

Called by ``chart_data``. Trials that have ended come out of ``models.curves``, thinned: no overview
ever reads every point. The reports themselves are read of running trials, and of the one trial
whose own chart it is. Trials that ended under an older release are thinned here, for ``THIN_FOR_S``
a call; the figure says how many are left (``meta.n_unread``), and the page asks again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from django.db import DatabaseError
from django.db.models import QuerySet
from numpy.typing import NDArray

from experiments.charts import crowd
from experiments.charts import curves as chart
from experiments.charts.base import DEFAULT_METRIC, Crowd, Options, Record, ReportedCurve
from experiments.charts.columns import is_any_of
from experiments.models import Curve, Experiment, curves
from experiments.models.curves import Points
from experiments.selectors import fast_rows
from experiments.selectors.kept import Kept
from experiments.selectors.trial_records import Rows
from experiments.states import FINISHED

THIN_FOR_S = 1.0
_THINNED_AT_ONCE = 20_000  # reports


class _Known(NamedTuple):
    """Curves that are kept: of which trials, and how many reports each was made of."""

    pks: NDArray[np.int64]  # ascending
    n_reports: NDArray[np.int64]

    def of(self, pks: NDArray[np.int64]) -> NDArray[np.int64]:
        """The reports of each of these trials; -1 where none is kept."""
        if not self.pks.size:
            return np.full(pks.size, -1)
        place = np.minimum(np.searchsorted(self.pks, pks), self.pks.size - 1)
        return np.where(self.pks[place] == pks, self.n_reports[place], -1)


# By experiment and trial, how many reports a kept curve was made of; out of date where rows are
# more or less than here, or a trial has another number of reports.
_known: Kept[str, _Known] = Kept(8)


def with_curves(experiment: Experiment, record: Record, rows: Rows, options: Options) -> Record:
    """The record with the curves of one metric: each on its own, or all but the best as a crowd.

    Of running trials exactly the reports up to the experiment's ``last_seq`` as it was read: pages
    add what comes after it, none twice and none left out.
    """
    name = options.get("metric") or DEFAULT_METRIC
    with_time = options.get("x") == "time"
    is_finished = is_any_of(record.columns.state, FINISHED)
    known = _known.get(experiment.pk)
    missing = None if known is None else _missing(known, rows, is_finished)
    if known is None or missing or known.pks.size != _rows(experiment, DEFAULT_METRIC).count():
        known = _kept(experiment, DEFAULT_METRIC)
        missing = _missing(known, rows, is_finished)
    missing = missing or []
    at_once: list[int] = []
    if missing:
        at_once = _thin(missing, rows)
        known = _kept(experiment, DEFAULT_METRIC)
    _known.put(experiment.pk, known)
    n_unread = len(missing)
    kept = known if name == DEFAULT_METRIC else _kept(experiment, name)
    numbers = record.columns.number
    going = [*np.flatnonzero(~is_finished).tolist(), *at_once]  # places of the trials
    number_of = dict(zip(rows.pks[going].tolist(), numbers[going].tolist(), strict=True))
    raw = curves.raw_points(list(number_of), name=name, up_to_seq=experiment.last_seq)
    exact: dict[int, Points] = {number_of[pk]: points for (pk, _), points in raw.items()}
    coarse = np.flatnonzero(kept.of(rows.pks) >= 0)  # places as well
    wanted = chart.wanted(record, options, {*exact, *numbers[coarse].tolist()})
    is_own = np.isin(numbers[coarse], list(wanted.own))
    if wanted.is_all:
        exact = {n: points for n, points in exact.items() if n in wanted.own}
        coarse, is_own = coarse[is_own], is_own[is_own]
    singly = coarse[is_own] if wanted.is_crowd else coarse  # each a line of its own
    pk_of = dict(zip(numbers[singly].tolist(), rows.pks[singly].tolist(), strict=True))
    if wanted.alone is not None and wanted.alone in pk_of:
        for points in curves.raw_points([pk_of[wanted.alone]], name=name).values():
            exact[wanted.alone] = points
    fine = _fine(list(pk_of.values()), name)
    exact = {**{n: fine[pk] for n, pk in pk_of.items() if pk in fine}, **exact}
    rest = {n: pk for n, pk in pk_of.items() if n not in exact}  # there is no finer one
    if rest:
        packed = _coarse(experiment, name, list(rest.values()))
        exact |= {n: curves.unpacked(packed[pk]) for n, pk in rest.items() if pk in packed}
    found_crowd = None
    if wanted.is_crowd:
        others = coarse[~is_own & ~np.isin(numbers[coarse], list(exact))]
        others = others[np.argsort(numbers[others], kind="stable")]
        found_crowd = _crowd(
            experiment, name, numbers[others], rows.pks[others], record.last_stopped,
            with_time=with_time,
        )  # fmt: skip
    found = tuple(reported(n, exact[n], with_time=with_time) for n in sorted(exact))
    return replace(record, curves=found, crowd=found_crowd, n_unread=n_unread)


def _missing(known: _Known, rows: Rows, is_finished: NDArray[np.bool_]) -> list[int]:
    """Places of ended trials whose curves are not kept as they are now."""
    is_missing = is_finished & (rows.n_reports > 0) & (known.of(rows.pks) != rows.n_reports)
    found: list[int] = np.flatnonzero(is_missing).tolist()
    return found


def _fine(pks: Sequence[int], name: str) -> dict[int, Points]:
    """What is kept of these trials beyond ``coarse``, where there is more."""
    rows = Curve.objects.filter(trial__in=pks, name=name)
    kept = rows.values_list("trial_id", "fine")
    return {pk: curves.unpacked_fine(bytes(packed)) for pk, packed in kept if packed is not None}


def _crowd(
    experiment: Experiment,
    name: str,
    numbers: NDArray[np.int64],
    pks: NDArray[np.int64],
    also: int | None,
    *,
    with_time: bool,
) -> Crowd | None:
    """These curves, or some evenly out of them where they are very many; ``also`` is among them."""
    chosen = crowd.taken(numbers)
    if also is not None:
        chosen = np.union1d(chosen, np.flatnonzero(numbers == also))
    packed = _coarse(experiment, name, pks[chosen].tolist())
    found = {
        number: packed[pk]
        for number, pk in zip(numbers[chosen].tolist(), pks[chosen].tolist(), strict=True)
        if pk in packed
    }
    if not found:
        return None
    sequence, step, value, at = curves.unpacked(b"".join(found.values()))
    length = np.array([len(one) for one in found.values()], dtype=np.int64) // curves.POINT_BYTES
    return Crowd(
        np.array(list(found), dtype=np.int64), length, sequence, step, value,
        at if with_time else np.empty(0), n_all=int(numbers.size),
    )  # fmt: skip


def know(experiment: Experiment) -> None:
    """Have at hand of which trials curves are kept."""
    if _known.get(experiment.pk) is None:
        _known.put(experiment.pk, _kept(experiment, DEFAULT_METRIC))


def forget() -> None:
    """For tests: keep nothing."""
    _known.clear()


def reported(number: int, points: Points, *, with_time: bool) -> ReportedCurve:
    sequence, step, value, at = points
    return ReportedCurve(number, sequence, step, value, at if with_time else np.empty(0))


def _kept(experiment: Experiment, name: str) -> _Known:
    """Of which trials there is a curve, and how many reports each had when it was thinned."""
    found = fast_rows.columns(_rows(experiment, name), ("trial", "n_reports"))
    pks, n_reports = (np.array(column, dtype=np.int64) for column in found)
    order = np.argsort(pks, kind="stable")
    return _Known(pks[order], n_reports[order])


def _rows(experiment: Experiment, name: str) -> QuerySet[Curve]:
    return Curve.objects.filter(experiment_id=experiment.pk, name=name)


def _coarse(experiment: Experiment, name: str, pks: Sequence[int]) -> dict[int, bytes]:
    """The coarse curves of these trials."""
    rows = _rows(experiment, name)
    # Ten thousand keys as parameters of a query take Django longer than the database reads them.
    keys = ",".join(map(str, map(int, pks)))
    found = fast_rows.columns(rows.extra(where=[f"trial_id IN ({keys})"]), ("trial", "coarse"))
    return {pk: bytes(packed) for pk, packed in zip(*found, strict=True)}


def _thin(missing: list[int], rows: Rows) -> list[int]:
    """Thin trials as far as time allows, and take their places out of ``missing``.

    Returns a few more that were taken out, but cannot be kept now: somebody writes for long, or
    nobody may. They are to be read as running trials are.
    """
    until = time.monotonic() + THIN_FOR_S
    while missing and time.monotonic() < until:
        part: list[int] = []
        n_reports = 0
        while missing and n_reports < _THINNED_AT_ONCE:
            part.append(missing.pop())
            n_reports += int(rows.n_reports[part[-1]])
        try:
            curves.keep(rows.pks[part].tolist())
        except DatabaseError:
            return part
    return []
