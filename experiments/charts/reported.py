"""What charts of intermediate values share: where a report stands, how a line is named and grows.

Used by ``curves``, by ``crowd`` for very many of them, and by ``overlay`` for a few chosen ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments import looks
from experiments.charts import scale
from experiments.charts.base import Floats, ReportedCurve, TrialRecord
from experiments.charts.words import gettext as _
from experiments.states import TrialState

X = ("step", "sequence", "time")  # what the x axis may be


def places(x: str, sequence: Floats, step: Floats, since_first: Floats) -> Floats:
    """Where each point stands; by time only where times were read."""
    if x == "time" and since_first.size:
        return since_first
    if x == "step":
        # A report without a step stands at its place in the row.
        return scale.drawable(np.where(np.isfinite(step), step, sequence))
    return sequence


def places_of(curve: ReportedCurve, x: str) -> Floats:
    since_first = curve.time - curve.time[0] if curve.time.size else curve.time
    return places(x, curve.sequence, curve.step, since_first)


def x_title(x: str) -> str:
    if x == "time":
        return _("Time since the trial's first report (s)")
    return _("Step") if x == "step" else _("Report")


def name(trial: TrialRecord) -> str:
    running = trial.state == TrialState.RUNNING
    return f"#{trial.number}" + (" " + _("running") if running else "")


def end_of(trial: TrialRecord, x: Floats, y: Floats) -> tuple[int, float, float] | None:
    """Where an assessor cut the line off: trial, x, y; None where none did."""
    good = np.flatnonzero(np.isfinite(y))
    if trial.state != TrialState.EARLY_STOPPED or not good.size:
        return None
    return trial.number, float(x[good[-1]]), float(y[good[-1]])


def stopped_trace(ends: Sequence[tuple[int, float, float]], **marker: Any) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "uid": "stopped", "name": _("Stopped early"),
        "x": [x for _, x, _ in ends], "y": [y for _, _, y in ends],
        "customdata": [number for number, _, _ in ends],
        "marker": {"symbol": "x", "color": looks.AMBER, **marker},
        "hovertemplate": "<b>#%{customdata}</b> "
        + _("stopped early")
        + " · %{y:.6g} @ %{x}<extra></extra>",
    }  # fmt: skip


def grows(trial: TrialRecord, *, last: int, start: float, most: int) -> dict[str, Any]:
    """A trace's ``meta``: whose it is, up to which report, and when to thin it anew."""
    return {"trial": trial.number, "last": last, "start": start, "most": most}


def live(metric: str, x: str, *, clip: bool) -> dict[str, Any]:
    """A figure's ``meta.live``: how the page adds a report to a drawn line."""
    return {
        "how": "append",
        "metric": metric,
        "x": {"step": ["step", "sequence"], "sequence": ["sequence"], "time": ["time"]}[x],
        "room": scale.WIDER if clip else None,
    }
