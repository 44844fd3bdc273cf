"""How long each trial took: time in the queue and time at work, by trial number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from experiments import looks
from experiments.charts import bands, brush, scale, style
from experiments.charts.base import (
    NEVER_RAN,
    STOPS,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    Table,
    TrialRecord,
)
from experiments.charts.columns import Places, micros
from experiments.charts.words import gettext as _
from experiments.states import TrialState

KIND = "duration"
FEW = 8  # bars, between which every number is named
MOST_BARS = 600  # above that bands stand for all, and the longest are drawn one by one
N_LONGEST = 80
LEAST_QUEUE_S = 0.05  # shorter waits are the loop's own rhythm, not a queue


class Bar(NamedTuple):
    number: int
    state: str
    queue_s: float
    run_s: float


@dataclass(frozen=True, eq=False)
class DurationInfo:
    trials: tuple[TrialRecord, ...]  # all; those with a bar are at ``places``
    places: Places
    queue_s: Floats  # of each bar, as run_s
    run_s: Floats
    unit: str
    unit_s: float  # seconds in one unit
    view_s: float = 0.0  # seconds shown at first: trials that hung must not flatten the others
    n_longer: int = 0  # bars that go on beyond

    def some_bars(self, which: Places) -> list[Bar]:
        return [
            Bar(self.trials[place].number, self.trials[place].state, queue_s, run_s)
            for place, queue_s, run_s in zip(
                *(column[which].tolist() for column in (self.places, self.queue_s, self.run_s)),
                strict=True,
            )
        ]

    @cached_property
    def bars(self) -> tuple[Bar, ...]:
        return tuple(self.some_bars(np.arange(self.places.size)))


def info(record: Record, options: Options) -> DurationInfo:
    every = record.columns
    end = np.where(np.isnan(every.finished), micros(record.now), every.finished)
    begun = np.where(np.isnan(every.started), end, every.started)
    queue_s = np.nan_to_num((begun - every.created) / 1e6)
    run_s = np.nan_to_num((end - every.started) / 1e6)
    places = np.flatnonzero((run_s > 0) | (queue_s > 0))
    queue_s, run_s = (np.maximum(seconds[places], 0.0) for seconds in (queue_s, run_s))
    totals = queue_s + run_s
    _, view_s = scale.robust_range(totals) or (0.0, 0.0)
    unit_s, unit = style.time_unit(view_s)
    n_longer = int((totals > view_s).sum())
    return DurationInfo(record.trials, places, queue_s, run_s, unit, unit_s, view_s, n_longer)


def figure(info: DurationInfo) -> Figure:
    if not info.places.size:
        return style.empty(KIND, _("No trial has started yet."))
    if info.places.size > MOST_BARS:
        return _figure_of_many(info)
    traces: list[dict[str, Any]] = []
    waited = [b for b in info.bars if b.queue_s >= LEAST_QUEUE_S]
    if waited:
        traces.append(_trace("queue", _("In the queue"), looks.GREY, waited, info, queue=True))
        traces[-1]["marker"] = style.queued(outline=0)
    for state in TrialState:
        members = [b for b in info.bars if b.state == state and b.run_s > 0]
        if members:
            name, colour = style.state_name(state), style.STATE_COLOURS[state]
            traces.append(_trace(state.lower(), name, colour, members, info, queue=False))
    return {"data": traces, "layout": _frame(info)}


def _figure_of_many(info: DurationInfo) -> Figure:
    """Quantiles of the time at work, and the trials that took longest."""
    ran = np.flatnonzero(info.run_s > 0)
    found = bands.along(range(ran.size), info.run_s[ran] / info.unit_s)
    if found is not None:
        found = replace(found, x=[bar.number for bar in info.some_bars(ran[list(found.x)])])
    traces = [] if found is None else bands.traces(found, _("{n} trials", n=found.n))
    longest = info.some_bars(ran[np.argsort(-info.run_s[ran], kind="stable")[:N_LONGEST]])
    for state in TrialState:
        members = [b for b in longest if b.state == state]
        if not members:
            continue
        name = _("{state} (of the {n} longest)", state=style.state_name(state), n=N_LONGEST)
        colour = style.STATE_COLOURS[state]
        trace = _trace(state.lower(), name, colour, members, info, queue=False)
        del trace["textposition"]
        traces.append(trace | {"type": "scatter", "mode": "markers"})
        traces[-1]["marker"] |= {"size": 5, "opacity": 0.8}
    return {"data": traces, "layout": _frame(info)}


def _frame(info: DurationInfo) -> dict[str, Any]:
    x_axis = style.axis(_("Trial"))
    if info.places.size < FEW:
        first, last = info.bars[0].number, info.bars[-1].number
        x_axis["dtick"] = 1
        if last - first < FEW:  # else a single bar is as wide as the chart
            x_axis["range"] = [first - 0.6, max(last, first + style.LEAST_TRIALS - 1) + 0.6]
    frame = style.layout(
        KIND,
        barmode="stack",
        bargap=0.15,
        xaxis=x_axis,
        yaxis=style.axis(_("Duration ({unit})", unit=info.unit), rangemode="tozero"),
    )
    frame["meta"]["selects"] = {
        "x": brush.field("number"),
        "y": brush.field("duration", unit=info.unit_s),
    }
    if info.n_longer:
        frame["yaxis"]["range"] = [0.0, info.view_s / info.unit_s * 1.15]
        words = "▲ " + _("{n} longer", n=info.n_longer)
        frame["annotations"] = style.note_below([words])
    return frame


def _trace(
    uid: str, name: str, colour: str, bars: list[Bar], info: DurationInfo, *, queue: bool
) -> dict[str, Any]:
    seconds = [b.queue_s if queue else b.run_s for b in bars]
    return {
        "type": "bar", "uid": uid, "name": name,
        "x": [b.number for b in bars], "y": [round(s / info.unit_s, 4) for s in seconds],
        "customdata": [b.number for b in bars], "text": [style.in_words(s) for s in seconds],
        "textposition": "none", "marker": {"color": colour},
        "hovertemplate": "<b>#%{customdata}</b> · " + name.lower() + " · %{text}<extra></extra>",
    }  # fmt: skip


def table(info: DurationInfo) -> Table:
    rows = [
        (b.number, style.state_name(b.state), round(b.queue_s, 3), round(b.run_s, 3))
        for b in info.bars
    ]
    return Table((_("Trial"), _("State"), _("In the queue (s)"), _("At work (s)")), rows)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


STARTS = frozenset({("", TrialState.WAITING), (TrialState.WAITING, TrialState.RUNNING)})
CHART = Chart(KIND, draw, tabulate, redrawn_at=STARTS | STOPS | NEVER_RAN)
