"""One parameter as an axis of a figure, its trials' places on it, and densities over two of them.

Shared by the charts that draw parameters against something: slice and pair.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from experiments.charts import scale, style
from experiments.charts.axes import Axis, labels_of
from experiments.charts.base import Floats

LABEL_LENGTH = 26
LEAST_WORD = 6  # characters of a choice
GAP = 2  # characters between two choices
FEW_DECADES, MOST_DECADES = 2.0, 10.0  # of a log axis
JITTER = 0.5  # of the way between two choices, over which equal ones are spread
GOLDEN = 0.6180339887  # its multiples, less the whole ones, fill an interval evenly

# How many lie in a cell, from none to most; both end in a strong colour against their page.
DENSITY_ON_LIGHT = [
    [0, "rgba(47,134,221,0.10)"], [0.08, "rgba(47,134,221,0.35)"],
    [0.3, "rgba(31,110,191,0.75)"], [1, "#0b3f75"],
]  # fmt: skip
DENSITY_ON_DARK = [
    [0, "rgba(75,163,227,0.12)"], [0.08, "rgba(75,163,227,0.35)"],
    [0.3, "rgba(75,163,227,0.8)"], [1, "#d6f0ff"],
]  # fmt: skip


def axis_layout(
    axis: Axis, title: str, *, room: int | None = None, most: int | None = None, **changes: Any
) -> dict[str, Any]:
    """The parameter as a Plotly axis: logarithmic where the space is, words for choices.

    ``room``: characters that the words of all choices may take together; ``most``: of each.
    """
    layout = style.axis(title, range=[axis.own_low, axis.high])
    if axis.kind == "log":
        layout |= {"type": "log", "exponentformat": "e"}
        # Plotly writes 20 and 50 between 10 and 100 as a small 2 and 5: whole numbers, or none.
        if axis.high - axis.own_low < FEW_DECADES:
            layout["tickformat"] = "~g"
        else:
            layout["dtick"] = max(1, round((axis.high - axis.own_low) / MOST_DECADES))
    elif axis.kind == "choice":
        layout["tickvals"] = [place for place, _ in axis.own_ticks]
        layout["ticktext"] = [words for _, words in axis.own_ticks]
        if most is not None:
            layout["ticktext"] = [_within(words, most) for words in layout["ticktext"]]
        if room is not None:
            layout["tickangle"] = 0  # Plotly would write them aslant, the first below the others
            layout["ticktext"] = _beside(layout["ticktext"], room)
    return layout | changes


def _beside(words: list[str], room: int) -> list[str]:
    """The choices' words, each as long as there is room for; where they are many, every n-th."""
    shortest = min(LEAST_WORD, max((len(style.unescaped(w)) for w in words), default=0))
    every = max(1, math.ceil(len(words) * (shortest + GAP) / room))
    n_shown = max(1, math.ceil(len(words) / every))
    most = max(LEAST_WORD, room // n_shown - GAP)
    return [_within(w, most) if i % every == 0 else "" for i, w in enumerate(words)]


def _within(words: str, most: int) -> str:
    """Words with their middle left out, where they are longer: numbers differ at either end."""
    text = style.unescaped(words)
    if len(text) <= most:
        return words
    end = most // 3
    return style.escaped(f"{text[: most - 1 - end]}…{text[-end:]}")


def short_label(axis: Axis, most: int = LABEL_LENGTH) -> str:
    label = axis.label
    if len(label) > most:
        label = "…" + label[1 - most :]
    return style.plain_text(label)


def worded(axis: Axis, places: Floats) -> list[str]:
    """What is at these places in words, for who points at one: drawn ones of choices are spread."""
    if axis.kind != "choice":
        return [style.number_text(v or 0.0, 6) for v in drawn_at(axis, places)]
    words = [style.plain_text(label) for label in labels_of(axis.choices)]
    return [words[round(place)] for place in places.tolist()]


def drawn_at(axis: Axis, places: Floats, numbers: Floats | None = None) -> list[float | None]:
    """Places as Plotly wants them; with trial numbers, equal choices are spread by them."""
    if axis.kind == "choice":
        if numbers is not None:
            places = places + ((numbers * GOLDEN) % 1.0 - 0.5) * JITTER
        return scale.rounded(places, 4)
    if axis.kind == "log":
        # Digits of the place, not of the value: two decades apart are told apart alike.
        return scale.rounded(_powers(places), 4)
    return scale.rounded(places, 5)


def _powers(places: Floats) -> Floats:
    powers: Floats = np.clip(10.0 ** np.clip(places, -323.0, 308.0), 5e-324, None)
    return powers


def edges(axis: Axis, n_cells: int, places: Floats) -> Floats:
    """Ends of cells over the whole axis, as places: one a choice, one a value where they are few.

    Else so many cells of equal width.
    """
    if axis.kind == "choice":
        n_choices = round(axis.high - axis.own_low - 0.7) + 1
        return np.arange(n_choices + 1, dtype=np.float64) - 0.5
    found = np.unique(places)
    if not 2 <= found.size <= n_cells // 2:
        ends: Floats = np.linspace(axis.own_low, axis.high, n_cells + 1)
        return ends
    middles = (found[1:] + found[:-1]) / 2
    half = float(np.diff(found).min()) / 2
    return np.concatenate([[found[0] - half], middles, [found[-1] + half]])


def widened(layout: dict[str, Any], ends: Floats) -> dict[str, Any]:
    """The axis so that the outermost cells are seen in full."""
    low, high = layout["range"]
    return layout | {"range": [min(low, float(ends[0])), max(high, float(ends[-1]))]}


def drawn_edges(axis: Axis, ends: Floats) -> list[float | None]:
    if axis.kind == "log":
        return scale.rounded(_powers(ends), 6)
    return scale.rounded(ends, 6)


def cells(ends: Floats, places: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The cell of each place; those beyond the ends belong to the first and last."""
    found = np.searchsorted(ends, places, side="right") - 1
    return np.clip(found, 0, ends.size - 2)
