"""Timeline by slot: what ran beside what, and where time went: queue, start-up, training.

A row a slot: a trial takes the lowest one that is free when it starts. Of many trials a part is
drawn bar by bar, and above it how many slots were busy over the whole time, by state.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import looks
from experiments.charts import brush, style
from experiments.charts.base import (
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
)
from experiments.charts.columns import Places, is_any_of
from experiments.charts.duration import STARTS
from experiments.charts.table import state_of
from experiments.charts.words import gettext as _
from experiments.charts.words import together
from experiments.states import TrialState

KIND = "slots"
PARTS = ("last", "first", "longest")
FEW_BARS, MOST_BARS = 300, 600  # more than a few where there are many slots
N_BINS = 160  # of the overview
LEAST_QUEUE_S = 0.05  # shorter waits are the loop's own rhythm, not a queue
SHORT = 0.002  # of the time shown: shorter trials get a mark, their bar could not be seen
START_UP_ALPHA = "66"  # of 255, in hexadecimal
MOST_NAMED = 40  # slots with a name each
ROW, LEAST_HEIGHT, MOST_HEIGHT = 24, 320, 900  # pixels

PATTERNS: dict[str, str] = {
    TrialState.FAILED: "x",
    TrialState.LOST: "+",
    TrialState.CANCELED: "|",
    TrialState.EARLY_STOPPED: "\\",
}


@dataclass(frozen=True)
class Run:
    """One trial's way through a slot, in seconds since 1970."""

    trial: TrialRecord
    slot: int  # from 0
    queued: float  # since when it waited; no earlier than the slot was free
    waited_s: float  # in all
    start: float
    first_report: float | None
    end: float


@dataclass(frozen=True, eq=False)
class SlotsInfo:
    runs: tuple[Run, ...]  # those drawn, by start
    n_runs: int  # in all
    n_slots: int
    first: float  # start of the whole
    last: float
    busy_share: float  # of all slots' time between the two
    median_wait_s: float
    median_start_up_s: float | None  # of the runs drawn; None where nobody reports
    overview: dict[str, tuple[float, ...]]  # by state: slots busy in each of N_BINS; or empty
    part: str


@dataclass(frozen=True, eq=False)
class _Runs:
    """All runs by start, as arrays; times in seconds since 1970."""

    places: Places  # of their trials
    slot: NDArray[np.intp]
    created: Floats
    free_since: Floats  # their slot, before they took it; NaN where nothing was before them
    start: Floats
    end: Floats

    @property
    def n_slots(self) -> int:
        return int(self.slot.max()) + 1 if self.slot.size else 0

    @property
    def waited_s(self) -> Floats:
        waited: Floats = self.start - self.created
        return waited


def info(record: Record, options: Options) -> SlotsInfo:
    """``part`` = last | first | longest: which of many trials are drawn bar by bar."""
    part = choice_option(options, "part", PARTS)
    runs = _runs(record)
    n, n_slots = runs.places.size, runs.n_slots
    first, last = (float(runs.start.min()), float(runs.end.max())) if n else (0.0, 0.0)
    busy_s = float((runs.end - runs.start).sum())
    which = _part(runs, part)
    shown = [_run(record, runs, i) for i in range(which.start, which.stop)]
    start_ups = [r.first_report - r.start for r in shown if r.first_report is not None]
    return SlotsInfo(
        runs=tuple(shown),
        n_runs=n,
        n_slots=n_slots,
        first=first,
        last=last,
        busy_share=busy_s / (n_slots * (last - first)) if last > first else 0.0,
        median_wait_s=float(np.median(runs.waited_s)) if n else 0.0,
        median_start_up_s=float(np.median(start_ups)) if start_ups else None,
        overview=_overview(record, runs, first, last) if n > len(shown) else {},
        part=part,
    )


def _runs(record: Record) -> _Runs:
    """Kept as long as no trial changes: who runs now runs longer with each second."""
    is_open = np.isnan(record.columns.finished).any()
    return record.facts.once("slots", record.now if is_open else None, partial(_made, record))


