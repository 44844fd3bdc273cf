"""Parallel coordinates: which parameters made which values. The objective comes first.

Only trials that ended with a value are drawn. Darker is better whether the user maximises or
minimises (on a dark page: brighter), and the best lines lie on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.charts import axes, bands, brush, scale, style
from experiments.charts.base import (
    VALUED_STATES,
    Chart,
    Figure,
    Floats,
    Options,
    Record,
    Table,
    TrialRecord,
    names_option,
    number_option,
)
from experiments.charts.columns import Places, SomeParameters
from experiments.charts.comparable import comparable, with_values
from experiments.charts.table import with_parameters
from experiments.charts.words import gettext as _
from experiments.states import TrialState

KIND = "parcoords"
LEAST_FOR_CONSTANT = 5  # trials; below that equal values say nothing
MOST_LINES = 800  # above that the best trials get one, and some of the others
N_BEST = 80
MOST_AXES = 12  # parameters shown unless others are asked for
MOST_ASKED = 60
N_GROUPS = 5
MOST_LOOKED_AT = 1000  # places, to see whether they are more than so many

# From worst to best. Both end in a strong colour against their page.
COLOURS_ON_LIGHT = [[0, "#d5dbe3"], [0.4, "#a3c4e3"], [0.75, "#3f8fd2"], [1, "#0b3f75"]]
COLOURS_ON_DARK = [[0, "#39424e"], [0.4, "#3f6385"], [0.75, "#4ba3e3"], [1, "#d6f0ff"]]


@dataclass(frozen=True, eq=False)
class ParallelInfo:
    maximize: bool
    every: tuple[TrialRecord, ...]  # all; those with a line are at ``places``
    places: Places  # worst first
    ranks: Floats  # 0 for the worst to 1 for the best; equal values share theirs
    values: Floats  # cut to the range shown
    value_range: tuple[float, float]
    n_cut: int  # values beyond the range shown, drawn at its end
    axes: tuple[axes.Axis, ...]
    hidden: tuple[str, ...]  # labels of constant parameters
    offered: tuple[tuple[str, float], ...] = ()  # every other one and how much it tells, most first
    flipped: frozenset[str] = frozenset()  # labels of axes drawn upside down; "" is the value's
    value_log: bool = False
    value_can_log: bool = False
    nothing: str = ""  # why there is nothing to draw

    def some(self, which: Iterable[int]) -> list[TrialRecord]:
        return [self.every[self.places[i]] for i in which]


def info(record: Record, options: Options) -> ParallelInfo:
    """``top`` = share of the best trials to keep, in percent; at least one is kept. ``axes`` =
    JSON list of the parameters to show, in that order. ``flip``, ``log_axes``, ``linear_axes`` =
    JSON lists of those drawn upside down, or on another scale than the space's; "" is the value."""
    top = number_option(options, "top", low=0.01, high=100) or 100.0
    sign = 1.0 if record.maximize else -1.0
    valued = with_values(record)
    numbers, every = record.columns.number[valued], record.columns.value[valued]
    order = np.lexsort((-numbers, sign * every))
    every = every[order]
    valued = valued[order]
    n = valued.size
    logs = names_option(options, "log_axes")
    scales = dict.fromkeys(names_option(options, "linear_axes"), "linear")
    scales |= dict.fromkeys(logs, "log")
    parameters = SomeParameters(record.parameters, valued)
    found = axes.axes(record.space, parameters, scales)
    constant = [
        a.is_constant or (n >= LEAST_FOR_CONSTANT and bool((a.places == a.places[0]).all()))
        for a in found
    ]
    if all(constant):
        constant = [False] * len(found)
    n_kept = max(1, math.ceil(n * top / 100 - 1e-9)) if n else 0
    first = n - n_kept
    values = every[first:]
    best = float(values[-1]) if values.size else None
    low, high = scale.robust_range(values, keep=best) or (0.0, 1.0)
    can_log = bool(values.size) and low > 0
    varying = [a for a, is_constant in zip(found, constant, strict=True) if not is_constant]
    ranks = _ranks(every)
    offered = sorted(((a.label, telling(a, ranks)) for a in varying), key=lambda pair: -pair[1])
    shown = [replace(a, places=a.places[first:]) for a in _chosen(varying, found, offered, options)]
    return ParallelInfo(
        nothing="" if n else comparable(record).nothing,
        maximize=record.maximize,
        every=record.trials,
        places=valued[first:],
        ranks=_ranks(values),
        values=np.clip(values, low, high),
        value_range=(low, high),
        n_cut=int(((values < low) | (values > high)).sum()),
        axes=tuple(shown),
        hidden=tuple(a.label for a, c in zip(found, constant, strict=True) if c),
        offered=tuple(offered),
        flipped=frozenset(names_option(options, "flip")),
        value_log="" in logs and can_log,
        value_can_log=can_log,
    )


