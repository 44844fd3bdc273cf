"""What of the outbox is due, who uploads it, and how a person makes it try again.

Called by the ticker, ``uploader``, REST and the ``secret`` command; the rows are ``Upload``s.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from experiments import wake
from experiments.models import Upload
from experiments.models.leases import Lease, free_ones

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
    return free_ones(_ready(now).order_by("next_try_at", "id"), "experiment_id", now)


def goes_on(experiment_id: str) -> bool:
    """Whether there is uploading to wait for: something is due, or being done right now."""
    now = timezone.now()
    mine = Upload.objects.filter(experiment=experiment_id)
    return mine.filter(lease_until__gt=now).exists() or _ready(now).filter(pk__in=mine).exists()


# ---------------------------------------------------------------- one uploader per experiment


def lease_of(experiment_id: str) -> Lease:
    """Held, on the folder's row, while one process uploads for an experiment."""
    return Lease(Upload.objects.filter(experiment=experiment_id, kind=Upload.Kind.FOLDER))


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
