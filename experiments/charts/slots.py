"""Timeline by slot: what ran beside what, and where time went: queue, start-up, training.

A row a slot: a trial takes the lowest one that is free when it starts. Of many trials a part is
drawn bar by bar, and above it how many slots were busy over the whole time, by state.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

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


def info(record: Record, options: Options) -> SlotsInfo:
    """``part`` = last | first | longest: which of many trials are drawn bar by bar."""
    part = choice_option(options, "part", PARTS)
    runs = _runs(record)
    n_slots = max((r.slot for r in runs), default=-1) + 1
    first = min((r.start for r in runs), default=0.0)
    last = max((r.end for r in runs), default=0.0)
    busy_s = sum(r.end - r.start for r in runs)
    shown = _part(runs, part)
    start_ups = [r.first_report - r.start for r in shown if r.first_report is not None]
    return SlotsInfo(
        runs=tuple(shown),
        n_runs=len(runs),
        n_slots=n_slots,
        first=first,
        last=last,
        busy_share=busy_s / (n_slots * (last - first)) if last > first else 0.0,
        median_wait_s=float(np.median([r.waited_s for r in runs])) if runs else 0.0,
        median_start_up_s=float(np.median(start_ups)) if start_ups else None,
        overview=_overview(runs, first, last) if len(runs) > len(shown) else {},
        part=part,
    )


def _runs(record: Record) -> list[Run]:
    started = sorted(
        ((t.started_at.timestamp(), t) for t in record.trials if t.started_at is not None),
        key=lambda pair: (pair[0], pair[1].number),
    )
    now = record.now.timestamp()
    busy: list[tuple[float, int]] = []  # (end, slot), a heap
    free: list[int] = []  # slots, a heap
    free_since: dict[int, float] = {}
    runs = []
    for start, trial in started:
        while busy and busy[0][0] <= start:
            end, slot = heapq.heappop(busy)
            heapq.heappush(free, slot)
            free_since[slot] = end
        slot = heapq.heappop(free) if free else len(busy)
        end = max(start, trial.finished_at.timestamp() if trial.finished_at else now)
        heapq.heappush(busy, (end, slot))
        created = min(start, trial.created_at.timestamp() if trial.created_at else start)
        report = record.first_reports.get(trial.number)
        runs.append(
            Run(
                trial=trial,
                slot=slot,
                queued=max(created, free_since.get(slot, created)),
                waited_s=start - created,
                start=start,
                first_report=None if report is None else min(max(report.timestamp(), start), end),
                end=end,
            )
        )
    return runs


def _part(runs: list[Run], part: str) -> list[Run]:
    n_slots = max((r.slot for r in runs), default=-1) + 1
    n = min(max(FEW_BARS, 2 * n_slots), MOST_BARS)
    if len(runs) <= n or part == "first":
        return runs[:n]
    if part == "last":
        return runs[-n:]
    longest = max(range(len(runs)), key=lambda i: runs[i].end - runs[i].start)
    start = min(max(0, longest - n // 2), len(runs) - n)
    return runs[start : start + n]


def shown_numbers(record: Record, options: Options) -> Sequence[int]:
    """The trials drawn bar by bar: the times of their first reports are wanted."""
    part = choice_option(options, "part", PARTS)
    return [r.trial.number for r in _part(_runs(record), part)]


def _overview(runs: list[Run], first: float, last: float) -> dict[str, tuple[float, ...]]:
    """Slots busy on average in each bin of the whole time, by the state trials ended in."""
    if last <= first:
        return {}
    edges = np.linspace(first, last, N_BINS + 1)
    found = {}
    for state in TrialState:
        mine = [r for r in runs if r.trial.state == state]
        if not mine:
            continue
        busy = _time_till(edges, np.sort([r.start for r in mine]))
        busy = busy - _time_till(edges, np.sort([r.end for r in mine]))
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
    traces = [_queue(info), _start_up(info), *_training(info), _marks(info, high - low)]
    has_overview = bool(info.overview)
    bottom = [0.0, 0.7] if has_overview else [0.0, 1.0]
    frame = style.layout(
        KIND,
        barmode="overlay",
        legend=dict(style.layout(KIND)["legend"], traceorder="normal"),
        xaxis=style.axis(
            _("Time (UTC)"), type="date", range=[_iso(low - room), _iso(high + room)], anchor="y"
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
            "nticks": 8,
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
            share=format(info.busy_share, ".0%"),
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
    marker = {
        "color": "rgba(141,150,165,0.15)",
        "pattern": {"shape": "/", "size": 6, "solidity": 0.25, "fgcolor": looks.GREY},
        "line": {"width": 1, "color": looks.GREY},
    }
    spans = [(r.queued, r.start) for r in runs]
    return _bars("queue", _("In the queue"), runs, spans, marker=marker)


def _start_up(info: SlotsInfo) -> dict[str, Any]:
    """From the start to the first report, paler, in the state's colour."""
    runs = [r for r in info.runs if r.first_report is not None]
    colours = [style.STATE_COLOURS.get(r.trial.state, looks.GREY) for r in runs]
    marker = {"color": [colour + START_UP_ALPHA for colour in colours]}
    spans = [(r.start, r.first_report or r.start) for r in runs]
    return _bars("start-up", _("Before its first report"), runs, spans, marker=marker)


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
