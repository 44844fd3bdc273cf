"""Hints between processes, over Redis: what this one committed is told, what others did is heard.

Where REDIS_URL is set, ``apps`` makes every process tell, and the hub of each web process hear.
Guarantees: who commits never waits for Redis (one thread tells for the whole process, each
experiment once however often it was hinted); while Redis is away hints are dropped and both sides
try again every few seconds. Nothing is lost by that but speed: the hub looks by itself.

Only loaded where it is used: the client of Redis takes a fifth of a second to load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import Callable

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from experiments import hints

logger = logging.getLogger(__name__)

RETRY_S = 1.0  # after a failure; a hint that is late by more is worth nothing
TIMEOUT_S = 2.0  # of one request
SILENCE_S = 10.0  # then Redis is asked whether it is still there
MOST_TOLD = 1000  # experiments in one message

_TROUBLE = (redis.RedisError, OSError)


def start() -> None:
    """Tell other processes of every hint of this one from now on."""
    hints.listen(tell)


def tell(experiment_id: str) -> None:
    """Tell other processes soon that the experiment has news; returns at once."""
    _teller.tell(experiment_id)


def _channel() -> str:
    """One for each installation: Redis has the channels of all its databases in one place."""
    database = redis.ConnectionPool.from_url(settings.REDIS_URL).connection_kwargs.get("db", 0)
    return f"autotune:{database}:hints"


class _Teller:
    """The thread that publishes for this process, started by its first hint."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(8)  # what we say ourselves we need not hear
        self._waiting: dict[str, None] = {}
        self._has_news = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, experiment_id: str) -> None:
        with self._lock:
            self._waiting[experiment_id] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()
        self._has_news.set()

    def _run(self) -> None:
        client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # a connection that Redis closed meanwhile is made anew
        )
        channel, is_well = _channel(), True
        while True:
            self._has_news.wait()
            try:
                client.publish(channel, " ".join([self.name, *self._take()]))
                if not is_well:
                    logger.info("Redis is back: other processes hear at once again")
                is_well = True
            except _TROUBLE as error:
                if is_well:
                    logger.warning("Redis cannot be told of news: %s", error)
                is_well = False
                threading.Event().wait(RETRY_S)

    def _take(self) -> list[str]:
        with self._lock:
            taken = list(self._waiting)[:MOST_TOLD]
            for experiment_id in taken:
                del self._waiting[experiment_id]
            if not self._waiting:
                self._has_news.clear()
        return taken


async def hear(wake: Callable[[str], None]) -> None:
    """Call ``wake(experiment_id)`` for each hint of another process, until cancelled."""
    is_well = True
    while True:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=TIMEOUT_S,
            retry=AsyncRetry(NoBackoff(), 0),
        )
        try:
            async with client, client.pubsub() as feed:
                await feed.subscribe(_channel())
                if not is_well:
                    logger.info("Redis is back: news of other processes is heard at once again")
                is_well = True
                await _pass_on(feed, wake)
        except _TROUBLE as error:
            if is_well:
                logger.warning("Redis cannot be heard, news is polled for: %s", error)
            is_well = False
        await asyncio.sleep(RETRY_S)


async def _pass_on(feed: redis.asyncio.client.PubSub, wake: Callable[[str], None]) -> None:
    """Raises one of _TROUBLE when Redis is gone, also where its end of the line fell silent."""
    was_asked = False
    while True:
        message = await feed.get_message(timeout=SILENCE_S)
        if message is None:
            if was_asked:
                raise redis.ConnectionError("it does not answer any more")
            await feed.ping()
        was_asked = message is None
        if message is None or message["type"] != "message":
            continue
        sender, *experiment_ids = message["data"].decode().split()
        if sender != _teller.name:
            for experiment_id in experiment_ids:
                wake(experiment_id)


_teller = _Teller()


def _anew() -> None:
    """In a forked child: the parent's thread is not here, and its name is not ours."""
    global _teller
    _teller = _Teller()


os.register_at_fork(after_in_child=_anew)
