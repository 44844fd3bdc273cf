"""Exports of AutoTune Web: JSON, the same as YAML, and CSV, without curves and a space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.algorithms.space.flat import nested
from experiments.algorithms.space.parameters import Parameter
from experiments.algorithms.space.search_space import SearchSpace
from experiments.earlier import reasons
from experiments.earlier.beside import Beside
from experiments.earlier.space import read_from_values, unflattened
from experiments.earlier.study import (
    PastReport,
    PastStudy,
    PastTrial,
    Wanted,
    check_size,
    mode_of,
    refused,
)
from experiments.earlier.values import loosely, moment, number, table
from experiments.manifest.spec import parse_manifest
from experiments.problems import Problem, ProblemsError
from experiments.states import FINISHED, TrialState

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def is_export(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("trials"), list)
        and isinstance(data.get("experiment"), Mapping)
        and isinstance(data["experiment"].get("manifest"), Mapping)
    )


def is_export_table(names: Sequence[str]) -> bool:
    return {"number", "id", "state", "value"} <= set(names)


def read_export(data: Mapping[str, Any], whence: str, wanted: Wanted) -> PastStudy:
    """Raises ProblemsError."""
    head = data["experiment"]
    check_size(len(data["trials"]))
    try:
        spec = parse_manifest(head["manifest"]).spec
    except ProblemsError as error:
        first = error.problems[0]
        words = f"The manifest in the export is not taken here: {first.path}: {first.message}"
        raise refused(words) from None
    trials = [_trial(row) for row in data["trials"]]
    check_size(0, sum(len(trial.reports) for trial in trials))
    return PastStudy(
        product="AutoTune Web",
        whence=whence,
        name=str(head.get("name") or spec.name),
        optimize_mode=spec.optimize_mode,
        space=spec.space.as_json(),
        trials=tuple(trials),
        manifest=head["manifest"],
    )


def _trial(row: Any) -> PastTrial:
    try:
        state = TrialState(row["state"])
        reports = tuple(
            PastReport(
                sequence=int(each["sequence"]),
                value=float(each["value"]),
                name=str(each["name"])[:200],
                step=None if each.get("step") is None else float(each["step"]),
                time=moment(each.get("time")),
            )
            for each in row.get("intermediate", ())
        )
        is_over = state in FINISHED
        value = number(row.get("value"))
        return PastTrial(
            number=int(row["number"]),
            parameters=dict(row["parameters"]),
            state=state if is_over else TrialState.CANCELED,
            value=value if is_over else None,
            metrics={str(n)[:200]: float(v) for n, v in row.get("metrics", {}).items()},
            reports=reports,
            started_at=moment(row.get("started_at")),
            finished_at=moment(row.get("finished_at")),
            reason=str(row.get("reason", "")) if is_over else reasons.UNFINISHED,
            excluded=str(row.get("excluded_reason") or "–") if row.get("excluded") else "",
            origin=str(row.get("origin", ""))[:20],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise refused(f"A trial of the export cannot be read: {error!r}.") from None


def read_export_table(
    text: str, whence: str, name: str, wanted: Wanted, found: Beside
) -> PastStudy:
    """Raises ProblemsError."""
    _, rows = table(text)
    left: list[Problem] = []
    space = found.space
    parameters = None if space is None else SearchSpace.parse(space).parameters
    trials = [_trial(_row(row, parameters)) for row in rows]
    if space is None:
        space = read_from_values(trials, left, "The JSON export has it, and the curves, too.")
    return PastStudy(
        product="AutoTune Web",
        whence=whence,
        name=name,
        optimize_mode=wanted.mode or found.mode or mode_of(wanted, left),
        space=space,
        trials=tuple(trials),
        left=tuple(left),
        manifest=found.manifest,
    )


def _row(row: Mapping[str, str], space: Mapping[str, Parameter] | None) -> dict[str, Any]:
    """A line of the table as the JSON export has the trial."""
    below: dict[str, dict[str, Any]] = {"param": {}, "metric": {}}
    for column, cell in row.items():
        kind, _, name = column.partition(":")
        if name and kind in below:
            below[kind][name] = _cell(cell)
    return {
        "number": loosely(row.get("number")),
        "state": row.get("state", ""),
        "origin": row.get("origin", ""),
        "reason": _plain(row.get("reason", "")),
        "parameters": unflattened(below["param"])
        if space is None
        else nested(space, below["param"]),
        "value": row.get("value"),
        "metrics": below["metric"],
        "started_at": row.get("started_at"),
        "finished_at": row.get("finished_at"),
        "excluded": row.get("excluded") == "true",
        "excluded_reason": _plain(row.get("excluded_reason", "")),
    }


def _cell(cell: str) -> Any:
    text = _plain(cell)
    return text if text != cell else loosely(cell)


def _plain(cell: str) -> str:
    """A text as it was before it was kept from being a formula."""
    is_kept = cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS)
    return cell[1:] if is_kept else cell
