"""Metrics in what a trial prints and writes: lines, files that grow, and reports made of them.

Used by ``collector`` alone, in a bare interpreter: standard library only. Nothing here waits.

Bounded: of a line the first 64 KiB count. A pattern of the user's own gets a quarter of a second
for a line (the alarm stops ``re``), and after three such lines it is not tried any more.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import math
import os
import re
import signal
import stat
import time
from collections.abc import Iterator
from typing import Any

LINE_BYTES = 64 * 1024
COMPARED_BYTES = 64  # by which a file that was written anew is told
DOCUMENT_BYTES = 16 * 1024 * 1024  # of a JSON document that is written anew each time
PATTERN_S = 0.25
SLOW_LINES = 3
IDLE_S = 0.5  # after which a report waits for no further metrics

_NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)"
NAME_VALUE = re.compile(
    rf"(?<![\w.|/-])([A-Za-z_][\w./|-]*)[ \t]*=[ \t]*({_NUMBER})(?!\w)", re.IGNORECASE
)
# What W&B prints at the end of a run, rounded; a script of a sweep may show its metrics only so.
_WANDB_SUMMARY = re.compile(rf"wandb: +(\S+) +({_NUMBER})\s*\Z", re.IGNORECASE)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STEPS = ("step", "global_step", "epoch")
Metrics = dict[str, float]


class TooSlow(Exception):
    """A pattern took longer for a line than it may."""


def number_of(value: Any) -> float | None:
    """A number, or a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def numbers_of(row: Any) -> Metrics:
    """The numbers of an object, by name."""
    if not isinstance(row, dict):
        return {}
    found = {str(name): number_of(value) for name, value in row.items()}
    return {name: value for name, value in found.items() if value is not None}


class Reader:
    """Finds metrics in a line of text."""

    def __init__(self, pattern: str, objective: str) -> None:
        self.pattern = re.compile(pattern) if pattern else None
        self.objective = objective
        self.slow = 0
        self.summary: Metrics = {}  # W&B's of its run, for want of anything better
        if self.pattern is not None:
            signal.signal(signal.SIGALRM, _ring)

    def metrics(self, line: str) -> Metrics:
        line = _COLOUR.sub("", line)
        if self.pattern is not None:
            return self._by_pattern(line)
        text = line.strip()
        if text.startswith("{") and text.endswith("}"):
            with contextlib.suppress(ValueError, RecursionError):
                return numbers_of(json.loads(text))
        if match := _WANDB_SUMMARY.match(text):
            self.summary[match[1]] = float(match[2])
            return {}
        return {name: float(value) for name, value in NAME_VALUE.findall(line)}

    def _by_pattern(self, line: str) -> Metrics:
        if self.slow >= SLOW_LINES:
            return {}
        try:
            signal.setitimer(signal.ITIMER_REAL, PATTERN_S)
            try:
                return dict(self._matches(line))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TooSlow:
            self.slow += 1
            say(f"the pattern of spec.metrics took longer than {PATTERN_S:g} s for a line")
            if self.slow == SLOW_LINES:
                say("it is not tried any more")
            return {}

    def _matches(self, line: str) -> Iterator[tuple[str, float]]:
        assert self.pattern is not None
        named = self.pattern.groupindex
        for match in self.pattern.finditer(line):
            if "value" in named:
                name = match["name"] if "name" in named else self.objective
                value = match["value"]
            elif self.pattern.groups >= 2:
                name, value = match[1], match[2]
            else:
                name, value = self.objective, match[1]
            number = number_of(value)
            if name and number is not None:
                yield name, number


def _ring(number: int, frame: object) -> None:
    raise TooSlow


class Curve:
    """Puts metrics together into reports: one for each value of the objective."""

    def __init__(self, objective: str, send: Any) -> None:
        self.objective = objective
        self.send = send  # of kind, sequence, step, values
        self.seen: dict[str, int] = {}
        self.latest: Metrics = {}
        self._open: tuple[float | None, Metrics] | None = None
        self._early: Metrics = {}  # came before their report
        self._count = 0
        self._changed = 0.0

    def take(self, found: Metrics) -> None:
        step = next((found[name] for name in STEPS if name in found), None)
        values = {name: value for name, value in found.items() if name not in STEPS}
        if self.objective in STEPS and self.objective in found:
            values[self.objective] = found[self.objective]
        for name in values:
            self.seen[name] = self.seen.get(name, 0) + 1
        self.latest.update(values)
        self._changed = time.monotonic()
        if self.objective in values:
            self.flush()
            self._open = (step, {**self._early, **values})
            self._early = {}
        elif self._open is not None and not set(values) & set(self._open[1]):
            self._open[1].update(values)
        else:
            self._early.update(values)

    def flush_if_idle(self) -> None:
        if self._open is not None and time.monotonic() - self._changed > IDLE_S:
            self.flush()

    def flush(self) -> None:
        if self._open is None:
            return
        step, values = self._open
        self._open = None
        at = self._count if step is None or not math.isfinite(step) else step
        self.send("PERIODICAL", self._count, at, self._named(values))
        self._count += 1

    def finish(self) -> None:
        """Send the last value as the result."""
        self.flush()
        if self.objective in self.latest:
            self.send("FINAL", 0, 0, self._named(self.latest))

    def _named(self, values: Metrics) -> Any:
        others = {name: value for name, value in values.items() if name != self.objective}
        others.pop("default", None)
        value = values[self.objective]
        return {"default": value, **others} if others else value


