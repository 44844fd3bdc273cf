"""Intermediate values of every trial, thin enough to redraw four times a second.

Running trials and the best about 20 are traces of their own, in colours that never change; all
others are merged into at most eight faint traces. A trial stopped early ends in a mark.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import looks
from experiments.charts import bands, crowd, reported, scale, smooth, style, threshold
from experiments.charts.base import (
    STOPS,
    VALUED_STATES,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    ReportedCurve,
    Table,
    TrialRecord,
    choice_option,
    flag_option,
    number_option,
)
from experiments.charts.columns import is_any_of
from experiments.charts.table import of_lines
from experiments.charts.words import gettext as _
from experiments.states import TrialState

KIND = "curves"
KEY_FIRST = 900  # Plotly's own rank is 1000
N_OWN = 20  # best trials drawn on their own; the running ones come on top
MOST_BEST = 50  # that can be asked for
MOST_RUNNING = 30
N_FAINT_TRACES = 8
POINTS_OWN = 200
POINTS_ALONE = 1000  # for the chart of a single trial
MOST_LINES = 1000  # faint ones; above that some of them, and bands of quantiles for all
POINTS_FAINT = 100  # per curve, fewer where that would make too many
ABSURD = 50.0  # times the usual size: an outlier even among a few curves
LEAST_HEIGHT = 0.1  # of its own page's chart, that a trial's curve takes up
MANY_STOPPED = 60  # marks; above that they are drawn smaller
MANY_FAINT = 150  # lines; above that they are drawn fainter
MOST_FAINT_POINTS = 24_000


@dataclass(frozen=True, eq=False)
class Soft:
    """A curve smoothed, and how the page goes on with it."""

    x: Floats
    y: Floats
    state: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Line:
    """One trial's thinned curve; NaN in ``y`` is a gap."""

    trial: TrialRecord
    x: Floats
    y: Floats
    last: int  # sequence of the last report in it
    start: float  # time of the first one, in seconds since 1970; 0 where times were not asked for
    soft: Soft | None = None  # where it is asked for


@dataclass(frozen=True)
class Wanted:
    """Which curves the chart needs exactly, before they are read."""

    alone: int | None  # the trial whose own chart it is: every point
    own: frozenset[int]  # those that get a trace of their own
    is_crowd: bool  # the others are too many to be drawn one by one
    is_all: bool = False  # there are no others to be drawn


@dataclass(frozen=True)
class CurvesInfo:
    x: str
    metric: str
    clip: bool
    log: bool
    log_possible: bool
    own: tuple[Line, ...]
    faint: tuple[Line, ...]
    stopped: tuple[tuple[int, float, float], ...]  # trial, x, y of early-stopped ends
    view: tuple[float, float] | None
    n_outside: int
    alone: int | None  # the trial whose own chart this is
    judged: threshold.Judged | None = None  # what stopped it, or the last one that was stopped
    bands: bands.Bands | None = None  # of all those that are not drawn on their own
    n_unread: int = 0


def wanted(record: Record, options: Options, present: Collection[int]) -> Wanted:
    """``present``: numbers of the trials that reported the metric."""
    alone, n_best = _alone(options), _n_best(options)
    own = frozenset(_chosen(record, present, alone, n_best or N_OWN))
    n_others = len(present) - len(own.intersection(present))
    is_crowd = n_best is None and n_others > MOST_LINES
    return Wanted(alone, own, is_crowd, is_all=n_best is not None)


def _n_best(options: Options) -> int | None:
    number = number_option(options, "best", low=1, high=MOST_BEST)
    return None if number is None else int(number)


def _alone(options: Options) -> int | None:
    number = number_option(options, "trial", low=0, high=1e9)
    return None if number is None else int(number)


