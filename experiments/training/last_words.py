"""Why a program failed, out of the end of what it printed. Pure, and standard library only.

Used by the supervisor of local trials (which holds nothing but its own few modules) and by the
Kubernetes backend, on the log of the deciding replica. It prefers the exception of the last
traceback to whatever was printed after it; then a line that speaks of an error; then the last line.
"""

from __future__ import annotations

import re
from itertools import pairwise

LONGEST = 300  # characters

_HEADER = "Traceback (most recent call last):"
_BAR = re.compile(r"^ *\| ?")
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links
    r"|[ -/][0-~]|[0-~])"
)
# The line under a traceback, where its beginning is no longer there, or there was none (a syntax
# error in the script itself): the dotted name of a class that is called like an exception.
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Timeout|Failure|Fault)"
    r"(?::.*)?"
)
_TROUBLE = re.compile(
    r"\b(?:errors?|exception|fatal|panic|panicked|failed|failure|cannot|can't|could not|unable|"
    r"not found|no such file|denied|refused|killed|aborted|segmentation fault|out of memory|"
    r"assertion|assert|invalid|unrecognized|unknown|usage)\b",
    re.IGNORECASE,
)
# What is told of on the way out, or beside the program: no reason to end.
_ASIDE = re.compile(
    r"Exception ignored in|Error in atexit\._run_exitfuncs|--- Logging error ---"
    r"|Exception in thread |exception was never retrieved"
)
_CHAINED = ("another exception occurred:", "direct cause of the following exception:")
# torchrun's, and accelerate's and others' that run their worker by subprocess
_LAUNCHER = re.compile(r"(?:\w+\.)*(?:ChildFailedError|CalledProcessError)\b")
_LONGEST_TRACE = 2000  # lines
_LOOK_BACK = 20  # lines in which an error is looked for where there is no traceback


def lines_of(tail: bytes) -> list[str]:
    """The lines that show anything, as a terminal leaves them, without colours and controls."""
    text = _ESCAPE.sub("", tail.decode("utf-8", "replace"))
    found = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        # of what a progress bar drew over itself the last drawing stays
        shown = next((part for part in reversed(raw.split("\r")) if part.strip()), "")
        line = "".join(c if c.isprintable() else " " if c == "\t" else "" for c in shown).rstrip()
        if line:
            found.append(line)
    return found


def with_last_words(how: str, tail: bytes) -> str:
    """``how`` it ended, with the line that best says why: an error, else what came last."""
    if error := error_of(tail):
        return f"{how}: {error}"
    lines = lines_of(tail)
    return f"{how}; last line: {lines[-1].strip()[:LONGEST]}" if lines else how


def error_of(tail: bytes) -> str:
    """The line that says what went wrong; "" where none does."""
    lines = lines_of(tail)
    return (_of_traceback(lines) or _of_trouble(lines))[:LONGEST]


def _of_traceback(lines: list[str]) -> str:
    """The exception of the last traceback that ended the program.

    One that a launcher raised because its worker failed, or that was only told of on the way out,
    counts where there is no other.
    """
    own, others = "", ""
    is_aside = False
    for number, line in enumerate(lines):
        if not line.endswith(_HEADER):
            continue
        before = lines[number - 1] if number else ""
        is_aside = bool(_ASIDE.search(before)) or (is_aside and before.endswith(_CHAINED))
        if found := _under(line.removesuffix(_HEADER), lines[number + 1 :]):
            if is_aside or _LAUNCHER.match(found):
                others = found
            else:
                own = found
    if own or others:
        return own or others
    for before, line in reversed(list(pairwise(["", *lines]))):
        if before.startswith(" ") and _EXCEPTION.fullmatch(line):
            return line
    return ""


def _under(prefix: str, lines: list[str]) -> str:
    """The first line of a traceback that is no frame.

    Args:
        prefix: what stands before each line: launchers put a name ("[rank0]: "), groups a bar.
        lines: those under its head.
    """
    texts = [_BAR.sub("", line.removeprefix(prefix), count=1) for line in lines[:_LONGEST_TRACE]]
    for number, text in enumerate(texts):
        if number and not text.startswith(" ") and text.strip() and text.strip() != prefix.strip():
            more = ""
            if text.rstrip().endswith(":"):  # the message begins below, or below a rule
                more = next((t.strip() for t in texts[number + 1 :] if re.search(r"\w", t)), "")
            return f"{text.rstrip()} {more}".strip()
    return ""


def _of_trouble(lines: list[str]) -> str:
    for line in reversed(lines[-_LOOK_BACK:]):
        if _TROUBLE.search(line) or _EXCEPTION.fullmatch(line.strip()):
            return line.strip()
    return ""