def _chosen(
    varying: list[axes.Axis],
    found: list[axes.Axis],
    offered: list[tuple[str, float]],
    options: Options,
) -> list[axes.Axis]:
    """The axes to draw: those asked for, else all where they are few, else the most telling."""
    by_label = {axis.label: axis for axis in found}
    asked = names_option(options, "axes")
    if asked:
        return [by_label[label] for label in asked if label in by_label][:MOST_ASKED]
    if len(varying) <= MOST_AXES:
        return varying
    return [by_label[label] for label, _ in offered[:MOST_AXES]]


def telling(axis: axes.Axis, ranks: Floats) -> float:
    """How much a parameter tells of the value: 0 for nothing, to 1. See the module's docstring."""
    places = axis.places  # (n_trials,), as ranks
    if axis.kind != "choice" and np.unique(places[:MOST_LOOKED_AT]).size > N_GROUPS:
        distinct, groups = places, np.empty(0, dtype=np.intp)  # it is not asked for all of them
    else:
        distinct, groups = np.unique(places, return_inverse=True)
    n_groups = distinct.size
    if axis.kind != "choice" and n_groups > N_GROUPS:
        groups = np.empty(places.size, dtype=np.intp)
        groups[np.argsort(places, kind="stable")] = np.arange(places.size) * N_GROUPS // places.size
        n_groups = N_GROUPS
    total = float(((ranks - ranks.mean()) ** 2).sum()) if ranks.size else 0.0
    n_free = ranks.size - n_groups
    if n_groups < 2 or n_free < 1 or total <= 0.0:
        return 0.0
    sizes = np.bincount(groups, minlength=n_groups)
    means = np.bincount(groups, weights=ranks, minlength=n_groups) / np.maximum(sizes, 1)
    within = float(((ranks - means[groups]) ** 2).sum())
    return max(0.0, 1.0 - (within / n_free) / (total / (ranks.size - 1)))


def _ranks(values: Floats) -> Floats:
    """Shares of the way from worst to best, for values in that order.

    Colour follows the rank, not the value: one far-out value would make all others look alike.
    """
    if values.size == 0:
        return values
    changed = np.concatenate([[False], values[1:] != values[:-1]])
    steps = np.maximum.accumulate(np.where(changed, np.arange(values.size), 0))
    if steps[-1] == 0:
        return np.ones(values.size)
    ranks: Floats = (steps / steps[-1]).round(4)
    return ranks