def _made(record: Record) -> _Runs:
    every = record.columns
    places = np.flatnonzero(~np.isnan(every.started))
    places = places[np.lexsort((every.number[places], every.started[places]))]
    start, finished, created = (
        column[places] / 1e6 for column in (every.started, every.finished, every.created)
    )
    now = record.now.timestamp()
    end = np.maximum(start, np.where(np.isnan(finished), now, finished))
    slots, free_since = _taken(start.tolist(), end.tolist())
    return _Runs(
        places=places,
        slot=np.array(slots, dtype=np.intp),
        created=np.fmin(start, created),
        free_since=np.array(free_since, dtype=np.float64),
        start=start,
        end=end,
    )


def _taken(starts: list[float], ends: list[float]) -> tuple[list[int], list[float]]:
    """The slot of each run, by start: the lowest free one; and since when it was free.

    Plain, as there may be a hundred thousand.
    """
    busy: list[tuple[float, int]] = []  # (end, slot), a heap
    free: list[int] = []  # slots, a heap
    free_since: dict[int, float] = {}
    slots, since = [], []
    for start, end in zip(starts, ends, strict=True):
        while busy and busy[0][0] <= start:
            ended, slot = heapq.heappop(busy)
            heapq.heappush(free, slot)
            free_since[slot] = ended
        slot = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, slot))
        slots.append(slot)
        since.append(free_since.get(slot, math.nan))
    return slots, since


def _run(record: Record, runs: _Runs, i: int) -> Run:
    trial = record.trials[runs.places[i]]
    start, end, created = float(runs.start[i]), float(runs.end[i]), float(runs.created[i])
    report = record.first_reports.get(trial.number)
    return Run(
        trial=trial,
        slot=int(runs.slot[i]),
        queued=float(np.fmax(created, runs.free_since[i])),
        waited_s=start - created,
        start=start,
        first_report=None if report is None else min(max(report.timestamp(), start), end),
        end=end,
    )


