"""The commands and what they do, in words: read from ``commands.txt``, their one home.

The ``autotune`` script of a clone prints the same file; the parser takes its summaries from here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from experiments import places

FILE = Path(__file__).with_name("commands.txt")
_LINE = re.compile(r"autotune (?P<word>\S+)(?P<arguments>.*?)  +(?P<summary>.*)")
_ONLY_IN_A_CLONE = frozenset({"test"})


def help_text() -> str:
    """What ``autotune help`` prints, with the command as it is typed here."""
    lines = []
    for line in FILE.read_text().splitlines():
        found = _LINE.fullmatch(line)
        if found and not _is_here(found["word"]):
            continue
        lines.append(re.sub("^autotune ", f"{places.COMMAND} ", line))
    return "\n".join(lines) + "\n"


@cache
def summaries() -> dict[str, str]:
    """Each command with what it does."""
    found = map(_LINE.fullmatch, FILE.read_text().splitlines())
    return {
        line["word"]: line["summary"]
        for line in found
        if line and line["word"].islower() and _is_here(line["word"])
    }


def _is_here(word: str) -> bool:
    return not places.INSTALLED or word not in _ONLY_IN_A_CLONE
