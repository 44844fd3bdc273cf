"""Optimisation history: every trial's value, and the best so far.

Only trials that succeeded may move the best line. Values far off the rest are drawn as arrows at
the axis edge with their count, so that one diverged trial does not flatten all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from heapq import nsmallest
from typing import Any, NamedTuple

import numpy as np

from experiments import looks
from experiments.charts import bands, brush, scale, style
from experiments.charts.base import (
    DEFAULT_METRIC,
    FAILED_STATES,
    NEVER_RAN,
    STOPS,
    Cell,
    Chart,
    Figure,
    Options,
    Record,
    Table,
    TrialRecord,
    choice_option,
    flag_option,
)
from experiments.charts.table import state_of
from experiments.charts.words import gettext as _
from experiments.states import TrialState

KIND = "history"
X = ("number", "start", "time")
FEW = 8  # points, between which every number is named
MANY = 250  # points; above that they are drawn smaller
MOST_POINTS = 1500  # above that the best are drawn, some of the others, and bands for all
MOST_DRAWN = {
    "SUCCEEDED": 200,
    "EARLY_STOPPED": 60,
    "RUNNING": 300,
    "FAILED": 60,
    "EXCLUDED": 40,
}
N_BEST = 80  # of those that succeeded, drawn whatever the rest is
MOST_OUTSIDE = 50
GROUPS = ("SUCCEEDED", "EARLY_STOPPED", "RUNNING", "FAILED", "EXCLUDED")  # drawing order


# The time that an axis shows, as conditions on trials name it.
_COLUMNS = {"start": "started_at", "time": "finished_at"}


class Point(NamedTuple):
    """One trial's place; ``y`` is None where it has no value and is drawn at the bottom edge."""

    trial: TrialRecord
    x: Any  # number, or ISO time
    y: float | None
    group: str


@dataclass(frozen=True)
class HistoryInfo:
    maximize: bool
    x: str  # number | start | time: that of its end
    clip: bool
    log: bool
    log_possible: bool
    points: tuple[Point, ...]
    best_x: tuple[Any, ...]  # where the best line steps, ends included
    best_y: tuple[float, ...]
    best: Point | None
    view: tuple[float, float] | None  # values shown at first; None where there are none

    @cached_property
    def below(self) -> tuple[Point, ...]:
        low = self.view[0] if self.view else -math.inf
        return tuple(p for p in self.points if p.y is not None and p.y < low)

    @cached_property
    def above(self) -> tuple[Point, ...]:
        high = self.view[1] if self.view else math.inf
        return tuple(p for p in self.points if p.y is not None and p.y > high)


def info(record: Record, options: Options) -> HistoryInfo:
    """``x`` = number | start | time, ``log`` = 0 | 1, ``clip`` = 1 | 0 (far-out values in place).

    By start the best line is that of the trials begun by then, whenever they ended.
    """
    by = choice_option(options, "x", X)
    trials = [t for t in record.trials if t.state != TrialState.WAITING]
    if by != "number":
        trials.sort(key=lambda t: (_moment(t, by, record.now), t.number))
    points = []
    for trial in trials:  # plain, as there may be a hundred thousand
        x: Any = trial.number
        if by != "number":
            x = style.iso_times([_moment(trial, by, record.now)])[0]
        group = _group(trial)
        y = None if group == "FAILED" else trial.value
        if y is None and group != "FAILED":
            y = trial.latest_value
        if y is None and group == "RUNNING":
            continue  # nothing reported yet: no place to draw it
        points.append(Point(trial, x, y, "FAILED" if y is None else group))
    values = np.array([p.y for p in points if p.y is not None], dtype=np.float64)
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    best_x, best_y, best = _best_line(points, record.maximize)
    clip = flag_option(options, "clip", default=True)
    view = scale.value_view(values, None if best is None else best.y, log=log, clip=clip)
    return HistoryInfo(
        maximize=record.maximize,
        x=by,
        clip=clip,
        log=log,
        log_possible=log_possible,
        points=tuple(points),
        best_x=best_x,
        best_y=best_y,
        best=best,
        view=view,
    )


def _moment(trial: TrialRecord, by: str, now: datetime) -> datetime:
    """Its place on an axis of time; one that never started stands where it ended."""
    end = trial.finished_at or now
    return (trial.started_at or end) if by == "start" else end


def _x_title(info: HistoryInfo) -> str:
    if info.x == "start":
        return _("Started at (UTC)")
    return _("Finished at (UTC)") if info.x == "time" else _("Trial")


def _group(trial: TrialRecord) -> str:
    if trial.excluded:
        return "EXCLUDED"
    if trial.state in FAILED_STATES:
        return "FAILED"
    return trial.state


