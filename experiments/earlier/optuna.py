"""A study of Optuna 3, 4 or 5, whatever it is stored in, as trials of ours.

``optuna_sql`` and ``optuna_journal`` read storages into ``RawStudy``; here distributions become a
search space, conditional parameters branches, pruned trials early stopped ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from experiments.convert.optuna import entry_of
from experiments.earlier import reasons
from experiments.earlier.space import Tree, inferred
from experiments.earlier.study import (
    DEFAULT,
    PastReport,
    PastStudy,
    PastTrial,
    Wanted,
    check_size,
    refused,
)
from experiments.problems import Problem
from experiments.states import TrialState

MINIMIZE, MAXIMIZE = "MINIMIZE", "MAXIMIZE"
_OLD = {"LogUniformDistribution": {"log": True}, "IntLogUniformDistribution": {"log": True}}
_STATES = {
    "COMPLETE": TrialState.SUCCEEDED,
    "PRUNED": TrialState.EARLY_STOPPED,
    "FAIL": TrialState.FAILED,
    "RUNNING": TrialState.CANCELED,
}
MOST_NOTES = 20_000  # characters of user attributes that are kept


@dataclass
class RawTrial:
    """One trial as a storage has it; WAITING ones are enqueued configurations."""

    number: int
    state: str
    values: list[float] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    params: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate: dict[int, float] = field(default_factory=dict)


@dataclass
class RawStudy:
    name: str
    directions: list[str]
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    trials: list[RawTrial] = field(default_factory=list)


def chosen_names(names: Sequence[str], wanted: Wanted) -> list[str]:
    """The studies of a storage that are to be imported. Raises ProblemsError."""
    if not names:
        raise refused("The Optuna storage holds no study.")
    if wanted.studies:
        unknown = [name for name in wanted.studies if name not in names]
        if unknown:
            listed = ", ".join(names[:20])
            raise refused(f"There is no study '{unknown[0]}' in it. There are: {listed}.")
        return list(wanted.studies)
    if len(names) > 1 and not wanted.all_studies:
        listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise refused(
            f"The storage holds {len(names)} studies: {listed}.",
            "Choose one by its name (--study NAME), or take all (--all).",
        )
    return list(names)


def past_study(raw: RawStudy, whence: str, wanted: Wanted) -> PastStudy:
    """Raises ProblemsError where the study cannot be one experiment."""
    check_size(len(raw.trials), sum(len(t.intermediate) for t in raw.trials))
    left: list[Problem] = []
    which = _objective(raw, wanted, left)
    entries = _entries(raw.trials, left)
    outer = {id(t): {n: external(v, d) for n, (v, d) in t.params.items()} for t in raw.trials}
    tree = Tree(entries, [outer[id(t)] for t in _telling(raw.trials, set(entries))])
    for name in tree.loose:
        n = sum(name in t.params for t in raw.trials)
        left.append(
            Problem(name, f"is in {n} of {len(raw.trials)} trials, and no choice says in which: "
                    "it stands beside the others, and trials without it lie outside the space.")
        )  # fmt: skip
    trials = tuple(
        _trial(t, tree.nested(outer[id(t)]), which) for t in raw.trials if t.state in _STATES
    )
    _tell(raw, left)
    direction = raw.directions[which]
    return PastStudy(
        product="Optuna",
        whence=whence,
        name=raw.name,
        optimize_mode="maximize" if direction == MAXIMIZE else "minimize",
        space=tree.space(),
        trials=trials,
        left=tuple(left),
    )


def _objective(raw: RawStudy, wanted: Wanted, left: list[Problem]) -> int:
    """Which of the objectives decides."""
    n = len(raw.directions)
    if n < 2:
        return 0
    names = raw.system_attrs.get("study:metric_names")
    named = [str(name) for name in names] if isinstance(names, list) and len(names) == n else []
    if wanted.objective in named:
        which = named.index(wanted.objective)
    elif wanted.objective.isdigit() and int(wanted.objective) < n:
        which = int(wanted.objective)
    else:
        also = f" ({', '.join(named)})" if named else ""
        raise refused(
            f"The study '{raw.name}' has {n} objectives{also}; an experiment here has one.",
            "Choose the one that decides: --objective NUMBER, from 0.",
        )
    left.append(
        Problem("", f"Of {n} objectives number {which} decides; the others are kept as metrics.")
    )
    return which


def external(value: float, distribution: Mapping[str, Any]) -> Any:
    """A parameter's value as the objective saw it, of what a storage keeps."""
    attributes = distribution.get("attributes") or {}
    kind = str(distribution.get("name", ""))
    if kind == "CategoricalDistribution":
        choices = attributes.get("choices") or []
        place = int(value)
        if not 0 <= place < len(choices):
            raise refused(f"A parameter has value number {place} of {len(choices)} choices.")
        return choices[place]
    return int(value) if "Int" in kind else float(value)


