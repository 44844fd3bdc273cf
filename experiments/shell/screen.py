"""What reaches the terminal: safe text, numbers, durations, tables and lines of curves.

Nothing from a manifest, a metric or a log reaches it raw: a name may hold escape sequences that
move the cursor, hide words or write into the clipboard. Into a pipe goes plain text, one row a
line, never cut and never coloured.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from experiments import looks
from experiments.shell import language

# Beside control characters below space: those above; marks that turn the reading direction;
# separators of lines; half characters.
_OTHERS = "\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(f"[\x00-\x1f{_OTHERS}]")
_UNSAFE_IN_TEXT = re.compile(f"[\x00-\x08\x0b-\x1f{_OTHERS}]")
# Of a log: colours, and the carriage return of progress bars, are let through.
_UNSAFE_IN_LOG = re.compile(rf"\x1b\[[0-9;:]*m|[\x00-\x08\x0b\x0c\x0e-\x1f{_OTHERS}]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=#"
WIDE = 100_000  # columns: where nothing is cut

STYLES = {
    "succeeded": "green", "running": "blue", "early": "yellow", "failed": "red",
    "lost": "magenta", "canceled": "bright_black", "waiting": "bright_black", "suspended": "yellow",
}  # fmt: skip


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def clean(text: Any) -> str:
    """One line of safe text: what could steer a terminal is written out, as ``\\x1b``."""
    return _UNSAFE.sub(_escaped, str(text))


def clean_text(text: str) -> str:
    """The same for text of several lines."""
    return _UNSAFE_IN_TEXT.sub(_escaped, text)


def clean_log(text: str) -> str:
    """The same for a log, whose colours and progress bars stay."""
    return _UNSAFE_IN_LOG.sub(lambda m: m[0] if len(m[0]) > 1 else _escaped(m), text)


def plain_log(text: str) -> str:
    """A log's lines without their colours, for a report."""
    return clean_text(_COLOUR.sub("", text).replace("\r\n", "\n"))


def as_json(data: Any) -> str:
    """JSON that is safe to look at: unsafe characters are escaped, which reads back the same."""
    text = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)
    return _UNSAFE_IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Whoever read our words has gone: as everywhere else, ``manage.py`` takes it from here."""
        raise  # called where the error is being handled

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Once more for all: an id or a state, too, may be what a strange server sent."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSAFE_IN_TEXT.search(segment.text):
                yield segment
            else:
                yield segment._replace(text=clean_text(segment.text))


def console() -> Console:
    """Standard output; of any width where it is no terminal."""
    out = sys.stdout
    width = None if out.isatty() else WIDE
    return _Console(file=out, highlight=False, markup=False, emoji=False, width=width)


# ---- words for values


def number(value: Any) -> str:
    """A value with six digits, as on the pages; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, dict | list):
        return clean(json.dumps(value, ensure_ascii=False))
    return clean(value)


def pairs(values: dict[str, Any]) -> str:
    """``lr=0.01 units=64``"""
    return " ".join(f"{clean(name)}={number(value)}" for name, value in values.items())


def duration(seconds: float | None) -> str:
    """``42s``, ``3m 5s``, ``2h 10m``, ``3d 4h``"""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    for unit, size, below, smaller in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller}{below}"
    return f"{whole}s"


def phase_of(experiment: dict[str, Any]) -> Text:
    """The phase, or that it is suspended or being finished, in its colour."""
    look = looks.experiment_look(
        experiment["phase"],
        finishing=experiment["finishing"],
        suspended=experiment["suspended"],
        has_best=experiment["best"] is not None,
        message=experiment["message"],
    )
    word = experiment["phase"]
    if look in (looks.SUSPENDED, looks.FINISHING):
        word = look.label.upper()
    return _look(word, look)


def state_of(trial: dict[str, Any]) -> Text:
    look = looks.STATES[trial["state"]]
    return _look(trial["state"], look)


def _look(word: str, look: looks.Look) -> Text:
    """The stored word, which scripts look for; in Chinese as the pages have it."""
    shown = word if language.code() == "en" else language.gettext(look.label)
    return Text(clean(shown), style=STYLES.get(look.tone, ""))


# ---- tables


@dataclass(frozen=True)
class Column:
    """``rank``: the highest are left out first where the terminal is narrow; 0 never is."""

    heading: str
    rank: int = 0
    right: bool = False
    least: int = 0  # columns to which it may be cut; 0: it is never cut


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], width: int) -> Text:
    """Rows under headings, within ``width`` columns of the terminal."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    natural = [
        max([cell_len(column.heading), *(row[i].cell_len for row in cells)])
        for i, column in enumerate(columns)
    ]
    shown = _fitting(columns, natural, width)
    widths = dict(zip(shown, _widths(columns, natural, shown, width), strict=True))
    headings = [Text(column.heading, style="bold") for column in columns]
    lines = []
    for row in [headings, *cells]:
        parts = [_fit(row[i], widths[i], right=columns[i].right) for i in shown]
        line = Text("  ").join(parts)
        line.rstrip()
        lines.append(line)
    return Text("\n").join(lines)


def _fitting(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """The columns that there is room for."""
    shown = list(range(len(columns)))

    def needed() -> int:
        least = [min(natural[i], columns[i].least or natural[i]) for i in shown]
        return sum(least) + 2 * (len(shown) - 1)

    while needed() > width:
        last = max(shown, key=lambda i: columns[i].rank)
        if columns[last].rank == 0:
            break
        shown.remove(last)
    return shown


def _widths(
    columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int], width: int
) -> list[int]:
    """What each column gets: the widest that may be cut are cut first."""
    widths = {i: natural[i] for i in shown}
    over = sum(widths.values()) + 2 * (len(shown) - 1) - width
    while over > 0:
        may = [i for i in shown if columns[i].least and widths[i] > columns[i].least]
        if not may:
            break
        widest = max(may, key=lambda i: widths[i])
        widths[widest] -= 1
        over -= 1
    return [widths[i] for i in shown]


def _fit(cell: Text, width: int, *, right: bool) -> Text:
    fitted = cell.copy()
    fitted.truncate(width, overflow="ellipsis")
    room = " " * (width - fitted.cell_len)
    return Text(room) + fitted if right else fitted + Text(room)


def fields(lines: Sequence[tuple[str, str | Text]], width: int) -> Text:
    """Names and what stands behind each, wrapped beside the names."""
    room = max(cell_len(name) for name, _words in lines) + 2
    ruler = Console(width=max(width, room + 10))
    found = []
    for name, words in lines:
        value = Text("").append(words)
        first, *others = value.wrap(ruler, ruler.width - room) or [Text("")]
        found.append(Text(name + " " * (room - cell_len(name)), style="bold") + first)
        found += [Text(" " * room) + other for other in others]
    for line in found:
        line.rstrip()
    return Text("\n").join(found)


def sparkline(values: Sequence[float | None], width: int, *, ascii_only: bool = False) -> str:
    """A curve as one line of blocks; gaps where there is no finite value."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    if not values or width < 1:
        return ""
    if len(values) > width:  # the last of each span: where the curve is now must be seen
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    height = high / 2 - low / 2  # halves: the width of two huge ones overflows

    def block(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return " "
        share = 0.5 if height <= 0 else (value / 2 - low / 2) / height
        return blocks[min(len(blocks) - 1, int(share * len(blocks)))]

    return "".join(map(block, values))


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """How much of something is done."""
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    n = max(0, min(width, int(share * width)))
    return full * n + empty * (width - n)
