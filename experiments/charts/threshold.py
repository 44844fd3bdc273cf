"""What an assessor asked of a trial, drawn over curves: the threshold, where it judged, what it
forecast. Used by ``curves``, for a trial's own chart and for the last stop of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments import looks
from experiments.charts import reported, scale, style
from experiments.charts.base import Figure, ReportedCurve, StopReceipt
from experiments.charts.words import gettext as _

MARK = {"color": looks.VERMILION, "width": 1, "dash": "dot"}


@dataclass(frozen=True)
class Forecast:
    x: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """A receipt's numbers with sequences turned into places on the x axis."""

    trial: int
    threshold: float
    line: tuple[tuple[float, float], ...]  # (x, threshold) at its reports; empty: the same at all
    x: float | None  # where it was judged
    value: float | None  # its own there, as the assessor saw it
    forecast: Forecast | None


def judged(receipt: StopReceipt | None, curve: ReportedCurve | None, x: str) -> Judged | None:
    """None where no receipt has a threshold, or nothing of its trial is drawn."""
    if receipt is None or receipt.threshold is None or curve is None or not curve.value.size:
        return None
    xs = reported.places_of(curve, x)

    def place(sequence: float) -> float:
        """Of a report that is not in the curve: as far on as its reports lie apart."""
        last = float(curve.sequence[-1])
        if sequence > last and curve.sequence.size > 1:
            each = (float(xs[-1]) - float(xs[0])) / max(last - float(curve.sequence[0]), 1.0)
            return float(xs[-1]) + each * (sequence - last)
        return float(xs[int(np.abs(curve.sequence - sequence).argmin())])

    forecast = None
    if receipt.forecast is not None:
        sequence, value, low, high = receipt.forecast
        forecast = Forecast(place(sequence), value, min(low, high), max(low, high))
    at = None if receipt.sequence is None else place(receipt.sequence)
    own: float | None = None
    if receipt.sequence is not None:
        own = float(curve.value[int(np.abs(curve.sequence - receipt.sequence).argmin())])
    return Judged(
        trial=curve.trial,
        threshold=receipt.threshold,
        line=tuple((place(s), v) for s, v in receipt.line),
        x=at,
        value=own if own is not None and np.isfinite(own) else None,
        forecast=forecast,
    )


def draw(found: Judged, figure: Figure, span: tuple[float, float], *, log: bool) -> None:
    """On a trial's own chart: what it had to reach, where it was judged, what was expected of it.

    The axis is widened so that all of it is seen.
    """
    points = _line(found, span, log=log)
    name = _("Threshold of the assessor: {value}", value=style.number_text(found.threshold))
    figure["data"].append(_trace(points, name))
    frame = figure["layout"]
    if found.x is not None:
        frame["shapes"].append(
            {
                "type": "line", "xref": "x", "x0": found.x, "x1": found.x,
                "yref": "paper", "y0": 0, "y1": 1, "line": MARK,
            }
        )  # fmt: skip
    ends = [y for _x, y in points]
    if found.forecast is not None and not (log and found.forecast.low <= 0):
        figure["data"] += _forecast(found, found.forecast)
        ends += [found.forecast.low, found.forecast.high]
    places = [float(np.log10(y)) if log else y for y in ends]
    low, high = frame["yaxis"]["range"]
    if places and (min(places) < low or max(places) > high):
        frame["yaxis"]["range"] = list(scale.padded(min(low, *places), max(high, *places), 0.03))


def draw_last(found: Judged, figure: Figure, span: tuple[float, float], *, log: bool) -> None:
    """Over the curves of all: what the last trial that was stopped had to reach."""
    name = _(
        "Threshold of the assessor for #{number}: {value}",
        number=found.trial,
        value=style.number_text(found.threshold),
    )
    figure["data"].append(_trace(_line(found, span, log=log), name))


def _line(found: Judged, span: tuple[float, float], *, log: bool) -> Sequence[tuple[float, float]]:
    line = found.line or tuple((x, found.threshold) for x in span)
    return [(x, y) for x, y in line if not log or y > 0]


def _trace(points: Sequence[tuple[float, float]], name: str) -> dict[str, object]:
    return {
        "type": "scatter", "mode": "lines", "uid": "threshold", "name": name,
        "x": [x for x, _y in points], "y": [y for _x, y in points],
        "line": {"color": looks.VERMILION, "width": 1.8, "dash": "dash"},
        "hovertemplate": _("threshold") + " %{y:.6g} @ %{x}<extra></extra>",
    }  # fmt: skip


def _forecast(found: Judged, forecast: Forecast) -> list[dict[str, object]]:
    words = _(
        "Forecast: {value}, between {low} and {high} with 90 % probability",
        value=style.number_text(forecast.value),
        low=style.number_text(forecast.low),
        high=style.number_text(forecast.high),
    )
    from_x = [found.x] if found.x is not None and found.value is not None else []
    from_y = [found.value] if from_x else []
    return [
        {
            "type": "scatter", "mode": "lines+markers", "uid": "forecast", "name": _("Forecast"),
            "x": [*from_x, forecast.x], "y": [*from_y, forecast.value],
            "line": {"color": looks.AMBER, "width": 1.5, "dash": "dot"},
            "marker": {"size": 8, "symbol": "diamond", "color": looks.AMBER},
            "error_y": {
                "type": "data", "symmetric": False, "color": looks.AMBER, "thickness": 2,
                "width": 6,
                "array": [*(0.0 for _x in from_x), forecast.high - forecast.value],
                "arrayminus": [*(0.0 for _x in from_x), forecast.value - forecast.low],
            },
            "hovertemplate": words + "<extra></extra>",
        }
    ]  # fmt: skip
