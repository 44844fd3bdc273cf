"""An experiment as TensorBoard's event files in a directory: each attempt of a trial is a run.

Called by ``passing``. Pure: no Django, and no package of TensorBoard's. How long each file is once
a batch is in it is kept with the cursor, so what was written and never kept is cut off first.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from experiments.mirrors.batch import Batch, Number, Sent, folder_of, named, not_written
from experiments.mirrors.protobuf import part, varint
from experiments.training.local.event_files import masked_crc

FILE = "events.out.tfevents.autotune"


class TensorBoardReceiver:
    """One directory."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """As ``Receiver`` says."""
        lengths: dict[str, int] = state.setdefault("lengths", {})
        folder = self._root / folder_of(batch)
        try:
            for trial in batch.trials:
                if trial.numbers:
                    there = lengths.get(trial.key, 0)
                    lengths[trial.key] = _append(folder / _folder(trial), trial, there)
        except OSError as error:
            raise not_written("TensorBoard", error) from None


def _folder(trial: Sent) -> str:
    again = f"-attempt-{trial.attempt}" if trial.attempt > 1 else ""
    return f"trial-{trial.number:04d}{again}"


def _append(folder: Path, trial: Sent, length: int) -> int:
    """Write the new numbers behind what is known to be in it; return how long it is then."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("ab") as file:
        if file.tell() > length:
            file.truncate(length)
            file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            version = part(3, b"brain.Event:2")
            file.write(record(b"\x09" + struct.pack("<d", trial.started) + version))
        for number in trial.numbers:
            file.write(record(_event(number)))
        return file.tell()


def _event(number: Number) -> bytes:
    tag = named(number).encode("utf-8", "replace")
    value = min(max(number.value, -3.4e38), 3.4e38) if abs(number.value) < 1e300 else number.value
    simple = part(1, tag) + b"\x15" + struct.pack("<f", value)
    when = b"\x09" + struct.pack("<d", number.time)
    return when + b"\x10" + varint(int(number.step)) + part(5, part(1, simple))


def record(data: bytes) -> bytes:
    """One record of a TFRecord file."""
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))
