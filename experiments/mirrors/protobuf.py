"""Protocol Buffers as bytes: as much as the files need that ``tensorboard``, ``wandb``, ``swanlab``
write. Pure; a message is its fields one behind the other.
"""

from __future__ import annotations

import struct


def part(field: int, data: bytes) -> bytes:
    """A message within a message, or bytes."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def text(field: int, value: str) -> bytes:
    return part(field, value.encode("utf-8", "replace"))


def whole(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def moment(field: int, seconds: float) -> bytes:
    """A google.protobuf.Timestamp."""
    nanos = round(seconds * 1e6) * 1000
    return part(field, whole(1, nanos // 10**9) + whole(2, nanos % 10**9))


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
