"""The clock of active time: where it stands on an experiment's row, and how long the machine slept.

A machine with its lid closed tries nothing: that time is no active time, though the wall clock
passes over it. Linux counts it: CLOCK_BOOTTIME goes on in a sleep, CLOCK_MONOTONIC stands still.
Only the machine that set the clock can tell how long it slept since, and only in the same boot:
anywhere else nothing is left out. A virtual machine that its host freezes does not notice either.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from experiments.training.local.processes import boot_id, slept_s

LEAST_S = 1.0  # the two clocks are not read in the same moment


def columns(since: datetime | None) -> dict[str, Any]:
    """The columns of a clock that runs from ``since``; of one that stands still for None."""
    if since is None:
        return {"clock_at": None, "clock_sleep": None}
    try:
        # With the moment, so that it counts for nothing once somebody sets clock_at alone: the
        # release before this one does.
        sleep = {"boot": boot_id(), "slept": slept_s(), "at": since.isoformat()}
    except OSError:  # no /proc: nobody can tell
        sleep = None
    return {"clock_at": since, "clock_sleep": sleep}


def slept_since(clock_at: datetime | None, clock_sleep: Any) -> float:
    """Seconds that the machine slept since the clock was set so; 0 where nobody here can tell."""
    if clock_at is None or not clock_sleep or clock_sleep["at"] != clock_at.isoformat():
        return 0.0
    if clock_sleep["boot"] != boot_id():
        return 0.0
    slept = slept_s() - float(clock_sleep["slept"])
    return slept if slept >= LEAST_S else 0.0


def slept_in(job: Mapping[str, Any]) -> float | None:
    """Seconds that the machine slept since a job of its own was started; None: cannot be told."""
    if "slept" not in job or job.get("boot") != boot_id():
        return None
    slept = slept_s() - float(job["slept"])
    return slept if slept >= LEAST_S else 0.0
