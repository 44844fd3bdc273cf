"""What ``wandb.log`` sends, read from the runs' own files while they grow.

Used by ``collector`` alone, in a bare interpreter: standard library only. Nothing here waits.

W&B's client keeps every run as ``*run-*/run-*.wandb`` below its directory, offline or not: records
of Protocol Buffers in LevelDB's log format, which only grows. Of these the rows of the history are
taken, each number under its name, at W&B's own step. A record that is not all there yet is read at
the next look, so each counts once. What stood there before the trial is not the trial's.

Bounded: records of more than 1 MiB are passed over, at most 4 MiB of a file are read at a look, and
at most 200 files are followed.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.strict_json import JsonRefused, read_json
from experiments.training.local.event_files import Corrupt, Scalar, fields

RECORD_BYTES = 1024 * 1024
LOOK_BYTES = 4 * 1024 * 1024
MOST_FILES = 200
FILE_HEAD = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK, HEAD = 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY = 2  # the record's field; of it the items and the step
_ITEM, _STEP = 1, 2
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Log:
    """One run's file, and how far it was read."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self.path, self.at = path, start
        self.is_corrupt = False
        self._parts: list[bytes] = []
        self._size = 0  # of the parts, also where they are too many to be kept

    def read(self) -> Iterator[bytes]:
        """The records that are whole. Raises Corrupt, OSError."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if self.at == 0:
                head = file.read(HEAD)
                if len(head) < HEAD:
                    return
                if head[:4] != FILE_HEAD[:4]:
                    raise Corrupt(f"{self.path} is no file of W&B's")
                self.at = HEAD
            limit = self.at + LOOK_BYTES
            while self.at < limit:
                room = BLOCK - self.at % BLOCK
                if room < HEAD:  # the block's end, which is left empty
                    self.at += room
                    continue
                file.seek(self.at)
                head = file.read(HEAD)
                if len(head) < HEAD:
                    return
                checksum, length, kind = struct.unpack("<IHB", head)
                if self.at + HEAD + length > size:
                    return
                data = file.read(length)
                if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum or length > room - HEAD:
                    raise Corrupt(f"{self.path} is no file of W&B's at byte {self.at}")
                self.at += HEAD + length
                if (record := self._whole(kind, data)) is not None:
                    yield record

    def _whole(self, kind: int, data: bytes) -> bytes | None:
        if kind in (_FULL, _FIRST):
            self._parts, self._size = [], 0
        self._size += len(data)
        if self._size <= RECORD_BYTES:
            self._parts.append(data)
        if kind not in (_FULL, _LAST) or self._size > RECORD_BYTES:
            return None
        return b"".join(self._parts)


class WandbFiles:
    """All runs below a directory, as ``EventFiles`` are."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.count = 0
        self.trouble = ""
        self._owners: dict[str, Path] = {}  # the run that logs a name first has it to itself
        self._files = {path: _Log(path, path.stat().st_size) for path in self._paths()}

    def read(self, objective: str) -> Iterator[Scalar]:
        """Numbers that are new since the last call."""
        for path in self._paths():
            if path not in self._files and len(self._files) < MOST_FILES:
                self._files[path] = _Log(path)
        for path, file in sorted(self._files.items()):
            if file.is_corrupt:
                continue
            try:
                for record in file.read():
                    for found in numbers(record):
                        self.count += 1
                        if self._owners.setdefault(found.tag, path) == path:
                            yield found
            except Corrupt as error:
                file.is_corrupt, self.trouble = True, str(error)
            except OSError:
                continue  # moved away: the next look has it, or not

    def describe(self) -> str:
        names = ", ".join(list(self._owners)[:8])
        said = f"{self.directory}: {len(self._files)} runs of W&B, {self.count} new numbers"
        said += f" ({names})" if names else ""
        return f"{said}; {self.trouble}" if self.trouble else said

    def _paths(self) -> list[Path]:
        found = Path(self.directory).glob("wandb/*run-*/run-*.wandb")
        return sorted(path for path in found if path.is_file())


def numbers(record: bytes) -> Iterator[Scalar]:
    """The numbers of a row of the history; nothing of any other record, or a broken one."""
    try:
        for field, value in fields(record):
            if field == _HISTORY and isinstance(value, bytes):
                yield from _row(value)
    except Corrupt:  # the next one is whole all the same
        return


def _row(history: bytes) -> list[Scalar]:
    step, found = 0, dict[str, float]()
    for field, value in fields(history):
        if not isinstance(value, bytes):
            continue
        if field == _ITEM:
            found |= dict(_item(value))
        elif field == _STEP:
            step = next((n for key, n in fields(value) if key == 1 and isinstance(n, int)), 0)
    return [Scalar(name, step, number) for name, number in found.items()]


def _item(data: bytes) -> Iterator[tuple[str, float]]:
    names: list[str] = []
    text = b""
    for field, value in fields(data):
        if field in (1, 2) and isinstance(value, bytes):
            names.append(value.decode("utf-8", "replace"))
        elif field == 16 and isinstance(value, bytes):
            text = value
    if not names or names[0].startswith("_"):  # _step, _runtime, _timestamp
        return
    try:
        value = read_json(text, nan=True, huge=True)
    except JsonRefused:
        return
    yield from _flat(".".join(names), value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Numbers by names with dots; pictures, tables and texts have none."""
    if isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, str):
        if value in _NOT_FINITE:
            yield name, _NOT_FINITE[value]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            yield name, float(value)
        except OverflowError:
            return
