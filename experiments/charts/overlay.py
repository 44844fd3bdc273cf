"""Curves of a few chosen trials over each other, each its own line: what comparing them shows.

Drawn for ``selectors.compare``; no entry of the registry, since it is nothing without its trials.
The look of a line follows from the trial's number, and two trials never share one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts import reported, scale, style
from experiments.charts.base import (
    DEFAULT_METRIC,
    STOPS,
    Figure,
    Floats,
    Moves,
    Options,
    Record,
    ReportedCurve,
    Table,
    TrialRecord,
    choice_option,
    flag_option,
)
from experiments.charts.table import of_lines
from experiments.charts.words import gettext as _

KIND = "overlay"
POINTS = 400  # of each line
MOST_DOTS = 50  # of each; on a longer line there are some only
ABSURD = 50.0  # middle spreads off the median: nothing of a usual curve lies there
REDRAWN_AT: Moves = STOPS


@dataclass(frozen=True)
class LineLook:
    colour: str
    dash: str


@dataclass(frozen=True, eq=False)
class OverlayLine:
    trial: TrialRecord
    look: LineLook
    x: Floats
    y: Floats  # NaN is a gap
    last: int  # sequence of the last report in it
    start: float  # of a time axis, in seconds since 1970


@dataclass(frozen=True)
class OverlayInfo:
    x: str
    metric: str
    log: bool
    log_possible: bool
    clip: bool
    lines: tuple[OverlayLine, ...]
    silent: tuple[int, ...]  # trials without a value of this metric
    view: tuple[float, float] | None
    n_outside: int


def line_looks(numbers: Iterable[int]) -> dict[int, LineLook]:
    """A look for each trial: its usual one, or the next that is free. Told apart up to 32."""
    n_looks = len(style.LINE_COLOURS) * len(style.LINE_DASHES)
    taken: set[int] = set()
    found: dict[int, LineLook] = {}
    for number in sorted(set(numbers)):
        place = number % n_looks
        while place in taken and len(taken) < n_looks:
            place = (place + 1) % n_looks
        taken.add(place)
        found[number] = LineLook(style.line_colour(place), style.line_dash(place))
    return found


def info(record: Record, options: Options) -> OverlayInfo:
    """``x`` = step | sequence | time, ``metric``, ``log`` = 0 | 1, ``clip`` = 1 | 0.

    ``record`` holds the chosen trials and their curves, and no others.
    """
    x = choice_option(options, "x", reported.X)
    looks_of = line_looks(trial.number for trial in record.trials)
    curves = {curve.trial: curve for curve in record.curves}
    lines = []
    for trial in record.trials:
        line = _line(trial, curves.get(trial.number), x, looks_of[trial.number])
        if line is not None:
            lines.append(line)
    drawn = {line.trial.number for line in lines}
    values = _finite(lines)
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    clip = flag_option(options, "clip", default=True)
    view = _view(values, log=log, clip=clip)
    outside = 0 if view is None else int(((values < view[0]) | (values > view[1])).sum())
    return OverlayInfo(
        x=x,
        metric=options.get("metric") or DEFAULT_METRIC,
        log=log,
        log_possible=log_possible,
        clip=clip,
        lines=tuple(lines),
        silent=tuple(t.number for t in record.trials if t.number not in drawn),
        view=view,
        n_outside=outside,
    )


def _line(
    trial: TrialRecord, curve: ReportedCurve | None, x: str, look: LineLook
) -> OverlayLine | None:
    if curve is None or not np.isfinite(curve.value).any():
        return None
    start = float(curve.time[0]) if curve.time.size else 0.0
    xs, ys = scale.thin(reported.places_of(curve, x), scale.drawable(curve.value), POINTS)
    return OverlayLine(trial, look, xs, ys, int(curve.sequence[-1]), start)


def _finite(lines: Iterable[OverlayLine]) -> Floats:
    parts = [line.y[np.isfinite(line.y)] for line in lines]
    return np.concatenate(parts) if parts else np.empty(0)


def _view(values: Floats, *, log: bool, clip: bool) -> tuple[float, float] | None:
    """The values shown at first: all, but for those that no usual curve comes near."""
    if not values.size:
        return None
    inside = values
    if clip and not log and values.size >= scale.LEAST_FOR_FENCE:
        low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
        spread = (high - low) or abs(middle)
        if spread > 0:
            inside = values[np.abs(values / 2 - middle / 2) <= ABSURD * spread / 2]
    return float(inside.min()), float(inside.max())


def figure(info: OverlayInfo) -> Figure:
    live = reported.live(info.metric, info.x, clip=info.clip)
    if not info.lines or info.view is None:
        words = _("None of these trials reported an intermediate value so far.")
        if info.metric != DEFAULT_METRIC:
            name = style.plain_text(info.metric)
            words = _(
                "None of these trials reported an intermediate value of {name} so far.", name=name
            )
        return style.empty(KIND, words, live=live)
    traces = [_trace(line) for line in info.lines]
    ends = (reported.end_of(line.trial, line.x, line.y) for line in info.lines)
    if stopped := [end for end in ends if end is not None]:
        traces.append(reported.stopped_trace(stopped, size=9))
    y_title = _("Value") if info.metric == DEFAULT_METRIC else style.plain_text(info.metric)
    y_axis = style.axis(y_title, type="log" if info.log else "linear")
    y_axis["range"] = list(scale.axis_range(*info.view, log=info.log))
    frame = style.layout(
        KIND, xaxis=style.axis(reported.x_title(info.x)), yaxis=y_axis, annotations=_notes(info)
    )
    frame["showlegend"] = True
    frame["legend"] = {"x": 1.01, "y": 1, "xanchor": "left", "yanchor": "top", "font": {"size": 11}}
    frame["meta"] = {
        "kind": KIND, "x": info.x, "metric": info.metric, "log_possible": info.log_possible,
        "clipped": info.n_outside, "live": live,
    }  # fmt: skip
    return {"data": traces, "layout": frame}


def _trace(line: OverlayLine) -> dict[str, Any]:
    number = line.trial.number
    return {
        "type": "scatter", "mode": "lines+markers", "uid": f"t{number}",
        "name": reported.name(line.trial),
        "meta": reported.grows(
            line.trial, last=line.last, start=line.start, most=line.x.size + POINTS
        ),
        "x": scale.rounded(line.x), "y": scale.rounded(line.y), "connectgaps": False,
        "line": {"color": line.look.colour, "dash": line.look.dash, "width": 2},
        "marker": {
            "size": 5, "maxdisplayed": MOST_DOTS if line.x.size > MOST_DOTS else 0,
            "color": line.look.colour,
        },
        "hovertemplate": f"<b>#{number}</b> · %{{y:.6g}} @ %{{x}}<extra></extra>",
    }  # fmt: skip


def _notes(info: OverlayInfo) -> list[dict[str, Any]]:
    words = []
    if info.silent:
        shown = ", ".join(f"#{number}" for number in info.silent[:6])
        shown += ", …" if len(info.silent) > 6 else ""
        words.append(_("Nothing reported: {trials}", trials=shown))
    if info.n_outside:
        words.append(_("{n} values off scale", n=info.n_outside))
    return style.corner_note(words, at_top=True, inside=False)


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


def tabulate(record: Record, options: Options) -> Table:
    return of_lines(draw(record, options))
