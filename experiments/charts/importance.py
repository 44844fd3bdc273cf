"""Importance: which parameters matter, how sure that is, and which way each one pulls.

A bar a parameter with its bootstrap interval, and beside it the trend: how good trials are from its
low end to its high end. What is no more than chance gives is drawn pale and hatched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import looks
from experiments.charts import axes, ped_anova, style
from experiments.charts.base import STOPS, Cell, Chart, Figure, Options, Record, Table
from experiments.charts.comparable import Comparable, comparable
from experiments.charts.ped_anova import LEAST, Score
from experiments.charts.promising import Promising, promising, said
from experiments.charts.words import gettext as _
from experiments.charts.words import together

KIND = "importance"
MOST_BARS = 25
ROW = 26  # pixels
SPARK = 0.4  # half the height of a trend, in rows
LEAST_SPREAD = 0.1  # mean ranks nearer to the middle than this look near it
LABEL_LENGTH = 26
STEPS = (1, 2, 5, 10, 25, 50)  # per cent between two ticks
MOST_SHARES = 6


@dataclass(frozen=True, eq=False)
class ImportanceInfo:
    trials: Comparable
    scores: tuple[Score, ...]  # the most important first, then those with too few trials
    n_best: int  # trials that count as best; 0 where nothing can be said
    n_more: int = 0  # parameters beyond those drawn
    share_more: float = 0.0  # theirs together
    promising: tuple[Promising, ...] = ()

    @property
    def why_nothing(self) -> str:
        """Why no importance can be told, as a sentence; empty where it can."""
        n = self.trials.values.size
        if n == 0:
            return self.trials.nothing
        if n < LEAST:
            return _(
                "Too few trials: {n} with a value, and it takes {least}.",
                n=n,
                least=LEAST,
            )
        if not self.scores:
            return _("The search space has no parameter that varies.")
        if not self.n_best:
            return _("Too many trials share one value to tell which parameters matter.")
        return ""


def info(record: Record, options: Options) -> ImportanceInfo:
    del options  # it has none
    trials = comparable(record)
    if trials.values.size < LEAST:
        return ImportanceInfo(trials, (), 0)
    found = axes.axes(record.space, trials.parameters)
    varying = [axis for axis in found if not axis.is_constant]
    best = ped_anova.best_of(trials.losses)
    scored = ped_anova.scores(varying, trials.losses)
    # sorting is stable: equal ones stay in the space's order
    scored.sort(key=lambda s: (not s.is_scored, -s.share))
    more = scored[MOST_BARS:]
    return ImportanceInfo(
        trials=trials,
        scores=tuple(scored[:MOST_BARS]),
        n_best=0 if best is None else int(best.sum()),
        n_more=len(more),
        share_more=sum(s.share for s in more),
        promising=promising(scored, trials.losses),
    )


def figure(info: ImportanceInfo) -> Figure:
    if info.why_nothing:
        left_out = info.trials.left_out if info.trials.values.size else ""
        return style.empty(KIND, f"{info.why_nothing} {left_out}".strip())
    rows = {-place: score for place, score in enumerate(info.scores)}
    traces = [
        trace
        for trace in (
            _bars(rows, is_beyond_chance=True),
            _bars(rows, is_beyond_chance=False),
            _labels(rows),
            *_trends(rows),
        )
        if trace["x"]
    ]
    widest = max((s.high for s in info.scores), default=0.0)
    view = min(max(widest * 132, 1.0) + 6, 140)
    frame = style.layout(
        KIND,
        xaxis=style.axis(
            _("Share of the effect (%)"),
            domain=[0.0, 0.74], range=[0, view], tickvals=shares(view),
        ),
        xaxis2={
            "domain": [0.77, 1.0], "range": [-0.06, 1.06], "fixedrange": True, "showgrid": False,
            "zeroline": False, "tickvals": [0, 1], "ticktext": [_("low"), _("high")],
            "title": {"text": _("up is better"), "standoff": 8},
        },
        yaxis={
            "range": [0.4 - len(rows), 0.6], "fixedrange": True, "automargin": True,
            "showgrid": False, "zeroline": False,
            "tickvals": list(rows), "ticktext": [_name(s) for s in info.scores],
        },
        bargap=0.35,
        barmode="overlay",
        hovermode="closest",
    )  # fmt: skip
    frame["meta"] = {
        "kind": KIND,
        "method": "PED-ANOVA",
        "n_trials": int(info.trials.values.size),
        "n_best": info.n_best,
        "note": note(info),
        "height": 110 + ROW * len(rows),
    }
    return {"data": traces, "layout": frame}


def shares(view: float) -> list[int]:
    """The ticks: none beyond 100 %, and the last stands clear of the trends beside it."""
    step = next(step for step in STEPS if view / step <= MOST_SHARES)
    return list(range(0, int(min(view * 0.88, 100)) + 1, step))


def note(info: ImportanceInfo) -> str:
    """What to try next, the method, what it was given and what was left out, in words."""
    parts = [
        said(info.promising),
        _(
            "PED-ANOVA on {n} trials: how far the best {best} took other values than all. "
            "Lines: {confidence} % of {draws} bootstrap draws. Hatched: no more than chance gives.",
            n=info.trials.values.size,
            best=info.n_best,
            confidence=round(100 * ped_anova.CONFIDENCE),
            draws=ped_anova.N_DRAWS,
        ),
    ]
    if any(s.n < info.trials.values.size for s in info.scores):
        parts.append(_("Nested parameters are scored among the trials that have them."))
    if info.n_more:
        parts.append(
            _(
                "{n} more parameters have {share} % together.",
                n=info.n_more,
                share=round(100 * info.share_more),
            )
        )
    if info.trials.left_out:
        parts.append(info.trials.left_out)
    return together(parts)


def _name(score: Score) -> str:
    label = score.axis.label
    return style.plain_text(
        label if len(label) <= LABEL_LENGTH else "…" + label[1 - LABEL_LENGTH :]
    )


def _bars(rows: dict[int, Score], *, is_beyond_chance: bool) -> dict[str, Any]:
    mine = {
        row: score
        for row, score in rows.items()
        if score.is_scored and score.is_beyond_chance == is_beyond_chance
    }
    marker: dict[str, Any] = {"color": looks.BLUE if is_beyond_chance else looks.PALE}
    if not is_beyond_chance:
        marker["pattern"] = {"shape": "/", "size": 6, "solidity": 0.3}
    return {
        "type": "bar", "orientation": "h",
        "uid": "beyond-chance" if is_beyond_chance else "within-chance",
        "name": _("Beyond chance") if is_beyond_chance else _("No more than chance"),
        "y": list(mine), "x": [round(100 * s.share, 2) for s in mine.values()],
        "marker": marker,
        "error_x": {
            "type": "data", "symmetric": False, "color": looks.GREY, "thickness": 1.5, "width": 4,
            "array": [round(100 * (s.high - s.share), 2) for s in mine.values()],
            "arrayminus": [round(100 * (s.share - s.low), 2) for s in mine.values()],
        },
        "hovertext": [_hover(s) for s in mine.values()],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip


def _hover(score: Score) -> str:
    lines = [
        f"<b>{style.plain_text(score.axis.label)}</b> · {style.percent(score.share)}",
        _("between {low} and {high}", low=style.percent(score.low), high=style.percent(score.high)),
        _("{n} trials", n=score.n),
    ]
    if score.axis.kind != "choice":
        lines.append(_pull(score.direction))
    return "<br>".join(lines)


def _pull(direction: float) -> str:
    if abs(direction) < 0.1:
        return _("no single direction (ρ = {rho})", rho=format(direction, ".2f"))
    if direction > 0:
        return _("higher is better (ρ = {rho})", rho=format(direction, ".2f"))
    return _("lower is better (ρ = {rho})", rho=format(direction, ".2f"))


def _labels(rows: dict[int, Score]) -> dict[str, Any]:
    """The share after each bar, or why there is none."""
    texts = [
        style.percent(s.share)
        if s.is_scored
        else _("too few trials ({n})", n=s.n)
        if s.n < LEAST
        else _("too many equal values")
        for s in rows.values()
    ]
    return {
        "type": "scatter", "mode": "text", "uid": "shares", "showlegend": False,
        "x": [round(100 * s.high, 2) for s in rows.values()], "y": list(rows),
        "text": ["\u2002" + text for text in texts], "textposition": "middle right",
        "cliponaxis": False, "hoverinfo": "skip",
    }  # fmt: skip


def _trends(rows: dict[int, Score]) -> list[dict[str, Any]]:
    """Each row's trend: a line along numbers, dots over choices, and the middle as a thin line.

    All on one scale, that of the strongest: a flat line is a parameter without effect.
    """
    drawn = {row: s for row, s in rows.items() if s.trend is not None and len(s.trend.places) > 1}
    widest = max(
        (abs(g - 0.5) for s in drawn.values() if s.trend for g in s.trend.goodness), default=0.0
    )
    middle: dict[str, list[Any]] = {"x": [], "y": []}
    lines: dict[str, list[Any]] = {"x": [], "y": []}
    dots: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
    for row, score in drawn.items():
        assert score.trend is not None
        places = np.array(score.trend.places)
        xs = (places - places[0]) / (places[-1] - places[0])
        ys = row + SPARK * (np.array(score.trend.goodness) - 0.5) / max(widest, LEAST_SPREAD)
        middle["x"] += [0.0, 1.0, None]
        middle["y"] += [float(row), float(row), None]
        target = dots if score.axis.kind == "choice" else lines
        target["x"] += [*(round(float(x), 3) for x in xs), None]
        target["y"] += [*(round(float(y), 3) for y in ys), None]
        if target is dots:
            dots["text"] += [*_choices(score), ""]
    shared = {"type": "scatter", "xaxis": "x2", "showlegend": False, "hoverinfo": "skip"}
    return [
        {**shared, **middle, "mode": "lines", "uid": "middle", "opacity": 0.6,
         "line": {"width": 1, "color": looks.GREY, "dash": "dot"}},
        {**shared, **lines, "mode": "lines", "uid": "trends", "connectgaps": False,
         "line": {"width": 2, "color": style.ACCENT}},
        {**shared, **dots, "mode": "markers", "uid": "choices", "hoverinfo": "text",
         "marker": {"size": 7, "color": style.ACCENT}},
    ]  # fmt: skip


def _choices(score: Score) -> list[str]:
    """What stands behind each dot of a trend over choices."""
    assert score.trend is not None
    names = dict(score.axis.own_ticks)
    return [
        _(
            "{choice}: {n} trials, mean rank {rank} %",
            choice=names.get(place, "…"),
            n=n,
            rank=round(100 * good),
        )
        for place, good, n in zip(
            score.trend.places, score.trend.goodness, score.trend.counts, strict=True
        )
    ]


def table(info: ImportanceInfo) -> Table:
    columns = (
        _("Parameter"), _("Share of the effect (%)"), _("At least (%)"), _("At most (%)"),
        _("More than chance gives"), _("Direction (ρ, up is better)"), _("Trials"),
    )  # fmt: skip
    if info.why_nothing:
        return Table(columns)
    return Table(columns, [_row(score) for score in info.scores])


def _row(score: Score) -> tuple[Cell, ...]:
    name = score.axis.label
    if not score.is_scored:
        return (name, None, None, None, None, None, score.n)
    shares = [round(100 * part, 3) for part in (score.share, score.low, score.high)]
    is_number = score.axis.kind != "choice"
    direction = round(score.direction, 3) if is_number else None
    return (name, *shares, score.is_beyond_chance, direction, score.n)


def tabulate(record: Record, options: Options) -> Table:
    return table(info(record, options))


def draw(record: Record, options: Options) -> Figure:
    return figure(info(record, options))


CHART = Chart(KIND, draw, tabulate, redrawn_at=STOPS)
