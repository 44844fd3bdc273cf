"""Trials that programs elsewhere take: what they asked for, what each was given, what they told.

Written by ``services.elsewhere`` and, when a pass gives a trial out, by ``trials.elsewhere``. A
request that comes again finds the row of the first: nothing is given twice, nothing is told twice.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from experiments.models.state import Experiment, Trial

# The last release deletes experiments without knowing of these rows: no constraint may stop it.


class Ask(models.Model):
    """A program wants trials; one row however often it says so."""

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="asks", db_constraint=False
    )
    key = models.CharField(max_length=64)  # chosen by who asks, for this wish
    wanted = models.PositiveSmallIntegerField(default=1)  # at most
    # Until then it may be given some; null: it was answered, and gets no more.
    until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="ask_key_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} {self.key}"


class Loan(models.Model):
    """An attempt of a trial that a program has."""

    ask = models.ForeignKey(
        Ask, on_delete=models.CASCADE, related_name="loans", db_constraint=False
    )
    trial = models.ForeignKey(
        Trial, on_delete=models.CASCADE, related_name="loans", db_constraint=False
    )
    attempt = models.PositiveSmallIntegerField()
    heard_at = models.DateTimeField(default=timezone.now)
    # The first word of what came of it: {"value": …}, or why it {"failed": …} and so on.
    told = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trial", "attempt"], name="loan_attempt_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.trial_id} attempt {self.attempt}"


class Creation(models.Model):
    """What a request with an Idempotency-Key made: sent again, it makes no more."""

    key = models.CharField(max_length=64, unique=True)  # a digest of the user and the header
    experiments = models.JSONField(default=list)  # ids
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return ", ".join(self.experiments)
