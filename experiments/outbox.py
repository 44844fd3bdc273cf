"""The outbox for AIStore: one row for each node that must be there, written with its cause.

``models`` queue a row in the very transaction in which a trial ends or an experiment starts;
``aistore.uploader`` works the rows off. A row is never lost and, being the only one of its kind,
never doubled. The folder's row also holds the lease of the experiment's uploader.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from experiments import wake
from experiments.states import PHASE_ENDED

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 15 * 60.0
LEASE = timedelta(minutes=5)  # longer than any one request to AIStore takes


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
    lease_until = models.DateTimeField(null=True, blank=True)  # of the folder's row

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


# ---------------------------------------------------------------- what is due


def due_runs(now: datetime) -> QuerySet[Upload]:
    """Rows below the folder's that want uploading now."""
    below = [Upload.Kind.RUN, Upload.Kind.AUTOTUNE]
    waiting = Upload.State.WAITING
    return Upload.objects.filter(kind__in=below, state=waiting, next_try_at__lte=now)


def _done(now: datetime) -> QuerySet[Upload]:
    """Uploaded Runs that may be changed now."""
    done = Upload.State.DONE
    return Upload.objects.filter(kind=Upload.Kind.RUN, state=done, next_try_at__lte=now)


def _wrongly_labelled(now: datetime) -> QuerySet[Upload]:
    is_best = Q(experiment__best_trial=F("trial"))
    nobody_is = Q(experiment__best_trial__isnull=True)
    return _done(now).filter(nobody_is | ~is_best, has_best_label=True)


def wrong_labels(now: datetime, experiment: Any) -> list[Upload]:
    """Uploaded Runs whose ``best`` label is not where the experiment's best trial is."""
    unlabelled = _done(now).filter(experiment__best_trial=F("trial"), has_best_label=False)
    return [
        *_wrongly_labelled(now).filter(experiment=experiment),
        *unlabelled.filter(experiment=experiment),
    ]


def _ready(now: datetime) -> QuerySet[Upload]:
    """Folders' rows of experiments with something to upload now, even if somebody is at it."""
    if not settings.AISTORE_HOST:
        return Upload.objects.none()
    # The ticker asks every two seconds: each part is answered by an index, however many Runs
    # were uploaded in the past.
    unlabelled = _done(now).filter(has_best_label=False, trial=OuterRef("experiment__best_trial"))
    work = (
        Q(state=Upload.State.WAITING)
        | Q(experiment__in=due_runs(now).values("experiment"))
        | Q(experiment__in=_wrongly_labelled(now).values("experiment"))
        | Exists(unlabelled)
        | ~Q(sent_phase=F("experiment__phase"))
    )
    folders = Upload.objects.filter(
        work, kind=Upload.Kind.FOLDER, next_try_at__lte=now, experiment__deleting=False
    )
    return folders.exclude(state=Upload.State.FAILED)


def due_ids() -> list[str]:
    """Experiments that the uploader is to be sent to, oldest need first."""
    now = timezone.now()
    free = _ready(now).filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now))
    return list(free.order_by("next_try_at", "id").values_list("experiment_id", flat=True))


def goes_on(experiment_id: str) -> bool:
    """Whether there is uploading to wait for: something is due, or being done right now."""
    now = timezone.now()
    mine = Upload.objects.filter(experiment=experiment_id)
    return mine.filter(lease_until__gt=now).exists() or _ready(now).filter(pk__in=mine).exists()


# ---------------------------------------------------------------- one uploader per experiment


class UploadLease:
    """Held while one process uploads for an experiment; who died is outwaited."""

    def __init__(self, experiment_id: str) -> None:
        self._folders = Upload.objects.filter(experiment=experiment_id, kind=Upload.Kind.FOLDER)
        self._until: datetime | None = None

    def take(self) -> bool:
        now = timezone.now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        return self._set(self._folders.filter(free), now + LEASE)

    def renew(self) -> bool:
        """Prolong it; False if somebody else has it by now, or the experiment is being deleted."""
        mine = self._folders.filter(lease_until=self._until, experiment__deleting=False)
        return self._set(mine, timezone.now() + LEASE)

    def release(self) -> None:
        self._folders.filter(lease_until=self._until).update(lease_until=None)

    def _set(self, rows: QuerySet[Upload], until: datetime) -> bool:
        if not rows.update(lease_until=until):
            return False
        self._until = until
        return True


def forget_leases() -> None:
    """Only for the one supervisor of a data directory, before it starts."""
    Upload.objects.exclude(lease_until=None).update(lease_until=None)


# ---------------------------------------------------------------- trying again


def try_again(experiments: Any) -> int:
    """Forget failures and waits of these experiments' uploads; returns how many rows that were."""
    stuck = Upload.objects.filter(experiment__in=experiments).filter(
        Q(state=Upload.State.FAILED) | Q(attempts__gt=0)
    )
    ids = list(stuck.values_list("experiment_id", flat=True).distinct())
    now = timezone.now()
    with transaction.atomic():
        n = stuck.filter(state=Upload.State.DONE).update(attempts=0, error="", next_try_at=now)
        n += stuck.exclude(state=Upload.State.DONE).update(
            state=Upload.State.WAITING, attempts=0, error="", next_try_at=now
        )
        for pk in ids:
            transaction.on_commit(partial(wake.upload_soon, pk))
    return n


def secret_changed(project: Any, name: str) -> int:
    """Try again what failed for want of this secret; called when it was set."""
    rows = Upload.objects.filter(kind=Upload.Kind.FOLDER).exclude(error="")
    rows = rows.filter(experiment__project=project)
    ids = rows.filter(experiment__manifest__spec__aistore__secret=name).values("experiment")
    return try_again(ids)
