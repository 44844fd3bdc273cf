"""The outbox for AIStore: one row for each node that must be there, written with its cause.

``state`` queues a row in the very transaction in which a trial ends or an experiment starts;
``aistore.uploader`` works the rows off. A row is never lost and, being the only one of its kind,
never doubled. The folder's row also holds the lease of the experiment's uploader.
"""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from experiments import wake
from experiments.states import PHASE_ENDED

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 15 * 60.0


def wait_s(n_attempts: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, to a cap, a little scattered."""
    wait: float = min(FIRST_WAIT_S * 2 ** min(n_attempts - 1, 20), LONGEST_WAIT_S)
    return wait * random.uniform(0.9, 1.1)


class Upload(models.Model):
    """One node in AIStore: the experiment's folder, a trial's Run, or the AutoTune node."""

    class Kind(models.TextChoices):
        FOLDER = "folder"
        RUN = "run"
        AUTOTUNE = "autotune"

    class State(models.TextChoices):
        WAITING = "WAITING"
        DONE = "DONE"
        FAILED = "FAILED"  # for good, until a person presses "Try again"

    MAX_ERROR: ClassVar[int] = 1000

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="uploads"
    )
    trial = models.ForeignKey(
        "experiments.Trial", null=True, blank=True, on_delete=models.CASCADE, related_name="uploads"
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)  # failed ones since the last success
    next_try_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(blank=True, default="")  # of the last attempt; "" after a success
    node_id = models.CharField(max_length=100, blank=True, default="")
    node_path = models.TextField(blank=True, default="")
    has_best_label = models.BooleanField(default=False)  # a Run's, as AIStore has it
    sent = models.TextField(blank=True, default="")  # the folder's description, as AIStore has it
    sent_phase = models.CharField(max_length=8, blank=True, default="")  # the phase told in it
    # of the folder's row; see leases.py
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_holder = models.CharField(max_length=120, null=True, blank=True)
    lease_mark = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # the ticker: what is due
            models.Index(fields=["kind", "state", "next_try_at"], name="upload_due"),
            models.Index(
                fields=["experiment"], condition=Q(has_best_label=True), name="upload_best"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["trial"], condition=Q(trial__isnull=False), name="upload_one_per_trial"
            ),
            models.UniqueConstraint(
                fields=["experiment", "kind"],
                condition=Q(trial__isnull=True),
                name="upload_one_of_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind="run", trial__isnull=False)
                | Q(kind__in=["folder", "autotune"], trial__isnull=True),
                name="upload_run_has_trial",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "DONE", "FAILED"]), name="upload_state_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} {self.kind} {self.trial_id or ''}".rstrip()

    def put_off(self, error: str, *, for_good: bool = False) -> None:
        """Remember a failure, and when to try again."""
        self.attempts += 1
        self.error = error[: self.MAX_ERROR]
        self.next_try_at = timezone.now() + timedelta(seconds=wait_s(self.attempts))
        if for_good:
            self.state = self.State.FAILED
        self.keep("attempts", "error", "next_try_at", "state")

    def done(self, **columns: Any) -> None:
        """Remember a success, with what is known of the node now."""
        columns |= {"state": self.State.DONE, "attempts": 0, "error": ""}
        for name, value in columns.items():
            setattr(self, name, value)
        self.keep(*columns)

    def keep(self, *columns: str) -> None:
        """Write these columns; nothing happens where the experiment was deleted meanwhile."""
        values = {name: getattr(self, name) for name in columns}
        Upload.objects.filter(pk=self.pk).update(**values)


# ---------------------------------------------------------------- queueing


def destination(experiment: Any) -> dict[str, str] | None:
    """``spec.aistore`` of an experiment's manifest: folder and secret; None without one."""
    return experiment.configuration.get("aistore") or None


def _queue(experiment: Any, *rows: Upload) -> None:
    folder = Upload(experiment=experiment, kind=Upload.Kind.FOLDER)
    Upload.objects.bulk_create([folder, *rows], ignore_conflicts=True)
    transaction.on_commit(partial(wake.upload_soon, experiment.pk))


def trial_ended(trial: Any) -> None:
    """Queue the Run of a trial; called in the transaction that ends it."""
    if destination(trial.experiment):
        run = Upload(experiment=trial.experiment, trial=trial, kind=Upload.Kind.RUN)
        _queue(trial.experiment, run)


def phase_changed(experiment: Any) -> None:
    """Queue the folder at the start, so that a wrong key shows before any trial has ended.

    At the end the AutoTune node too, where the settings ask for one; at another end it is written
    anew. Called in the transaction of the change.
    """
    if not destination(experiment):
        return
    if experiment.phase not in PHASE_ENDED:
        _queue(experiment)
    elif experiment.started_at is not None:
        if not settings.AISTORE_ORIGINAL_NODE:
            _queue(experiment)
            return
        Upload.objects.filter(
            experiment=experiment, kind=Upload.Kind.AUTOTUNE, state=Upload.State.DONE
        ).update(state=Upload.State.WAITING)
        _queue(experiment, Upload(experiment=experiment, kind=Upload.Kind.AUTOTUNE))
