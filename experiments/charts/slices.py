"""Slice: each parameter against the value, the most important first, as small multiples.

Points where they are few enough to be told apart, else how many lie where. Over both the trend:
the median of values along the parameter, and the middle half of them as a band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import looks
from experiments.charts import axes, brush, panels, ped_anova, scale, style
from experiments.charts.axes import Axis
from experiments.charts.base import (
    STOPS,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    Table,
    flag_option,
    names_option,
    number_option,
)
from experiments.charts.comparable import Comparable, comparable
from experiments.charts.table import with_parameters
from experiments.charts.words import gettext as _
from experiments.charts.words import together
from experiments.states import TrialState

KIND = "slice"
MOST_PANELS = 12
MOST_ASKED = 24
MOST_POINTS = 6000  # in all panels together; above that, densities
CELLS_X, CELLS_Y = 32, 26
ROW, TALL_ROW = 200, 220  # pixels
COLUMNS = 4
MOST_COLUMNS = 6
FEW_COLUMNS = 2  # a phone's
NARROW_LABEL = 19  # characters
CHARACTERS, NARROW_CHARACTERS = 150, 50  # in a row of panels, below their axes
NARROW_DECADES = 3.5  # that have words beside each other
DIAMOND_OPEN, CIRCLE = 102, 0  # Plotly's numbers of symbols


@dataclass(frozen=True)
class Along:
    """The values along one parameter: their quartiles at so many places."""

    places: tuple[float, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    index: int  # of the parameter in the space's order: its axes keep their names
    axis: Axis
    active: np.ndarray[tuple[int], np.dtype[np.bool_]]
    along: Along


@dataclass(frozen=True, eq=False)
class SliceInfo:
    trials: Comparable
    panels: tuple[Panel, ...]
    offered: tuple[tuple[str, float], ...]  # every parameter and its share, the most first
    best: int  # place of the best trial
    view: tuple[float, float]
    log: bool
    log_possible: bool
    clip: bool
    n_columns: int

    @property
    def n_outside(self) -> int:
        values = self.trials.values
        return int(((values < self.view[0]) | (values > self.view[1])).sum())

    @property
    def is_in_order(self) -> bool:
        shares = [share for _label, share in self.offered]
        return shares == sorted(shares, reverse=True)

    @property
    def is_dense(self) -> bool:
        return sum(int(p.active.sum()) for p in self.panels) > MOST_POINTS


def info(record: Record, options: Options) -> SliceInfo:
    """``axes`` = JSON list of parameters, ``log`` = 0 | 1, ``clip`` = 1 | 0, ``columns`` = 1-6."""
    columns = number_option(options, "columns", low=1, high=MOST_COLUMNS) or COLUMNS
    asked = names_option(options, "axes")
    trials = comparable(record)
    values = trials.values
    found = [
        a for a in axes.axes(record.space, trials.parameters)
        if not a.is_constant
    ]  # fmt: skip
    ranked = ped_anova.order(found, trials.losses, settled=record.ended)
    offered = [(found[i].label, share) for i, share in ranked]
    chosen = [i for i, _ in ranked][:MOST_PANELS]
    if asked:
        by_label = {axis.label: i for i, axis in enumerate(found)}
        chosen = [by_label[name] for name in asked if name in by_label][:MOST_ASKED]
    log_possible = bool(values.size) and bool((values > 0).all())
    log = flag_option(options, "log") and log_possible
    clip = flag_option(options, "clip", default=True)
    return SliceInfo(
        trials=trials,
        panels=tuple(_panel(i, found[i], values) for i in chosen),
        offered=tuple(offered),
        best=int(trials.losses.argmin()) if values.size else -1,
        view=_view(trials, log=log, clip=clip),
        log=log,
        log_possible=log_possible,
        clip=clip,
        n_columns=int(columns),
    )


def _view(trials: Comparable, *, log: bool, clip: bool) -> tuple[float, float]:
    if not trials.values.size:
        return 0.0, 1.0
    best = float(trials.values[trials.losses.argmin()])
    view = scale.value_view(trials.values, best, log=log, clip=clip)
    assert view is not None
    return view


def _panel(index: int, axis: Axis, values: Floats) -> Panel:
    places = np.array(axis.places)
    active = ped_anova.active_in(axis, places)
    return Panel(index, axis, active, along(axis, places[active], scale.drawable(values[active])))


def along(axis: Axis, places: Floats, values: Floats) -> Along:
    """Quartiles of the values of each choice, or of as many trials each along a number."""
    if not places.size:
        return Along((), (), (), ())
    # twice as many trials in a bin as there are bins: coarse where trials are few
    n_best = max(16, places.size // 8)
    codes = ped_anova.bins(places, n_best, is_choice=axis.kind == "choice")
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    quartiles = [np.quantile(values[part], (0.25, 0.5, 0.75)) for part in parts]
    return Along(
        tuple(float(places[part].mean()) for part in parts),
        *(tuple(float(q[i]) for q in quartiles) for i in range(3)),
    )


# ---- drawing


def figure(info: SliceInfo) -> Figure:
    if not info.trials.values.size:
        return style.empty(KIND, info.trials.nothing)
    if not info.panels:
        words = [_("The search space has no parameter that varies."), info.trials.left_out]
        return style.empty(KIND, together(words))
    n_rows = math.ceil(len(info.panels) / info.n_columns)
    n_columns = math.ceil(len(info.panels) / n_rows)  # rows of a length: five are three and two
    is_narrow = info.n_columns <= FEW_COLUMNS  # few panels of a wide page have room
    frame = style.layout(KIND, margin={"l": 60, "r": 12, "t": 16, "b": 44}, showlegend=False)
    first = min(p.index for p in info.panels)
    traces: list[dict[str, Any]] = []
    for place, panel in enumerate(info.panels):
        row, column = divmod(place, n_columns)
        traces += _traces(info, panel)
        x_name, y_name = f"xaxis{_suffix(panel.index)}", f"yaxis{_suffix(panel.index)}"
        frame[x_name] = panels.axis_layout(
            panel.axis, _title(info, panel, is_narrow=is_narrow),
            domain=_domain(column, n_columns, 0.09 if is_narrow else 0.02),
            anchor=f"y{_suffix(panel.index)}",
            nticks=5 if is_narrow else 6,
            room=(NARROW_CHARACTERS if is_narrow else CHARACTERS) // n_columns,
        )  # fmt: skip
        if is_narrow and "dtick" in frame[x_name]:
            decades = panel.axis.high - panel.axis.own_low
            frame[x_name]["dtick"] = max(1, math.ceil(decades / NARROW_DECADES))
        if info.is_dense and panel.axis.kind != "choice":
            places = np.array(panel.axis.places)[panel.active]
            ends = panels.edges(panel.axis, CELLS_X, places)
            frame[x_name] = panels.widened(frame[x_name], ends)
        top = _domain(n_rows - 1 - row, n_rows, 0.28 / n_rows)
        frame[y_name] = style.axis(
            _("Value") if column == 0 else "",
            domain=top, anchor=f"x{_suffix(panel.index)}", type="log" if info.log else "linear",
            range=list(scale.axis_range(*info.view, log=info.log)),
            showticklabels=column == 0, nticks=6,
            **({} if panel.index == first else {"matches": f"y{_suffix(first)}"}),
        )  # fmt: skip
    frame["meta"] = {
        "kind": KIND,
        "log_possible": info.log_possible,
        "clipped": info.n_outside,
        "n_trials": int(info.trials.values.size),
        "axes": [[style.escaped(label), round(share, 4)] for label, share in info.offered],
        "shown": [style.escaped(p.axis.label) for p in info.panels],
        "height": 30 + (TALL_ROW if is_narrow else ROW) * n_rows,
        "note": _note(info),
        "selects": {
            **{f"x{_suffix(p.index)}": brush.parameter(p.axis) for p in info.panels},
            **{f"y{_suffix(p.index)}": brush.field("value") for p in info.panels},
        },
    }
    return {"data": traces, "layout": frame}


def _suffix(index: int) -> str:
    return "" if index == 0 else str(index + 1)


def _domain(place: int, n: int, gap: float) -> list[float]:
    width = (1.0 - gap * (n - 1)) / n
    start = place * (width + gap)
    return [round(start, 4), round(min(start + width, 1.0), 4)]


def _title(info: SliceInfo, panel: Panel, *, is_narrow: bool) -> str:
    """The parameter, how many trials have it, and its share; on two lines beside another."""
    share = dict(info.offered)[panel.axis.label]
    words = panels.short_label(panel.axis, NARROW_LABEL if is_narrow else panels.LABEL_LENGTH)
    n = int(panel.active.sum())
    if n < info.trials.values.size:
        more = _(" · {n} trials", n=n)
        words += "<br>" + more.removeprefix(" · ") if is_narrow else more
    return words + (f" · {100 * share:.0f} %" if share >= 0.005 else "")


def _note(info: SliceInfo) -> str:
    n = info.trials.values.size
    first = _("Trials: {n}; the most important parameter first, with its share of the effect.", n=n)
    if n < ped_anova.LEAST:
        first = _(
            "Trials: {n}; from {least} on, the most important parameter comes first.",
            n=n,
            least=ped_anova.LEAST,
        )
    elif not info.is_in_order:
        first = _(
            "Trials: {n}; each parameter with its share of the effect. While trials run, they "
            "seldom change places.",
            n=n,
        )
    parts = [
        first,
        _("Line: the median along the parameter; band: the middle half of the values."),
    ]
    if info.is_dense:
        parts.append(_("Stronger where more trials lie; only the best is drawn by itself."))
    n_more = len(info.offered) - len(info.panels)
    if n_more > 0:
        parts.append(_("{n} more parameters can be chosen.", n=n_more))
    if info.n_outside:
        parts.append(_("{n} values are off scale.", n=info.n_outside))
    if info.trials.left_out:
        parts.append(info.trials.left_out)
    return together(parts)


def _traces(info: SliceInfo, panel: Panel) -> list[dict[str, Any]]:
    on = {
        "xaxis": f"x{_suffix(panel.index)}",
        "yaxis": f"y{_suffix(panel.index)}",
        "showlegend": False,
    }
    found = [_density(info, panel) if info.is_dense else _points(info, panel)]
    found += _choices(panel) if panel.axis.kind == "choice" else _band(panel)
    if panel.active[info.best]:
        found.append(_star(info, panel))
    return [{**trace, **on, "uid": f"{trace['uid']}-{panel.index}"} for trace in found]


def _points(info: SliceInfo, panel: Panel) -> dict[str, Any]:
    chosen = np.flatnonzero(panel.active)
    trials = [info.trials.trials[i] for i in chosen]
    numbers = np.array([t.number for t in trials], dtype=np.float64)
    marker: dict[str, Any] = {"size": 5, "opacity": 0.6, "color": looks.BLUE}
    if any(t.state == TrialState.EARLY_STOPPED for t in trials):
        marker["symbol"] = [
            DIAMOND_OPEN if t.state == TrialState.EARLY_STOPPED else CIRCLE for t in trials
        ]
    places = np.array(panel.axis.places)[chosen]
    return {
        "type": "scatter", "mode": "markers", "uid": "points",
        "x": panels.drawn_at(panel.axis, places, numbers),
        "y": scale.rounded(scale.drawable(info.trials.values[chosen]), 5),
        "customdata": [t.number for t in trials], "marker": marker,
        **({"text": panels.worded(panel.axis, places)} if panel.axis.kind == "choice" else {}),
        "hovertemplate": "<b>#%{customdata}</b> · %{y:.6~g}<br>%{xaxis.title.text}: "
        + ("%{text}" if panel.axis.kind == "choice" else "%{x}") + "<extra></extra>",
    }  # fmt: skip


def _density(info: SliceInfo, panel: Panel) -> dict[str, Any]:
    places, values = np.array(panel.axis.places)[panel.active], info.trials.values[panel.active]
    low, high = info.view
    inside = (values >= low) & (values <= high)
    places, values = places[inside], values[inside]
    x_ends = panels.edges(panel.axis, CELLS_X, places)
    y_ends = np.linspace(*scale.axis_range(low, high, log=info.log), CELLS_Y + 1)
    if info.log:
        values = np.log10(values)
    columns, rows = panels.cells(x_ends, places), panels.cells(y_ends, values)
    n_columns = x_ends.size - 1
    counts = np.bincount(rows * n_columns + columns, minlength=CELLS_Y * n_columns)
    return {
        "type": "heatmap", "uid": "density",
        "x": panels.drawn_edges(panel.axis, x_ends),
        "y": scale.rounded(10.0**y_ends if info.log else y_ends, 6),
        "z": [
            [int(c) or None for c in line] for line in counts.reshape(CELLS_Y, n_columns).tolist()
        ],
        "showscale": False, "hoverongaps": False, "zmin": 0,
        "xgap": 10 if panel.axis.kind == "choice" else 0,
        "colorscale": panels.DENSITY_ON_LIGHT,
        "meta": {
            "colorscale_light": panels.DENSITY_ON_LIGHT, "colorscale_dark": panels.DENSITY_ON_DARK,
        },
        "hovertemplate": _("%{z} trials") + "<extra></extra>",
    }  # fmt: skip


def _band(panel: Panel) -> list[dict[str, Any]]:
    xs = panels.drawn_at(panel.axis, np.array(panel.along.places))
    low, median, high = (
        scale.rounded(np.array(q), 5)
        for q in (panel.along.low, panel.along.median, panel.along.high)
    )
    return [
        {
            "type": "scatter", "mode": "lines", "uid": "band", "hoverinfo": "skip",
            "x": [*xs, *reversed(xs)], "y": [*high, *reversed(low)], "fill": "toself",
            "fillcolor": "rgba(224,96,43,0.18)", "line": {"width": 0},
        },
        {
            "type": "scatter", "mode": "lines", "uid": "median", "hoverinfo": "skip",
            "x": xs, "y": median, "line": {"width": 2, "color": looks.VERMILION},
        },
    ]  # fmt: skip


def _choices(panel: Panel) -> list[dict[str, Any]]:
    low, median, high = (
        np.array(q) for q in (panel.along.low, panel.along.median, panel.along.high)
    )
    return [
        {
            "type": "scatter", "mode": "markers", "uid": "median",
            "x": list(panel.along.places), "y": scale.rounded(median, 5), "hoverinfo": "skip",
            "marker": {"symbol": "line-ew", "size": 22,
                       "line": {"width": 3, "color": looks.VERMILION}},
            "error_y": {"type": "data", "symmetric": False, "thickness": 2, "width": 6,
                        "color": looks.VERMILION, "array": scale.rounded(high - median, 5),
                        "arrayminus": scale.rounded(median - low, 5)},
        }
    ]  # fmt: skip


def _star(info: SliceInfo, panel: Panel) -> dict[str, Any]:
    trial = info.trials.trials[info.best]
    number = np.array([trial.number], dtype=np.float64)
    return {
        "type": "scatter", "mode": "markers", "uid": "star",
        "x": panels.drawn_at(panel.axis, np.array([panel.axis.places[info.best]]), number),
        "y": scale.drawable(info.trials.values[[info.best]]).tolist(),
        "marker": style.star(13),
        "customdata": [trial.number],
        "hovertemplate": _("<b>Best: #%{customdata}</b>") + " · %{y:.6~g}<extra></extra>",
    }  # fmt: skip


def table(info: SliceInfo) -> Table:
    trials = info.trials.trials
    values = {_("Value"): [t.value for t in trials]}
    return with_parameters(values, trials, [p.axis for p in info.panels])


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
