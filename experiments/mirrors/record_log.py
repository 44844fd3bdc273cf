"""Files that only grow by records, in LevelDB's log format, as W&B and SwanLab keep a run offline.

``RunFiles`` is what both receivers have in common. Pure: no Django. How long each file is, and how
many things it counts, is kept with the cursor: what was written and never kept is cut off. A record
is cut into the blocks of 32 KiB that it lies in, each piece with its length and a checksum, so who
reads while it is written stops at a record.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from experiments.mirrors.batch import Batch, Sent, not_written
from experiments.training.local.leveldb_log import (
    BLOCK,
    FIRST,
    FULL,
    HEAD,
    HEAD_FORM,
    LAST,
    MIDDLE,
    checksum,
)


class RunFiles(ABC):
    """One directory in which each attempt of a trial is a run: a folder with a file that grows."""

    tracker: ClassVar[str]  # whose files these are
    prefix: ClassVar[str]  # of the runs' folders

    def __init__(self, directory: str) -> None:
        self._root = Path(directory).absolute()

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """As ``Receiver`` says."""
        there: dict[str, list[int]] = state.setdefault("runs", {})
        try:
            for trial in batch.trials:
                length, count, *ended = there.get(trial.key, [0, 0])
                if trial.state == "WAITING" or (ended and not trial.numbers):
                    continue  # what changes later, such as its notes, is not in a run
                there[trial.key] = self._append(batch, trial, length, count)
                if trial.is_ended:
                    there[trial.key].append(1)
        except OSError as error:
            raise not_written(self.tracker, error) from None

    def _place(self, trial: Sent) -> tuple[str, Path]:
        """The run's name, and its folder, which is there then."""
        run = trial.key.replace(".", "-")
        begun = time.strftime("%Y%m%d_%H%M%S", time.gmtime(trial.started))
        folder = self._root / f"{self.prefix}{begun}-{run}"
        (folder / "files").mkdir(parents=True, exist_ok=True)
        return run, folder

    @abstractmethod
    def _append(self, batch: Batch, trial: Sent, length: int, count: int) -> list[int]:
        """Write what is new; return how long the file is then, and what it counts."""


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
            kind = (FIRST if rest else FULL) if is_first else (MIDDLE if rest else LAST)
            yield HEAD_FORM.pack(checksum(kind, data), len(data), kind) + data
            place, is_first = place + HEAD + len(data), False
