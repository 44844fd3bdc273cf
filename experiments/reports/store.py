"""The writer behind the trial API: takes all reports that wait, one transaction, then answers.

Called by trial_api.py on its event loop; the database work happens in one thread of its own. A
report that the database refuses does not take its neighbours along; a database that cannot be
written makes 503s, never a crash.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, connection

from experiments import counted, hints, wake
from experiments.access.tokens import TrialClaim
from experiments.models import Experiment
from experiments.reports import rows
from experiments.reports.rows import Answer, Item, Written

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000  # reports
MAX_BATCH = 500  # reports in one transaction
# Seconds to wait for company. While it waits, the event loop takes in what has arrived without
# fighting over the interpreter lock, and each commit serves more reports.
GATHER = 0.0005
RETRY_DELAYS = (0.05, 0.2, 0.5)  # seconds
RETRY_FOR = 5.0  # seconds after which a sick database is not tried again for this batch
JUDGED_GAP = 0.5  # seconds between two wake-ups of the loop because of intermediate reports

_SICK = (OperationalError, InterfaceError)
_UNAVAILABLE = Answer(503, "not stored: the database cannot be written now; send it again")
_REFUSED = Answer(500, "not stored: the server could not handle this report; see its log")


class StoreIsFull(Exception):
    """More reports wait than MAX_WAITING: the sender should come again."""


@dataclass(slots=True)
class _Waiting:
    claim: TrialClaim
    item: Item
    future: asyncio.Future[Answer]


class ReportStore:
    """Group commit. The thread starts with the first report; ``close`` flushes and ends it."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._waker: ThreadPoolExecutor | None = None
        self._is_judged: dict[str, bool] = {}  # experiment id -> does it look at intermediates?
        self._woken_at: dict[str, float] = {}  # experiment id -> monotonic time

    def submit(self, claim: TrialClaim, item: Item) -> asyncio.Future[Answer]:
        """Queue one item of the running loop; its future resolves after the commit.

        Raises:
            StoreIsFull: if too many wait already.
        """
        if self._queue.qsize() >= MAX_WAITING:
            raise StoreIsFull
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(claim, item, future))
        if self._thread is None:
            self._start_thread()
        return future

    def close(self) -> None:
        """Write what waits, then end the thread and its database connection."""
        with self._start:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _start_thread(self) -> None:
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="report-writer", daemon=True)
                self._thread.start()

    # ---- in the writer's thread

    def _run(self) -> None:
        # Sending to a broker may hang when it is down: that must not hold reports up.
        self._waker = ThreadPoolExecutor(1, thread_name_prefix="report-waker")
        try:
            is_open = True
            while is_open:
                batch, is_open = self._collect()
                if batch:
                    self._handle(batch)
        finally:
            connection.close()
            self._waker.shutdown()

    def _collect(self) -> tuple[list[_Waiting], bool]:
        """Wait for one, then take all there are; False once the store is being closed."""
        batch: list[_Waiting] = []
        waiting = self._queue.get()
        time.sleep(GATHER)
        while waiting is not None:
            batch.append(waiting)
            if len(batch) >= MAX_BATCH:
                return batch, True
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _handle(self, batch: list[_Waiting]) -> None:
        try:
            written = self._write(batch)
        except Exception:
            logger.exception("The report writer failed")
            written = Written([_REFUSED] * len(batch))
        for status, n in Counter(answer.status for answer in written.answers).items():
            counted.REPORTS.labels(status).inc(n)
        counted.REPORTS_WAITING.set(self._queue.qsize())
        _resolve(batch, written.answers)
        for experiment_id in written.reported:
            try:
                self._tell(experiment_id)
            except Exception:
                logger.exception("Experiment %s: hint not sent", experiment_id)

    def _write(self, batch: list[_Waiting]) -> Written:
        try:
            return self._write_stubbornly(batch)
        except _SICK as error:
            connection.close()
            logger.error("%s reports were refused with 503: %s", len(batch), error)
            return Written([_UNAVAILABLE] * len(batch))
        except Exception:
            if len(batch) == 1:
                claim = batch[0].claim
                logger.exception(
                    "Experiment %s, trial %s: report refused", claim.experiment_id, claim.key
                )
                return Written([_REFUSED])
        # One of them is poison: each for itself, then.
        together = Written([])
        for waiting in batch:
            alone = self._write([waiting])
            together.answers += alone.answers
            together.reported |= alone.reported
        return together

    def _write_stubbornly(self, batch: list[_Waiting]) -> Written:
        """Write, and again if the database is busy or its connection was lost."""
        items = [(waiting.claim, waiting.item) for waiting in batch]
        give_up_at = time.monotonic() + RETRY_FOR
        for delay in RETRY_DELAYS:
            try:
                return rows.write(items)
            except _SICK as error:
                if time.monotonic() > give_up_at:
                    raise
                logger.warning("Reports are written again in %s s: %s", delay, error)
                connection.close()
                time.sleep(delay)
        return rows.write(items)

    def _tell(self, experiment_id: str) -> None:
        """Wake the browsers' hub, and the loop where an assessor judges what came.

        A final result alone decides nothing: the loop waits for the end of the trial's job.
        """
        hints.hint(experiment_id)
        assert self._waker is not None
        now = time.monotonic()
        if now - self._woken_at.get(
            experiment_id, -JUDGED_GAP
        ) >= JUDGED_GAP and self._looks_at_intermediates(experiment_id):
            self._woken_at[experiment_id] = now
            self._waker.submit(wake.reconcile_soon, experiment_id, min_gap=JUDGED_GAP)

    def _looks_at_intermediates(self, experiment_id: str) -> bool:
        known = self._is_judged.get(experiment_id)
        if known is None:
            try:
                spec = Experiment.objects.only("manifest").get(pk=experiment_id).configuration
            except (Experiment.DoesNotExist, *_SICK):
                return False
            known = bool(spec.get("assessor") or spec.get("advisor"))
            if len(self._is_judged) > 10_000:
                self._is_judged.clear()
                self._woken_at.clear()
            self._is_judged[experiment_id] = known
        return known


def _resolve(batch: list[_Waiting], answers: list[Answer]) -> None:
    """Give each its answer, on its own loop, with one call for all of a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer]]] = {}
    for waiting, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(waiting.future.get_loop(), []).append((waiting.future, answer))
    for loop, pairs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_set_results, pairs)


def _set_results(pairs: list[tuple[asyncio.Future[Answer], Answer]]) -> None:
    for future, answer in pairs:
        if not future.done():
            future.set_result(answer)
