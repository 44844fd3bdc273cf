"""Colours, symbols and layout shared by all charts, readable on light and dark pages.

Figures carry no background, font or grid colour: the page adds those of its theme. The colours are
near Okabe and Ito's (told apart by the colour-blind), chosen to stand out on white as well as on
near-black, and ``looks`` holds those of the states, for pages too; states differ by symbol besides.
"""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from experiments import looks
from experiments.charts.base import Figure
from experiments.charts.words import gettext as _
from experiments.states import TrialState
from experiments.strict_json import unmistakable

ACCENT = "#5a71e8"  # the best line
GOLD = "#f0b429"

STATE_COLOURS: dict[str, str] = {state: look.colour for state, look in looks.STATES.items()}

# A trial keeps its colour for ever: by its number, never by its rank. Eight colours times four
# dashes make 32 looks before one comes back.
LINE_COLOURS = (
    "#2f86dd", "#d09a10", "#14a37c", "#cf6ba9", "#e0602b", "#38b3c9", "#8a7be0", "#8f9a1f",
)  # fmt: skip
LINE_DASHES = ("solid", "dash", "dot", "dashdot")

# From which longest time on, seconds of the unit, name
_TIME_UNITS = (
    (2 * 86400.0, 86400.0, "d"), (2 * 3600.0, 3600.0, "h"), (3 * 60.0, 60.0, "min"),
    (-math.inf, 1.0, "s"),
)  # fmt: skip

LEAST_TRIALS = 4  # that an axis of trials has room for: a single bar is not as wide as the chart
LONGEST_NOTE = 44  # characters in a line, Chinese ones counted twice
# Where a line may break: a Chinese sign with what must not begin a line after it, or a word.
_PIECES = re.compile(
    r"[\u2e80-\u9fff][\u3001-\u303f\uff00-\uff65]?|[^\s\u2e80-\u9fff]+|\s"
)  # fmt: skip
BELOW_TICKS = 21  # pixels from the axis to its title
REVISION = "keep"  # constant, so that zoom, brush and hidden traces outlive every update


def line_colour(number: int) -> str:
    return LINE_COLOURS[number % len(LINE_COLOURS)]


def line_dash(number: int) -> str:
    return LINE_DASHES[(number // len(LINE_COLOURS)) % len(LINE_DASHES)]


def faded(colour: str, opacity: float) -> str:
    """A colour of ours (#rrggbb) that lets through what lies below."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def state_name(state: str) -> str:
    """The word for a trial's state; one of a later release in its own."""
    look = looks.STATES.get(TrialState(state)) if state in set(TrialState) else None
    return _(look.label) if look else state


def layout(kind: str, **changes: Any) -> dict[str, Any]:
    """The frame that every chart starts from."""
    base: dict[str, Any] = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "uirevision": REVISION,
        "margin": {"l": 64, "r": 16, "t": 28, "b": 48},
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "xanchor": "left", "yanchor": "bottom"},
        "font": {"size": 12},
        "meta": {"kind": kind},
    }
    base.update(changes)
    return base


def axis(title: str, **changes: Any) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 8},
        "zeroline": False,
        "automargin": True,
        **changes,
    }


def empty(kind: str, message: str, live: Mapping[str, Any] | None = None) -> Figure:
    """A figure that says why there is nothing to see yet; ``live``: which reports change that."""
    hidden = {"visible": False, "fixedrange": True}
    note = {
        "text": message, "showarrow": False,
        "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "font": {"size": 14},
    }  # fmt: skip
    frame = layout(kind, xaxis=hidden, yaxis=hidden, annotations=[note])
    frame["meta"] = {"kind": kind, "empty": message, **({"live": dict(live)} if live else {})}
    return {"data": [], "layout": frame}


def queued(*, outline: int = 1) -> dict[str, Any]:
    """How a bar looks that stands for time in the queue: hatched, as no state is."""
    return {
        "color": "rgba(141,150,165,0.15)",
        "pattern": {"shape": "/", "size": 6, "solidity": 0.25, "fgcolor": looks.GREY},
        "line": {"width": outline, "color": looks.GREY},
    }


def corner_note(words: Iterable[str], *, at_top: bool, inside: bool = True) -> list[dict[str, Any]]:
    """Small words at a right corner of the plot, or just above it; none where there are none."""
    parts = list(words)
    text = " · ".join(parts)
    if not text:
        return []
    if _width(text) > LONGEST_NOTE:  # a phone's plot is no wider
        text = "<br>".join(parts)
    anchor = "top" if at_top and inside else "bottom"
    return [
        {
            "text": text, "showarrow": False, "xref": "paper", "yref": "paper",
            "x": 1, "y": int(at_top), "xanchor": "right", "yanchor": anchor, "font": {"size": 11},
            "align": "right",
        }
    ]  # fmt: skip


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "FW" else 1 for sign in text)


def wrapped(text: str, most: int) -> str:
    """In lines of so many characters, Chinese ones counted twice; ``unwrapped`` takes it back."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and not piece.isspace() and _width(lines[-1] + piece) > most:
            lines.append("")
        lines[-1] += piece
    return "<br>".join(lines)


def unwrapped(text: str) -> str:
    return text.replace("<br>", "")


def note_below(words: Iterable[str]) -> list[dict[str, Any]]:
    """The same below the axis, beside its title: for a plot full to its top, with a key above."""
    below = {"yanchor": "top", "yshift": -BELOW_TICKS}
    return [note | below for note in corner_note(words, at_top=False)]


def star(size: int) -> dict[str, Any]:
    """The marker of the best trial."""
    return {
        "symbol": "star", "size": size, "color": GOLD, "line": {"width": 1, "color": "#7a5a00"},
    }  # fmt: skip


def time_unit(longest_s: float) -> tuple[float, str]:
    """The unit in which times up to this one read well: its seconds, and its name."""
    return next((unit_s, name) for least_s, unit_s, name in _TIME_UNITS if longest_s >= least_s)


def in_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number_text(value: float | None, digits: int = 5) -> str:
    """A number as a person reads it: ``digits`` significant ones."""
    return "–" if value is None else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Such as 12 %, and 0.4 % of what is less than one."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.0095 else f"{100 * share:.0f} %"


def plain_text(value: Any) -> str:
    """Any JSON value on one line, cut at 60 characters and safe in Plotly's pseudo-HTML."""
    if isinstance(value, float):
        text = number_text(value, 6)
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return html.escape(text if len(text) <= 60 else text[:59] + "…", quote=False)


def escaped(text: str) -> str:
    """Text in full, safe in Plotly's pseudo-HTML."""
    return html.escape(text, quote=False)


def unescaped(text: str) -> str:
    """Words out of a figure, which holds them as Plotly's pseudo-HTML."""
    return html.unescape(text.replace("<b>", "").replace("</b>", ""))


def parameters_text(parameters: Mapping[str, Any], most: int = 12) -> str:
    """Lines of ``name = value`` for a hover box."""
    lines = [
        f"{plain_text(name)} = {plain_text(unmistakable(v) if isinstance(v, str) else v)}"
        for name, v in parameters.items()
    ]
    if len(lines) > most:
        lines = [*lines[:most], _("… and {n} more", n=len(lines) - most)]
    return "<br>".join(lines)


def iso_times(times: Iterable[datetime]) -> list[str]:
    """Plotly's dates: it shows them as they stand, so all are given in UTC without an offset."""
    return [time.isoformat(timespec="milliseconds").split("+")[0] for time in times]
