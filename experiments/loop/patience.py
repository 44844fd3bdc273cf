"""How long one waits for a backend that refuses, before what is to go is let go without it.

Called by ``reconcile`` for experiments that are being deleted. A right may have been forgotten for
a moment; a namespace that was deleted takes its rights along and never gives them back.
"""

from __future__ import annotations

import time

LET_GO_S = 600.0

_refused: dict[str, float] = {}  # experiment -> monotonic time of the first refusal seen here


def is_over(experiment_id: str) -> bool:
    """Note a refusal; whether this process has been told so for long enough."""
    since = _refused.setdefault(experiment_id, time.monotonic())
    if time.monotonic() - since < LET_GO_S:
        return False
    del _refused[experiment_id]
    return True
