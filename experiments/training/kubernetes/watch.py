"""A picture of one kind of object in one namespace, kept true by a watch instead of by polling.

Used by the Kubernetes backend: one thread per kind and namespace, whatever the number of trials.
It lists once and follows from that resourceVersion on. A stream that ends is taken up where it
ended; where the server has forgotten that place (410), and after an outage, everything is listed
anew and what vanished meanwhile counts as deleted. So nothing is lost, only late.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from experiments.training.kubernetes.api import ApiError, KubeApi, Stream, Unreachable

logger = logging.getLogger(__name__)

FOLLOW_S = 240  # then the server ends the stream; each end costs one request
SILENCE_S = 330.0  # a stream without a word for so long is dead
PAGE = 500
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # between attempts; 5 s at last
GONE_KEPT = 5000

Object = dict[str, Any]
Listener = Callable[[str, Object], None]  # ADDED, MODIFIED or DELETED


class Watch:
    """Start it once; ``objects`` is what there is, ``trouble`` why it may be out of date."""

    def __init__(
        self,
        api: KubeApi,
        path: str,
        *,
        selector: str = "",
        fields: str = "",
        listener: Listener | None = None,
    ) -> None:
        """Args:
        path: of the collection, e.g. ``/apis/batch/v1/namespaces/default/jobs``.
        selector, fields: label and field selector.
        listener: called in the watch's thread for each change; must not block.
        """
        self._api = api
        self._path = path
        self._query = {"labelSelector": selector, "fieldSelector": fields}
        self._listener = listener
        self._objects: dict[str, Object] = {}
        self._gone: OrderedDict[str, Object] = OrderedDict()  # by uid, as they last were
        self._lock = threading.Lock()
        self._synced = threading.Event()
        self._closing = threading.Event()
        self._stream: Stream | None = None
        self._attempt = 0
        self.trouble = ""
        self.refused = 0  # HTTP status of a refusal that will not pass by itself
        self.refused_since = 0.0  # monotonic
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)
        self._thread.start()

    # what is known

    def wait_synced(self, timeout_s: float) -> bool:
        """Wait for the first list; False when it did not come or there is trouble already."""
        limit = time.monotonic() + timeout_s
        while not self._synced.wait(0.02):
            if self.trouble or time.monotonic() > limit:
                return False
        return True

    def find(self, name: str) -> Object | None:
        with self._lock:
            return self._objects.get(name)

    def last_seen(self, uid: str) -> Object | None:
        """Return a deleted object as it last was, if it was ever seen here."""
        with self._lock:
            return self._gone.get(uid)

    def all(self) -> list[Object]:
        with self._lock:
            return list(self._objects.values())

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if (stream := self._stream) is not None:
            stream.close()
        self._thread.join(timeout=5)

    # the thread

    def _run(self) -> None:
        version = ""
        while not self._closing.is_set():
            try:
                if not version:
                    version = self._list()
                version = self._follow(version)
            except ApiError as error:
                if error.status == 410:
                    version = ""
                    continue
                self._wait(error, error.retry_after)
            except Unreachable as error:
                self._wait(error, 0.0)
            except Exception as error:  # whatever it is: a dead watch would stop every trial
                logger.exception("The watch of %s stumbled", self._path)
                version = ""
                self._wait(error, 0.0)

    def _wait(self, error: Exception, retry_after: float) -> None:
        """Pause before the next attempt; longer each time, and not all processes at once."""
        busy = isinstance(error, ApiError) and error.status == 429
        if not busy or self._attempt >= len(PAUSES_S):  # being told to wait is no outage
            if not self.trouble:
                logger.warning("The watch of %s was lost: %s", self._path, error)
            self.trouble = str(error)
            refused = isinstance(error, ApiError) and not error.is_temporary
            before = self.refused
            self.refused = error.status if refused and isinstance(error, ApiError) else 0
            if self.refused != before:
                self.refused_since = time.monotonic()
        pause = PAUSES_S[min(self._attempt, len(PAUSES_S) - 1)]
        self._attempt += 1
        self._closing.wait(max(retry_after, pause * random.uniform(0.8, 1.2)))

    def _well(self) -> None:
        if self.trouble:
            logger.info("The watch of %s is back", self._path)
        self.trouble, self.refused, self._attempt = "", 0, 0

    def _list(self) -> str:
        found: dict[str, Object] = {}
        query: dict[str, Any] = {**self._query, "limit": PAGE}
        while True:
            page = self._api.get(self._path, **query)
            said = {"apiVersion": page["apiVersion"], "kind": page["kind"].removesuffix("List")}
            for thing in page.get("items") or []:  # which do not say what they are
                found[thing["metadata"]["name"]] = said | thing
            if not (more := page["metadata"].get("continue")):
                break
            query["continue"] = more
        with self._lock:
            before = list(self._objects.values())
        for thing in before:
            now = found.get(thing["metadata"]["name"])
            if now is None or now["metadata"]["uid"] != thing["metadata"]["uid"]:
                self._take("DELETED", thing)
        for thing in found.values():
            self._take("ADDED", thing)
        self._well()
        self._synced.set()
        return str(page["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        """Follow changes until the stream ends; return how far it came."""
        stream = self._api.stream(
            self._path,
            SILENCE_S,
            **self._query,
            watch="1",
            allowWatchBookmarks="true",
            resourceVersion=version,
            timeoutSeconds=FOLLOW_S + random.randrange(60),
        )
        self._stream = stream
        self._well()
        began = time.monotonic()
        try:
            for line in stream.lines():
                event = json.loads(line)
                thing = event["object"]
                if event["type"] == "ERROR":
                    code = int(thing.get("code") or 500)
                    raise ApiError(code, thing.get("reason", ""), thing.get("message", ""))
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], thing)
                version = str(thing["metadata"]["resourceVersion"])
        except Unreachable as error:
            if not self._closing.is_set():
                self._wait(error, 0.0)
        finally:
            self._stream = None
        if time.monotonic() - began < PAUSES_S[0]:  # a server that ends streams at once
            self._closing.wait(PAUSES_S[1])
        return version

    def _take(self, what: str, thing: Object) -> None:
        meta = thing["metadata"]
        meta.pop("managedFields", None)
        with self._lock:
            known = self._objects.get(meta["name"])
            if what == "DELETED":
                if known is not None and known["metadata"]["uid"] == meta["uid"]:
                    del self._objects[meta["name"]]
                self._gone[meta["uid"]] = thing
                while len(self._gone) > GONE_KEPT:
                    self._gone.popitem(last=False)
            else:
                self._objects[meta["name"]] = thing
        if self._listener is not None:
            self._listener(what, thing)
