"""Any two numbers of a trial against each other: parameters, metrics, value, time, number.

At first the value against the time that a trial took. Where both axes have a better side, the
trials are marked that no other beats in both (the Pareto front), and a line joins them. Colour is
the rank of the trial's value among all, or another number or choice (``colouring``). Where one
axis is the value, the note says how far the other number goes among the trials that are nearly as
good as the best. Far-out numbers are off scale, unless ``clip`` says 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.charts import bands, brush, colouring, panels, scale, style, trial_numbers
from experiments.charts.axes import Axis
from experiments.charts.base import (
    STOPS,
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
from experiments.charts.colouring import Colouring
from experiments.charts.columns import LARGEST_EXACT
from experiments.charts.comparable import Comparable, comparable, goodness
from experiments.charts.parallel import COLOURS_ON_DARK, COLOURS_ON_LIGHT
from experiments.charts.trial_numbers import METRIC, PARAMETER, Maker
from experiments.charts.words import gettext as _
from experiments.charts.words import together
from experiments.problems import Problem, ProblemsError, nearest

KIND = "scatter"
MOST_POINTS = 3000  # drawn one by one: the front, the best, and some of the others
BETTER = ("", "low", "high", "none")  # "": as the number itself says
FIRST = {"x": "duration", "y": "value"}
NEARLY = 0.01  # of the best value: trials that lose no more than this are nearly as good


@dataclass(frozen=True, eq=False)
class Side:
    """One axis: what is on it, and which end of it is better (-1 low, 1 high, 0 neither)."""

    name: str  # as an option writes it
    words: str
    axis: Axis
    better: int


@dataclass(frozen=True, eq=False)
class ScatterInfo:
    trials: Comparable
    ranks: Floats  # (n,) of the values, 1 for the best
    x: Side | None
    y: Side | None
    both: np.ndarray[tuple[int], np.dtype[np.intp]]  # trials that have both numbers
    front: np.ndarray[tuple[int], np.dtype[np.intp]]  # of them, those that nothing beats; by x
    views: tuple[tuple[float, float] | None, ...]  # what x and y show at first; None: their own
    offered: tuple[tuple[str, str], ...]  # names and words of all that an axis can show
    colour: Side | None  # what the colour says; None: the rank of the value
    colours: tuple[tuple[str, str], ...]  # names and words of all that it can say
    clip: bool


def info(record: Record, options: Options) -> ScatterInfo:
    """``x``, ``y`` = value | duration | number | param:NAME | metric:NAME.

    ``better_x``, ``better_y`` = low | high | none: which end is better, where that is not plain.
    ``color`` = any of these, start | state: what the points' colour says.
    """
    trials = comparable(record)
    clip = flag_option(options, "clip", default=True)
    makers = trial_numbers.makers(record.space, trials)
    sides = {name: _side(name, options, record, trials, makers) for name in ("x", "y")}
    x, y = sides["x"], sides["y"]
    has_both = np.full(trials.values.size, x is not None and y is not None)
    for side in (x, y):
        if side is not None and has_both.size:
            slot = side.axis.slot
            places = np.array(side.axis.places)
            has_both &= np.full(places.size, True) if slot is None else places != slot
    both = np.flatnonzero(has_both)
    coloured = {**makers, **trial_numbers.colour_makers(trials)}
    is_plain = not options.get("color")
    return ScatterInfo(
        trials=trials,
        ranks=goodness(trials.losses),
        x=x,
        y=y,
        both=both,
        front=_front(x, y, both) if x and y else both[:0],
        views=tuple(_view(side, trials, both, clip=clip) for side in (x, y)),
        offered=tuple((name, words) for name, (words, _maker) in makers.items()),
        colour=None if is_plain else _side("color", options, record, trials, coloured),
        colours=tuple((name, words) for name, (words, _maker) in coloured.items()),
        clip=clip,
    )


def _side(
    which: str,
    options: Options,
    record: Record,
    trials: Comparable,
    makers: Mapping[str, tuple[str, Maker]],
) -> Side | None:
    better = choice_option(options, f"better_{which}", BETTER) if which in FIRST else ""
    name = options.get(which) or FIRST[which]
    if not trials.trials:
        return None
    if name not in makers:
        close = nearest(name, makers)
        known = f"did you mean {close!r}?" if close else f"known: {', '.join([*makers][:10])}."
        raise ProblemsError(
            [Problem(which, f"must be a number that trials have, but got {name!r}; {known}")]
        )
    words, make = makers[name]
    axis = make()
    if axis is None:  # no trial has one
        return None
    return Side(name, words, axis, _end(better, name, record))


def _view(
    side: Side | None,
    trials: Comparable,
    both: np.ndarray[tuple[int], np.dtype[np.intp]],
    *,
    clip: bool,
) -> tuple[float, float] | None:
    """Without what is far out; the best trial is always in sight. A parameter has its own range."""
    if side is None or not both.size or side.name.startswith(PARAMETER):
        return None
    if side.axis.kind == "choice":
        return None
    places = np.array(side.axis.places)
    best = float(places[both[trials.losses[both].argmin()]])
    return scale.value_view(places[both], best, log=False, clip=clip)


def _end(asked: str, name: str, record: Record) -> int:
    """Which end is better: said, or plain from what it is. Never guessed from a name."""
    if asked:
        return {"low": -1, "high": 1, "none": 0}[asked]
    if name == "value":
        return 1 if record.maximize else -1
    return -1 if name == "duration" else 0


def _front(
    x: Side, y: Side, both: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The trials that no other beats in one number without losing in the other.

    Of equal ones the first.
    """
    ordered = "choice" not in (x.axis.kind, y.axis.kind)
    if not (x.better and y.better and ordered and both.size and x.name != y.name):
        return both[:0]
    xs = x.better * np.array(x.axis.places)[both]
    ys = y.better * np.array(y.axis.places)[both]
    order = np.lexsort((-ys, -xs))  # the best x first; among equal ones the best y
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(ys[order])[:-1]])
    return both[order[ys[order] > best_before]]


