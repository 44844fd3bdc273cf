"""Ask the loop, the uploader or the deliverer of notices to look sooner than the ticker would.

Sends a Celery task by name, so nobody needs to import the tasks; it lies below the callers of the
loop and above nothing. A broker that cannot be reached costs a few ticks, never an error; where it
hangs, one caller waits for it (its time limit is in the settings), and the next ones do not.
"""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app

logger = logging.getLogger(__name__)

TASK = "experiments.tasks.reconcile_experiment"
UPLOAD_TASK = "experiments.tasks.upload_experiment"
NOTIFY_TASK = "experiments.tasks.deliver_notices"
MIRROR_TASK = "experiments.tasks.mirror_experiment"
_MIN_GAP = 0.05  # seconds between two messages for the same experiment from this process
_PAUSE = 2.0  # after a failure, times as long as that took
_LONGEST_PAUSE = 10.0
_last: dict[tuple[str, str], float] = {}
_paused_until = 0.0  # monotonic
_lock = threading.Lock()


def reconcile_soon(experiment_id: str, *, min_gap: float = _MIN_GAP) -> None:
    """Send one reconcile message, unless one left less than ``min_gap`` seconds ago."""
    _send(TASK, experiment_id, min_gap)


def upload_soon(experiment_id: str, *, min_gap: float = _MIN_GAP) -> None:
    """Send one message to the uploader, likewise."""
    _send(UPLOAD_TASK, experiment_id, min_gap)


def notify_soon(channel_id: str, *, min_gap: float = _MIN_GAP) -> None:
    """Send one message to who delivers a channel's notices, likewise."""
    _send(NOTIFY_TASK, channel_id, min_gap)


def mirror_soon(mirror_id: str, *, min_gap: float = _MIN_GAP) -> None:
    """Send one message to who mirrors an experiment to a tracker, likewise."""
    _send(MIRROR_TASK, mirror_id, min_gap)


def _send(task: str, experiment_id: str, min_gap: float) -> None:
    global _paused_until
    now = time.monotonic()
    with _lock:
        if now < _paused_until:
            return
        if now - _last.get((task, experiment_id), -1e9) < min_gap:
            return
        _last[task, experiment_id] = now
        if len(_last) > 10_000:
            _last.clear()
    try:
        current_app.send_task(task, args=[experiment_id], expires=30, retry=False)
    except Exception as error:
        logger.warning("No broker for experiment %s: %s", experiment_id, error)
        end = time.monotonic()
        _paused_until = end + min(_LONGEST_PAUSE, _PAUSE * (end - now))
