"""Fan-out of an experiment's news to its browsers: one reader per process and experiment.

``consumers.py`` watches; each watcher first gets the rows after its cursor, then what happens. News
is found by hint (``hints`` in this process, ``relay`` from others) or by a look every POLL seconds,
so writers in other processes need no broker. Guarantees: messages cover consecutive ranges of
``seq``, so a watcher that comes back with the last ``seq`` it saw has every metric exactly once; a
slow watcher is dropped and never slows the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import connection

from experiments import hints
from experiments.models import Event, Experiment, Metric, Trial
from experiments.selectors.present import event_json, experiment_json, metric_json, trial_json

logger = logging.getLogger(__name__)

POLL = 0.25  # seconds between two looks at an experiment nobody hinted at
GAP = 0.1  # seconds between two messages
HEARTBEAT = 10.0  # seconds of silence before an empty message says "still here"
CHUNK = 5000  # metrics in one message
WAITING = 64  # messages that may wait for one watcher
GONE, TOO_SLOW = 4404, 4408  # close codes

T = TypeVar("T")


class Dropped(Exception):
    """The watcher gets no more; ``code`` is for its browser."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class News(NamedTuple):
    """One message and the ``seq`` that it reaches."""

    text: str
    seq: int


# ---------------------------------------------------------------- reading, in the hub's thread


def read_last_seq(experiment_id: str) -> int | None:
    """The experiment's counter; None where it is gone. The one query of an idle experiment."""
    return (
        Experiment.objects.filter(pk=experiment_id, deleting=False)
        .values_list("last_seq", flat=True)
        .first()
    )


def read_news(experiment_id: str, after: int, upto: int, *, is_first: bool = True) -> News | None:
    """The rows with after < seq <= upto, or as many as one message holds; None if gone.

    A message never ends within a ``seq``. ``upto`` must have been read before: whoever raised the
    counter to it held the experiment's row until commit, so all rows up to it can be seen. The
    first message of a range has the range's trials, so that metrics never precede their trial.
    """
    experiment = (
        Experiment.objects.filter(pk=experiment_id, deleting=False)
        .select_related("best_trial", "project", "cluster_object")
        .first()
    )
    if experiment is None:
        return None
    message: dict[str, Any] = {"seq": upto, "events": [], "trials": [], "metrics": []}
    if after < upto:
        end = _end_of_chunk(experiment_id, after, upto)
        message["seq"] = end
        chunk = {"experiment_id": experiment_id, "seq__gt": after, "seq__lte": end}
        found = list(Metric.objects.filter(**chunk).order_by("seq", "id"))
        happened = list(Event.objects.filter(**chunk).order_by("seq"))
        ids = {metric.trial_id for metric in found}
        ids |= {event.trial_id for event in happened if event.trial_id is not None}
        numbers = _numbers(experiment_id, ids)
        message["metrics"] = [metric_json(metric, numbers[metric.trial_id]) for metric in found]
        message["events"] = [event_json(event, numbers.get(event.trial_id)) for event in happened]
        if is_first:
            trials = Trial.objects.filter(
                experiment_id=experiment_id, seq__gt=after, seq__lte=upto
            ).order_by("number")
            message["trials"] = [trial_json(trial) for trial in trials]
    message["experiment"] = experiment_json(experiment)
    return News(_encode(message), message["seq"])


def _end_of_chunk(experiment_id: str, after: int, upto: int) -> int:
    """Highest seq, up to ``upto``, such that at most CHUNK metrics lie in between, or one seq's."""
    seqs = (
        Metric.objects.filter(experiment_id=experiment_id, seq__gt=after, seq__lte=upto)
        .order_by("seq")
        .values_list("seq", flat=True)
    )
    too_far: int | None = seqs[CHUNK : CHUNK + 1].first()
    if too_far is None:
        return upto
    return too_far if seqs[0] == too_far else too_far - 1


def _numbers(experiment_id: str, trial_ids: set[int]) -> dict[int | None, int]:
    trials = Trial.objects.filter(experiment_id=experiment_id)
    if len(trial_ids) < 500:
        trials = trials.filter(pk__in=trial_ids)
    return dict(trials.order_by().values_list("id", "number"))


