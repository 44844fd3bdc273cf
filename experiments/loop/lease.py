"""One reconciler per experiment at a time, without a lock server.

The lease is a timestamp on the row, taken and released by conditional UPDATE. Who finds it taken
leaves a note (``wanted``) and goes; the holder looks at the note before it lets go, so a hint that
arrives during a pass is never lost. A holder that died is outwaited.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from experiments.models import Experiment

LEASE = timedelta(seconds=60)  # longer than any one step between two renewals
FRESH = timedelta(seconds=5)  # far below LEASE: the clocks of two machines may differ


class Lease:
    """Held from a successful ``take`` until ``release`` says there is nothing more to do."""

    def __init__(self, experiment_id: str) -> None:
        self.experiment_id = experiment_id
        self._until: datetime | None = None

    def take(self) -> bool:
        """Get the lease; where somebody holds it, ask the holder for one more pass."""
        now = timezone.now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        until = now + LEASE
        if Experiment.objects.filter(free, pk=self.experiment_id).update(
            lease_until=until, wanted=False
        ):
            self._until = until
            return True
        Experiment.objects.filter(pk=self.experiment_id, lease_until__gte=now).update(wanted=True)
        return False

    def renew(self) -> bool:
        """Prolong it; False if it ran out and somebody else has it: stop writing at once.

        Costs nothing within ``FRESH`` of the last time: nobody can have taken it.
        """
        now = timezone.now()
        if self._until is not None and self._until - now > LEASE - FRESH:
            return True
        until = now + LEASE
        won = Experiment.objects.filter(pk=self.experiment_id, lease_until=self._until).update(
            lease_until=until
        )
        if won:
            self._until = until
        return bool(won)

    def release(self) -> bool:
        """Let go; False if another pass was asked for meanwhile (the lease is then still held)."""
        mine = Experiment.objects.filter(pk=self.experiment_id, lease_until=self._until)
        if mine.filter(wanted=False).update(lease_until=None):
            return True
        return not mine.update(wanted=False)

    def drop(self) -> None:
        """Let go whatever was asked for: the pass failed."""
        Experiment.objects.filter(pk=self.experiment_id, lease_until=self._until).update(
            lease_until=None
        )


def clear_all() -> None:
    """Forget every lease: only for the one supervisor of a data directory, before it starts."""
    Experiment.objects.exclude(lease_until=None).update(lease_until=None, wanted=False)