def _best_line(
    points: list[Point], maximize: bool
) -> tuple[tuple[Any, ...], tuple[float, ...], Point | None]:
    """The steps of the best value over succeeded trials, in drawing order."""
    xs: list[Any] = []
    ys: list[float] = []
    best: Point | None = None
    for point in points:
        if point.group != TrialState.SUCCEEDED or point.y is None:
            continue
        if best is None or best.y is None or (point.y > best.y if maximize else point.y < best.y):
            best = point
            xs.append(point.x)
            ys.append(point.y)
    if xs and points[-1].x != xs[-1]:
        xs.append(points[-1].x)
        ys.append(ys[-1])
    return tuple(xs), tuple(ys), best


_MARKERS: dict[str, dict[str, Any]] = {
    "SUCCEEDED": {"symbol": "circle", "size": 8, "opacity": 0.85, "color": looks.GREEN},
    "EARLY_STOPPED": {
        "symbol": "diamond-open", "size": 8, "color": looks.AMBER, "line": {"width": 1.8},
    },
    "RUNNING": {"symbol": "circle-open", "size": 10, "color": looks.BLUE, "line": {"width": 2.4}},
    "EXCLUDED": {"symbol": "x-thin", "size": 7, "color": looks.GREY,
                 "line": {"width": 1.5, "color": looks.GREY}},
}  # fmt: skip


def _name(group: str) -> str:
    if group == "RUNNING":
        return _("Running (latest value)")
    if group == "FAILED":
        return _("Without a value")
    return _("Excluded") if group == "EXCLUDED" else style.state_name(group)


def figure(info: HistoryInfo) -> Figure:
    if not any(p.y is not None for p in info.points):
        n = len(info.points)
        words = _("No trial has a value yet.")
        if n:
            words = _("None of {n} ended trials has a value.", n=n)
        return style.empty(KIND, words, live=_live(info))
    many = len(info.points) > MANY
    traces: list[dict[str, Any]] = []
    if info.best_y:
        traces.append(
            {
                "type": "scatter", "mode": "lines", "uid": "best", "name": _("Best so far"),
                "x": list(info.best_x),
                "y": scale.drawable(np.array(info.best_y)).tolist(),
                "line": {"shape": "hv", "color": style.ACCENT, "width": 2}, "hoverinfo": "skip",
            }
        )  # fmt: skip
    outside = {id(p) for p in (*info.below, *info.above)}
    if len(info.points) > MOST_POINTS:
        traces = _bands(info) + traces
    for group in GROUPS:
        members = [p for p in info.points if p.group == group and id(p) not in outside]
        if members:
            drawn = _drawn(info, group, members)
            trace = _failed_trace(drawn) if group == "FAILED" else _trace(group, drawn, many)
            if len(drawn) < len(members):
                some = _("{drawn} of {n}", drawn=len(drawn), n=len(members))
                trace["name"] += f" ({some})"
            traces.append(trace)
    traces.extend(_edge_traces(info))
    if info.best is not None:
        traces.append(_best_trace(info.best))
    x_axis = style.axis(_x_title(info))
    if info.x == "number" and len(info.points) < FEW:
        x_axis["dtick"] = 1
        # The first trial is no trial -1's neighbour, and there is room for what comes.
        first = info.points[0].trial.number
        x_axis["autorangeoptions"] = {"minallowed": first - 0.6, "include": first + FEW - 0.4}
    y_axis = style.axis(_("Value"), type="log" if info.log else "linear")
    if info.view is not None:
        y_axis["range"] = list(scale.axis_range(*info.view, log=info.log))
    frame = style.layout(
        KIND,
        xaxis=x_axis,
        yaxis=y_axis,
        # Failed trials stand on the bottom edge whatever part of the values is looked at.
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        annotations=_edge_notes(info),
    )
    frame["meta"] = {
        "kind": KIND,
        "x": info.x,
        "log_possible": info.log_possible,
        "clipped": len(info.below) + len(info.above),
        "live": _live(info),
        "selects": {
            "x": brush.field("number") if info.x == "number" else brush.time(_COLUMNS[info.x]),
            "y": brush.field("value"),
        },
    }
    return {"data": traces, "layout": frame}


def _drawn(info: HistoryInfo, group: str, points: list[Point]) -> list[Point]:
    """Those that are drawn one by one: all, or the best and some of the others."""
    most = MOST_DRAWN[group]
    if len(info.points) <= MOST_POINTS or len(points) <= most:
        return points
    if group != "SUCCEEDED":
        return bands.evenly(points, most)
    sign = -1.0 if info.maximize else 1.0
    best = nsmallest(N_BEST, points, key=lambda p: (sign * (p.y or 0.0), p.trial.number))
    known = {id(p) for p in best}
    others = [p for p in points if id(p) not in known]
    known |= {id(p) for p in bands.evenly(others, most - N_BEST)}
    return [p for p in points if id(p) in known]


def _bands(info: HistoryInfo) -> list[dict[str, Any]]:
    ended = [p for p in info.points if p.group == "SUCCEEDED" and p.y is not None]
    found = bands.along([p.x for p in ended], np.array([p.y for p in ended], dtype=np.float64))
    if found is None:
        return []
    what = _("{n} that succeeded", n=found.n)
    return bands.traces(found, what, hover=_("median") + " %{y:.7~g} · %{x}")


