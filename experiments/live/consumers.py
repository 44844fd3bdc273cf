"""The websocket of an experiment's page: authorise, then pass on what the hub has to say.

``/ws/experiments/ID/?after=SEQ``: server to client only. The page remembers the ``seq`` of the
last message and comes back with it; asgi.py has checked the origin.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from typing import Any, NoReturn
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404

from experiments.access import policy
from experiments.access.namespaces import Unsure
from experiments.live import hub
from experiments.live.refusal import refuse

logger = logging.getLogger(__name__)

FAILED = 1011
SIGNED_OUT = 4401
STILL_IN = "autotune.still_in"  # of the scope: says whether what opened the door still would
LOOK_AGAIN_S = 30.0  # whether somebody still may see what is shown to them


class ExperimentConsumer(AsyncWebsocketConsumer):
    """One browser at one experiment."""

    async def connect(self) -> None:
        experiment_id = self.scope["url_route"]["kwargs"]["experiment_id"]
        user: Any = self.scope["user"]
        if not user.is_authenticated:
            await self._refuse(403, "Sign in, or send 'Authorization: Bearer TOKEN'.")
        after = _after(self.scope["query_string"])
        if after is None:
            await self._refuse(400, "'after' must be a whole number from 0.")
        try:
            await database_sync_to_async(policy.get_visible)(user, experiment_id)
        except Http404:
            await self._refuse(404, "There is no such experiment, or it is not yours to see.")
        except Unsure:
            await self._refuse(503, "The cluster does not say now whether you may see it.")
        await self.accept()
        self._feed = asyncio.create_task(self._pass_on(experiment_id, after))
        self._guard = asyncio.create_task(self._look_again(user, experiment_id))

    async def _refuse(self, status: int, words: str) -> NoReturn:
        send: Any = self.base_send  # the stubs type messages by hand
        await refuse(dict(self.scope), send, status, words)
        raise StopConsumer

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Clients have nothing to say."""

    async def disconnect(self, code: int) -> None:
        for name in ("_guard", "_feed"):
            task: asyncio.Task[Any] | None = getattr(self, name, None)
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _look_again(self, user: Any, experiment_id: str) -> None:
        """End the feed of who has signed out, or may not see the experiment any more."""
        scope: Any = self.scope  # the stubs know no keys of ours
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                if not await database_sync_to_async(scope[STILL_IN])():
                    self._feed.cancel()
                    await self.close(SIGNED_OUT)
                    return
                await database_sync_to_async(policy.get_visible)(user, experiment_id)
            except Http404:
                self._feed.cancel()
                await self.close(hub.GONE)
                return
            except Exception as error:  # database or cluster are away: later, then
                logger.debug("Experiment %s: %s", experiment_id, error)

    async def _pass_on(self, experiment_id: str, after: int) -> None:
        try:
            async with aclosing(hub.current().watch(experiment_id, after)) as messages:
                async for text in messages:
                    await self.send(text_data=text)
        except hub.Dropped as dropped:
            await self.close(dropped.code)
        except OSError:
            pass  # the browser went away while we sent
        except Exception:
            logger.exception("Experiment %s: a browser's feed failed", experiment_id)
            await self.close(FAILED)


def _after(query: bytes) -> int | None:
    """The cursor, 0 where none is given, None where it is no whole number from 0."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("after", ["0"])[-1]
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        return None
    return int(given)
