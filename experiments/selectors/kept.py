"""What a process keeps of its answers, so that an unchanged experiment is not read again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The newest ``most`` answers, each by a key that changes with what it was made of.

    Threads may share one. What is found must not be changed by whoever finds it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K, *, for_s: float | None = None) -> V | None:
        """None where it is not kept, or for longer than ``for_s`` seconds."""
        with self._lock:
            found = self._found.get(key)
        if found is None or (for_s is not None and time.monotonic() - found[0] >= for_s):
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._found[key] = (time.monotonic(), value)
            self._found.move_to_end(key)
            while len(self._found) > self._most:
                self._found.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._found.clear()


class Turns(Generic[K]):
    """One at a time for each key, others after it: what needs the processor alone is done sooner.

    Keys share some locks, so that nothing grows with their number.
    """

    def __init__(self, n: int = 16) -> None:
        self._locks = [Lock() for _ in range(n)]

    def of(self, key: K) -> Lock:
        return self._locks[hash(key) % len(self._locks)]


turns: Turns[str] = Turns()  # of experiments: whatever reads all trials of one
