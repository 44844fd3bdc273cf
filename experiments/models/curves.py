"""Thinned curves: what a chart of many trials needs of the reports of one that has ended.

Written when a trial ends (``loop``), or by the first chart that misses it: trials of older releases
have none. Nothing depends on these rows: they are made of ``Metric`` and can be made again.

First, last, lowest and highest finite value are kept exactly, each with its place, in both sizes:
``coarse`` has the lowest and highest of each of a few stretches (min-max), ``fine`` the points of
the largest triangles (LTTB, Steinarsson 2013: "Downsampling Time Series for Visual
Representation").
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.functions import Cast
from numpy.typing import NDArray

from experiments.charts import scale
from experiments.models.state import Experiment, Metric, Trial
from experiments.states import FINISHED

COARSE, FINE = 24, 200  # points, about; gaps come on top
POINT_BYTES = 32  # of a point in ``coarse``
_BATCH = 500  # rows in one statement
_MOST_READ = 50_000  # reports held at a time, of several trials

Points = NDArray[np.float64]  # (4, n): sequence, step, value, time; NaN where there is none


class Curve(models.Model):
    """One metric of one ended trial."""

    # The last release deletes trials without knowing of these rows: no constraint may stop it.
    # What it leaves behind is found by no id any more.
    trial = models.ForeignKey(
        Trial, on_delete=models.CASCADE, related_name="curves", db_constraint=False, db_index=False
    )
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    name = models.CharField(max_length=200)
    n_reports = models.PositiveIntegerField()  # of the trial then; other than today's: make it anew
    coarse = models.BinaryField()
    fine = models.BinaryField(null=True)  # where coarse has not all of it; compressed

    class Meta:
        # which trials have one, and of how many reports: without reading a row of the table
        indexes = [
            models.Index(fields=["experiment", "name", "trial", "n_reports"], name="curve_known")
        ]
        constraints = [models.UniqueConstraint(fields=["trial", "name"], name="curve_unique")]

    def __str__(self) -> str:
        return f"{self.trial_id} {self.name}"


def unpacked(packed: bytes) -> Points:
    """The points of ``coarse``; of several, one after another, the points of all."""
    return np.frombuffer(packed, dtype="<f8").reshape(-1, 4).T


def unpacked_fine(packed: bytes) -> Points:
    return unpacked(zlib.decompress(packed))


def thinned(points: Points, n_out: int, *, shape: bool) -> Points:
    """About ``n_out`` of the points; ``shape``: those that keep the line's shape, else min-max."""
    value = points[2]
    good = np.flatnonzero(np.isfinite(value))
    if value.size <= n_out or not good.size:
        return points[:, :n_out]
    line = scale.drawable(value[good])
    if shape:
        kept = scale.lttb(points[0, good], line, n_out)
        kept = np.union1d(kept, [line.argmin(), line.argmax()])
    else:
        kept = scale.extremes(line, n_out)
    kept = np.union1d(good[kept], [0, value.size - 1])
    # The first point of each gap between two that stay, so that no line is drawn across it.
    bad = np.flatnonzero(~np.isfinite(value))
    _, firsts = np.unique(np.searchsorted(kept, bad), return_index=True)
    return points[:, np.union1d(kept, bad[firsts])]


def keep(trial_ids: Collection[int]) -> None:
    """Thin every metric of these trials, as far as they have ended, and keep it."""
    trials = Trial.objects.filter(pk__in=trial_ids, state__in=FINISHED, n_reports__gt=0)
    part: dict[int, tuple[str, int]] = {}
    n_rows = 0
    for pk, experiment_id, n_reports in trials.values_list("pk", "experiment_id", "n_reports"):
        part[pk] = experiment_id, n_reports
        n_rows += n_reports
        if n_rows >= _MOST_READ or len(part) >= _BATCH:
            _keep(part)
            part, n_rows = {}, 0
    if part:
        _keep(part)


def _keep(trials: Mapping[int, tuple[str, int]]) -> None:
    rows = []
    for (trial_id, name), points in raw_points(trials).items():
        experiment_id, n_reports = trials[trial_id]
        is_small = points.shape[1] <= COARSE
        fine = None if is_small else thinned(points, FINE, shape=True)
        rows.append(
            Curve(
                trial_id=trial_id,
                experiment_id=experiment_id,
                name=name,
                n_reports=n_reports,
                coarse=_packed(thinned(points, COARSE, shape=False)),
                fine=None if fine is None else zlib.compress(_packed(fine), 1),
            )
        )
    with transaction.atomic():
        Curve.objects.bulk_create(
            rows, batch_size=_BATCH, update_conflicts=True, unique_fields=["trial", "name"],
            update_fields=["n_reports", "coarse", "fine"],
        )  # fmt: skip


def _packed(points: Points) -> bytes:
    return np.ascontiguousarray(points.T, dtype="<f8").tobytes()


def raw_points(
    trial_ids: Collection[int], *, name: str | None = None, up_to_seq: int | None = None
) -> dict[tuple[int, str], Points]:
    """Every report of these trials by trial and metric, in order of sequences.

    ``name``: of this metric only; ``up_to_seq``: none that came later.
    """
    if not trial_ids:
        return {}
    rows = Metric.objects.filter(trial__in=trial_ids, kind=Metric.Kind.PERIODICAL)
    if name is not None:
        rows = rows.filter(name=name)
    if up_to_seq is not None:
        rows = rows.filter(seq__lte=up_to_seq)
    # SQLite's times as text: all of a curve are read at once
    is_text = connection.vendor == "sqlite"
    rows = rows.annotate(at=Cast("time", models.TextField()) if is_text else F("time"))
    columns = ("trial_id", "name", "sequence", "step", "value", "at")
    found: dict[tuple[int, str], list[tuple[Any, ...]]] = {}
    ordered = rows.order_by("trial_id", "sequence").values(*columns)
    for trial_id, named, sequence, step, value, time in _tuples(ordered):
        found.setdefault((trial_id, named), []).append((sequence, step, value, time))
    return {key: _points(points) for key, points in found.items()}


def _tuples(rows: Any) -> list[tuple[Any, ...]]:
    """Rows of a query as the database gives them."""
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _points(rows: list[tuple[Any, ...]]) -> Points:
    sequence, step, value, time = zip(*rows, strict=True)
    table = np.array([sequence, step, value, [0.0] * len(rows)], dtype=np.float64)
    table[3] = _seconds(time)
    return table


def _seconds(times: tuple[Any, ...]) -> Any:
    """Seconds since 1970 of UTC times, or of the texts that SQLite keeps of them."""
    if isinstance(times[0], datetime):
        return [time.timestamp() for time in times]
    return np.array(times, dtype="M8[us]").astype(np.int64) / 1e6
