"""Failed sign-ins: each is logged, and too many stop being tried for a while.

Called by the sign-in page. Counts by address and by name, in this process alone: several web
processes allow that many times as much, which still guesses no password. Only failures count, and
one-time links get in whatever was guessed at a name.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

logger = logging.getLogger(__name__)

PER_NAME = 10  # failures of one name
PER_ADDRESS = 30  # of one address, behind which a team may sit
WITHIN_S = 300.0
KEPT = 10_000  # keys; beyond that the oldest are forgotten


class Throttle:
    """When failures happened, by key."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def wait_s(self, address: str, name: str = "") -> int:
        """Seconds until another try is taken; 0 where it is now."""
        now = time.monotonic()
        with self._lock:
            return max(
                self._wait(f"address {address}", PER_ADDRESS, now),
                self._wait(f"name {name.casefold()}", PER_NAME, now) if name else 0,
            )

    def failed(self, address: str, name: str = "") -> None:
        """Note a failure, and log it."""
        logger.warning("A sign-in failed: from %s%s", address, f" as {name!r}" if name else "")
        now = time.monotonic()
        with self._lock:
            self._add(f"address {address}", PER_ADDRESS, now)
            if name:
                self._add(f"name {name.casefold()}", PER_NAME, now)

    def forget(self) -> None:
        with self._lock:
            self._failures.clear()

    def _wait(self, key: str, most: int, now: float) -> int:
        failures = self._failures.get(key)
        if failures is None or len(failures) < most:
            return 0
        left = failures[0] + WITHIN_S - now
        return int(left) + 1 if left > 0 else 0

    def _add(self, key: str, most: int, now: float) -> None:
        failures = self._failures.pop(key, None) or deque(maxlen=most)
        failures.append(now)
        self._failures[key] = failures  # at the end: the first key is the one longest unused
        if len(self._failures) > KEPT:
            del self._failures[next(iter(self._failures))]


sign_ins = Throttle()
