"""What Ctrl-C means while ``run`` runs: a question, asked once, answered with one letter."""

from __future__ import annotations

import select
import sys
from enum import Enum

from experiments.shell.bar import ProgressLine
from experiments.shell.language import gettext as _


class Choice(Enum):
    CONTINUE = "c"
    FINISH = "f"
    LEAVE = "l"


class Question:
    """Asked at a terminal; ``answer`` looks, without waiting, whether there is one."""

    def __init__(self, line: ProgressLine) -> None:
        self._line = line
        self._ask()

    @staticmethod
    def is_possible(line: ProgressLine) -> bool:
        return line.is_drawn and sys.stdin is not None and sys.stdin.isatty()

    def answer(self) -> Choice | None:
        if not select.select([sys.stdin], [], [], 0)[0]:
            return None
        given = sys.stdin.readline()
        if not given:  # the terminal has gone
            return Choice.LEAVE
        letter = given.strip().lower()[:1]
        for choice in Choice:
            if letter == choice.value:
                return choice
        self._ask()
        return None

    def _ask(self) -> None:
        self._line.say("")
        words = _("[c]ontinue, [f]inish now, or [l]eave it for later? (Ctrl-C again: leave)")
        self._line.say(words)