# ---- drawing


def figure(info: ScatterInfo) -> Figure:
    if why := _why_nothing(info):
        empty = style.empty(KIND, why)
        empty["layout"]["meta"]["choices"] = _choices(info)
        return empty
    assert info.x is not None
    assert info.y is not None
    drawn = _drawn(info)
    traces = _points(info, drawn)
    if info.front.size:
        traces.append(_line(info))
    frame = style.layout(
        KIND,
        xaxis=panels.axis_layout(info.x.axis, _title(info.x), **_range(info.views[0])),
        yaxis=panels.axis_layout(info.y.axis, _title(info.y), **_range(info.views[1])),
        showlegend=any(trace.get("showlegend") for trace in traces),
        margin={"l": 64, "r": 16, "t": 16, "b": 48},
    )
    if info.colour is not None:
        frame |= _room_for_words(info.colour, frame)
    frame["meta"] = {
        "kind": KIND,
        # a zoom of other numbers means nothing here
        "x": style.escaped(f"{info.x.name} {info.y.name}"),
        "choices": _choices(info),
        "color": style.escaped(info.colour.name) if info.colour else "",
        "n_trials": int(info.both.size),
        "n_front": int(info.front.size),
        "clipped": _n_outside(info),
        "note": _note(info, drawn.size),
        "selects": {
            which: selects
            for which, side in (("x", info.x), ("y", info.y))
            if (selects := _selects(side))
        },
    }
    return {"data": traces, "layout": frame}


def _room_for_words(colour: Side, frame: Mapping[str, Any]) -> dict[str, Any]:
    """A bar or a legend above the points; beside the bar the legend is of what has no number."""
    name = style.plain_text(colour.words)
    if colour.axis.kind == "choice":
        legend = {**frame["legend"], "title": {"text": name}}
        return {"margin": {**frame["margin"], "t": 48}, "legend": legend}
    title = {
        "text": name, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0, "y": 1,
        "xanchor": "left", "yanchor": "bottom", "yshift": colouring.BAR_HEIGHT,
        "font": {"size": 11},
    }  # fmt: skip
    return {
        "margin": {**frame["margin"], "t": colouring.BAR_ROOM},
        "legend": {**frame["legend"], "x": 1, "xanchor": "right"},
        "annotations": [title],
    }


def _range(view: tuple[float, float] | None) -> dict[str, Any]:
    return {} if view is None else {"range": list(scale.axis_range(*view, log=False))}


def _n_outside(info: ScatterInfo) -> int:
    is_outside = np.full(info.both.size, False)
    for side, view in zip((info.x, info.y), info.views, strict=True):
        if side is not None and view is not None:
            places = np.array(side.axis.places)[info.both]
            is_outside |= (places < view[0]) | (places > view[1])
    return int(is_outside.sum())


