"""Files that only grow by records, in LevelDB's log format, as W&B and SwanLab keep a run offline.

Called by ``wandb`` and ``swanlab``. Pure. A record is cut into the blocks of 32 KiB that it lies
in, each piece with its length and a checksum, so who reads while it is written stops at a record.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

BLOCK, HEAD = 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def append(path: Path, file_head: bytes, records: Iterable[bytes], length: int) -> int:
    """Write records behind the first ``length`` bytes; return how long the file is then.

    What lies behind these was written by a pass that nobody could keep, and is cut off. A file
    that is new, or shorter than it should be, begins with ``file_head``.
    """
    with path.open("ab") as file:
        if file.tell() > length:
            file.truncate(length)
            file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            file.write(file_head)
        file.write(b"".join(framed(records, file.tell())))
        return file.tell()


def framed(records: Iterable[bytes], place: int) -> Iterable[bytes]:
    """The pieces of records that begin at ``place`` of their file."""
    for record in records:
        rest, is_first = record, True
        while rest or is_first:
            room = BLOCK - place % BLOCK
            if room < HEAD:
                yield bytes(room)
                place, room = place + room, BLOCK
            data, rest = rest[: room - HEAD], rest[room - HEAD :]
            kind = (_FIRST if rest else _FULL) if is_first else (_MIDDLE if rest else _LAST)
            checksum = zlib.crc32(data, zlib.crc32(bytes([kind])))
            yield struct.pack("<IHB", checksum, len(data), kind) + data
            place, is_first = place + HEAD + len(data), False
