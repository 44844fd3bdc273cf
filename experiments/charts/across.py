"""Several experiments in one figure: the best so far by trials or by time, and the share of trials
that were as good (EDF).

Drawn for ``selectors.across``; no entry of the registry, which is of one experiment. Where some
maximise and others minimise, values say nothing beside each other: then each is drawn by its
distance to its own best, and the figure says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts import edf, scale, style
from experiments.charts.base import Figure, Floats, Options, Table, choice_option, flag_option
from experiments.charts.table import of_lines
from experiments.charts.words import gettext as _

MOST_POINTS = 400  # of a line


@dataclass(frozen=True, eq=False)
class Course:
    """One experiment as its trials ended, in that order."""

    key: str
    name: str
    maximize: bool
    value: Floats  # (n_ended,); NaN where a trial ended without one that counts
    seconds: Floats  # (n_ended,) from the experiment's start to each end

    @property
    def best(self) -> float | None:
        if not np.isfinite(self.value).any():
            return None
        return float(np.nanmax(self.value) if self.maximize else np.nanmin(self.value))


@dataclass(frozen=True, eq=False)
class Line:
    place: int  # among the experiments: its look
    name: str
    x: Floats
    y: Floats
    n: int  # trials that it stands for


@dataclass(frozen=True)
class AcrossInfo:
    kind: str
    mixed: bool  # some maximise, others minimise
    by_gap: bool
    more_is_better: bool  # of what is drawn: a distance never
    log: bool
    log_possible: bool
    unit: str  # of a time axis, else ""
    lines: tuple[Line, ...]
    silent: tuple[str, ...]  # names of those without a result


def best_info(courses: Sequence[Course], options: Options) -> AcrossInfo:
    """``x`` = trials | time, ``y`` = value | gap, ``log`` = 0 | 1."""
    by_time = choice_option(options, "x", ("trials", "time")) == "time"
    mixed, by_gap = _how(courses, options)
    longest = max((float(c.seconds[-1]) for c in courses if c.seconds.size), default=0.0)
    factor, unit = style.time_unit(longest)
    lines = []
    for place, course in enumerate(courses):
        if course.best is None:
            continue
        places = course.seconds / factor if by_time else np.arange(1.0, course.value.size + 1)
        x, y = _steps(places, course.value, maximize=course.maximize)
        y = _gap(y, course) if by_gap else y
        lines.append(Line(place, _name(course, courses), x, y, course.value.size))
    return _info("best", courses, lines, mixed, by_gap, unit if by_time else "", options)


def edf_info(courses: Sequence[Course], options: Options) -> AcrossInfo:
    """``y`` = value | gap, ``log`` = 0 | 1 (of the values' axis); shares of trials as good."""
    mixed, by_gap = _how(courses, options)
    lines = []
    for place, course in enumerate(courses):
        if course.best is None:
            continue
        values = _finite(course, by_gap=by_gap)
        losses = -values if course.maximize and not by_gap else values
        reached, share = edf.reached(values, losses, MOST_POINTS)
        lines.append(Line(place, _name(course, courses), reached, share, values.size))
    return _info("edf", courses, lines, mixed, by_gap, "", options)


def _how(courses: Sequence[Course], options: Options) -> tuple[bool, bool]:
    mixed = len({course.maximize for course in courses}) > 1
    wanted = choice_option(options, "y", ("value", "gap"))
    return mixed, mixed or wanted == "gap"


def _info(
    kind: str,
    courses: Sequence[Course],
    lines: Sequence[Line],
    mixed: bool,
    by_gap: bool,
    unit: str,
    options: Options,
) -> AcrossInfo:
    parts = [line.x if kind == "edf" else line.y for line in lines]
    values = np.concatenate(parts) if parts else np.empty(0)
    possible = not by_gap and bool(values.size) and bool((values > 0).all())
    return AcrossInfo(
        kind=kind,
        mixed=mixed,
        by_gap=by_gap,
        more_is_better=not by_gap and any(course.maximize for course in courses),
        log=flag_option(options, "log") and possible,
        log_possible=possible,
        unit=unit,
        lines=tuple(lines),
        silent=tuple(_name(c, courses) for c in courses if c.best is None),
    )


def _finite(course: Course, *, by_gap: bool) -> Floats:
    """The values that count, or their distances to the best."""
    values: Floats = course.value[np.isfinite(course.value)]
    return _gap(values, course) if by_gap else values


def _gap(values: Floats, course: Course) -> Floats:
    """Distance to its own best; halves first, so that huge ones stay finite."""
    assert course.best is not None
    half = np.minimum(np.abs(values / 2 - course.best / 2), scale.DRAWABLE / 2)
    gap: Floats = 2.0 * half
    return gap


def _steps(x: Floats, values: Floats, *, maximize: bool) -> tuple[Floats, Floats]:
    """Where the best so far changes, and on to the last trial."""
    worst = -np.inf if maximize else np.inf
    filled = np.where(np.isfinite(values), values, worst)
    running = np.maximum.accumulate(filled) if maximize else np.minimum.accumulate(filled)
    is_step = np.isfinite(running) & (running != np.concatenate([[worst], running[:-1]]))
    kept = np.flatnonzero(is_step)
    if kept.size > MOST_POINTS:  # each better than all before: the line is smooth anyway
        kept = kept[np.unique(np.linspace(0, kept.size - 1, MOST_POINTS).astype(np.intp))]
    if kept.size and kept[-1] != x.size - 1:
        kept = np.append(kept, x.size - 1)
    return x[kept], running[kept]


def _name(course: Course, courses: Sequence[Course]) -> str:
    """Its name; with the id where several are called the same."""
    counts = Counter(c.name for c in courses)
    return course.name if counts[course.name] == 1 else f"{course.name} ({course.key})"


# ---- figures


def figure(info: AcrossInfo) -> Figure:
    meta = {"mixed": info.mixed, "by_gap": info.by_gap, "log_possible": info.log_possible}
    if not info.lines:
        drawn = style.empty(info.kind, _("No trial of these experiments has succeeded yet."))
        drawn["layout"]["meta"] |= meta
        return drawn
    is_edf = info.kind == "edf"
    value_title = _("Distance to its own best") if info.by_gap else _("Value")
    value_axis = style.axis(value_title, type="log" if info.log else "linear")
    values = np.concatenate([line.x if is_edf else line.y for line in info.lines])
    view = scale.robust_range(np.log10(values) if info.log else scale.drawable(values))
    if view is not None:
        value_axis["range"] = list(scale.padded(*view))
    if is_edf:
        title = edf.share_title(maximize=info.more_is_better)
        share = style.axis(title, range=[0, 1.03], tickformat=".0%")
        axes = {"xaxis": value_axis, "yaxis": share}
    else:
        title = _("Trials ended")
        if info.unit:
            title = _("Time since the start ({unit})", unit=info.unit)
        axes = {"xaxis": style.axis(title, rangemode="tozero"), "yaxis": value_axis}
    frame = style.layout(info.kind, **axes, annotations=_notes(info))
    frame["showlegend"] = False  # one key for all the figures stands beside them
    frame["meta"] |= meta
    return {"data": [_trace(line, info) for line in info.lines], "layout": frame}


def _trace(line: Line, info: AcrossInfo) -> dict[str, Any]:
    colour = style.line_colour(line.place)
    name = style.plain_text(line.name)
    if info.kind == "edf":
        hover = f"%{{y:.1%}} / {line.n} {'≥' if info.more_is_better else '≤'} %{{x:.6g}}"
    else:
        hover = "%{y:.6g} @ " + (f"%{{x:.3g}} {info.unit}" if info.unit else "%{x:.0f}")
    return {
        "type": "scatter", "mode": "lines+markers", "uid": f"e{line.place}", "name": name,
        "x": scale.rounded(line.x), "y": scale.rounded(scale.drawable(line.y)),
        "line": {"shape": "hv", "color": colour, "dash": style.line_dash(line.place), "width": 2},
        "marker": {"size": 4, "color": colour, "maxdisplayed": 20},
        "hovertemplate": f"<b>{name}</b><br>{hover}<extra></extra>",
    }  # fmt: skip


def _notes(info: AcrossInfo) -> list[dict[str, Any]]:
    words = []
    if info.mixed:
        words.append(_("Some maximize, some minimize: distance to each own best"))
    if info.silent:
        names = ", ".join(map(style.plain_text, info.silent))
        words.append(_("Nothing succeeded: {names}", names=names))
    return style.corner_note(words, at_top=True, inside=False)


def draw(kind: str, courses: Sequence[Course], options: Options) -> Figure:
    """``best`` or ``edf``; KeyError for any other kind."""
    info = {"best": best_info, "edf": edf_info}[kind]
    return figure(info(courses, options))


def tabulate(kind: str, courses: Sequence[Course], options: Options) -> Table:
    return of_lines(draw(kind, courses, options), _("Experiment"))


KINDS = ("best", "edf")