def _why_nothing(info: ScatterInfo) -> str:
    if not info.trials.values.size:
        return info.trials.nothing
    if not info.both.size:
        return _("No trial has both numbers.")
    return ""


def _title(side: Side) -> str:
    label = panels.short_label(side.axis)
    if side.better:
        return (
            _("{name}, less is better", name=label)
            if side.better < 0
            else _("{name}, more is better", name=label)
        )
    return label


def _choices(info: ScatterInfo) -> dict[str, list[list[str]]]:
    offered = [[style.escaped(name), style.escaped(words)] for name, words in info.offered]
    found = {}
    for which, first in FIRST.items():
        usual = next(([["", words]] for name, words in offered if name == first), [])
        found[which] = [*usual, *(pair for pair in offered if pair[0] != first)]
    colours = [[style.escaped(name), style.escaped(words)] for name, words in info.colours]
    found["color"] = [["", _("rank of the value")], *colours]
    return found


def _selects(side: Side) -> brush.Selects | None:
    if side.name.startswith(PARAMETER):
        return brush.parameter(side.axis)
    if side.name.startswith(METRIC):
        return brush.metric(side.name.removeprefix(METRIC))
    return brush.field(side.name)


def _drawn(info: ScatterInfo) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Trials drawn one by one, the best on top: all where they are few."""
    order = info.both[np.argsort(info.ranks[info.both], kind="stable")]
    if order.size <= MOST_POINTS:
        return order
    best = order[-MOST_POINTS // 4 :]
    others = order[: -MOST_POINTS // 4]
    others = others[bands.steadily(info.trials.columns.number[others], MOST_POINTS // 2)]
    kept = np.unique(np.concatenate([others, best, info.front]))
    return kept[np.argsort(info.ranks[kept], kind="stable")]


def _at(side: Side, chosen: np.ndarray[Any, Any], numbers: Floats) -> list[float | None]:
    return panels.drawn_at(side.axis, np.array(side.axis.places)[chosen], numbers)


def _points(info: ScatterInfo, drawn: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    assert info.x is not None
    assert info.y is not None
    numbers = info.trials.columns.number[drawn].astype(np.float64)
    basis: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "uid": "trials",
        "x": _at(info.x, drawn, numbers),
        "y": _at(info.y, drawn, numbers * 1.7),
        "customdata": [int(n) for n in numbers],
        "text": [style.number_text(v, 6) for v in info.trials.values[drawn].tolist()],
        "hovertemplate": "<b>#%{customdata}</b> · %{text}<br>%{x} · %{y}<extra></extra>",
    }
    if info.colour is not None:
        basis["text"] = _with_colour(info.colour, info.trials.trials, drawn, basis["text"])
        return colouring.traces(_colouring(info.colour), drawn, basis, clip=info.clip)
    ranked = {
        **basis,
        "marker": {
            "size": 7, "color": [round(float(r), 3) for r in info.ranks[drawn]],
            "cmin": 0, "cmax": 1, "line": {"width": 0.5, "color": "rgba(128,128,128,0.6)"},
            "colorscale": COLOURS_ON_LIGHT, "showscale": False,
        },
        "meta": {"colorscale_light": COLOURS_ON_LIGHT, "colorscale_dark": COLOURS_ON_DARK},
    }  # fmt: skip
    return [ranked]


def _colouring(side: Side) -> Colouring:
    looks = {style.state_name(state): colour for state, colour in style.STATE_COLOURS.items()}
    return Colouring(side.words, side.axis, looks if side.name == "state" else {})


def _with_colour(
    side: Side, trials: Sequence[TrialRecord], drawn: np.ndarray[Any, Any], texts: Sequence[str]
) -> list[str]:
    """The values with what the colour says, for who points at one."""
    cells = _cells_of(side, trials)
    name = style.plain_text(side.words)
    return [
        text if cells[i] is None else f"{text}<br>{name} = {style.plain_text(cells[i])}"
        for i, text in zip(drawn.tolist(), texts, strict=True)
    ]


def _line(info: ScatterInfo) -> dict[str, Any]:
    """The front: rings around its trials, joined by steps that no trial lies beyond."""
    assert info.x is not None
    assert info.y is not None
    numbers = info.trials.columns.number[info.front].astype(np.float64)
    return {
        "type": "scatter", "mode": "lines+markers", "uid": "front", "showlegend": False,
        "x": _at(info.x, info.front, numbers), "y": _at(info.y, info.front, numbers),
        "customdata": [int(n) for n in numbers],
        # sorted by x from its better end: the step to the next is worse in x first
        "line": {"shape": "hv", "color": style.ACCENT, "width": 2},
        "marker": {"size": 12, "symbol": "circle-open", "color": style.ACCENT,
                   "line": {"width": 2}},
        "hovertemplate": _("<b>#%{customdata}</b>, beaten by none")
        + "<br>%{x} · %{y}<extra></extra>",
    }  # fmt: skip


def _note(info: ScatterInfo, n_drawn: int) -> str:
    assert info.x is not None
    assert info.y is not None
    n, n_all = info.both.size, info.trials.values.size
    parts = [
        _("Trials: {n}.", n=n)
        if n == n_all
        else _("{n} of {all} trials have both numbers.", n=n, all=n_all)
    ]
    if n_drawn < n:
        parts.append(_("{n} of them are drawn, the best among them.", n=n_drawn))
    parts += _of_colour(info)
    if info.front.size:
        parts.append(_("Ringed: {n} that no other trial beats in both.", n=info.front.size))
    elif not (info.x.better and info.y.better):
        parts.append(_("Say which end of each axis is better to see which trials none beats."))
    parts += _nearly(info)
    if n_outside := _n_outside(info):
        parts.append(_("{n} trials are off scale.", n=n_outside))
    if info.trials.left_out:
        parts.append(info.trials.left_out)
    return together(parts)


def _of_colour(info: ScatterInfo) -> list[str]:
    if info.colour is None:
        return [_("Colour: the rank of the value.")]
    tint = _colouring(info.colour)
    parts = [_("Colour: {name}.", name=style.plain_text(info.colour.words))]
    if n_others := colouring.n_others(tint):
        parts.append(_("{n} rarer choices share one colour.", n=n_others))
    if n_lacking := int(tint.lacking[info.both].sum()):
        parts.append(_("{n} trials without it are hollow.", n=n_lacking))
    return parts


def _nearly(info: ScatterInfo) -> list[str]:
    """What one need not pay: the ends of the other number among trials nearly as good."""
    sides = (info.x, info.y)
    if "value" not in [side.name for side in sides if side]:
        return []
    other = next((side for side in sides if side and side.name not in ("value", "number")), None)
    if other is None or other.axis.kind == "choice":
        return []
    losses, trials = info.trials.losses[info.both], info.trials.trials
    close = info.both[losses <= losses.min() + NEARLY * abs(losses.min())]
    if close.size < 2:
        return []
    best = int(info.both[losses.argmin()])
    chosen = [*close.tolist(), best]
    cells = _cells_of(other, [trials[i] for i in chosen])
    numbers = dict(zip(chosen, cells, strict=True))
    least, most = (find(close.tolist(), key=numbers.__getitem__) for find in (min, max))
    return [
        _(
            "{n} come within {percent} of the best value: {name} from {low} (#{least}) to {high} "
            "(#{most}); the best, #{best}, has {own}.",
            n=close.size, percent=f"{100 * NEARLY:.0f} %", name=style.plain_text(other.words),
            low=_words(numbers[least]), least=trials[least].number,
            high=_words(numbers[most]), most=trials[most].number,
            best=trials[best].number, own=_words(numbers[best]),
        )
    ]  # fmt: skip


def _words(number: float) -> str:
    """Sizes whole: 101632, not 1.016e+05."""
    is_whole = float(number).is_integer() and abs(number) < LARGEST_EXACT
    return str(int(number)) if is_whole else style.number_text(number, 4)


def table(info: ScatterInfo) -> Table:
    """The trials that have both, the best value first, and whether any other beats them."""
    columns = [_("Trial"), _("Value")]
    shown = (info.x, info.y, info.colour)
    sides = [s for s in shown if s is not None and s.name not in ("value", "number")]
    names = [*columns, *dict.fromkeys(side.words for side in sides), _("Beaten by none")]
    if info.x is None or info.y is None:
        return Table(tuple(names))
    order = info.both[np.argsort(-info.ranks[info.both], kind="stable")]
    front = set(info.front.tolist())
    cells = {side.words: _cells_of(side, info.trials.trials) for side in sides}
    rows = [
        (
            info.trials.trials[i].number, info.trials.trials[i].value,
            *(column[i] for column in cells.values()), i in front,
        )
        for i in order.tolist()
    ]  # fmt: skip
    return Table(tuple(names), rows)


def _cells_of(side: Side, trials: Sequence[TrialRecord]) -> list[Any]:
    return trial_numbers.cells(side.name, side.axis, trials)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
