"""Two parameters together: which combinations are good, as ranks or as a contour.

At first the two most important ones. Colour follows the rank among all trials, so that one far-out
value does not make all others look alike. The contour is a smoothed mean of the values near each
place (Nadaraya and Watson's), and stays blank where no trial is near: nothing is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts import axes, bands, brush, panels, ped_anova, scale, style
from experiments.charts.axes import Axis
from experiments.charts.base import (
    STOPS,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    Table,
    choice_option,
)
from experiments.charts.comparable import Comparable, comparable, goodness
from experiments.charts.interaction import Together, acting_together
from experiments.charts.parallel import COLOURS_ON_DARK, COLOURS_ON_LIGHT
from experiments.charts.table import with_parameters
from experiments.charts.words import gettext as _
from experiments.charts.words import listed, together
from experiments.problems import Problem, ProblemsError, nearest

KIND = "pair"
LONGEST_BESIDE = 13  # characters of a choice on the vertical axis: a phone's plot needs its width
VIEWS = ("rank", "contour")
MOST_POINTS = 3000  # above that, the mean rank of the trials in each cell
MOST_DOTS = 600  # trials drawn over a contour
CELLS = 36
LEAST_NEAR = 0.5  # trials, by their weight, without which a contour says nothing
NARROWEST, WIDEST = 1.2, 6.0  # of the smoothing, in cells


@dataclass(frozen=True, eq=False)
class PairInfo:
    trials: Comparable
    maximize: bool
    view: str
    x: Axis | None
    y: Axis | None
    both: np.ndarray[tuple[int], np.dtype[np.intp]]  # trials that have both parameters
    ranks: Floats  # (n,) of all trials, 1 for the best
    offered: tuple[str, ...]  # the most important first: two of them are shown at first
    value_range: tuple[float, float]
    together: tuple[Together, ...] = ()


def info(record: Record, options: Options) -> PairInfo:
    """``x``, ``y`` = names of parameters, ``view`` = rank | contour."""
    view = choice_option(options, "view", VIEWS)
    trials = comparable(record)
    found = [
        a for a in axes.axes(record.space, trials.parameters)
        if not a.is_constant
    ]  # fmt: skip
    ranked = [found[i] for i, _ in ped_anova.order(found, trials.losses, settled=record.ended)]
    labels = [axis.label for axis in ranked]
    x_label, y_label = (_asked(options, name, labels) for name in ("x", "y"))
    x_label = x_label or next((n for n in labels if n != y_label), None)
    y_label = y_label or next((n for n in labels if n != x_label), None)
    by_label = {axis.label: axis for axis in ranked}
    x, y = by_label.get(x_label or ""), by_label.get(y_label or "")
    both = np.full(trials.values.size, True)
    for axis in (x, y):
        if axis is not None:
            both &= ped_anova.active_in(axis, np.array(axis.places))
    best = float(trials.values[trials.losses.argmin()]) if trials.values.size else None
    return PairInfo(
        trials=trials,
        maximize=record.maximize,
        view=view,
        x=x,
        y=y,
        both=np.flatnonzero(both),
        ranks=goodness(trials.losses),
        offered=tuple(labels),
        value_range=scale.robust_range(trials.values, keep=best) or (0.0, 1.0),
        together=tuple(acting_together(ranked, trials.losses)),
    )


def _asked(options: Options, name: str, labels: list[str]) -> str | None:
    asked = options.get(name)
    if not asked or not labels or asked in labels:
        return asked or None
    close = nearest(asked, labels)
    known = f"did you mean {close!r}?" if close else f"known: {', '.join(labels[:10])}."
    raise ProblemsError(
        [Problem(name, f"must be a parameter that varies, but got {asked!r}; {known}")]
    )


# ---- drawing


def figure(info: PairInfo) -> Figure:
    why_nothing = _why_nothing(info)
    if why_nothing:
        empty = style.empty(KIND, why_nothing)
        empty["layout"]["meta"]["choices"] = _choices(info)
        return empty
    assert info.x is not None
    assert info.y is not None
    is_contour = info.view == "contour"
    traces = _contour(info) if is_contour else [_ranks(info)]
    traces.append(_star(info))
    frame = style.layout(
        KIND,
        xaxis=panels.axis_layout(info.x, panels.short_label(info.x)),
        yaxis=panels.axis_layout(info.y, panels.short_label(info.y), most=LONGEST_BESIDE),
        showlegend=False,
        margin={"l": 64, "r": 16, "t": 16, "b": 48},
    )
    frame["meta"] = {
        "kind": KIND,
        "x": style.escaped(
            f"{info.x.label} {info.y.label}"
        ),  # a zoom of other parameters means nothing here
        "choices": _choices(info),
        "n_trials": int(info.both.size),
        "note": _note(info),
        "together": [
            [style.escaped(t.first.label), style.escaped(t.second.label)] for t in info.together
        ],
        "selects": {"x": brush.parameter(info.x), "y": brush.parameter(info.y)},
    }
    return {"data": traces, "layout": frame}


def _why_nothing(info: PairInfo) -> str:
    if not info.trials.values.size:
        return info.trials.nothing
    if info.x is None or info.y is None:
        return _("It takes two parameters that vary.")
    if info.x is info.y:
        return _("Choose two different parameters.")
    if not info.both.size:
        return _("No trial has both parameters.")
    return ""


def _choices(info: PairInfo) -> dict[str, list[list[str]]]:
    """What each of the two lists offers: value and words; "" is the usual one."""
    names = [style.escaped(label) for label in info.offered]
    found = {}
    for place, name in enumerate(("x", "y")):
        first, others = [], names
        if len(names) > place and info.trials.values.size >= ped_anova.LEAST:
            first = [["", _("{name} (most telling)", name=names[place])]]
        elif len(names) > place:  # of so few trials nobody can tell: it is the first of the space
            first = [["", names[place]]]
            others = [label for label in names if label != names[place]]
        found[name] = [*first, *([label, label] for label in others)]
    return found


def _note(info: PairInfo) -> str:
    n, n_all = info.both.size, info.trials.values.size
    parts = [
        _("Trials: {n}.", n=n)
        if n == n_all
        else _("{n} of {all} trials have both parameters.", n=n, all=n_all)
    ]
    if info.view == "contour":
        parts.append(_("Smoothed mean of the values; blank where no trial is near."))
    elif n > MOST_POINTS:
        parts.append(_("Each cell has the colour of its trials' mean rank."))
    else:
        parts.append(_("Colour: the trial's rank among all."))
    parts.append(_together(info))
    if info.trials.left_out:
        parts.append(info.trials.left_out)
    return together(parts)


def _together(info: PairInfo) -> str:
    """Which parameters act together, in words: what each does depends on the other."""
    if info.both.size < ped_anova.LEAST:
        return ""  # of so few nobody can tell
    if not info.together:
        return _("No two parameters act together beyond chance.")
    pairs = [
        _(
            "{first} × {second} ({share} % of the spread)",
            first=style.plain_text(t.first.label),
            second=style.plain_text(t.second.label),
            share=round(100 * t.share),
        )
        for t in info.together
    ]
    return _("Act together: {pairs}.", pairs=listed(pairs))


def _scale_of(*, reverse: bool = False) -> dict[str, Any]:
    return {
        "colorscale": COLOURS_ON_LIGHT,
        "reversescale": reverse,
        "showscale": False,
    }


THEMED = {"colorscale_light": COLOURS_ON_LIGHT, "colorscale_dark": COLOURS_ON_DARK}


def _places(info: PairInfo, chosen: np.ndarray[Any, Any]) -> tuple[Floats, Floats]:
    assert info.x is not None
    assert info.y is not None
    return np.array(info.x.places)[chosen], np.array(info.y.places)[chosen]


def _points(info: PairInfo, chosen: np.ndarray[Any, Any], marker: dict[str, Any]) -> dict[str, Any]:
    """Trials at their places; equal choices are spread, each way by another number."""
    assert info.x is not None
    assert info.y is not None
    xs, ys = _places(info, chosen)
    numbers = info.trials.columns.number[chosen].astype(np.float64)
    texts = zip(
        [style.number_text(v, 6) for v in info.trials.values[chosen].tolist()],
        panels.worded(info.x, xs),
        panels.worded(info.y, ys),
        strict=True,
    )
    return {
        "type": "scatter", "mode": "markers", "uid": "trials",
        "x": panels.drawn_at(info.x, xs, numbers),
        "y": panels.drawn_at(info.y, ys, numbers * 1.7),
        "customdata": [int(n) for n in numbers],
        "text": [f"{value}<br>{x} · {y}" for value, x, y in texts],
        "marker": marker,
        "hovertemplate": "<b>#%{customdata}</b> · %{text}<extra></extra>",
    }  # fmt: skip


def _ranks(info: PairInfo) -> dict[str, Any]:
    if info.both.size > MOST_POINTS:
        return _cells(info)
    chosen = info.both[np.argsort(info.ranks[info.both], kind="stable")]  # the best on top
    marker = {
        "size": 8, "color": [round(float(r), 3) for r in info.ranks[chosen]],
        "cmin": 0, "cmax": 1, "line": {"width": 0.5, "color": "rgba(128,128,128,0.6)"},
        **_scale_of(),
    }  # fmt: skip
    return {**_points(info, chosen, marker), "meta": THEMED}


def _gridded(info: PairInfo, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Ends of the cells in both directions, trials in each cell, and the sum of their weights."""
    assert info.x is not None
    assert info.y is not None
    xs, ys = _places(info, info.both)
    x_ends, y_ends = panels.edges(info.x, CELLS, xs), panels.edges(info.y, CELLS, ys)
    n_columns, n_rows = x_ends.size - 1, y_ends.size - 1
    cell = panels.cells(y_ends, ys) * n_columns + panels.cells(x_ends, xs)
    shape = (n_rows, n_columns)
    counts = np.bincount(cell, minlength=n_rows * n_columns).reshape(shape)
    sums = np.bincount(cell, weights=weights, minlength=n_rows * n_columns).reshape(shape)
    return x_ends, y_ends, counts.astype(np.float64), sums.astype(np.float64)


