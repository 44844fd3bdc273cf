"""What the rows say of the whole installation, for Prometheus: served by the ticker.

Whoever asks, and however often: the rows are read once in FRESH_S, by a handful of queries that
indexes answer and that PostgreSQL breaks off after LIMIT_MS. Where the database cannot be read,
``autotune_database_up`` is 0 and nothing else is claimed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, close_old_connections, connection, transaction
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from experiments.models import ClusterObject, Experiment, Mirror, Notice, Trial, Upload
from experiments.states import PHASE_ENDED, Phase, TrialState

FRESH_S = 5.0
LIMIT_MS = 3000
_UNSENT = (Upload.State.WAITING, Upload.State.FAILED)


class RowsCollector(Collector):
    """Gauges of the database; safe to be asked by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -FRESH_S
        self._found: list[GaugeMetricFamily] = []

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: or the registry would read the rows when the collector is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                self._found = _read()
                self._read_at = time.monotonic()
            yield from self._found


def _read() -> list[GaugeMetricFamily]:
    close_old_connections()
    try:
        with _bounded():
            found = [_experiments(), _trials(), _lag(), *_outbox(), *_objects()]
    except Error:
        return [_gauge("database_up", "Whether the database could be read.", 0)]
    finally:
        connection.close()  # no thread of the server keeps one until the next scrape
    return [_gauge("database_up", "Whether the database could be read.", 1), *found]


@contextmanager
def _bounded() -> Iterator[None]:
    if connection.vendor != "postgresql":  # a transaction of SQLite's would keep writers waiting
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {LIMIT_MS:d}")
        yield


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"autotune_{name}", words, value=value)


def _by(
    name: str, words: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"autotune_{name}", words, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _experiments() -> GaugeMetricFamily:
    rows = Experiment.objects.filter(deleting=False).order_by().values_list("phase")
    counts = dict(rows.annotate(n=Count("pk")))
    values: dict[tuple[str, ...], float] = {(phase.value,): counts.get(phase, 0) for phase in Phase}
    return _by("experiments", "Experiments, by phase.", ("phase",), values)


def _trials() -> GaugeMetricFamily:
    """Of those that have not ended: what ended lately, each worker counts (trials_ended)."""
    live = Trial.objects.exclude(experiment__phase__in=PHASE_ENDED).order_by()
    counts = dict(live.values_list("state").annotate(n=Count("pk")))
    values: dict[tuple[str, ...], float] = {(s.value,): counts.get(s, 0) for s in TrialState}
    words = "Trials of experiments that have not ended, by state."
    return _by("trials", words, ("state",), values)


def _lag() -> GaugeMetricFamily:
    """The first pass has an experiment run, and every pass over a running one sets its clock."""
    live = Experiment.objects.filter(deleting=False)
    waits = [
        live.filter(phase=Phase.RUNNING).aggregate(at=Min("clock_at"))["at"],
        live.filter(phase=Phase.PENDING).aggregate(at=Min("created_at"))["at"],
    ]
    now = timezone.now()
    lag = max([0.0, *((now - at).total_seconds() for at in waits if at)])
    words = "Seconds since the loop last got to the unfinished experiment that waits longest."
    return _gauge("reconcile_lag_seconds", words, lag)


def _outbox() -> Iterator[GaugeMetricFamily]:
    now = timezone.now()
    uploads = Upload.objects.filter(kind__in=Upload.Kind.values, state__in=_UNSENT).order_by()
    notices = Notice.objects.filter(state__in=_UNSENT).order_by()
    mirrors = Mirror.objects.exclude(error="")
    values: dict[tuple[str, ...], float] = {("mirror", "FAILING"): mirrors.count()}
    oldest: dict[tuple[str, ...], float] = {}
    for name, rows, due in (("aistore", uploads, "next_try_at"), ("notice", notices, "due_at")):
        counts = dict(rows.values_list("state").annotate(n=Count("pk")))
        values |= {(name, state.value): counts.get(state, 0) for state in _UNSENT}
        first = rows.filter(state=Upload.State.WAITING).aggregate(at=Min(due))["at"]
        oldest[(name,)] = max(0.0, (now - first).total_seconds()) if first else 0.0
    words = "What is to be sent elsewhere and was not, by receiver and state."
    yield _by("outbox", words, ("to", "state"), values)
    words = "How long what has waited longest has been due."
    yield _by("outbox_overdue_seconds", words, ("to",), oldest)


def _objects() -> Iterator[GaugeMetricFamily]:
    yield _gauge("objects", "AutoTuneExperiments of the cluster.", ClusterObject.objects.count())
    refused = ClusterObject.objects.exclude(trouble="").count()
    yield _gauge("objects_in_trouble", "Those of which something was refused.", refused)
