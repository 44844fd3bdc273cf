"""How far an experiment was mirrored to a tracker of the user's: one row for each of them.

Everything that happens has a ``seq``, so the outbox is a cursor: what comes after it is yet to be
sent. ``mirrors.passing`` moves it on, whatever the receiver does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from experiments.models.state import Experiment
from experiments.models.uploads import wait_s
from experiments.states import PHASE_ENDED

NEW = timedelta(days=1)  # an experiment that ended longer ago is not begun to be mirrored


class Mirror(models.Model):
    """One experiment at one receiver."""

    MAX_ERROR: ClassVar[int] = 500

    # The last release deletes experiments without knowing of these rows.
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="mirrors", db_constraint=False
    )
    kind = models.CharField(max_length=12)  # of ``mirrors.passing.kinds``
    cursor = models.PositiveBigIntegerField(default=0)  # seq up to which all was sent
    state = models.JSONField(default=dict)  # what the receiver's side goes by
    attempts = models.PositiveIntegerField(default=0)  # failed ones in a row
    error = models.TextField(blank=True, default="")  # of the last attempt; "" after a success
    # Not before; while somebody sends it lies ahead, so that nobody else does.
    next_try_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "kind"], name="mirror_one_of_a_kind")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} {self.kind}"

    def keep(self, *columns: str) -> None:
        values = {name: getattr(self, name) for name in columns}
        Mirror.objects.filter(pk=self.pk).update(**values)

    def put_off(self, error: str) -> None:
        self.attempts += 1
        self.error = error[: self.MAX_ERROR]
        self.next_try_at = timezone.now() + timedelta(seconds=wait_s(self.attempts))
        self.keep("attempts", "error", "next_try_at")


def begin(kind: str, now: datetime) -> None:
    """Rows for experiments that go on, or ended a moment ago, and have none yet."""
    is_new = ~Q(phase__in=PHASE_ENDED) | Q(finished_at__gt=now - NEW)
    there = Mirror.objects.filter(kind=kind).values("experiment")
    found = Experiment.objects.filter(is_new, deleting=False).exclude(pk__in=there)
    ids = list(found.values_list("pk", flat=True))
    if ids:
        rows = [Mirror(experiment_id=pk, kind=kind, next_try_at=now) for pk in ids]
        Mirror.objects.bulk_create(rows, ignore_conflicts=True)


def due(kinds: list[str], now: datetime) -> QuerySet[Mirror]:
    """Rows with something to send now, who waits longest first."""
    rows = Mirror.objects.filter(
        kind__in=kinds,
        next_try_at__lte=now,
        experiment__last_seq__gt=F("cursor"),
        experiment__deleting=False,
    )
    return rows.order_by("next_try_at", "id")
