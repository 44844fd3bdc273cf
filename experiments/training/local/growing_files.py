"""Files below a directory that only grow, and the numbers that come into them.

Used by ``event_files`` and ``wandb_files``, in a bare interpreter: standard library only. What
stood there before the trial is not the trial's; nothing here waits.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

RECORD_BYTES = 1024 * 1024  # a longer record is passed over
LOOK_BYTES = 4 * 1024 * 1024  # of a file that are read at a look
MOST_FILES = 200  # that are followed


class Corrupt(ValueError):
    """It is no file of this kind, or not any more."""


class Scalar(NamedTuple):
    """One number of one tag."""

    tag: str
    step: int
    value: float


class GrowingFile(ABC):
    """One file, and how far it was read."""

    def __init__(self, path: str, start: int = 0) -> None:
        self.path, self.at = path, start
        self.is_corrupt = False

    @abstractmethod
    def read(self) -> Iterator[Scalar]:
        """The numbers that are whole since the last look. Raises Corrupt, OSError."""


class GrowingFiles(ABC):
    """All such files below a directory."""

    file: ClassVar[type[GrowingFile]]

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.count = 0
        self.names: dict[str, str] = {}  # tag -> who has it to itself
        self.trouble = ""
        self.files = {path: self.file(path, os.path.getsize(path)) for path in self._paths()}

    @abstractmethod
    def _paths(self) -> list[str]:
        """Of those that are there now."""

    @abstractmethod
    def read(self, objective: str) -> Iterator[Scalar]:
        """Numbers that are new since the last call."""

    def _new(self) -> Iterator[tuple[str, Scalar]]:
        """Each number that is new, and the path of its file."""
        for path in self._paths():
            if path not in self.files and len(self.files) < MOST_FILES:
                self.files[path] = self.file(path)
        for path, file in sorted(self.files.items()):
            if file.is_corrupt:
                continue
            try:
                for found in file.read():
                    self.count += 1
                    yield path, found
            except Corrupt as error:
                file.is_corrupt, self.trouble = True, str(error)
            except OSError:
                continue  # moved away: the next look has it, or not

    @abstractmethod
    def _counted(self) -> str:
        """How many files there are, and what came in them; a whole sentence, to be translated."""

    def describe(self) -> str:
        names = ", ".join(list(self.names)[:8])
        said = self._counted()
        said += f" ({names})" if names else ""
        return f"{said}; {self.trouble}" if self.trouble else said
