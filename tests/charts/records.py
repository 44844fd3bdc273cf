"""Records for the charts' tests: plain trials and curves, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from experiments.charts.base import Record, ReportedCurve, TrialRecord

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = {"lr": {"_type": "loguniform", "_value": [0.0001, 1.0]}}


def trial(number: int, value: float | None = None, state: str = "SUCCEEDED", **more: Any) -> Any:
    start = START + timedelta(seconds=10 * number)
    given: dict[str, Any] = {
        "parameters": {"lr": 0.01},
        "created_at": start,
        "started_at": start + timedelta(seconds=1),
        "finished_at": None if state in ("RUNNING", "WAITING") else start + timedelta(seconds=5),
    }
    return TrialRecord(number, state, value, **(given | more))


def curve(number: int, values: Sequence[float], **more: Any) -> ReportedCurve:
    n = len(values)
    given = {
        "sequence": np.arange(n, dtype=float),
        "step": np.full(n, np.nan),
        "time": np.empty(0),
    }
    return ReportedCurve(trial=number, value=np.array(values, dtype=float), **(given | more))


def record(
    trials: Sequence[TrialRecord],
    curves: Sequence[ReportedCurve] = (),
    mode: str = "maximize",
    space: Mapping[str, Any] = SPACE,
    **more: Any,
) -> Record:
    now = START + timedelta(hours=1)
    return Record(mode, space, tuple(trials), now, tuple(curves), **more)
