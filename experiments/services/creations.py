"""Requests that make experiments and may come again: each makes its experiments once.

Called by REST, inside the transaction that makes them. Who sends a request again because no answer
came gives it the Idempotency-Key of the first time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction

from experiments.access import policy
from experiments.models import Creation, Experiment
from experiments.services.actions import Refused


class Once:
    """``made`` holds what the same request made before; else ``note`` what it makes now."""

    def __init__(self, made: list[Experiment], row: Creation | None) -> None:
        self.made = made
        self._row = row

    def note(self, made: Sequence[Experiment]) -> None:
        if self._row is not None:
            self._row.experiments = [experiment.pk for experiment in made]
            self._row.save(update_fields=["experiments"])


@contextmanager
def once(user: Any, key: str) -> Iterator[Once]:
    """Hold the key until the transaction around ends; "" is no key, and everything is made.

    Raises Refused where what it made has been deleted since.
    """
    if not key:
        yield Once([], None)
        return
    digest = hashlib.sha256(f"{user.pk} {key}".encode()).hexdigest()
    try:
        with transaction.atomic():
            row = Creation.objects.create(key=digest)
    except IntegrityError:  # who makes them has committed: until then this waits
        ids = Creation.objects.get(key=digest).experiments
        found = policy.visible_experiments(user).in_bulk(ids)
        if len(found) < len(ids):
            raise Refused("What this Idempotency-Key made was deleted; use another.") from None
        yield Once([found[pk] for pk in ids], None)
        return
    yield Once([], row)
