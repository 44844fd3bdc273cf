"""Cost: the best value so far against the time spent on it.

``wall`` counts from the first start on, without pauses: a night in which it was suspended, or the
week until somebody ran the best ones again. ``trials`` adds up what every trial ran, failed and
excluded ones too: it is what was paid for. Only succeeded trials that are not
excluded may be the best, as in the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np

from experiments.charts import brush, scale, style
from experiments.charts.base import (
    STOPS,
    Chart,
    Figure,
    Options,
    Record,
    Table,
    TrialRecord,
    choice_option,
    flag_option,
)
from experiments.charts.words import gettext as _
from experiments.charts.words import together

KIND = "cost"
SPENT = ("wall", "trials")
PAUSE_S = 60.0  # so long no trial runs; a shorter time is the change from one to the next


@dataclass(frozen=True)
class Gain:
    """A trial that was better than all before it."""

    trial: TrialRecord
    value: float
    spent_s: float  # when it ended


@dataclass(frozen=True)
class CostInfo:
    by_trials: bool
    gains: tuple[Gain, ...]
    spent_s: float  # till now, or till the last trial's end
    failed_s: float  # of the trials' time, in trials that ended without a value
    paused_s: float  # of wall-clock time, and not counted in it
    view: tuple[float, float] | None
    log: bool
    log_possible: bool
    ended: bool  # no other trial will come


def info(record: Record, options: Options) -> CostInfo:
    """``x`` = wall | trials, ``log`` = 0 | 1."""
    by_trials = choice_option(options, "x", SPENT) == "trials"
    started = [t for t in record.trials if t.started_at is not None]
    ended = sorted((t for t in started if t.finished_at), key=lambda t: (t.finished_at, t.number))
    first = min((t.started_at for t in started if t.started_at), default=record.now)
    pauses = _pauses(started, record.now)
    running_s = sum(_ran_s(t, record.now) for t in started if not t.finished_at)
    sign = 1.0 if record.maximize else -1.0
    gains: list[Gain] = []
    paid_s = 0.0
    for trial in ended:
        assert trial.finished_at is not None
        paid_s += _ran_s(trial, record.now)
        if not trial.may_be_best or trial.value is None:
            continue
        if gains and sign * trial.value <= sign * gains[-1].value:
            continue
        wall_s = _wall_s(first, trial.finished_at, pauses)
        gains.append(Gain(trial, trial.value, paid_s if by_trials else wall_s))
    last = record.now if running_s or not ended else (ended[-1].finished_at or record.now)
    spent_s = paid_s + running_s if by_trials else _wall_s(first, last, pauses)
    values = np.array([t.value for t in ended if t.has_value and not t.excluded], dtype=np.float64)
    best_values = scale.drawable(np.array([g.value for g in gains], dtype=np.float64))
    log_possible = bool(best_values.size) and bool((best_values > 0).all())
    log = flag_option(options, "log") and log_possible
    return CostInfo(
        by_trials=by_trials,
        gains=tuple(gains),
        spent_s=spent_s,
        failed_s=sum(_ran_s(t, record.now) for t in ended if not t.has_value),
        paused_s=0.0 if by_trials else sum((b - a).total_seconds() for a, b in pauses),
        view=_view(best_values, values),
        log=log,
        log_possible=log_possible,
        ended=record.ended,
    )


def _pauses(started: Sequence[TrialRecord], now: datetime) -> list[tuple[datetime, datetime]]:
    """From when to when no trial ran, between the first start and the last, in order."""
    runs = sorted((t.started_at, t.finished_at or now) for t in started if t.started_at)
    busy_until = list(accumulate((run[1] for run in runs), max))
    return [
        (idle_from, start)
        for (start, _end), idle_from in zip(runs[1:], busy_until, strict=False)
        if (start - idle_from).total_seconds() > PAUSE_S
    ]


def _wall_s(
    first: datetime, moment: datetime, pauses: Sequence[tuple[datetime, datetime]]
) -> float:
    paused = sum((end - start).total_seconds() for start, end in pauses if end <= moment)
    return max(0.0, (moment - first).total_seconds() - paused)


def _ran_s(trial: TrialRecord, now: datetime) -> float:
    if trial.started_at is None:
        return 0.0
    return max(0.0, ((trial.finished_at or now) - trial.started_at).total_seconds())


def _view(
    best_values: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> tuple[float, float] | None:
    """From the first best value that is not far out among all values, to the last."""
    usual = scale.robust_range(values, keep=float(best_values[-1])) if best_values.size else None
    if usual is None:
        return None
    inside = best_values[(best_values >= usual[0]) & (best_values <= usual[1])]
    return float(inside.min()), float(inside.max())


def figure(info: CostInfo) -> Figure:
    if not info.gains:
        so_far = _("No trial has succeeded yet.")
        return style.empty(KIND, _("No trial succeeded.") if info.ended else so_far)
    assert info.view is not None
    unit_s, unit = style.time_unit(info.spent_s)
    spent = [round(g.spent_s / unit_s, 4) for g in info.gains]
    values = scale.drawable(np.array([g.value for g in info.gains])).tolist()
    end = max(round(info.spent_s / unit_s, 4), spent[-1])
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "uid": "best", "name": _("Best so far"),
            "x": [*spent, end], "y": [*values, values[-1]], "hoverinfo": "skip",
            "line": {"shape": "hv", "color": style.ACCENT, "width": 2.5},
        },
        {
            "type": "scatter", "mode": "markers", "uid": "gains", "name": _("A new best"),
            "x": spent, "y": values, "marker": {"size": 8, "color": style.ACCENT},
            "customdata": [g.trial.number for g in info.gains],
            "hovertext": [_hover(g) for g in info.gains],
            "hovertemplate": "%{hovertext}<extra></extra>",
        },
        {
            "type": "scatter", "mode": "markers", "uid": "star", "showlegend": False,
            "cliponaxis": False,  # the last of what was spent lies near the edge
            "x": spent[-1:], "y": values[-1:], "hoverinfo": "skip",
            "customdata": [info.gains[-1].trial.number],
            "marker": style.star(15),
        },
    ]  # fmt: skip
    title = _("Time since the first start ({unit})", unit=unit)
    if info.by_trials:
        title = _("Time of all trials together ({unit})", unit=unit)
    frame = style.layout(
        KIND,
        xaxis=style.axis(title, range=[0.0, end * 1.02 or 1.0]),
        yaxis=style.axis(
            _("Best value"), type="log" if info.log else "linear",
            range=list(scale.axis_range(*info.view, log=info.log)),
        ),
    )  # fmt: skip
    frame["meta"] = {
        "kind": KIND,
        "x": "trials" if info.by_trials else "wall",
        "log_possible": info.log_possible,
        "note": _note(info),
        "selects": {"y": brush.field("value")},
    }
    return {"data": traces, "layout": frame}


def _hover(gain: Gain) -> str:
    return "<br>".join(
        [
            f"<b>#{gain.trial.number}</b> · {style.number_text(gain.value, 7)}",
            style.in_words(gain.spent_s),
        ]
    )


def _note(info: CostInfo) -> str:
    last = info.gains[-1]
    share = last.spent_s / info.spent_s if info.spent_s > 0 else 1.0
    parts = [
        _(
            "The best value came after {time}, {share} of what was spent ({all}).",
            time=style.in_words(last.spent_s),
            share=style.percent(share),
            all=style.in_words(info.spent_s),
        )
    ]
    if info.by_trials and info.failed_s > 0:
        parts.append(
            _(
                "{time} of it went into trials that ended without a value.",
                time=style.in_words(info.failed_s),
            )
        )
    if info.paused_s:
        parts.append(
            _("Not counted: {time} in which no trial ran.", time=style.in_words(info.paused_s))
        )
    return together(parts)


def table(info: CostInfo) -> Table:
    spent = (
        _("Time of all trials together (s)") if info.by_trials else _("Since the first start (s)")
    )
    rows = [(g.trial.number, g.value, round(g.spent_s, 3)) for g in info.gains]
    return Table((_("Trial"), _("Best value"), spent), rows)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