def info(record: Record, options: Options) -> CurvesInfo:
    """``x`` = step | sequence | time, ``metric`` (chosen by whoever loads the curves), ``log``,
    ``clip``, ``smooth`` = 0 to 0.999, ``best`` = how many of the best to draw, with those that run
    and no others, and ``trial`` for the chart of one trial before the faint others."""
    x = choice_option(options, "x", reported.X)
    alone, n_best = _alone(options), _n_best(options)
    weight = number_option(options, "smooth", low=0, high=smooth.MOST) or 0.0
    others = record.crowd
    places = [] if others is None else crowd.drawn(others).tolist()
    wanted = {c.trial for c in record.curves}
    wanted |= {int(others.trial[place]) for place in places} if others is not None else set()
    trials = {t.number: t for t in record.trials if t.number in wanted}
    curves = [c for c in record.curves if c.trial in trials and c.value.size]
    own_numbers = _chosen(record, {c.trial for c in curves}, alone, n_best or N_OWN)
    if n_best is not None:
        curves = [c for c in curves if c.trial in own_numbers]
    if others is not None:
        curves += [others.curve(place) for place in places]
    n_faint = max(1, len(curves) - len(own_numbers))
    points_faint = int(np.clip(MOST_FAINT_POINTS // n_faint, 12, POINTS_FAINT))
    points_own = POINTS_OWN if alone is None else POINTS_ALONE
    own: list[Line] = []
    faint: list[Line] = []
    for curve in curves:
        is_own = curve.trial in own_numbers
        n_points = points_own if is_own else points_faint
        ys = scale.drawable(curve.value)
        at = reported.places_of(curve, x)
        xs, ys = scale.thin(at, ys, n_points, quick=not is_own)
        if xs.size:
            start = float(curve.time[0]) if curve.time.size else 0.0
            soft = _soft(curve, at, weight, n_points) if is_own and weight else None
            line = Line(trials[curve.trial], xs, ys, int(curve.sequence[-1]), start, soft)
            (own if is_own else faint).append(line)
    own.sort(key=lambda line: line.trial.number)
    values = _finite([*own, *faint])
    if others is not None:
        values = np.concatenate([values, others.value[np.isfinite(others.value)]])
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    clip = flag_option(options, "clip", default=True)
    ends = None if others is None else crowd.ends(others)
    view = _view([*own, *faint], log, clip=clip, more=ends)
    if alone is not None and view is not None:
        view = _view_of_one(_view(own, log, clip=False), view, log)
    n_outside = 0 if view is None else _n_outside([*own, *faint], view, log)
    return CurvesInfo(
        x=x,
        metric=options.get("metric") or "default",
        clip=clip,
        log=log,
        log_possible=log_possible,
        own=tuple(own),
        faint=tuple(faint),
        stopped=_stopped_ends(own if alone is not None else [*own, *faint]),
        view=view,
        n_outside=n_outside,
        alone=alone,
        bands=None if others is None else crowd.bands(others, x),
        n_unread=record.n_unread,
        judged=_judged(record, curves, alone, x),
    )


def _judged(
    record: Record, curves: Sequence[ReportedCurve], alone: int | None, x: str
) -> threshold.Judged | None:
    number = record.last_stopped if alone is None else alone
    if number is None:
        return None
    curve = next((c for c in curves if c.trial == number), None)
    if curve is None and record.crowd is not None:
        place = int(np.searchsorted(record.crowd.trial, number))
        if place < record.crowd.trial.size and record.crowd.trial[place] == number:
            curve = record.crowd.curve(place)
    return threshold.judged(record.receipts.get(number), curve, x)


def _soft(curve: ReportedCurve, places: Floats, weight: float, n_points: int) -> Soft:
    means, state = smooth.smoothed(curve.sequence, scale.drawable(curve.value), weight)
    return Soft(*scale.thin(places, means, n_points), state)


def _finite(lines: Sequence[Line]) -> Floats:
    if not lines:
        return np.empty(0)
    values: Floats = np.concatenate([line.y for line in lines])
    finite: Floats = values[np.isfinite(values)]
    return finite


def _view(
    lines: Sequence[Line], log: bool, *, clip: bool, more: Floats | None = None
) -> tuple[float, float] | None:
    """The values shown at first; ``more``: lowest and highest of curves beside these lines.

    Curves are judged by their own lowest and highest values: the steep beginning that all have is
    no outlier, one that ran away is.
    """
    values = _finite(lines)
    if more is not None:
        values = np.concatenate([values, more.ravel()])
    if not values.size:
        return None
    scaled = np.log10(values) if log else values
    low, high = float(scaled.min()), float(scaled.max())
    if clip:
        each = [(found.min(), found.max()) for found in map(_finite_of, lines)]
        extremes = np.array(each).reshape(-1, 2)
        extremes = extremes if more is None else np.concatenate([extremes, more])
        extremes = np.log10(extremes) if log else extremes  # (n_curves, 2)
        if len(extremes) >= scale.LEAST_FOR_FENCE:
            lowest, highest = extremes[:, 0], extremes[:, 1]
            low = (scale.robust_range(lowest) or (low, high))[0]
            high = (scale.robust_range(highest) or (low, high))[1]
        else:
            middle = float(np.median(scaled))
            usual = max(float(np.median(np.abs(scaled))), float(np.median(np.abs(scaled - middle))))
            far = ABSURD * usual if usual > 0 else np.inf
            inside = scaled[np.abs(scaled - middle) <= far]
            low, high = float(inside.min()), float(inside.max())
    return (scale.power_of_ten(low), scale.power_of_ten(high)) if log else (low, high)


def _view_of_one(
    its: tuple[float, float] | None, all_of_them: tuple[float, float], log: bool
) -> tuple[float, float]:
    """On a trial's own page that trial sets the range, with as much of the others as leaves it
    readable."""
    if its is None:
        return all_of_them
    both = min(its[0], all_of_them[0]), max(its[1], all_of_them[1])
    high, whole = (math.log10(top / bottom) if log else top - bottom for bottom, top in (its, both))
    return both if high >= LEAST_HEIGHT * whole else its


def _n_outside(lines: Sequence[Line], view: tuple[float, float], log: bool) -> int:
    """How many points lie outside the view."""
    low, high = view
    if log:  # its ends went through a logarithm and back
        low, high = low * (1 - 1e-9), high * (1 + 1e-9)
    values = _finite(lines)
    return int(((values < low) | (values > high)).sum())


def _finite_of(line: Line) -> Floats:
    finite: Floats = line.y[np.isfinite(line.y)]
    return finite


def _chosen(record: Record, present: Collection[int], alone: int | None, n_best: int) -> set[int]:
    """Numbers of the trials that get a trace of their own; ``present`` have a curve."""
    if alone is not None:
        return {alone}
    every = record.columns
    have_one = np.fromiter(present, dtype=np.int64, count=len(present))
    candidates = np.flatnonzero(np.isin(every.number, have_one))
    runs = is_any_of(every.state[candidates], frozenset({TrialState.RUNNING}))
    running = every.number[candidates[runs]][-MOST_RUNNING:].tolist()
    is_valued = ~np.isnan(every.value) & ~every.excluded & is_any_of(every.state, VALUED_STATES)
    valued = candidates[is_valued[candidates]]
    losses = -every.value[valued] if record.maximize else every.value[valued]
    if valued.size > n_best:  # few of very many: those no worse than the last of them
        near = losses <= np.partition(losses, n_best - 1)[n_best - 1]
        valued, losses = valued[near], losses[near]
    chosen = every.number[valued[np.lexsort((every.number[valued], losses))]][:n_best].tolist()
    if (
        len(chosen) < n_best
    ):  # without enough results the newest trials are the next best to look at
        known = set(chosen)
        rest = every.number[candidates[~runs]][::-1].tolist()
        chosen += [number for number in rest if number not in known]
    return set(running) | set(chosen[:n_best])


def _stopped_ends(drawn: Sequence[Line]) -> tuple[tuple[int, float, float], ...]:
    ends = (reported.end_of(line.trial, line.x, line.y) for line in drawn)
    return tuple(end for end in ends if end is not None)


def figure(info: CurvesInfo) -> Figure:
    if not info.own and not info.faint:
        words = _("No intermediate value was reported so far.")
        if info.n_unread:
            words = _("{n} curves are still being read.", n=info.n_unread)
        elif info.metric != "default":
            name = style.plain_text(info.metric)
            words = _("No intermediate value of {name} was reported so far.", name=name)
        nothing = style.empty(KIND, words, live=reported.live(info.metric, info.x, clip=info.clip))
        nothing["layout"]["meta"]["n_unread"] = info.n_unread
        return nothing
    traces: list[dict[str, Any]] = []
    if info.bands is not None:
        said = _("median of those that got so far")
        what = _("{n} curves", n=info.bands.n)
        if info.bands.n_taken is not None:
            what = _("{taken} of {n} curves", taken=info.bands.n_taken, n=info.bands.n)
        traces += bands.traces(
            info.bands, what, hover=f"{said}: %{{y:.6g}} · %{{x}}", is_beside=info.alone is None
        )
    named = _("{n} lines", n=len(info.faint)) if info.bands else _("{n} others", n=len(info.faint))
    traces += _faint_traces(info.faint, named)
    for line in info.own:
        traces += _own_traces(line, alone=info.alone is not None)
    if info.stopped:
        few = len(info.stopped) < MANY_STOPPED
        traces.append(
            reported.stopped_trace(info.stopped, size=7 if few else 4, opacity=0.85 if few else 0.5)
        )
        if info.alone is None:
            traces[-1]["legendrank"] = KEY_FIRST  # the key scrolls, and its end is seldom seen
    frame = style.layout(
        KIND,
        xaxis=style.axis(reported.x_title(info.x)),
        yaxis=style.axis(
            _("Value") if info.metric == "default" else style.plain_text(info.metric),
            type="log" if info.log else "linear",
        ),
        shapes=[],
        annotations=[],
    )
    if info.view is not None:
        frame["yaxis"]["range"] = list(scale.axis_range(*info.view, log=info.log))
    notes = _colours_said(info)
    if info.bands is not None:
        n = len(info.own) + info.bands.n
        n_drawn = len(info.own) + len(info.faint)
        words = _("{drawn} of {n} curves; bands hold the others", drawn=n_drawn, n=n)
        if (taken := info.bands.n_taken) is not None:  # narrow charts have no legend to say so
            words = _(
                "{drawn} of {n} curves; bands of {taken} others", drawn=n_drawn, n=n, taken=taken
            )
        notes.append(words)
    if info.n_outside:
        notes.append(_("{n} values off scale", n=info.n_outside))
    if info.n_unread:
        notes.append(_("{n} curves are still being read.", n=info.n_unread))
    frame["annotations"] += style.corner_note(notes, at_top=_ends_low(info))
    frame["legend"] = {"x": 1.01, "y": 1, "xanchor": "left", "yanchor": "top", "font": {"size": 11}}
    if info.alone is not None:
        frame["legend"] = style.layout(KIND)["legend"]
    frame["meta"] = {
        "kind": KIND, "log_possible": info.log_possible, "clipped": info.n_outside,
        "x": info.x, "metric": info.metric, "n_faint": len(info.faint),
        "n_unread": info.n_unread,
    }  # fmt: skip
    drawn = {"data": traces, "layout": frame}
    if info.judged is not None and not (info.log and info.judged.threshold <= 0):
        draw_it = threshold.draw_last if info.alone is None else threshold.draw
        draw_it(info.judged, drawn, _span([*info.own, *info.faint]), log=info.log)
    frame["meta"]["live"] = reported.live(info.metric, info.x, clip=info.clip)
    return drawn


def _colours_said(info: CurvesInfo) -> list[str]:
    """What stands in colour and what the marks are: narrow charts have no key to say so."""
    if info.alone is not None or not info.faint:
        return []
    running = any(line.trial.state == TrialState.RUNNING for line in info.own)
    said = _("in colour: the best {n}", n=len(info.own))
    if running:
        said = _("in colour: the running and the best, {n}", n=len(info.own))
    return [said, *(["× " + _("stopped early")] if info.stopped else [])]


def _ends_low(info: CurvesInfo) -> bool:
    """Whether most curves end in the lower half of what is shown, where words would lie on them."""
    last = [float(found[-1]) for line in info.own if (found := _finite_of(line)).size]
    if info.view is None or not last:
        return False
    low, high = info.view
    middle = math.sqrt(low * high) if info.log else (low + high) / 2
    return float(np.median(last)) < middle


def _own_traces(line: Line, *, alone: bool) -> list[dict[str, Any]]:
    """The line; where it is smoothed, that in its look and the reports pale behind."""
    raw = _own_trace(line, alone=alone)
    if line.soft is None:
        return [raw]
    soft = raw | {
        "x": scale.rounded(line.soft.x), "y": scale.rounded(line.soft.y),
        "name": _("{trial}, smoothed", trial=raw["name"]),
        "meta": {"trial": line.trial.number, "smooth": line.soft.state},
    }  # fmt: skip
    raw |= {"uid": f"{raw['uid']}-raw", "mode": "lines", "opacity": 0.35, "showlegend": False}
    raw["line"] = raw["line"] | {"width": 1, "dash": "solid"}
    return [raw, soft]


def _own_trace(line: Line, *, alone: bool) -> dict[str, Any]:
    number, running = line.trial.number, line.trial.state == TrialState.RUNNING
    colour = style.ACCENT if alone else style.line_colour(number)
    return {
        "type": "scatter", "mode": "lines+markers", "uid": f"t{number}",
        "name": reported.name(line.trial),
        "meta": reported.grows(
            line.trial, last=line.last, start=line.start,
            most=line.x.size + (POINTS_ALONE if alone else POINTS_OWN),
        ),
        "x": scale.rounded(line.x), "y": scale.rounded(line.y), "connectgaps": False,
        "line": {
            "color": colour,
            "width": 2.6 if alone or running else 1.8,
            "dash": "solid" if alone else style.line_dash(number),
        },
        "marker": {"size": 5 if running else 4, "maxdisplayed": 10, "color": colour},
        "hovertemplate": f"<b>#{number}</b> · %{{y:.6g}} @ %{{x}}<extra></extra>",
    }  # fmt: skip


def _faint_traces(lines: Sequence[Line], named: str) -> list[dict[str, Any]]:
    """Every eighth curve into the same trace, a gap between each two."""
    traces: list[dict[str, Any]] = []
    gap = np.array([np.nan])
    for group in range(min(N_FAINT_TRACES, len(lines))):
        members = lines[group::N_FAINT_TRACES]
        xs: list[Floats] = []
        ys: list[Floats] = []
        numbers: list[int] = []
        for line in members:
            xs += [line.x, gap]
            ys += [line.y, gap]
            numbers += [line.trial.number] * (line.x.size + 1)
        traces.append(
            {
                "type": "scatter", "mode": "lines", "uid": f"rest{group}",
                "name": named, "legendgroup": "rest", "showlegend": group == 0,
                "x": scale.rounded(np.concatenate(xs), 6),
                "y": scale.rounded(np.concatenate(ys), 6),
                "customdata": numbers, "connectgaps": False,
                "opacity": 0.28 if len(lines) < MANY_FAINT else 0.14,
                "line": {"color": looks.GREY, "width": 1},
                "hovertemplate": "#%{customdata} · %{y:.6g} @ %{x}<extra></extra>",
            }
        )  # fmt: skip
    return traces


def _span(lines: Sequence[Line]) -> tuple[float, float]:
    xs = np.concatenate([line.x for line in lines]) if lines else np.zeros(1)
    return float(xs.min()), float(xs.max())


def tabulate(record: Record, options: Options) -> Table:
    return of_lines(draw(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS, needs_curves=True)