def _entries(trials: Sequence[RawTrial], left: list[Problem]) -> dict[str, dict[str, Any]]:
    """Each parameter's entry; a range that changed while the study ran becomes the widest."""
    kinds: dict[str, str] = {}
    merged: dict[str, dict[str, Any]] = {}
    seen: dict[str, list[Any]] = {}
    changed: set[str] = set()
    for trial in trials:
        for name, (value, distribution) in trial.params.items():
            kind = str(distribution.get("name", ""))
            given = {**_OLD.get(kind, {}), **(distribution.get("attributes") or {})}
            seen.setdefault(name, []).append(external(value, distribution))
            if name not in merged:
                kinds[name], merged[name] = kind, dict(given)
            elif given != merged[name] and "low" in given and "low" in merged[name]:
                changed.add(name)
                merged[name]["low"] = min(merged[name]["low"], given["low"])
                merged[name]["high"] = max(merged[name]["high"], given["high"])
    for name in sorted(changed):
        left.append(Problem(name, "changed its range while the study ran: it has the widest here."))
    found = {}
    for name, given in merged.items():
        entry = entry_of(kinds[name], given)
        if entry is None:
            entry = inferred(seen[name])
            kind = kinds[name]
            words = f"'{kind}' with these attributes is not known here: it is read from the values."
            left.append(Problem(name, words))
        found[name] = entry
    return found


def _telling(trials: Sequence[RawTrial], names: set[str]) -> list[RawTrial]:
    """The trials that say what depends on what: as whole ones as have all parameters together."""
    for states in (("COMPLETE",), ("COMPLETE", "PRUNED"), tuple(_STATES)):
        found = [t for t in trials if t.state in states and t.params]
        if names <= {name for trial in found for name in trial.params}:
            return found
    return [t for t in trials if t.params]


def _trial(raw: RawTrial, parameters: dict[str, Any], which: int) -> PastTrial:
    state, reason = _STATES[raw.state], ""
    values = raw.values or []
    metrics = {f"objective {i}": v for i, v in enumerate(values) if i != which}
    value = values[which] if which < len(values) else None
    curve = sorted(raw.intermediate.items())
    if state == TrialState.SUCCEEDED and value is not None:
        metrics = {DEFAULT: value, **metrics}
        if not math.isfinite(value):
            state, reason = TrialState.FAILED, reasons.not_finite(json.dumps(value))
            value = None
    elif state == TrialState.EARLY_STOPPED:
        reason = reasons.PRUNED
        last = [v for _, v in curve if math.isfinite(v)][-1:]
        value = last[0] if last else value if value is not None and math.isfinite(value) else None
    else:
        value = None
        reason = reasons.UNFINISHED if raw.state == "RUNNING" else reasons.FAILED
    violated = _violated(raw)
    return PastTrial(
        number=raw.number,
        parameters=parameters,
        state=state,
        value=value,
        metrics=metrics,
        reports=tuple(
            PastReport(sequence=i, step=float(step), value=v) for i, (step, v) in enumerate(curve)
        ),
        started_at=raw.started_at,
        finished_at=raw.finished_at,
        reason=reason,
        notes=_notes(raw.user_attrs),
        excluded=reasons.violates(violated) if violated else "",
    )


def _violated(raw: RawTrial) -> int:
    constraints = raw.system_attrs.get("constraints")
    if not isinstance(constraints, list | tuple):
        return 0
    return sum(isinstance(c, int | float) and c > 0 for c in constraints)


def _notes(attributes: Mapping[str, Any]) -> str:
    """User attributes as a list of Markdown."""
    lines = [f"- {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in attributes.items()]
    return "\n".join(lines)[:MOST_NOTES]


def _tell(raw: RawStudy, left: list[Problem]) -> None:
    waiting = sum(t.state == "WAITING" for t in raw.trials)
    if waiting:
        left.append(Problem("", f"{waiting} enqueued trials that never started are left out."))
    running = sum(t.state == "RUNNING" for t in raw.trials)
    if running:
        left.append(Problem("", f"{running} trials had not ended: they are CANCELED here."))
    violating = sum(bool(_violated(t)) for t in raw.trials)
    if violating:
        words = f"{violating} trials violate the study's constraints: they are excluded here."
        left.append(Problem("", words, "Include one again on its page."))
