"""The log file of one replica of a local trial, fed from a pipe. Used by the supervisor only."""

from __future__ import annotations

import os
import time

TAIL_BYTES = 64 * 1024
LAST_BYTES = 16 * 1024  # a traceback, and what was printed after it
RETRY_S = 1.0


class Log:
    """Copies a pipe into a file, up to a limit; a trial never waits or dies for its log's sake.

    What cannot be written is counted, its last 64 KiB kept and written after a line that says
    what is missing: as soon as the disk has room again, or at the end.
    """

    def __init__(self, path: str, pipe: int, limit: int) -> None:
        self.name = path.rpartition("/")[2]
        self.pipe = pipe
        self.limit = limit
        self.size = 0
        self.dropped = 0  # bytes that are not in the file, all in all
        self.held = b""  # the end of what could not be written
        self.gone = 0  # bytes lost before `held` since the file was last written
        self.why = ""
        self.retry_at = 0.0
        self.last = b""  # the end of what was printed
        self.fd = -1
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.why = error.strerror or str(error)

    def pump(self) -> bool:
        """Copy what is there; False at the end of the stream."""
        for _ in range(32):  # then look at signals and the other replicas
            try:
                data = os.read(self.pipe, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.write(data)
        return True

    def drain(self) -> None:
        """Copy what the ended processes left in the pipe."""
        while self.pipe >= 0:
            try:
                data = os.read(self.pipe, 65536)
            except BlockingIOError:
                return
            if not data:
                return
            self.write(data)

    def write(self, data: bytes) -> None:
        self.last = (self.last + data)[-LAST_BYTES:]
        if self.held or self.gone:
            if self.size < self.limit and time.monotonic() >= self.retry_at:
                self._catch_up()
            if self.held or self.gone:
                self._hold(data)
                return
        room = self.limit - self.size
        if len(data) > room:
            self.why = f"the limit of {self.limit} bytes is reached"
        done = self._put(data[:room])
        if done < len(data):
            self._hold(data[done:])

    def close(self) -> None:
        if self.held or self.gone:
            self._catch_up()
        if self.fd >= 0:
            os.close(self.fd)

    def complaint(self) -> str:
        if not self.dropped:
            return ""
        return f"{self.dropped} bytes of {self.name} were dropped: {self.why}"

    def _put(self, data: bytes) -> int:
        """Return how much could be written."""
        done = 0
        while done < len(data):
            try:
                if self.fd < 0:
                    break
                done += os.write(self.fd, data[done:] if done else data)
            except OSError as error:
                self.why = error.strerror or str(error)
                break
        self.size += done
        return done

    def _hold(self, data: bytes) -> None:
        self.dropped += len(data)
        kept = (self.held + data)[-TAIL_BYTES:]
        self.gone += len(self.held) + len(data) - len(kept)
        self.held = kept
        self.retry_at = time.monotonic() + RETRY_S

    def _catch_up(self) -> None:
        note = b""
        if self.gone:
            note = f"\n[{self.gone} bytes are missing here: {self.why}]\n".encode()
        done = self._put(note + self.held)
        if done < len(note):
            self.retry_at = time.monotonic() + RETRY_S
            return
        saved = done - len(note)
        self.dropped -= saved
        self.held = self.held[saved:]
        self.gone = 0
