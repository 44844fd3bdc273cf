"""A program at a terminal of its own, as a person has it in front of them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from typing import Any

from tests.e2e.stack import ROOT


class Terminal:
    """Starts the program; ``wait_for`` reads until something is said, ``press`` types."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], columns: int = 80) -> None:
        self.said = ""
        self._raw = b""
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it
            os.execve(argv[0], list(argv), {"TERM": "xterm-256color", **env})
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, size)
        self.before = termios.tcgetattr(self._end)

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def wait_for(self, pattern: str, timeout_s: float = 60.0) -> str:
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, f"waited for {pattern!r} in {self.said!r}"
            assert self._read(0.2), f"ended before {pattern!r}: {self.said!r}"
        self.said = self.said[found.end() :]
        return found[0]

    def end(self, timeout_s: float = 60.0) -> int:
        """Its exit code, once it has ended by itself; what it said is in ``said``."""
        deadline = time.monotonic() + timeout_s
        while self._read(0.2):
            assert time.monotonic() < deadline, f"did not end: {self.said!r}"
        _pid, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self, seconds: float) -> bool:
        """False once it has closed the terminal."""
        if select.select([self._end], [], [], seconds)[0]:
            try:
                piece = os.read(self._end, 65536)
            except OSError:
                return False
            if not piece:
                return False
            self._raw += piece
            self.said += piece.decode(errors="replace")
        return True

    @property
    def everything(self) -> str:
        return self._raw.decode(errors="replace")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._end)
