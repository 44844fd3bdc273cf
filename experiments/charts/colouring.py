"""Points coloured by one of their numbers, or by a choice: traces, and what a reader needs to know.

Numbers get a scale that the colour-blind can follow (viridis without its palest ends, so that more
stands out more on either page) with a bar beside it, logarithmic where the parameter is; far-out
ones do not flatten the others. Choices get a colour and a shape each, the commonest; the rest are
one more. What has no such value is grey and hollow. Called by ``scatter``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts import scale, style
from experiments.charts.axes import Axis
from experiments.charts.base import Floats
from experiments.charts.words import gettext as _

ON_LIGHT = [[0, "#d9c83a"], [0.33, "#4db580"], [0.66, "#2f7a93"], [1, "#3b1f63"]]
ON_DARK = [[0, "#5b55a8"], [0.33, "#2f8fb0"], [0.66, "#4fc48b"], [1, "#f4e04d"]]
MOST_CHOICES = 8  # with a colour of their own
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "pentagon",
)  # fmt: skip
OTHER, OTHER_SYMBOL = "#8d96a5", "star"
LINE = {"width": 0.5, "color": "rgba(128,128,128,0.6)"}
# It has no title: Plotly writes that across a bar that lies. ``scatter`` writes it above.
BAR = {
    "orientation": "h", "thickness": 8, "len": 0.6, "lenmode": "fraction", "outlinewidth": 0,
    "x": 0, "xanchor": "left", "xpad": 0, "y": 1, "yanchor": "bottom", "ypad": 4,
    "ticks": "outside", "ticklen": 3, "tickfont": {"size": 11},
}  # fmt: skip
BAR_HEIGHT, BAR_ROOM = 38, 64  # pixels above the points: without its title, and with it
MOST_TICKS = 5

Places = np.ndarray[tuple[int], np.dtype[np.intp]]


@dataclass(frozen=True, eq=False)
class Colouring:
    """What the colour says: ``axis`` has a place for every trial."""

    words: str
    axis: Axis
    looks: Mapping[str, str]  # colours of choices that have one everywhere, by their words

    @property
    def lacking(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        places = np.array(self.axis.places)
        slot = self.axis.slot
        return np.full(places.size, False) if slot is None else places == slot


def traces(
    colouring: Colouring, drawn: Places, basis: Mapping[str, Any], *, clip: bool
) -> list[dict[str, Any]]:
    """Of the trials ``drawn`` one trace or more; ``basis`` has their columns, in that order."""
    lacking = colouring.lacking[drawn]
    found = [] if not lacking.any() else [_hollow(basis, lacking)]
    if colouring.axis.kind == "choice":
        return [*found, *_by_choice(colouring, drawn, basis)]
    return [*found, _by_number(colouring, drawn, basis, ~lacking, clip=clip)]


def _part(basis: Mapping[str, Any], chosen: np.ndarray[Any, Any]) -> dict[str, Any]:
    where = np.flatnonzero(chosen).tolist()
    return {
        name: [column[i] for i in where] if isinstance(column, list) else column
        for name, column in basis.items()
    }


def _hollow(basis: Mapping[str, Any], lacking: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        **_part(basis, lacking), "uid": "trials-without", "showlegend": True,
        "name": _("without it"),
        "marker": {"size": 7, "symbol": "circle-open", "color": OTHER},
    }  # fmt: skip


def _by_number(
    colouring: Colouring, drawn: Places, basis: Mapping[str, Any], has: np.ndarray[Any, Any],
    *, clip: bool,
) -> dict[str, Any]:  # fmt: skip
    axis = colouring.axis
    places: Floats = np.array(axis.places)
    low, high = _ends(places[~colouring.lacking], clip=clip)
    return {
        **_part(basis, has), "uid": "trials", "showlegend": False,
        "marker": {
            "size": 7, "color": scale.rounded(places[drawn][has], 5), "line": LINE,
            "cmin": low, "cmax": high, "colorscale": ON_LIGHT, "showscale": True,
            "colorbar": {**BAR, **_ticks(axis, low, high)},
        },
        "meta": {"colorscale_light": ON_LIGHT, "colorscale_dark": ON_DARK},
    }  # fmt: skip


def _ends(places: Floats, *, clip: bool) -> tuple[float, float]:
    if not places.size:
        return 0.0, 1.0
    found = scale.robust_range(places) if clip else None
    low, high = found or (float(places.min()), float(places.max()))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(axis: Axis, low: float, high: float) -> dict[str, Any]:
    """Round numbers at their places; the numbers themselves where the axis is logarithmic."""
    if axis.kind == "log":
        marks = scale.log_ticks(scale.power_of_ten(low), scale.power_of_ten(high))
        at: Sequence[float] = np.log10(marks).tolist()
    else:
        at = marks = scale.linear_ticks(low, high, MOST_TICKS)
    step = -(-len(marks) // MOST_TICKS)
    texts = scale.tick_texts(marks)
    return {"tickvals": list(at)[::step], "ticktext": texts[::step]}


def _by_choice(
    colouring: Colouring, drawn: Places, basis: Mapping[str, Any]
) -> list[dict[str, Any]]:
    axis = colouring.axis
    places = np.round(np.array(axis.places)).astype(int)
    words = {round(place): text for place, text in axis.own_ticks}
    of_drawn = np.where(colouring.lacking[drawn], -1, places[drawn])
    common = commonest(colouring)
    found = []
    for k, choice in enumerate(sorted(common)):
        text = words.get(choice) or style.plain_text(axis.choices[choice])
        found.append(
            {
                **_part(basis, of_drawn == choice), "uid": f"trials-{choice}", "name": text,
                "showlegend": True,
                "marker": {
                    "size": 8, "symbol": SYMBOLS[k], "line": LINE,
                    "color": colouring.looks.get(style.unescaped(text), style.LINE_COLOURS[k]),
                },
            }
        )  # fmt: skip
    is_other = (of_drawn >= 0) & ~np.isin(of_drawn, list(common))
    if is_other.any():
        found.insert(
            0,
            {
                **_part(basis, is_other), "uid": "trials-others", "name": _("others"),
                "showlegend": True,
                "marker": {"size": 7, "symbol": OTHER_SYMBOL, "color": OTHER, "line": LINE},
            },
        )  # fmt: skip
    return [trace for trace in found if trace["customdata"]]


def commonest(colouring: Colouring) -> set[int]:
    """The choices with a colour of their own: those of most trials; all where they are few."""
    places = np.round(np.array(colouring.axis.places)).astype(int)[~colouring.lacking]
    choices, counts = np.unique(places, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_CHOICES]
    return {int(choices[i]) for i in order}


def n_others(colouring: Colouring) -> int:
    """Choices that share a colour."""
    if colouring.axis.kind != "choice":
        return 0
    places = np.round(np.array(colouring.axis.places)).astype(int)[~colouring.lacking]
    return max(0, int(np.unique(places).size) - MOST_CHOICES)
