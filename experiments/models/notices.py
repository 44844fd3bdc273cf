"""Whom to tell of what, and the outbox of what is to be told.

A notice is queued in the very transaction of its cause, once; ``notices.delivery`` works them off,
whatever the receivers do. Rows that are told stay a while: they are the log that their owner sees.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from experiments import wake
from experiments.models.uploads import wait_s
from experiments.states import Phase

END, ERROR, BREAKER, BEST, TEST = "end", "error", "breaker", "best", "test"
KINDS = (END, ERROR, BREAKER, BEST)
BEST_WAIT_S = 30.0  # of several best ones in a row the last is told


class Channel(models.Model):
    """One way to tell somebody: of one experiment, or of all that are theirs or nobody's."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook"
        EMAIL = "email"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    # The last release deletes experiments without knowing of these rows.
    experiment = models.ForeignKey(
        "experiments.Experiment", null=True, blank=True, on_delete=models.CASCADE,
        related_name="channels", db_constraint=False,
    )  # fmt: skip
    kind = models.CharField(max_length=7, choices=Kind.choices)
    target = models.CharField(max_length=500)  # address of the webhook, or of the mailbox
    sealed = models.TextField(blank=True, default="")  # the webhook's key, for ``secrets.opened``
    told_of = models.JSONField(default=list)  # of KINDS
    language = models.CharField(max_length=10, default="en")
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)  # failed ones in a row
    # Not before; while somebody delivers it lies ahead, so that nobody else does.
    next_try_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def put_off(self) -> None:
        self.attempts += 1
        self.next_try_at = timezone.now() + timedelta(seconds=wait_s(self.attempts))
        Channel.objects.filter(pk=self.pk).update(
            attempts=self.attempts, next_try_at=self.next_try_at
        )


CHANNEL_KINDS = Channel.Kind.values  # by this name the schema finds them


class Notice(models.Model):
    """One thing to be told through one channel."""

    class State(models.TextChoices):
        WAITING = "WAITING"
        DONE = "DONE"
        FAILED = "FAILED"  # for good

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    experiment = models.ForeignKey(
        "experiments.Experiment", null=True, blank=True, on_delete=models.CASCADE,
        related_name="+", db_constraint=False,
    )  # fmt: skip
    what = models.CharField(max_length=10)
    cause = models.CharField(max_length=80)  # the same one is told once
    facts = models.JSONField(default=dict)  # as they were then
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, default="")  # of the last attempt
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["state", "due_at"], name="notice_due")]  # the ticker
        constraints = [
            models.UniqueConstraint(fields=["channel", "cause"], name="notice_told_once")
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.cause}"


def listening(experiment: Any, what: str) -> list[Channel]:
    """Who wants to be told this of that experiment."""
    mine = Q(experiment=experiment) | Q(experiment=None, user=experiment.owner_id)
    if experiment.owner_id is None:
        mine |= Q(experiment=None)
    # Few rows; no database but PostgreSQL looks into JSON lists.
    return [c for c in Channel.objects.filter(mine) if what in c.told_of]


def queue(experiment: Any, what: str, cause: str, facts: Callable[[], dict[str, Any]]) -> None:
    """Queue it for everybody who listens; called in the transaction of its cause.

    Of best ones that still wait the newest takes the place.
    """
    channels = listening(experiment, what)
    if not channels:
        return
    due_at = timezone.now()
    if what == BEST:
        due_at += timedelta(seconds=BEST_WAIT_S)
        Notice.objects.filter(
            channel__in=channels, experiment=experiment, what=BEST, state=Notice.State.WAITING
        ).delete()
    told = {"name": experiment.name, "phase": str(experiment.phase), **facts()}
    Notice.objects.bulk_create(
        [
            Notice(
                channel=channel, experiment=experiment, what=what,
                cause=f"{experiment.pk}:{cause}", facts=told, due_at=due_at,
            )
            for channel in channels
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    for channel in channels:
        transaction.on_commit(partial(wake.notify_soon, str(channel.pk)))


def phase_changed(experiment: Any, reason: str) -> None:
    """Tell of the end; called in the transaction of the change."""
    if experiment.phase in (Phase.DONE, Phase.TIMEOUT, Phase.ERROR):
        what = ERROR if experiment.phase == Phase.ERROR else END

        def facts() -> dict[str, Any]:
            best = experiment.best_trial
            told = {"reason": reason or experiment.message}
            return told | ({} if best is None else {"trial": best.number, "value": best.value})

        queue(experiment, what, f"{what}:{experiment.last_seq}", facts)
