"""Scalars in TensorBoard's event files, read while they grow.

Used by ``collector`` alone, in a bare interpreter: standard library only. Nothing here waits.

A file is a row of records (length, check sum, data, check sum), each an ``Event`` of Protocol
Buffers; of these the scalars are taken, as TensorFlow 1 and PyTorch write them (``simple_value``)
and as TensorFlow 2 does (a tensor of one number). A record that is not all there yet is read at the
next look, so each counts once. Records of more than ``RECORD_BYTES`` (pictures, models) are passed
over unread.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator

from experiments.training.local.growing_files import (
    LOOK_BYTES,
    RECORD_BYTES,
    Corrupt,
    GrowingFile,
    GrowingFiles,
    Scalar,
)

_HEAD, _TAIL = 12, 4  # bytes around a record's data
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# TensorProto's types: how one number of each is packed in tensor_content.
_PACKED = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}
# TensorProto's own fields for numbers: how each is packed, "" where as varints.
_LISTS = {5: "<f", 6: "<d", 7: "", 10: ""}


class _File(GrowingFile):
    """One event file; one that is written anew is read anew."""

    def __init__(self, path: str, start: int = 0) -> None:
        super().__init__(path, start)
        self.inode = os.stat(path).st_ino

    def read(self) -> Iterator[Scalar]:
        with open(self.path, "rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_ino != self.inode or stat.st_size < self.at:  # written anew
                self.at, self.inode = 0, stat.st_ino
            limit = self.at + LOOK_BYTES
            while self.at < limit:
                file.seek(self.at)
                head = file.read(_HEAD)
                if len(head) < _HEAD:
                    return
                (length,) = struct.unpack("<Q", head[:8])
                if masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
                    raise Corrupt(f"{self.path} is no event file at byte {self.at}")
                end = self.at + _HEAD + length + _TAIL
                if end > stat.st_size:
                    return
                data = file.read(length) if length <= RECORD_BYTES else b""
                self.at = end
                # where one is broken, the next is whole all the same
                with contextlib.suppress(Corrupt, struct.error):
                    yield from list(scalars(data))


class EventFiles(GrowingFiles):
    """All event files below a directory."""

    file = _File

    def read(self, objective: str) -> Iterator[Scalar]:
        """Scalars that are new since the last call, under the names of ``name_of``."""
        for path, found in self._new():
            folder = os.path.relpath(os.path.dirname(path), self.directory)
            name = self.name_of(found.tag, "" if folder == "." else folder, objective)
            yield found._replace(tag=name)

    def name_of(self, tag: str, folder: str, objective: str) -> str:
        """A tag's name: alone where one directory has it, else with its directory.

        Of the objective, with or without a directory, it is the objective.
        """
        whole = f"{folder}/{tag}" if folder else tag
        if whole == objective:
            return objective
        return tag if self.names.setdefault(tag, folder) == folder else whole

    def _counted(self) -> str:
        n_files, count = len(self.files), self.count
        return f"{self.directory}: {n_files} event files, {count} new scalars"

    def _paths(self) -> list[str]:
        found: list[str] = []
        for folder, _, names in os.walk(self.directory):
            found += [os.path.join(folder, name) for name in names if "tfevents" in name]
        return sorted(found)


def scalars(event: bytes) -> Iterator[Scalar]:
    """The scalars of one ``Event``. Raises Corrupt."""
    step, summary = 0, b""
    for field, value in fields(event):
        if field == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >= 1 << 63 else value
        elif field == 5 and isinstance(value, bytes):
            summary = value
    for field, value in fields(summary):
        if field == 1 and isinstance(value, bytes):
            tag, number = _value(value)
            if tag and number is not None:
                yield Scalar(tag, step, number)


def _value(data: bytes) -> tuple[str, float | None]:
    tag, number = "", None
    for field, value in fields(data):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif field == 2 and isinstance(value, bytes):
            (number,) = struct.unpack("<f", value)
        elif field == 8 and isinstance(value, bytes):
            number = _tensor(value)
    return tag, number


def _tensor(data: bytes) -> float | None:
    """The number of a tensor that has one; None for any other."""
    kind, content, listed = 0, b"", None
    for field, value in fields(data):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        elif field in _LISTS:
            listed = _first(value, _LISTS[field])
    form = _PACKED.get(kind)
    if form and len(content) == struct.calcsize(form):
        return float(struct.unpack(form, content)[0])
    return listed if form and not content else None


def _first(value: int | bytes, form: str) -> float | None:
    if isinstance(value, int):
        return float(value)
    if not form:
        number, end = _varint(value, 0)
        return float(number) if end == len(value) else None
    return float(struct.unpack(form, value)[0]) if len(value) == struct.calcsize(form) else None


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message; fixed ones as bytes. Raises Corrupt."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if kind == _BYTES:
            length, at = _varint(data, at)
        if length < 0 or at + length > len(data):
            raise Corrupt("a record of an event file cannot be read")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        result |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return result, at
    raise Corrupt("a record of an event file cannot be read")


def _table() -> list[int]:
    made = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        made.append(number)
    return made


_CRC = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C, as TFRecord masks it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
