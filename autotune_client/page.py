"""An experiment as a piece of a notebook: best, progress, history, curves. One string, offline.

Everything that came from a manifest or a program is escaped; there is no script in it. Colours are
those of the notebook, light or dark.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotune_client.client import Experiment, ExperimentInfo, TrialInfo

__all__ = ["of_experiment"]

WIDTH, HEIGHT, LEFT, BOTTOM = 420.0, 170.0, 54.0, 22.0
MOST_CURVES = 8
SHADES = ("#3b6fd4", "#c2571a", "#2a8f5c", "#8a4fbf", "#b8902a", "#258fa3", "#b8437c", "#6b7280")
RUNNING = ("RUNNING", "WAITING")

Points = Sequence[tuple[float, float]]


def of_experiment(experiment: Experiment) -> str:
    """The experiment as it stands now."""
    info = experiment.refresh()
    trials = list(experiment.trials())
    curves = _curves(experiment, info, trials)
    parts = [_head(info, experiment.url), _best(info), _history(info, trials), _curve_plot(curves)]
    return f'<div style="font-family:sans-serif;font-size:13px">{"".join(parts)}</div>'


def _head(info: ExperimentInfo, url: str) -> str:
    share = min(1.0, info.n_finished / info.max_trials) if info.max_trials else 0.0
    of = "" if info.max_trials is None else f" of {info.max_trials}"
    done = f"{info.n_finished}{of} trials"
    bar = (
        '<div style="background:#8884;border-radius:4px;height:6px;max-width:420px;margin:6px 0" '
        f'role="img" aria-label="{escape(done)}">'
        f'<div style="background:{SHADES[0]};border-radius:4px;height:6px;width:{share:.0%}">'
        "</div></div>"
    )
    phase = "suspended" if info.suspended and not info.is_ended else info.phase
    style = 'target="_blank" rel="noopener" style="color:inherit"'
    link = f'<a href="{escape(url)}" {style}>{escape(info.name)}</a>'
    counts = ", ".join(f"{n} {escape(s.lower())}" for s, n in sorted(info.counts.items()) if n)
    note = f"<div>{escape(info.message)}</div>" if info.message else ""
    return f"<div><strong>{link}</strong> · {escape(phase)} · {done} ({counts})</div>{bar}{note}"


def _best(info: ExperimentInfo) -> str:
    if info.best is None:
        return "<div>No trial has succeeded yet.</div>"
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td>'
        f'<td style="text-align:right;font-family:monospace">{escape(_shown(value))}</td></tr>'
        for name, value in info.best.parameters.items()
    )
    words = "lowest" if info.optimize_mode == "minimize" else "highest"
    value = f"Best ({words}): <strong>{_number(info.best.value)}</strong>"
    table = f'<table style="font-size:inherit">{rows}</table>'
    return f"<div>{value}, trial {info.best.number}</div>{table}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


# ---------------------------------------------------------------- pictures


def _history(info: ExperimentInfo, trials: Sequence[TrialInfo]) -> str:
    """Each result by its trial's number, and the best so far as a line."""
    found = [
        (float(t.number), t.value)
        for t in trials
        if t.value is not None and t.state in ("SUCCEEDED", "EARLY_STOPPED")
    ]
    if len(found) < 2:
        return ""
    better = min if info.optimize_mode == "minimize" else max
    best: list[tuple[float, float]] = []
    for number, value in found:
        best.append((number, value if not best else better(best[-1][1], value)))
    frame = _Frame(found)
    dots = "".join(
        f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="{SHADES[0]}" '
        f'fill-opacity="0.8"><title>trial {x:.0f}: {y:.6g}</title></circle>'
        for x, y in found
    )
    return frame.drawn("Results by trial; the line is the best so far", dots + frame.line(best, 1))


def _curves(
    experiment: Experiment, info: ExperimentInfo, trials: Sequence[TrialInfo]
) -> list[tuple[int, Points]]:
    """Reports of the trials that run, and of the best ones."""
    reporting = [t for t in trials if t.n_reports > 1]
    sign = 1.0 if info.optimize_mode == "minimize" else -1.0

    def order(trial: TrialInfo) -> tuple[bool, float]:
        value = trial.value if trial.value is not None else trial.latest_value
        return trial.state not in RUNNING, math.inf if value is None else sign * value

    chosen = sorted(reporting, key=order)[:MOST_CURVES]
    found: list[tuple[int, Points]] = []
    for trial in sorted(chosen, key=lambda t: t.number):
        points = experiment.metrics(trial.number, kind="PERIODICAL", name="default")
        kept = [
            (float(p.sequence if p.step is None else p.step), p.value)
            for p in points
            if math.isfinite(p.value)
        ]
        if len(kept) > 1:
            found.append((trial.number, kept[:: max(1, len(kept) // 200)]))
    return found


def _curve_plot(curves: Sequence[tuple[int, Points]]) -> str:
    if not curves:
        return ""
    frame = _Frame([point for _, points in curves for point in points])
    lines = [frame.line(points, i, f"trial {n}") for i, (n, points) in enumerate(curves)]
    keys = " ".join(
        f'<span style="color:{SHADES[i % len(SHADES)]}">■</span> {number}'
        for i, (number, _) in enumerate(curves)
    )
    return frame.drawn("Reports by step, of trials", "".join(lines)) + f"<div>{keys}</div>"


class _Frame:
    """Where numbers lie in a picture."""

    def __init__(self, points: Points) -> None:
        self._x = _range([x for x, _ in points])
        self._y = _range([y for _, y in points])

    def x(self, value: float) -> float:
        low, high = self._x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 8)

    def y(self, value: float) -> float:
        low, high = self._y
        return 6 + (high - value) / (high - low) * (HEIGHT - BOTTOM - 12)

    def line(self, points: Points, shade: int, title: str = "") -> str:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        named = f"<title>{escape(title)}</title>" if title else ""
        return (
            f'<polyline points="{path}" fill="none" stroke="{SHADES[shade % len(SHADES)]}" '
            f'stroke-width="1.6">{named}</polyline>'
        )

    def drawn(self, title: str, inside: str) -> str:
        """The picture with its axes and what they go from and to."""
        bottom = HEIGHT - BOTTOM
        axes = (
            f'<path d="M{LEFT} 2V{bottom}H{WIDTH - 4}" fill="none" stroke="currentColor" '
            'stroke-opacity="0.4"/>'
        )
        style = 'font-size="10" fill="currentColor"'
        words = (
            f'<text x="{LEFT - 4}" y="12" text-anchor="end" {style}>{self._y[1]:.4g}</text>'
            f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end" {style}>{self._y[0]:.4g}</text>'
            f'<text x="{LEFT}" y="{HEIGHT - 6}" {style}>{self._x[0]:.4g}</text>'
            f'<text x="{WIDTH - 4}" y="{HEIGHT - 6}" text-anchor="end" {style}>'
            f"{self._x[1]:.4g}</text>"
        )
        return (
            f'<div style="margin-top:8px">{escape(title)}</div>'
            f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" role="img" '
            f'aria-label="{escape(title)}" style="max-width:100%">{axes}{words}{inside}</svg>'
        )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low > 0:
        return low, high
    return low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