def figure(info: ParallelInfo) -> Figure:
    if not info.places.size:
        return style.empty(KIND, info.nothing)
    drawn = _drawn(info)
    dimensions = [
        _value_dimension(info, drawn), *(_dimension(axis, drawn) for axis in info.axes)
    ]  # fmt: skip
    for dimension, label in zip(dimensions, ["", *(a.label for a in info.axes)], strict=True):
        if label in info.flipped:
            dimension["range"].reverse()
    trace: dict[str, Any] = {
        "type": "parcoords",
        "uid": "parcoords",
        "dimensions": dimensions,
        "customdata": [trial.number for trial in info.some(drawn)],
        "line": {
            "color": info.ranks[drawn].tolist(),
            "cmin": 0.0,
            "cmax": 1.0,
            "colorscale": COLOURS_ON_LIGHT,
            "showscale": False,
        },
        "meta": {"colorscale_dark": COLOURS_ON_DARK, "colorscale_light": COLOURS_ON_LIGHT},
        "labelangle": -20 if len(dimensions) > 7 else 0,
        "labelside": "top",
    }
    frame = style.layout(KIND, margin={"l": 70, "r": 70, "t": 56, "b": 28})
    if len(dimensions) > 7:
        frame["margin"]["t"] = 96
    frame["meta"] = {
        "kind": KIND,
        "selects": {
            "": brush.field("value", log=info.value_log),
            **{style.escaped(a.label): brush.parameter(a, by_place=True) for a in info.axes},
        },
        "hidden": list(info.hidden),
        "n_trials": int(info.places.size),
        "n_drawn": len(drawn),
        "n_cut": info.n_cut,
        "n_axes": len(dimensions),
        "shown": [style.escaped(axis.label) for axis in info.axes],
        "axes": [[style.escaped(label), round(score, 4)] for label, score in info.offered],
        "scales": {
            "": _scale_of("log" if info.value_log else "linear", can_log=info.value_can_log),
            **{style.escaped(a.label): _scale_of(a.kind, can_log=a.can_log) for a in info.axes},
        },
        "flipped": sorted(style.escaped(label) for label in info.flipped),
    }
    return {"data": [trace], "layout": frame}


def _scale_of(kind: str, *, can_log: bool) -> str:
    """What the axis has, for the page's menu: log, linear, linear only, or choice."""
    return "only" if kind == "linear" and not can_log else kind


def _value_dimension(info: ParallelInfo, drawn: list[int]) -> dict[str, Any]:
    low, high = info.value_range
    values = info.values[drawn]
    if info.value_log:
        ticks = scale.log_ticks(low, high)
        texts = scale.tick_texts(ticks)
        ticks = [math.log10(tick) for tick in ticks]
        low, high, values = math.log10(low), math.log10(high), np.log10(values)
    else:
        ticks = scale.linear_ticks(low, high)
        texts = scale.tick_texts(ticks)
    low, high = scale.padded(low, high, 0.03)
    return {
        "label": f"<b>{_('Value')}</b>" + (" (log)" if info.value_log else ""), "name": "",
        "values": values.tolist(), "range": [low, high], "tickvals": ticks, "ticktext": texts,
    }  # fmt: skip


def _dimension(axis: axes.Axis, drawn: list[int]) -> dict[str, Any]:
    text = axis.label if len(axis.label) <= 26 else "…" + axis.label[-25:]
    return {
        "label": style.plain_text(text) + (" (log)" if axis.kind == "log" else ""),
        "name": style.escaped(axis.label),
        "values": scale.rounded(axis.places[drawn], 7),
        "range": [axis.low, axis.high],
        "tickvals": [place for place, _words in axis.ticks],
        "ticktext": [words for _place, words in axis.ticks],
    }


def _drawn(info: ParallelInfo) -> list[int]:
    """Which trials get a line, worst first: all, or the best and some of the others."""
    n_trials = info.places.size
    if n_trials <= MOST_LINES:
        return list(range(n_trials))
    numbers = np.array([trial.number for trial in info.some(range(n_trials - N_BEST))])
    others = bands.steadily(numbers, MOST_LINES - N_BEST)
    return [*others.tolist(), *range(n_trials - N_BEST, n_trials)]


def table(info: ParallelInfo) -> Table:
    """The best first."""
    trials = info.some(range(info.places.size - 1, -1, -1))
    return with_parameters({_("Value"): [t.value for t in trials]}, trials, info.axes)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


REDRAWN_AT = frozenset((TrialState.RUNNING, to) for to in VALUED_STATES)
CHART = Chart(KIND, draw, tabulate, redrawn_at=REDRAWN_AT)