def _encode(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


# ---------------------------------------------------------------- watching, on the event loop


class _Watcher:
    """Queue of one watcher that has caught up."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | Dropped] = asyncio.Queue(WAITING)

    def put(self, text: str) -> bool:
        """False where it is full: its end is queued instead of what it did not fetch."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.drop(TOO_SLOW)
            return False
        return True

    def drop(self, code: int) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(Dropped(code))


class _Subscription:
    """The one reader of an experiment in this process."""

    def __init__(self, hub: Hub, experiment_id: str) -> None:
        self._hub = hub
        self._id = experiment_id
        self._news = asyncio.Event()
        self._moved = asyncio.Condition()
        self.cursor = -1  # all up to here was given to the watchers; -1 until the first look
        self.is_gone = False
        self.watchers: set[_Watcher] = set()
        self.n_users = 0
        self.task = asyncio.create_task(self._run(), name=f"hub {experiment_id}")

    def wake(self) -> None:
        self._news.set()

    async def reach(self, seq: int) -> None:
        """Wait until the cursor is at ``seq``.

        Raises:
            Dropped: if the experiment is gone.
        """
        self.wake()
        async with self._moved:
            await self._moved.wait_for(lambda: self.is_gone or self.cursor >= seq)
        if self.is_gone:
            raise Dropped(GONE)

    async def _run(self) -> None:
        sent_at = 0.0
        while not self.is_gone:
            try:
                if await self._look():
                    sent_at = time.monotonic()
                elif time.monotonic() - sent_at >= HEARTBEAT:
                    self._heartbeat()
                    sent_at = time.monotonic()
            except Exception:
                logger.exception("Experiment %s: its news cannot be read", self._id)
                await asyncio.sleep(1)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), POLL)
            # Hints of the gap are answered by the same look.
            await asyncio.sleep(max(0.0, sent_at + GAP - time.monotonic()))
            self._news.clear()

    async def _look(self) -> bool:
        """Read what is new and hand it out; False if there is nothing."""
        newest = await self._hub.read(read_last_seq, self._id)
        if newest is None:
            await self._end()
            return True
        if self.cursor < 0:
            await self._move_to(newest)
            return False
        is_first = True
        start = self.cursor
        while self.cursor < newest:
            news = await self._hub.read(read_news, self._id, self.cursor, newest, is_first=is_first)
            if news is None:
                await self._end()
                return True
            self._hand_out(news.text)
            await self._move_to(news.seq)
            is_first = False
        return self.cursor > start

    def _hand_out(self, text: str) -> None:
        self.watchers = {watcher for watcher in self.watchers if watcher.put(text)}

    def _heartbeat(self) -> None:
        self._hand_out(_encode({"seq": self.cursor, "events": [], "trials": [], "metrics": []}))

    async def _move_to(self, seq: int) -> None:
        self.cursor = seq
        async with self._moved:
            self._moved.notify_all()

    async def _end(self) -> None:
        self.is_gone = True
        for watcher in self.watchers:
            watcher.drop(GONE)
        self.watchers.clear()
        async with self._moved:
            self._moved.notify_all()


class Hub:
    """All subscriptions of one event loop, and the thread that reads for them."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, _Subscription] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="hub")
        hints.listen(self._hint)
        self._relay: asyncio.Task[None] | None = None
        if settings.REDIS_URL:
            from experiments.live import relay  # loads the client of Redis

            self._relay = asyncio.create_task(relay.hear(self._wake), name="hub relay")

    @property
    def n_subscriptions(self) -> int:
        return len(self._subscriptions)

    async def watch(self, experiment_id: str, after: int) -> AsyncGenerator[str, None]:
        """Yield the backlog after ``after``, then every message; close the iterator when done.

        Raises:
            Dropped: when the watcher is too slow, or the experiment is gone.
        """
        subscription = self._subscriptions.get(experiment_id)
        if subscription is None or subscription.is_gone:
            subscription = self._subscriptions[experiment_id] = _Subscription(self, experiment_id)
        subscription.n_users += 1
        watcher = _Watcher()
        try:
            await subscription.reach(0)
            cursor = await self._start_of(subscription, experiment_id, after)
            is_first = True
            while is_first or cursor < subscription.cursor:
                news = await self.read(
                    read_news, experiment_id, cursor, subscription.cursor, is_first=is_first
                )
                if news is None:
                    raise Dropped(GONE)
                cursor = news.seq
                is_first = False
                yield news.text
            # Nothing was awaited since the cursors were compared: no gap, no double.
            if subscription.is_gone:
                raise Dropped(GONE)
            subscription.watchers.add(watcher)
            while True:
                item = await watcher.queue.get()
                if isinstance(item, Dropped):
                    raise item
                yield item
        finally:
            subscription.watchers.discard(watcher)
            self._leave(subscription, experiment_id)

    async def _start_of(self, subscription: _Subscription, experiment_id: str, after: int) -> int:
        """Where the backlog begins: at ``after``, unless no such number was ever given out."""
        if after <= subscription.cursor:
            return after
        newest = await self.read(read_last_seq, experiment_id)
        if newest is None:
            raise Dropped(GONE)
        if after > newest:  # a page that outlived its database
            return 0
        await subscription.reach(after)
        return after

    def _leave(self, subscription: _Subscription, experiment_id: str) -> None:
        subscription.n_users -= 1
        if subscription.n_users:
            return
        subscription.task.cancel()
        if self._subscriptions.get(experiment_id) is subscription:
            del self._subscriptions[experiment_id]
        if not self._subscriptions:
            with suppress(RuntimeError):  # it is being shut down
                self._reader.submit(_close_connection)

    async def read(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        return await self.loop.run_in_executor(
            self._reader, lambda: _read(function, *args, **options)
        )

    def _hint(self, experiment_id: str) -> None:
        """Called from any thread, for experiments watched or not."""
        if experiment_id in self._subscriptions:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._wake, experiment_id)

    def _wake(self, experiment_id: str) -> None:
        if subscription := self._subscriptions.get(experiment_id):
            subscription.wake()

    async def close(self) -> None:
        """End every subscription and the thread, with its database connection."""
        hints.unlisten(self._hint)
        if self._relay is not None:
            self._relay.cancel()
        for subscription in self._subscriptions.values():
            subscription.task.cancel()
        with suppress(RuntimeError):
            self._reader.submit(_close_connection)
        await asyncio.to_thread(self._reader.shutdown)


def _close_connection() -> None:
    connection.close()  # looked up here, as each thread has its own


def _read(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Read in the hub's thread; a broken connection is not kept for the next look."""
    try:
        return function(*args, **options)
    except Exception:
        connection.close()
        raise


_hub: Hub | None = None


def current() -> Hub:
    """The hub of the running event loop."""
    global _hub
    if _hub is None or _hub.loop is not asyncio.get_running_loop():
        if _hub is not None:
            hints.unlisten(_hub._hint)
        _hub = Hub()
    return _hub


async def close() -> None:
    """Close this loop's hub, if it has one."""
    global _hub
    if _hub is not None and _hub.loop is asyncio.get_running_loop():
        ended, _hub = _hub, None
        await ended.close()