def _cells(info: PairInfo) -> dict[str, Any]:
    assert info.x is not None
    assert info.y is not None
    x_ends, y_ends, counts, sums = _gridded(info, info.ranks[info.both])
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return {
        "type": "heatmap", "uid": "cells",
        "x": panels.drawn_edges(info.x, x_ends), "y": panels.drawn_edges(info.y, y_ends),
        "z": [_rounded(line) for line in means], "zmin": 0, "zmax": 1, "hoverongaps": False,
        "customdata": counts.astype(int).tolist(), "meta": THEMED, **_scale_of(),
        "hovertemplate": _("%{customdata} trials, mean rank %{z:.0%}") + "<extra></extra>",
    }  # fmt: skip


def _rounded(line: Floats) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 3) for v in line]


def _contour(info: PairInfo) -> list[dict[str, Any]]:
    assert info.x is not None
    assert info.y is not None
    low, high = info.value_range
    values = np.clip(info.trials.values[info.both], low, high)
    middle, half = (low + high) / 2, max((high - low) / 2, 5e-324)  # sums of 1e300 overflow
    x_ends, y_ends, counts, sums = _gridded(info, (values - middle) / half)
    width = NARROWEST + (WIDEST - NARROWEST) * (30 / max(30, info.both.size)) ** (1 / 3)
    kernel_x = _kernel(info.x, x_ends.size - 1, width)
    kernel_y = _kernel(info.y, y_ends.size - 1, width)
    near, smooth = kernel_y @ counts @ kernel_x, kernel_y @ sums @ kernel_x
    means = np.full(near.shape, np.nan)
    np.divide(smooth, near, out=means, where=near >= LEAST_NEAR)
    means = np.clip(means, -1, 1) * half + middle
    is_smooth = info.x.kind != "choice" and info.y.kind != "choice"
    surface: dict[str, Any] = {
        "uid": "surface", "meta": THEMED, **_scale_of(reverse=not info.maximize),
        "z": [scale.rounded(line, 5) for line in means],
        "showscale": True, "colorbar": {"thickness": 10, "outlinewidth": 0, "nticks": 6},
        "hovertemplate": _("about %{z:.5~g}") + "<extra></extra>",
    }  # fmt: skip
    if is_smooth:
        surface |= {
            "type": "contour",
            "x": panels.drawn_edges(info.x, (x_ends[1:] + x_ends[:-1]) / 2),
            "y": panels.drawn_edges(info.y, (y_ends[1:] + y_ends[:-1]) / 2),
            "contours": {"coloring": "heatmap"},
            "line": {"width": 1, "color": "rgba(128,128,128,0.5)"},
            "ncontours": 12, "connectgaps": False, "hoverongaps": False,
        }  # fmt: skip
    else:
        surface |= {
            "type": "heatmap", "hoverongaps": False,
            "x": panels.drawn_edges(info.x, x_ends), "y": panels.drawn_edges(info.y, y_ends),
        }  # fmt: skip
    best_first = info.both[np.argsort(-info.ranks[info.both], kind="stable")]
    dotted = best_first[bands.steadily(info.trials.columns.number[best_first], MOST_DOTS)]
    dots = {"size": 4, "color": "rgba(128,128,128,0.9)", "line": {"width": 0.5, "color": "#ffffff"}}
    return [surface, _points(info, dotted, dots)]


