"""What people leave with an experiment under a name: who did it last, and when."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Authored(models.Model):
    """Base of ``SavedView`` and ``OwnFigure``; no table of its own."""

    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        related_name="+",
    )
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True
        ordering = ["name", "id"]
