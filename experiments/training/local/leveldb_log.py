"""LevelDB's log format, in which W&B and SwanLab keep a run: how records are cut into pieces.

Read by ``wandb_files`` in a bare interpreter, written by ``mirrors.record_log``. A file is blocks
of ``BLOCK`` bytes; a record lies in them in pieces, each behind ``HEAD`` bytes: check sum, length
and kind. Where a block has no room for a head its end is left empty.
"""

from __future__ import annotations

import struct
import zlib

BLOCK, HEAD = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # kinds of pieces
HEAD_FORM = struct.Struct("<IHB")


def checksum(kind: int, data: bytes) -> int:
    """Of a piece: CRC-32 over its kind and what it holds."""
    return zlib.crc32(data, zlib.crc32(bytes([kind])))
