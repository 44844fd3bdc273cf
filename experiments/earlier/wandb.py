"""The runs of a W&B sweep as the pages of W&B export them: one CSV, settings and metrics mixed.

Which columns are parameters says the ``sweep.yaml`` beside it, or the person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from experiments.earlier import reasons
from experiments.earlier.beside import Beside
from experiments.earlier.space import read_from_values
from experiments.earlier.study import DEFAULT, PastStudy, PastTrial, Wanted, mode_of, refused
from experiments.earlier.values import loosely, moment, number, table
from experiments.problems import Problem
from experiments.states import TrialState

_OWN = frozenset(
    {"Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "ID", "Agent",
     "Description", "Commit", "GitHub", "GPU Count", "GPU Type", "Hostname", "Host", "OS",
     "Command", "End Time", "Python version", "Relative Time (Process)", "Group", "Job Type",
     "Updated", "Start Time", "Duration"}
)  # fmt: skip
_STATES = {
    "finished": (TrialState.SUCCEEDED, ""),
    "failed": (TrialState.FAILED, reasons.FAILED),
    "crashed": (TrialState.FAILED, reasons.FAILED),
    "killed": (TrialState.CANCELED, reasons.CANCELED),
    "preempted": (TrialState.CANCELED, reasons.CANCELED),
}


def is_table(names: Sequence[str]) -> bool:
    return {"Name", "State"} <= set(names)


def is_chart(names: Sequence[str]) -> bool:
    """A chart's curves: steps or times, then "RUN - METRIC" of each run."""
    return len(names) > 1 and all(" - " in name for name in names[1:])


def read_table(text: str, whence: str, name: str, wanted: Wanted, found: Beside) -> PastStudy:
    """Raises ProblemsError where nobody says what is what."""
    names, rows = table(text, twice=True)  # what is logged under a setting's name is there twice
    others = [n for n in names if n not in _OWN and not n.startswith("_")]
    parameters = list(wanted.parameters) or [n for n in found.space or {} if n in names]
    unknown = [n for n in parameters if n not in names]
    if unknown:
        missing, there = unknown[0], _some(others)
        raise refused(f"The table has no column '{missing}'. There are: {there}.")
    if not parameters:
        raise refused(f"W&B's table does not say which of these are parameters: {_some(others)}.",
                      "Give the sweep.yaml beside it, or --parameters NAME,NAME.")  # fmt: skip
    objective = wanted.objective or found.objective
    results = [n for n in others if n not in parameters]
    if objective not in results:
        there, hint = _some(results), "Say --objective NAME, or give the sweep.yaml beside it."
        if objective:
            raise refused(f"The table has no column '{objective}'. There are: {there}.", hint)
        raise refused(f"Nothing says what decides. There are: {there}.", hint)
    left = list(found.left)
    configured = None if wanted.parameters else found.space
    fixed, space = _hidden(configured, names, left)
    trials = [_trial(i, row, parameters, results, objective, found.space or {}, fixed)
              for i, row in enumerate(reversed(rows))]  # fmt: skip
    if space is None:
        space = read_from_values(trials, left, "Give the sweep.yaml beside it.")
    left.append(Problem("", "W&B's table has no curves: each trial has its last values alone."))
    return PastStudy(
        product="W&B",
        whence=whence,
        name=name,
        optimize_mode=wanted.mode or found.mode or mode_of(wanted, left),
        space=space,
        trials=tuple(trials),
        left=tuple(left),
        manifest=None if wanted.parameters else found.manifest,
    )


def _hidden(
    space: Mapping[str, Any] | None, names: Sequence[str], left: list[Problem]
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """What the sweep fixes and the table does not show; the space without what is unknown of it."""
    hidden = {n: e for n, e in (space or {}).items() if n not in names}
    fixed = {
        name: entry["_value"][0]
        for name, entry in hidden.items()
        if entry["_type"] == "choice" and len(entry["_value"]) == 1
    }
    unknown = [name for name in hidden if name not in fixed]
    if space is None or not unknown:
        return fixed, space
    left.append(
        Problem("", f"The table has no column of these parameters: {_some(unknown)}.",
                "Show them in W&B's table, and export it again.")
    )  # fmt: skip
    return fixed, {n: e for n, e in space.items() if n not in unknown}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (", …" if len(names) > 30 else "")


def _trial(
    place: int, row: Mapping[str, str], parameters: Sequence[str], results: Sequence[str],
    objective: str, space: Mapping[str, Any], fixed: Mapping[str, Any],
) -> PastTrial:  # fmt: skip
    state, reason = _STATES.get(
        row.get("State", "").strip().lower(), (TrialState.CANCELED, reasons.UNFINISHED)
    )
    metrics = {}
    for name in results:
        value = number(row.get(name))
        if value is not None:
            metrics[DEFAULT if name == objective else name[:200]] = value
    value = metrics.get(DEFAULT)
    if state == TrialState.SUCCEEDED and value is None:
        state, reason = TrialState.FAILED, reasons.NO_RESULT
    elif state == TrialState.SUCCEEDED and value is not None and not math.isfinite(value):
        state, reason = TrialState.FAILED, reasons.not_finite(f"{value}")
    started = moment(row.get("Created"))
    runtime = number(row.get("Runtime"))
    ended = None
    if started is not None and runtime is not None and 0 <= runtime < 1e9:
        ended = started + timedelta(seconds=runtime)
    return PastTrial(
        number=place,
        parameters={
            **{n: _value(row[n], space.get(n)) for n in parameters if n in row},
            **fixed,
        },
        state=state,
        value=value if state == TrialState.SUCCEEDED else None,
        metrics=metrics,
        started_at=started,
        finished_at=ended,
        reason=reason,
        notes=f"W&B: {row['Name']}" if row.get("Name") else "",
    )


def _value(cell: str, entry: Any) -> Any:
    found = loosely(cell)
    if isinstance(entry, Mapping) and entry.get("_type") == "choice":
        return next((m for m in entry["_value"] if m in (found, cell)), found)
    return found