def _part(runs: _Runs, part: str) -> slice:
    n_runs = int(runs.places.size)
    n = min(max(FEW_BARS, 2 * runs.n_slots), MOST_BARS, n_runs)
    if n_runs == n or part == "first":
        return slice(0, n)
    if part == "last":
        return slice(n_runs - n, n_runs)
    longest = int((runs.end - runs.start).argmax())
    start = min(max(0, longest - n // 2), n_runs - n)
    return slice(start, start + n)


def shown_numbers(record: Record, options: Options) -> Sequence[int]:
    """The trials drawn bar by bar: the times of their first reports are wanted."""
    runs = _runs(record)
    which = _part(runs, choice_option(options, "part", PARTS))
    numbers: list[int] = record.columns.number[runs.places[which]].tolist()
    return numbers


def _overview(
    record: Record, runs: _Runs, first: float, last: float
) -> dict[str, tuple[float, ...]]:
    """Slots busy on average in each bin of the whole time, by the state trials ended in."""
    if last <= first:
        return {}
    edges = np.linspace(first, last, N_BINS + 1)
    states = record.columns.state[runs.places]
    found = {}
    for state in TrialState:
        mine = is_any_of(states, frozenset({state}))
        if not mine.any():
            continue
        busy = _time_till(edges, np.sort(runs.start[mine]))
        busy = busy - _time_till(edges, np.sort(runs.end[mine]))
        found[str(state)] = tuple((np.diff(busy) / (edges[1] - edges[0])).tolist())
    return found


def _time_till(edges: Floats, moments: Floats) -> Floats:
    """The sum over all moments before each edge of the time from there to the edge."""
    sums = np.concatenate([[0.0], np.cumsum(moments - edges[0])])
    n_before = np.searchsorted(moments, edges)
    time: Floats = n_before * (edges - edges[0]) - sums[n_before]
    return time


# ---- drawing


def figure(info: SlotsInfo) -> Figure:
    if not info.runs:
        return style.empty(KIND, _("No trial has started yet."))
    low = min(r.queued for r in info.runs)
    high = max(r.end for r in info.runs)
    room = max(0.01 * (high - low), 0.5)
    traces = [_queue(info), *_start_up(info), *_training(info), _marks(info, high - low)]
    has_overview = bool(info.overview)
    bottom = [0.0, 0.7] if has_overview else [0.0, 1.0]
    frame = style.layout(
        KIND,
        barmode="overlay",
        legend=dict(style.layout(KIND)["legend"], traceorder="normal"),
        xaxis=style.axis(
            _("Time (UTC)"), type="date", range=[_iso(low - room), _iso(high + room)], anchor="y",
            tickangle=0,  # below the first stands the date: Plotly would have all of them aslant
        ),
        yaxis={
            "range": [0.4 - info.n_slots, 0.6], "domain": bottom, "automargin": True,
            "showgrid": False, "zeroline": False, **_slot_ticks(info.n_slots),
        },
    )  # fmt: skip
    if has_overview:
        traces += _overview_traces(info)
        frame["xaxis2"] = {
            "type": "date",
            "anchor": "y2",
            "range": [_iso(info.first), _iso(info.last)],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        }
        frame["yaxis2"] = style.axis(
            _("Busy slots"), domain=[0.84, 1.0], anchor="x2", fixedrange=True, nticks=3,
            range=[0, info.n_slots * 1.05],
        )  # fmt: skip
        frame["shapes"] = [
            {
                "type": "rect", "xref": "x2", "yref": "y2 domain", "y0": 0, "y1": 1,
                "x0": _iso(low), "x1": _iso(high), "fillcolor": style.ACCENT, "opacity": 0.25,
                "line": {"width": 0}, "layer": "above",
            }
        ]  # fmt: skip
        frame["bargap"] = 0
    height = ROW * info.n_slots + (260 if has_overview else 120)
    frame["meta"] = {
        "kind": KIND,
        "x": info.part,  # a zoom of another part means nothing here
        "n_slots": info.n_slots,
        "note": _note(info),
        "selects": {"x": brush.lasting("started_at", "finished_at")},
        "height": min(max(height, LEAST_HEIGHT), MOST_HEIGHT),
    }
    return {"data": [t for t in traces if t["x"]], "layout": frame}


def _slot_ticks(n_slots: int) -> dict[str, Any]:
    every = max(1, -(-n_slots // MOST_NAMED))
    rows = list(range(0, n_slots, every))
    return {
        "tickvals": [-row for row in rows],
        "ticktext": [_("Slot {n}", n=row + 1) for row in rows],
    }


def _iso(seconds: float) -> str:
    return style.iso_times([datetime.fromtimestamp(seconds, UTC)])[0]


def _note(info: SlotsInfo) -> str:
    parts = [
        _(
            "Slots: {n}; busy for {share} of the time.",
            n=info.n_slots,
            share=style.percent(info.busy_share),
        ),
        _("Half the trials waited {time} or less.", time=style.in_words(info.median_wait_s)),
    ]
    if info.median_start_up_s is not None:
        parts.append(
            _(
                "Half reported for the first time within {time} of their start.",
                time=style.in_words(info.median_start_up_s),
            )
        )
    if info.n_runs > len(info.runs):
        parts.append(
            _(
                "{n} of {all} trials are drawn; above, how many slots were busy all along.",
                n=len(info.runs),
                all=info.n_runs,
            )
        )
    return together(parts)


def _bars(
    uid: str, name: str, runs: Sequence[Run], spans: list[tuple[float, float]], **more: Any
) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "uid": uid, "name": name, "width": 0.8,
        "base": [_iso(start) for start, _end in spans],
        "x": [round(1000 * (end - start)) for start, end in spans],
        "y": [-r.slot for r in runs], "customdata": [r.trial.number for r in runs],
        "hovertext": [_hover(r) for r in runs],
        "hovertemplate": "%{hovertext}<extra></extra>",
        **more,
    }  # fmt: skip


def _hover(run: Run) -> str:
    lines = [
        f"<b>#{run.trial.number}</b> · {style.state_name(run.trial.state)}",
        _("in the queue: {time}", time=style.in_words(run.waited_s)),
    ]
    if run.first_report is not None:
        time = style.in_words(run.first_report - run.start)
        lines.append(_("until its first report: {time}", time=time))
    lines.append(_("in all: {time}", time=style.in_words(run.end - run.start)))
    return "<br>".join(lines)


def _queue(info: SlotsInfo) -> dict[str, Any]:
    runs = [r for r in info.runs if r.start - r.queued >= LEAST_QUEUE_S]
    spans = [(r.queued, r.start) for r in runs]
    return _bars("queue", _("In the queue"), runs, spans, marker=style.queued())


def _start_up(info: SlotsInfo) -> list[dict[str, Any]]:
    """From the start to the first report, paler, in the state's colour; the key has it in grey."""
    runs = [r for r in info.runs if r.first_report is not None]
    if not runs:
        return []
    name = _("Before its first report")
    colours = [style.STATE_COLOURS.get(r.trial.state, looks.GREY) for r in runs]
    marker = {"color": [colour + START_UP_ALPHA for colour in colours]}
    spans = [(r.start, r.first_report or r.start) for r in runs]
    bars = _bars("start-up", name, runs, spans, marker=marker)
    key = {
        "type": "bar", "orientation": "h", "uid": "start-up-key", "name": name, "hoverinfo": "skip",
        "x": [None], "y": [0], "marker": {"color": looks.GREY + START_UP_ALPHA},
    }  # fmt: skip
    return [part | {"legendgroup": "start-up", "showlegend": part is key} for part in (bars, key)]


def _training(info: SlotsInfo) -> list[dict[str, Any]]:
    traces = []
    for state in TrialState:
        runs = [r for r in info.runs if r.trial.state == state]
        spans = [(r.start if r.first_report is None else r.first_report, r.end) for r in runs]
        marker: dict[str, Any] = {"color": style.STATE_COLOURS[state]}
        if state in PATTERNS:
            marker["pattern"] = {
                "shape": PATTERNS[state], "size": 7, "solidity": 0.2,
                "fillmode": "overlay", "fgcolor": "#ffffff",
            }  # fmt: skip
        traces.append(_bars(state.lower(), style.state_name(state), runs, spans, marker=marker))
    return traces


def _marks(info: SlotsInfo, width_s: float) -> dict[str, Any]:
    """Trials too short for their bar to be seen."""
    runs = [r for r in info.runs if r.end - r.start < SHORT * width_s]
    return {
        "type": "scatter", "mode": "markers", "uid": "short", "showlegend": False,
        "x": [_iso(r.start) for r in runs], "y": [-r.slot for r in runs],
        "customdata": [r.trial.number for r in runs], "hovertext": [_hover(r) for r in runs],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "symbol": "line-ns", "size": 14,
            "line": {
                "width": 2,
                "color": [style.STATE_COLOURS.get(r.trial.state, looks.GREY) for r in runs],
            },
        },
    }  # fmt: skip


def _overview_traces(info: SlotsInfo) -> list[dict[str, Any]]:
    """Slots busy over the whole time, one state on the other."""
    width = (info.last - info.first) / N_BINS
    middles = [_iso(info.first + (i + 0.5) * width) for i in range(N_BINS)]
    return [
        {
            "type": "scatter", "mode": "lines", "uid": f"busy-{state.lower()}",
            "xaxis": "x2", "yaxis": "y2", "showlegend": False, "stackgroup": "busy",
            "x": middles, "y": [round(b, 3) for b in busy], "hoverinfo": "skip",
            "line": {"width": 0, "color": style.STATE_COLOURS[TrialState(state)]},
        }
        for state, busy in info.overview.items()
    ]  # fmt: skip


def table(info: SlotsInfo) -> Table:
    columns = (
        _("Slot"), _("Trial"), _("State"), _("Waited since (UTC)"), _("Started (UTC)"),
        _("First report (UTC)"), _("Ended (UTC)"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (run.slot + 1, run.trial.number, state_of(run.trial), _iso(run.queued), _iso(run.start),
         None if run.first_report is None else _iso(run.first_report), _iso(run.end))
        for run in info.runs
    ]  # fmt: skip
    return Table(columns, rows)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(
    KIND,
    draw,
    tabulate,
    redrawn_at=STARTS | STOPS | NEVER_RAN,
    needs_first_reports=shown_numbers,
)
