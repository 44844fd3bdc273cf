"""Optimisation history: every trial's value, and the best so far.

Only trials that succeeded may move the best line. Values far off the rest are drawn as arrows at
the axis edge with their count, so that one diverged trial does not flatten all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    Floats,
    Options,
    Record,
    Table,
    TrialRecord,
    choice_option,
    flag_option,
)
from experiments.charts.columns import Places, is_any_of, micros
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
_STATES_OF = {
    "SUCCEEDED": frozenset({TrialState.SUCCEEDED}),
    "EARLY_STOPPED": frozenset({TrialState.EARLY_STOPPED}),
    "RUNNING": frozenset({TrialState.RUNNING}),
    "FAILED": FAILED_STATES,
}
GROUPS = ("SUCCEEDED", "EARLY_STOPPED", "RUNNING", "FAILED", "EXCLUDED")  # drawing order


# The time that an axis shows, as conditions on trials name it.
_COLUMNS = {"start": "started_at", "time": "finished_at"}


class Point(NamedTuple):
    """One trial's place; ``y`` is None where it has no value and is drawn at the bottom edge."""

    trial: TrialRecord
    x: Any  # number, or ISO time
    y: float | None
    group: str


@dataclass(frozen=True, eq=False)
class HistoryInfo:
    maximize: bool
    x: str  # number | start | time: that of its end
    clip: bool
    log: bool
    log_possible: bool
    trials: tuple[TrialRecord, ...]  # all; of those that have a place:
    places: Places  # in ``trials``, in drawing order
    y: Floats  # NaN: it has no value and is drawn at the bottom edge
    groups: NDArray[np.int8]  # places in GROUPS; -1: a state of a later release, not drawn
    now: datetime
    best_x: tuple[Any, ...]  # where the best line steps, ends included
    best_y: tuple[float, ...]
    best: Point | None
    view: tuple[float, float] | None  # values shown at first; None where there are none

    def point(self, i: int) -> Point:
        trial, y = self.trials[self.places[i]], float(self.y[i])
        if math.isnan(y):
            return Point(trial, self._x_of(trial), None, "FAILED")
        group = int(self.groups[i])
        return Point(trial, self._x_of(trial), y, GROUPS[group] if group >= 0 else trial.state)

    def some(self, which: Places) -> list[Point]:
        return list(map(self.point, which.tolist()))

    def numbers(self, which: Places) -> NDArray[np.int64]:
        return np.array([self.trials[place].number for place in self.places[which].tolist()])

    def _x_of(self, trial: TrialRecord) -> Any:
        if self.x == "number":
            return trial.number
        return style.iso_times([_moment(trial, self.x, self.now)])[0]

    def members(self, group: str) -> Places:
        return np.flatnonzero(self.groups == GROUPS.index(group))

    @cached_property
    def below(self) -> Places:
        return np.flatnonzero(self.y < (self.view[0] if self.view else -math.inf))

    @cached_property
    def above(self) -> Places:
        return np.flatnonzero(self.y > (self.view[1] if self.view else math.inf))


def info(record: Record, options: Options) -> HistoryInfo:
    """``x`` = number | start | time, ``log`` = 0 | 1, ``clip`` = 1 | 0 (far-out values in place).

    By start the best line is that of the trials begun by then, whenever they ended.
    """
    by = choice_option(options, "x", X)
    places, y, groups = _placed(record, by)
    values = y[~np.isnan(y)]
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    clip = flag_option(options, "clip", default=True)
    found = HistoryInfo(
        maximize=record.maximize,
        x=by,
        clip=clip,
        log=log,
        log_possible=log_possible,
        trials=record.trials,
        places=places,
        y=y,
        groups=groups,
        now=record.now,
        best_x=(),
        best_y=(),
        best=None,
        view=None,
    )
    best_x, best_y, best = _best_line(found)
    view = scale.value_view(values, None if best is None else best.y, log=log, clip=clip)
    return replace(found, best_x=best_x, best_y=best_y, best=best, view=view)


def _placed(record: Record, by: str) -> tuple[Places, Floats, NDArray[np.int8]]:
    """Trials that have a place, in drawing order: which, their values, and their groups."""
    every = record.columns
    groups = np.full(every.number.size, -1, dtype=np.int8)
    for group, states in _STATES_OF.items():
        groups[is_any_of(every.state, states)] = GROUPS.index(group)
    groups[every.excluded] = GROUPS.index("EXCLUDED")
    has_failed = groups == GROUPS.index("FAILED")
    y = np.where(np.isnan(every.value), every.latest, every.value)
    y[has_failed] = np.nan
    # Running ones that reported nothing yet have no place.
    is_placed = ~(np.isnan(y) & (groups == GROUPS.index("RUNNING")))
    is_placed &= ~is_any_of(every.state, frozenset({TrialState.WAITING}))
    places = np.flatnonzero(is_placed)
    if by != "number":
        end = np.where(np.isnan(every.finished), micros(record.now), every.finished)
        moment = np.where(np.isnan(every.started), end, every.started) if by == "start" else end
        places = places[np.lexsort((every.number[places], moment[places]))]
    y = y[places]
    groups = groups[places]
    groups[np.isnan(y)] = GROUPS.index("FAILED")
    return places, y, groups


