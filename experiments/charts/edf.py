"""EDF: how many trials reach a value, or a better one; and whether later trials do better.

The share at a value is that of the trials at least as good. So the best value stands at the line's
low end whatever the direction, and a line that lies above another is that of better trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import looks
from experiments.charts import brush, scale, style
from experiments.charts.base import (
    STOPS,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    Table,
    flag_option,
)
from experiments.charts.comparable import Comparable, comparable
from experiments.charts.table import of_lines
from experiments.charts.words import gettext as _
from experiments.charts.words import together

KIND = "edf"
LEAST_FOR_HALVES = 20  # trials
MOST_POINTS = 600  # of a line


@dataclass(frozen=True)
class Steps:
    """Values from the best to the worst, and the share of trials at least as good."""

    name: str
    uid: str
    values: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class EdfInfo:
    trials: Comparable
    maximize: bool
    lines: tuple[Steps, ...]
    view: tuple[float, float] | None
    log: bool
    log_possible: bool


def info(record: Record, options: Options) -> EdfInfo:
    """``log`` = 0 | 1, ``clip`` = 1 | 0 (show far-out values in place)."""
    trials = comparable(record)
    values, losses = trials.values, trials.losses
    lines = []
    if values.size:
        lines.append(_steps(_("All"), "all", values, losses))
    if values.size >= LEAST_FOR_HALVES:
        half = values.size // 2
        lines.append(_steps(_("First half"), "first", values[:half], losses[:half]))
        lines.append(_steps(_("Second half"), "second", values[half:], losses[half:]))
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    best = float(values[losses.argmin()]) if values.size else None
    clip = flag_option(options, "clip", default=True)
    view = scale.value_view(values, best, log=log, clip=clip)
    return EdfInfo(trials, record.maximize, tuple(lines), view, log, log_possible)


def _steps(name: str, uid: str, values: Floats, losses: Floats) -> Steps:
    ordered, shares = reached(values, losses, MOST_POINTS)
    return Steps(name, uid, tuple(ordered.tolist()), tuple(shares.tolist()))


def reached(values: Floats, losses: Floats, most: int) -> tuple[Floats, Floats]:
    """Values from the best (least loss) to the worst, each with the share at least as good.

    Of more than ``most``, so many, the ends among them.
    """
    order = np.argsort(losses, kind="stable")
    ordered: Floats = values[order]
    is_last = np.append(ordered[1:] != ordered[:-1], True)  # of several equal ones
    shares: Floats = (np.flatnonzero(is_last) + 1) / ordered.size
    ordered = ordered[is_last]
    if ordered.size > most:
        # as many steps in height as in number: neither end is thinned away
        kept = np.unique(np.linspace(0, ordered.size - 1, most).astype(np.intp))
        ordered, shares = ordered[kept], shares[kept]
    return ordered, shares


def share_title(*, maximize: bool) -> str:
    if maximize:
        return _("Trials with this value or more")
    return _("Trials with this value or less")


_LINES: dict[str, dict[str, Any]] = {
    "all": {"color": style.ACCENT, "width": 3},
    "first": {"color": looks.GREY, "width": 2, "dash": "dot"},
    "second": {"color": looks.GREEN, "width": 2, "dash": "dash"},
}


def figure(info: EdfInfo) -> Figure:
    if not info.lines:
        return style.empty(KIND, info.trials.nothing)
    assert info.view is not None
    x_axis = style.axis(_("Value"), type="log" if info.log else "linear")
    low, high = scale.axis_range(*info.view, log=info.log)
    x_axis["range"] = [low, high]
    far = low if info.maximize else high  # the worse end of the axis
    far = scale.power_of_ten(far) if info.log else far
    traces = [_trace(line, far) for line in info.lines]
    frame = style.layout(
        KIND,
        xaxis=x_axis,
        yaxis=style.axis(share_title(maximize=info.maximize), range=[0, 1.02], tickformat=".0%"),
        hovermode="x",
    )
    values = info.trials.values
    frame["meta"] = {
        "kind": KIND,
        "log_possible": info.log_possible,
        "clipped": int(((values < info.view[0]) | (values > info.view[1])).sum()),
        "n_trials": int(values.size),
        "note": _note(info),
        "selects": {"x": brush.field("value")},
    }
    return {"data": traces, "layout": frame}


def _note(info: EdfInfo) -> str:
    parts = [_("Trials: {n}.", n=info.trials.values.size)]
    if len(info.lines) > 1:
        parts.append(_("Where the second half lies above the first, later trials were better."))
    if info.trials.left_out:
        parts.append(info.trials.left_out)
    return together(parts)


def _trace(line: Steps, far: float) -> dict[str, Any]:
    """From nobody at the best value to everybody at the worst, and on to the axis' end."""
    values = scale.drawable(np.array([line.values[0], *line.values]))
    shares = [0.0, *line.shares]
    is_within = far < values[-1] if line.values[0] > line.values[-1] else far > values[-1]
    if is_within or len(line.values) == 1:
        values, shares = np.append(values, far), [*shares, 1.0]
    return {
        "type": "scatter", "mode": "lines", "uid": line.uid, "name": line.name,
        "x": scale.rounded(values, 6), "y": [round(s, 5) for s in shares],
        # The share counts from the value on: on its good side the line keeps the last one's height.
        "line": {"shape": "hv", **_LINES[line.uid]},
        "hovertemplate": "%{y:.1%}<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def tabulate(record: Record, options: Options) -> Table:
    return of_lines(draw(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
