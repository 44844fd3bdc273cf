"""The middle of very many values: bands of quantiles, where points would be solid noise.

Pure; shared by the charts that stay readable at ten thousand trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import looks
from experiments.charts import scale, style
from experiments.charts.base import Floats
from experiments.charts.words import gettext as _

WIDTH_BESIDE = 22  # characters of a legend's line
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
N_STRETCHES = 60
# Its multiples, less the whole ones, fill an interval evenly. Not those of GOLDEN, which say where
# a trial stands between two choices: the chosen would all be on one side.
ROOT_OF_2 = 1.4142135624


@dataclass(frozen=True, eq=False)
class Bands:
    """Quantiles of many values at each place."""

    n: int  # of what they stand for
    x: Sequence[Any]  # (n_places,) as the axis has them
    y: Floats  # (len(SHARES), n_places)
    n_taken: int | None = None  # worked out from so many of them, evenly taken; None: from all


def along(x: Sequence[Any], y: Floats) -> Bands | None:
    """Quantiles of stretches of as many values each, in the order given; None of nothing."""
    if not y.size:
        return None
    parts = np.array_split(np.arange(y.size), min(N_STRETCHES, y.size))
    quantiles = np.array([np.quantile(scale.drawable(y[part]), SHARES) for part in parts])
    return Bands(int(y.size), [x[int(part[part.size // 2])] for part in parts], quantiles.T)


def traces(
    bands: Bands, what: str, *, hover: str = "%{y:.6g}", is_beside: bool = False
) -> list[dict[str, Any]]:
    """Two bands and the median, one entry of the legend.

    Args:
        what: of what, in words.
        is_beside: whether the legend stands beside the plot, and takes of its width.
    """
    drawn: list[dict[str, Any]] = []
    x = list(bands.x)
    shared: dict[str, Any] = {"type": "scatter", "mode": "lines", "legendgroup": "bands"}
    name = _("Median, middle half and nine tenths of {what}", what=what)
    if is_beside:
        name = style.wrapped(name, WIDTH_BESIDE)
    for low, high, opacity in ((0, 4, 0.12), (1, 3, 0.2)):
        around = np.concatenate([bands.y[high], bands.y[low][::-1]])
        drawn.append(
            {
                **shared, "uid": f"band{low}", "name": name, "showlegend": False,
                "hoverinfo": "skip", "x": x + x[::-1], "y": scale.rounded(around, 6),
                "line": {"width": 0}, "fill": "toself",
                "fillcolor": style.faded(looks.GREY, opacity),
            }
        )  # fmt: skip
    drawn.append(
        {
            **shared, "uid": "median", "name": name, "x": x, "y": scale.rounded(bands.y[2], 6),
            "line": {"color": looks.GREY, "width": 2, "dash": "dot"},
            "hovertemplate": f"{hover}<extra></extra>",
        }
    )  # fmt: skip
    return drawn


def steadily(numbers: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """Places of at most so many trials with these numbers, spread over all, in their order.

    While trials come they stay the same, but for one that gives way to each new one that is chosen:
    what is drawn of a running experiment must not flicker.
    """
    if numbers.size <= most:
        return np.arange(numbers.size)
    return np.sort(np.argpartition(numbers * ROOT_OF_2 % 1.0, most)[:most])
