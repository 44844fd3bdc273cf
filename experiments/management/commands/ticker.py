"""The ticker role: a reconcile for every unfinished experiment every two seconds.

The truth of the loop is here: hints from elsewhere only make things sooner. It also looks in the
moment when an experiment's time is up, and watches for exits where the backend tells them, so that
a free slot is filled at once. Where something is due for AIStore it sends the uploader, where
somebody is to be told the deliverer of notices, and it keeps SQLite's write-ahead log short.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, close_old_connections

from experiments import wake
from experiments.aistore import outbox
from experiments.embedded import health, write_ahead_log
from experiments.loop.reconcile import (
    restart_clocks,
    time_is_up_in,
    unfinished_ids,
    waiting_ids,
)
from experiments.mirrors import passing
from experiments.monitoring import door
from experiments.notices import delivery
from experiments.training.base import experiment_of_job
from experiments.trials import elsewhere
from experiments.trials.backends import backend

PERIOD_S = 2.0
WATCH_S = 0.025
LATE_S = 0.02  # after the time is up: a look that comes too early sees nothing


class Command(BaseCommand):
    help = "Send a reconcile for every unfinished experiment every two seconds."
    requires_system_checks: list[str] = []  # they load every page; tests/test_checks.py runs them

    def handle(self, *args: Any, **options: Any) -> None:
        if words := health.refusal():
            raise CommandError(words)
        self._stopping = False
        door.serve("ticker")
        health.wait_until_migrated(self.stderr.write)
        restart_clocks()
        elsewhere.restart_silence()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        engine = backend()
        pause_s = WATCH_S if engine.tells_exits else min(0.5, PERIOD_S)
        due = 0.0
        self._ends: dict[str, float] = {}  # experiment id -> monotonic time when its time is up
        while not self._stopping:
            now = time.monotonic()
            if now >= due:
                due = now + PERIOD_S
                self._tick()
            for experiment_id in [key for key, end in self._ends.items() if now >= end]:
                del self._ends[experiment_id]
                wake.reconcile_soon(experiment_id, min_gap=0)
            if ended := engine.take_exits():
                self._wake_after(ended)
            engine.measure()
            time.sleep(pause_s)

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _wake_after(self, ended: Sequence[str]) -> None:
        """Who may go on now: the experiments of these jobs, and those that wait for their slots."""
        own = {experiment_of_job(name) for name in ended}
        for experiment_id in own:
            wake.reconcile_soon(experiment_id, min_gap=0)
        try:
            for experiment_id in set(waiting_ids()) - own:
                wake.reconcile_soon(experiment_id)
        except DatabaseError as error:
            self.stderr.write(f"Who waits is not known now: {error}")

    def _tick(self) -> None:
        close_old_connections()
        try:
            health.beat()
            for experiment_id in unfinished_ids():
                wake.reconcile_soon(experiment_id, min_gap=0.5)
            for experiment_id in outbox.due_ids():
                wake.upload_soon(experiment_id, min_gap=0.5)
            for mirror_id in passing.due_ids():
                wake.mirror_soon(mirror_id, min_gap=0.5)
            for channel_id in delivery.due_channels():
                wake.notify_soon(channel_id, min_gap=0.5)
            now = time.monotonic()
            self._ends = {
                experiment_id: now + seconds + LATE_S
                for experiment_id, seconds in time_is_up_in(2 * PERIOD_S).items()
            }
            write_ahead_log.checkpoint()
        except Exception as error:
            self.stderr.write(f"This tick is left out: {type(error).__name__}: {error}")