def _moment(trial: TrialRecord, by: str, now: datetime) -> datetime:
    """Its place on an axis of time; one that never started stands where it ended."""
    end = trial.finished_at or now
    return (trial.started_at or end) if by == "start" else end


def _x_title(info: HistoryInfo) -> str:
    if info.x == "start":
        return _("Started at (UTC)")
    return _("Finished at (UTC)") if info.x == "time" else _("Trial")


def _best_line(
    info: HistoryInfo,
) -> tuple[tuple[Any, ...], tuple[float, ...], Point | None]:
    """The steps of the best value over succeeded trials, in drawing order."""
    members = info.members(TrialState.SUCCEEDED)
    if not members.size:
        return (), (), None
    turned = info.y[members] if info.maximize else -info.y[members]
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(turned)[:-1]])
    steps = info.some(members[turned > best_before])
    xs, ys = [p.x for p in steps], [p.y for p in steps if p.y is not None]
    last = info.point(info.places.size - 1)
    if last.x != xs[-1]:
        xs.append(last.x)
        ys.append(ys[-1])
    return tuple(xs), tuple(ys), steps[-1]


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
        return _("Without a final value")
    return _("Excluded") if group == "EXCLUDED" else style.state_name(group)


def _which(group: str, n_drawn: int, n: int) -> str:
    """Which are drawn: a row of the best alone would look like many trials that good."""
    if group != "SUCCEEDED":
        return _("{drawn} of {n}", drawn=n_drawn, n=n)
    some, others = n_drawn - N_BEST, n - N_BEST
    return _("the best {best}, {some} of {n} others", best=N_BEST, some=some, n=others)


def figure(info: HistoryInfo) -> Figure:
    n = info.places.size
    if np.isnan(info.y).all():
        words = _("No trial has a value yet.")
        if n:
            words = _("None of {n} ended trials has a final value.", n=n)
        return style.empty(KIND, words, live=_live(info))
    many = n > MANY
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
    if n > MOST_POINTS:
        traces = _bands(info) + traces
    outside = np.concatenate([info.below, info.above])
    for group in GROUPS:
        members = np.setdiff1d(info.members(group), outside, assume_unique=True)
        if members.size:
            drawn = info.some(_drawn(info, group, members))
            trace = _failed_trace(drawn) if group == "FAILED" else _trace(group, drawn, many)
            if len(drawn) < members.size:
                trace["name"] += f" ({_which(group, len(drawn), members.size)})"
            traces.append(trace)
    traces.extend(_edge_traces(info))
    if info.best is not None:
        traces.append(_best_trace(info.best))
    x_axis = style.axis(_x_title(info))
    if info.x == "number" and n < FEW:
        x_axis["dtick"] = 1
        # The first trial is no trial -1's neighbour, and there is room for what comes.
        first = info.point(0).trial.number
        x_axis["autorangeoptions"] = {
            "minallowed": first - 0.6,
            "include": first + style.LEAST_TRIALS - 0.4,
        }
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
        "clipped": info.below.size + info.above.size,
        "live": _live(info),
        "selects": {
            "x": brush.field("number") if info.x == "number" else brush.time(_COLUMNS[info.x]),
            "y": brush.field("value"),
        },
    }
    return {"data": traces, "layout": frame}


def _drawn(info: HistoryInfo, group: str, members: Places) -> Places:
    """Those that are drawn one by one: all, or the best and some of the others."""
    most = MOST_DRAWN[group]
    if info.places.size <= MOST_POINTS or members.size <= most:
        return members
    numbers = info.numbers(members)
    if group != "SUCCEEDED":
        return members[bands.steadily(numbers, most)]
    losses = -info.y[members] if info.maximize else info.y[members]
    is_best = np.zeros(members.size, dtype=bool)
    is_best[np.lexsort((numbers, losses))[:N_BEST]] = True
    others = members[~is_best][bands.steadily(numbers[~is_best], most - N_BEST - 1)]
    newest = members[-1:]  # seen as it comes
    return np.unique(np.concatenate([members[is_best], others, newest]))


def _bands(info: HistoryInfo) -> list[dict[str, Any]]:
    ended = info.members(TrialState.SUCCEEDED)
    found = bands.along(range(ended.size), info.y[ended])
    if found is None:
        return []
    found = replace(found, x=[info.point(int(ended[i])).x for i in found.x])
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
        if not points.size:
            continue
        if info.places.size > MOST_POINTS:
            points = points[bands.steadily(info.numbers(points), MOST_OUTSIDE)]
        members = info.some(points)
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
        if points.size:
            words = mark + " " + _("{n} off scale", n=points.size)
            for note in style.corner_note([words], at_top=at_top):
                notes.append(note | {"yshift": -12 if at_top else 12})
    return notes


def table(info: HistoryInfo) -> Table:
    steps = dict(zip(info.best_x, info.best_y, strict=True))
    best: float | None = None
    rows: list[tuple[Cell, ...]] = []
    for point in info.some(np.arange(info.places.size)):
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
