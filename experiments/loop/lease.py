"""One reconciler per experiment at a time: the lease on its row, and the note for who holds it.

Who finds it taken leaves a note (``wanted``) and goes; the holder looks at the note before it lets
go, so a hint that arrives during a pass is never lost.
"""

from __future__ import annotations

from typing import Any

from experiments.models import Experiment, leases


class Lease(leases.Lease):
    """Held from a successful ``take`` until ``release`` says there is nothing more to do."""

    def __init__(self, experiment_id: str) -> None:
        self.experiment_id = experiment_id
        super().__init__(Experiment.objects.filter(pk=experiment_id))

    def take(self, **columns: Any) -> bool:
        """Get the lease; where somebody holds it, ask the holder for one more pass."""
        for _ in range(2):  # it may be given back between the two questions
            if super().take(wanted=False, **columns):
                return True
            if self._row.exclude(lease_until=None).update(wanted=True):
                return False
        return False

    def release(self) -> bool:
        """Let go; False if another pass was asked for meanwhile (the lease is then still held)."""
        if self.give_back(wanted=False):
            return True
        return not self.mine().update(wanted=False)
