"""The line of progress of ``run``: a bar on a terminal, plain lines elsewhere.

Into a pipe or a file goes one line for each change, without a single control character.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size

from experiments.shell import screen
from experiments.shell.language import gettext as _
from experiments.shell.looking import time_left

PLAIN_WIDTH = 30  # characters of the bar in plain lines
USUAL_COLUMNS = 80


@dataclass(frozen=True)
class Progress:
    phase: str
    n_finished: int
    n_all: int | None  # None: as many as the time allows
    share: float  # how far it is, from 0 to 1
    n_running: int
    n_failed: int
    n_stopped_early: int
    best: float | None
    is_suspended: bool
    is_finishing: bool = False
    left: dict[str, Any] | None = None  # as REST's pace has it; only the bar tells it

    def plain(self) -> str:
        filled = int(PLAIN_WIDTH * self.share + 1e-9)
        bar = f"[{'#' * filled}{'.' * (PLAIN_WIDTH - filled)}]"
        words = [
            self.phase if self.n_all is None else f"{self.phase:8}{bar}",
            f"{self._so_far()} trials",
            f"{self.n_running} running",
        ]
        if self.n_failed:
            words.append(f"{self.n_failed} failed")
        if self.n_stopped_early:
            words.append(f"{self.n_stopped_early} stopped early")
        if self.best is not None:
            words.append(f"best {screen.number(self.best)}")
        if self.is_suspended:
            words.append("suspended")
        if self.is_finishing:
            words.append("finishing")
        return "  ".join(words)

    def _so_far(self) -> str:
        return str(self.n_finished) if self.n_all is None else f"{self.n_finished}/{self.n_all}"

    def drawn(self, columns: int, *, ascii_only: bool = False) -> str:
        """One line of at most ``columns``; what matters least is left out first."""
        bar = screen.bar(self.share, min(30, max(8, columns // 4)), ascii_only=ascii_only)
        parts = [(0, self.phase), (0, bar), (0, self._so_far())]
        if self.best is not None:
            parts.append((1, _("best {value}").format(value=screen.number(self.best))))
        if self.left:
            parts.append((2, time_left(self.left)))
        if self.is_suspended:
            parts.append((0, _("suspended")))
        if self.is_finishing:
            parts.append((0, _("finishing")))
        if self.n_running:
            parts.append((3, _("{n} running").format(n=self.n_running)))
        if self.n_failed:
            parts.append((2, _("{n} failed").format(n=self.n_failed)))
        if self.n_stopped_early:
            parts.append((4, _("{n} stopped early").format(n=self.n_stopped_early)))
        line = "  ".join(part for _rank, part in parts)
        while cell_len(line) > columns and (most := max(rank for rank, _part in parts)):
            parts.remove(next(part for part in reversed(parts) if part[0] == most))
            line = "  ".join(part for _rank, part in parts)
        return line if cell_len(line) <= columns else set_cell_size(line, columns)


class ProgressLine:
    """Where progress is shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_drawn = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._ascii_only = not (stream.encoding or "ascii").lower().startswith("utf")
        self._shown = ""

    def show(self, progress: Progress) -> None:
        if self.is_drawn:
            line = progress.drawn(self._columns() - 1, ascii_only=self._ascii_only)
        else:
            line = progress.plain()
        if line == self._shown:
            return
        self._shown = line
        self._write(f"\r\x1b[K{line}" if self.is_drawn else f"{line}\n")

    def leave(self) -> None:
        """Let what comes stand below."""
        if self.is_drawn and self._shown:
            self._write("\n")
        self._shown = ""

    def say(self, words: str) -> None:
        """A line of its own."""
        self.leave()
        self._write(f"{words}\n")

    def _columns(self) -> int:
        try:
            found = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            found = 0
        return found or USUAL_COLUMNS

    def _write(self, text: str) -> None:
        with suppress(OSError):  # nobody looks any more; that is no reason to stop
            self._stream.write(text)
            self._stream.flush()
