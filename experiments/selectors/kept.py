"""What a process keeps of its answers, so that an unchanged experiment is not read again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
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


class Once(Generic[K, V]):
    """As ``Kept``; what several ask for at the same time is made by one of them, and once."""

    def __init__(self, most: int) -> None:
        self._kept: Kept[K, V] = Kept(most)
        self._making: dict[K, Lock] = {}
        self._lock = Lock()

    def get(self, key: K, make: Callable[[], V], *, for_s: float | None = None) -> V:
        with self._lock:
            making = self._making.setdefault(key, Lock())
        try:
            with making:
                found = self._kept.get(key, for_s=for_s)
                if found is None:
                    found = make()
                    self._kept.put(key, found)
                return found
        finally:
            with self._lock:
                self._making.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()