class Lines:
    """Cuts bytes into lines; a progress bar's carriage return ends one too."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.count = 0
        self.last: list[str] = []

    def feed(self, data: bytes) -> Iterator[str]:
        *whole, self._rest = re.split(rb"[\r\n]", self._rest + data)
        for line in whole:
            if self._skipping:
                self._skipping = False
            elif line.strip():
                yield self._line(line)
        if len(self._rest) > LINE_BYTES:
            if not self._skipping:
                yield self._line(self._rest)
            self._rest, self._skipping = b"", True

    def end(self) -> Iterator[str]:
        rest, self._rest = self._rest, b""
        if rest.strip() and not self._skipping:
            yield self._line(rest)

    def _line(self, raw: bytes) -> str:
        self.count += 1
        line = raw[:LINE_BYTES].decode("utf-8", "replace")
        self.last = [*self.last[-2:], line[:120]]
        return line


class Tail:
    """A file that grows: lines of text, JSON lines, CSV, or a JSON document written anew."""

    def __init__(self, path: str, reader: Reader) -> None:
        self.path, self.reader = path, reader
        self.lines = Lines()
        self.rows = 0
        self.header: list[str] | None = None
        self.is_csv = path.lower().endswith((".csv", ".tsv"))
        self.delimiter = "\t" if path.lower().endswith(".tsv") else ","
        self._file: Any = None
        self._is_document: bool | None = None if path.lower().endswith(".json") else False
        self._stamp: tuple[int, int] | None = None
        self._known: list[str] = []  # entries of a document that were taken, see ``_key``
        self._before = b""  # the end of what was read
        self._is_others = False  # nothing was written yet to what stood there before
        self._is_odd = False  # a pipe or a device: it is never opened, for that could block
        if os.path.exists(path):  # what stands there already is another trial's
            self._open(from_end=True)

    def read(self) -> Iterator[Metrics]:
        """Metrics that are new since the last call."""
        if self._file is None and not self._open():
            return
        if self._is_document is None:
            self._is_document = self._looks_like_document()
        if self._is_document:
            yield from self._document()
            return
        yield from self._grown()
        if self._rotated():
            yield from self._grown()  # what was written until it was moved away
            yield from self._rows(self.lines.end())
            self._file.close()
            self._file, self.header, self._before = None, None, b""
            self._is_others = False
            if self._open():
                yield from self._grown()

    def end(self) -> Iterator[Metrics]:
        yield from self.read()
        if self._is_written_alike():
            self._file.seek(0)
            self.header, self._before = None, b""
            yield from self._grown()
        if not self._is_document:
            yield from self._rows(self.lines.end())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def describe(self) -> str:
        if self._file is None:
            return f"{self.path} {'is no regular file' if self._is_odd else 'was never there'}"
        what = f"{self.path}: {self.rows} rows with numbers"
        return f"{what}, columns {', '.join(self.header)[:200]}" if self.header else what

    def _open(self, *, from_end: bool = False) -> bool:
        try:
            self._file = self._opened()
        except OSError:
            return False
        if from_end:
            if self.is_csv:
                self.header = self._cells(self._file.readline().decode("utf-8", "replace"))
            with contextlib.suppress(OSError, ValueError, RecursionError):
                self._known = [self._key(row) for row in _entries(json.loads(self._whole()))]
            self._stamp, self._is_others = self._now(), True
            size = self._file.seek(0, os.SEEK_END)
            self._before = os.pread(
                self._file.fileno(), COMPARED_BYTES, max(0, size - COMPARED_BYTES)
            )
        return True

    def _opened(self) -> Any:
        if not stat.S_ISREG(os.stat(self.path).st_mode):
            self._tell_that_it_is_odd()
            raise OSError(errno.EINVAL, "is no regular file")
        return open(self.path, "rb", opener=_without_waiting)

    def _tell_that_it_is_odd(self) -> None:
        if not self._is_odd:
            say(f"spec.metrics.file: {self.path} is no regular file, so it is not read.")
        self._is_odd = True

    def _now(self) -> tuple[int, int]:
        found = os.stat(self.path)
        return found.st_mtime_ns, found.st_size

    def _whole(self) -> bytes:
        with self._opened() as file:
            found: bytes = file.read(DOCUMENT_BYTES)
            return found

    def _looks_like_document(self) -> bool | None:
        """Whether it is one JSON value; None while too little of it is there."""
        start = self._whole().lstrip()
        first, ended, _ = start.partition(b"\n")
        if not start or (start[:1] == b"{" and not ended and not first.rstrip().endswith(b"}")):
            return None
        if start[:1] == b"[":
            return True
        try:
            row = json.loads(first)
        except (ValueError, RecursionError):
            return start[:1] == b"{"
        return isinstance(row, dict) and any(isinstance(v, list) for v in row.values())

    def _document(self) -> Iterator[Metrics]:
        try:
            stamp = self._now()
            if stamp == self._stamp:
                return
            entries = _entries(json.loads(self._whole()))
        except (OSError, ValueError, RecursionError):
            return  # being written: the next look has it
        self._stamp = stamp
        keys = [self._key(entry) for entry in entries]
        taken, self._known = self._taken(keys), keys
        for entry in entries[taken:]:
            self.rows += 1
            yield numbers_of(entry)

    def _taken(self, keys: list[str]) -> int:
        """How many entries of a document stand as they did at the last look."""
        pairs = zip(self._known, keys, strict=False)
        same = next((i for i, (old, new) in enumerate(pairs) if old != new), None)
        if same is None:
            same = min(len(self._known), len(keys))
        if not self._is_others:
            return same
        self._is_others = False
        goes_on = same == len(self._known) < len(keys)
        return same if goes_on else 0  # else it was written anew, with what values ever

    def _is_written_alike(self) -> bool:
        """Whether rows were written anew that are, to the letter, what another trial had left."""
        if self._file is None or self._is_document or not self._is_others:
            return False
        found = os.fstat(self._file.fileno())
        has_changed = self._stamp != (found.st_mtime_ns, found.st_size)
        return has_changed and found.st_size == self._file.tell()

    def _key(self, entry: Any) -> str:
        """What tells an entry from another; a text, for NaN is not itself."""
        row = numbers_of(entry)
        return repr([row.get(name) for name in (self.reader.objective, *STEPS)])

    def _grown(self) -> Iterator[Metrics]:
        while True:
            if self._was_cut_off():
                self._file.seek(0)
                self.header, self._before, self._is_others = None, b"", False
            data = self._file.read(65536)
            if not data:
                return
            self._is_others = False
            self._before = (self._before + data)[-COMPARED_BYTES:]
            yield from self._rows(self.lines.feed(data))

    def _was_cut_off(self) -> bool:
        """Whether what was read last is not there any more: the file was written anew."""
        place = self._file.tell()
        there = os.pread(self._file.fileno(), len(self._before), place - len(self._before))
        return there != self._before

    def _rotated(self) -> bool:
        try:
            there, ours = os.stat(self.path), os.fstat(self._file.fileno())
        except OSError:
            return False  # moved away, and no new one yet
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _rows(self, lines: Iterator[str]) -> Iterator[Metrics]:
        for line in lines:
            found = self._row(line) if self.is_csv else self.reader.metrics(line)
            if found:
                self.rows += 1
                yield found

    def _row(self, line: str) -> Metrics:
        cells = self._cells(line)
        if self.header is None or cells == self.header:
            self.header = cells
            return {}
        return numbers_of(dict(zip(self.header, cells, strict=False)))

    def _cells(self, line: str) -> list[str]:
        try:
            row = next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return []
        return [cell.strip() for cell in row]


def _entries(document: Any) -> list[Any]:
    """The rows of a document: a list of objects, or an object of lists as Keras' history is."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return []
    columns = {name: value for name, value in document.items() if isinstance(value, list)}
    if not columns:
        return [document]
    length = max(len(column) for column in columns.values())
    return [
        {name: column[i] for name, column in columns.items() if i < len(column)}
        for i in range(length)
    ]


def _without_waiting(path: str, flags: int) -> int:
    """Open what may have become a pipe just now: neither this nor a read of it waits."""
    return os.open(path, flags | os.O_NONBLOCK)


def say(text: str) -> None:
    """A line of ours in the trial's log."""
    with contextlib.suppress(OSError):
        os.write(1, f"[autotune] {text}\n".encode("utf-8", "replace"))