def _kernel(axis: Axis, n_cells: int, width: float) -> Floats:
    """How much each cell counts for each other; choices count for themselves only."""
    if axis.kind == "choice":
        return np.eye(n_cells)
    distance = np.arange(n_cells)[:, None] - np.arange(n_cells)
    width = max(width * n_cells / CELLS, 0.3)  # cells are wider where they are fewer
    weights: Floats = np.exp(-0.5 * (distance / width) ** 2)
    return weights


def _star(info: PairInfo) -> dict[str, Any]:
    """The best trial of those that have both."""
    best = info.both[[int(info.trials.losses[info.both].argmin())]]
    star = _points(info, best, style.star(15))
    star["uid"] = "star"
    star["hovertemplate"] = _("<b>Best: #%{customdata}</b>") + " · %{text}<extra></extra>"
    return star


def table(info: PairInfo) -> Table:
    """The trials that have both, the best first; a rank from 0 for the worst to 1."""
    order = info.both[np.argsort(-info.ranks[info.both], kind="stable")]
    trials = [info.trials.trials[i] for i in order]
    given = {
        _("Value"): [t.value for t in trials],
        _("Rank (1 is the best)"): [round(float(r), 4) for r in info.ranks[order]],
    }
    return with_parameters(given, trials, [a for a in (info.x, info.y) if a is not None])


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
