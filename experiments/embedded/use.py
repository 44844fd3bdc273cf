"""Whether programs still use a server that was started for them: ``up --while-used``.

Each of them holds a shared lock on a file of the data directory (``autotune_client.finding``),
which the kernel takes back however it ends. Once nobody has it the server takes it for itself,
until its own end: who comes now waits for that, and starts another.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

FILE = "used"
FIRST_S = 30.0  # that who started the server has to come
LINGER_S = 1.0  # the next call of a program often comes at once


class Use:
    """Asked every now and then; ``is_over`` stays true once it was."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._path.touch(mode=0o600)
        self._file = self._path.open("rb")
        self._free_since: float | None = time.monotonic() + FIRST_S - LINGER_S
        self._is_over = False

    def is_over(self) -> bool:
        if self._is_over:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._free_since = None
            return False
        now = time.monotonic()
        if self._free_since is None:
            self._free_since = now
        if now - self._free_since >= LINGER_S:
            self._is_over = True
        else:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return self._is_over
