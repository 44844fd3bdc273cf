"""How commands end: exit codes, and what is said on the way out. The codes are a contract."""

from __future__ import annotations

DONE = 0
OUR_FAULT = 1
BAD_INPUT = 2
TIMEOUT = 3
NOTHING_SUCCEEDED = 4  # or the experiment is in ERROR
NOT_FOUND = 5
INTERRUPTED = 130


class Trouble(Exception):
    """The command cannot be done: an exit code, and lines for the user."""

    def __init__(self, code: int, *lines: str) -> None:
        self.code = code
        self.lines = lines
        super().__init__(" ".join(lines))