def _live(info: HistoryInfo) -> dict[str, Any]:
    """How the page moves a running trial's point to its newest value."""
    return {
        "how": "move",
        "metric": DEFAULT_METRIC,
        "room": scale.WIDER if info.clip else None,
    }


def _hover(points: list[Point]) -> dict[str, Any]:
    return {
        "customdata": [p.trial.number for p in points],
        "text": [style.parameters_text(p.trial.parameters) for p in points],
        "hovertext": [style.number_text(p.y, 7) for p in points],
    }


def _trace(group: str, points: list[Point], many: bool) -> dict[str, Any]:
    marker = dict(_MARKERS[group])
    if many and group != "RUNNING":
        marker["size"] *= 0.65
    trace = {
        "type": "scatter", "mode": "markers", "uid": group.lower(), "name": _name(group),
        "x": [p.x for p in points], "y": [p.y for p in points], "marker": marker,
        **_hover(points),
        "hovertemplate": "<b>#%{customdata}</b> · %{hovertext}<br>%{text}<extra></extra>",
    }  # fmt: skip
    if group == "RUNNING":
        # The page moves these: what is said of them follows from where they are.
        del trace["hovertext"]
        trace["hovertemplate"] = "<b>#%{customdata}</b> · %{y:.7~g}<br>%{text}<extra></extra>"
        trace["meta"] = {"last": [p.trial.latest_sequence for p in points]}
    return trace


def _failed_trace(points: list[Point]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "uid": "failed", "name": _name("FAILED"),
        "x": [p.x for p in points], "y": [0.02] * len(points), "yaxis": "y2",
        "marker": {"symbol": "line-ns", "size": 10, "color": looks.VERMILION,
                   "line": {"width": 2, "color": looks.VERMILION}},
        "customdata": [p.trial.number for p in points],
        "hovertext": [style.state_name(p.trial.state) for p in points],
        "text": [style.parameters_text(p.trial.parameters) for p in points],
        "hovertemplate": "<b>#%{customdata}</b> · %{hovertext}<br>%{text}<extra></extra>",
    }  # fmt: skip


def _best_trace(best: Point) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "uid": "star", "name": _("Best"),
        "showlegend": False,
        "x": [best.x], "y": scale.drawable(np.array([best.y])).tolist(),
        "marker": style.star(15),
        **_hover([best]),
        "hovertemplate": _("<b>Best: #%{customdata}</b>")
        + " · %{hovertext}<br>%{text}<extra></extra>",
    }  # fmt: skip


def _edges(info: HistoryInfo) -> tuple[float, float]:
    """The values at the very bottom and top of the axis as first drawn."""
    assert info.view is not None
    low, high = scale.axis_range(*info.view, log=info.log)
    inset = 0.02 * (high - low)
    low, high = low + inset, high - inset
    return (scale.power_of_ten(low), scale.power_of_ten(high)) if info.log else (low, high)


def _edge_traces(info: HistoryInfo) -> list[dict[str, Any]]:
    traces = []
    for points, symbol, at_top in (
        (info.below, "triangle-down", False),
        (info.above, "triangle-up", True),
    ):
        if not points:
            continue
        members = list(points)
        if len(info.points) > MOST_POINTS:
            members = bands.evenly(members, MOST_OUTSIDE)
        traces.append(
            {
                "type": "scatter", "mode": "markers", "uid": f"edge-{symbol}",
                "name": _("Off scale"),
                "x": [p.x for p in members], "y": [_edges(info)[at_top]] * len(members),
                "marker": {"symbol": symbol, "size": 9, "opacity": 0.9,
                           "color": [style.STATE_COLOURS.get(p.trial.state, looks.GREY)
                                     for p in members]},
                "showlegend": False, **_hover(members),
                "hovertemplate":
                    "<b>#%{customdata}</b> · %{hovertext} (off scale)<br>%{text}<extra></extra>",
            }
        )  # fmt: skip
    return traces


def _edge_notes(info: HistoryInfo) -> list[dict[str, Any]]:
    notes = []
    for points, mark, at_top in ((info.below, "▼", False), (info.above, "▲", True)):
        if points:
            words = mark + " " + _("{n} off scale", n=len(points))
            for note in style.corner_note([words], at_top=at_top):
                notes.append(note | {"yshift": -12 if at_top else 12})
    return notes


def table(info: HistoryInfo) -> Table:
    steps = dict(zip(info.best_x, info.best_y, strict=True))
    best: float | None = None
    rows: list[tuple[Cell, ...]] = []
    for point in info.points:
        best = steps.get(point.x, best)
        rows.append((point.trial.number, state_of(point.trial), point.x, point.y, best))
    columns = (_("Trial"), _("State"), _x_title(info), _("Value"), _("Best so far"))
    if info.x == "number":
        return Table(columns[:2] + columns[3:], [row[:2] + row[3:] for row in rows])
    return Table(columns, rows)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS | NEVER_RAN)
