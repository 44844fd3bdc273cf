"""What ``wandb.log`` sends, read from the runs' own files while they grow.

Used by ``collector`` alone, in a bare interpreter: standard library only. Nothing here waits.

W&B's client keeps every run as ``*run-*/run-*.wandb`` below its directory, offline or not: records
of Protocol Buffers in LevelDB's log format, which only grows. Of these the rows of the history are
taken, each number under its name, at W&B's own step. A record that is not all there yet is read at
the next look, so each counts once.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.strict_json import JsonRefused, read_json
from experiments.training.local.event_files import fields
from experiments.training.local.growing_files import (
    LOOK_BYTES,
    RECORD_BYTES,
    Corrupt,
    GrowingFile,
    GrowingFiles,
    Scalar,
)
from experiments.training.local.leveldb_log import (
    BLOCK,
    FIRST,
    FULL,
    HEAD,
    HEAD_FORM,
    LAST,
    checksum,
)

FILE_HEAD = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_HISTORY = 2  # the record's field; of it the items and the step
_ITEM, _STEP = 1, 2
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Log(GrowingFile):
    """One run's file."""

    def __init__(self, path: str, start: int = 0) -> None:
        super().__init__(path, start)
        self._parts: list[bytes] = []
        self._size = 0  # of the parts, also where they are too many to be kept

    def read(self) -> Iterator[Scalar]:
        for record in self._records():
            yield from numbers(record)

    def _records(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
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
                sum_, length, kind = HEAD_FORM.unpack(head)
                if self.at + HEAD + length > size:
                    return
                data = file.read(length)
                if checksum(kind, data) != sum_ or length > room - HEAD:
                    raise Corrupt(f"{self.path} is no file of W&B's at byte {self.at}")
                self.at += HEAD + length
                if (record := self._whole(kind, data)) is not None:
                    yield record

    def _whole(self, kind: int, data: bytes) -> bytes | None:
        if kind in (FULL, FIRST):
            self._parts, self._size = [], 0
        self._size += len(data)
        if self._size <= RECORD_BYTES:
            self._parts.append(data)
        if kind not in (FULL, LAST) or self._size > RECORD_BYTES:
            return None
        return b"".join(self._parts)


class WandbFiles(GrowingFiles):
    """All runs below a directory; the one that logs a name first has it to itself."""

    file = _Log

    def read(self, objective: str) -> Iterator[Scalar]:
        """Numbers that are new since the last call."""
        for path, found in self._new():
            if self.names.setdefault(found.tag, path) == path:
                yield found

    def _counted(self) -> str:
        n_files, count = len(self.files), self.count
        return f"{self.directory}: {n_files} runs of W&B, {count} new numbers"

    def _paths(self) -> list[str]:
        found = Path(self.directory).glob("wandb/*run-*/run-*.wandb")
        return sorted(str(path) for path in found if path.is_file())


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
