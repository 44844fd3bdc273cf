"""A Katib Experiment with its Trials, as ``kubectl get experiment,trials -o yaml`` writes them.

Kubernetes keeps each trial's last, least and greatest value, not its curve; the rest is in Katib's
database.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.earlier import reasons
from experiments.earlier.beside import of_configuration
from experiments.earlier.space import read_from_values
from experiments.earlier.study import (
    DEFAULT,
    PastStudy,
    PastTrial,
    Wanted,
    check_size,
    mode_of,
    refused,
)
from experiments.earlier.values import loosely, moment, number
from experiments.manifest.yaml_text import dump_yaml
from experiments.problems import Problem
from experiments.states import TrialState

_GROUP = "kubeflow.org/"
_STATES = (
    ("EarlyStopped", TrialState.EARLY_STOPPED, reasons.STOPPED),
    ("MetricsUnavailable", TrialState.FAILED, reasons.NO_RESULT),
    ("Succeeded", TrialState.SUCCEEDED, ""),
    ("Failed", TrialState.FAILED, reasons.FAILED),
    ("Killed", TrialState.CANCELED, reasons.CANCELED),
)
MOST_WORDS = 2000  # of a trial's own message that are kept


def objects(documents: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The objects of Katib's in some documents, those of lists too."""
    for data in documents:
        if not isinstance(data, Mapping):
            continue
        if isinstance(data.get("items"), list) and str(data.get("kind", "")).endswith("List"):
            yield from objects(data["items"])
        elif str(data.get("apiVersion", "")).startswith(_GROUP):
            yield data


def has_trials(documents: Sequence[Any]) -> bool:
    return any(each.get("kind") == "Trial" for each in objects(documents))


def read_katib(documents: Sequence[Any], whence: str, wanted: Wanted) -> list[PastStudy]:
    """An experiment for each that the trials belong to. Raises ProblemsError."""
    experiments: dict[str, Mapping[str, Any]] = {}
    trials: dict[str, list[Mapping[str, Any]]] = {}
    for each in objects(documents):
        metadata = _mapping(each.get("metadata"))
        if each.get("kind") == "Experiment":
            experiments[str(metadata.get("name", ""))] = each
        elif each.get("kind") == "Trial":
            trials.setdefault(_owner(metadata), []).append(each)
    if not trials:
        raise refused("There is no Trial of Katib in it.",
                      "kubectl get experiment,trials -o yaml writes both.")  # fmt: skip
    chosen = [n for n in trials if not wanted.studies or n in wanted.studies]
    if not chosen:
        listed = ", ".join(list(trials)[:20])
        raise refused(f"There is no experiment '{wanted.studies[0]}' in it. There are: {listed}.")
    if len(chosen) > 1 and not (wanted.studies or wanted.all_studies):
        listed = ", ".join(chosen[:20])
        raise refused(f"The trials belong to {len(chosen)} experiments: {listed}.",
                      "Choose one by its name (--study NAME), or take all (--all).")  # fmt: skip
    return [_study(name, experiments.get(name), trials[name], whence, wanted) for name in chosen]


def _owner(metadata: Mapping[str, Any]) -> str:
    labels = _mapping(metadata.get("labels"))
    for label in ("katib.kubeflow.org/experiment", "experiment"):
        if labels.get(label):
            return str(labels[label])
    for owner in metadata.get("ownerReferences") or []:
        if _mapping(owner).get("kind") == "Experiment":
            return str(owner.get("name", ""))
    return "katib"


def _study(
    name: str, experiment: Mapping[str, Any] | None, given: Sequence[Mapping[str, Any]],
    whence: str, wanted: Wanted,
) -> PastStudy:  # fmt: skip
    check_size(len(given))
    left: list[Problem] = []
    space, manifest, mode = None, None, wanted.mode
    objective = _mapping(_mapping(given[0].get("spec")).get("objective"))
    if experiment is not None:
        plain = {key: experiment[key] for key in experiment if key != "status"}
        metadata = _mapping(plain.get("metadata"))
        plain["metadata"] = {"name": metadata.get("name", name)}
        found = of_configuration(dump_yaml(plain), f"{name}.yaml", {})
        space, manifest = found.space, found.manifest
        left += found.left
        objective = _mapping(_mapping(experiment.get("spec")).get("objective")) or objective
    if objective.get("type") in ("minimize", "maximize"):
        mode = mode or str(objective["type"])
    mode = mode or mode_of(wanted, left)
    metric = wanted.objective or str(objective.get("objectiveMetricName", ""))
    strategy = _strategy(objective, metric, mode)
    given = sorted(given, key=_when)
    trials = [_trial(i, trial, metric, strategy, space) for i, trial in enumerate(given)]
    if space is None:
        space = read_from_values(trials, left, "Give the Experiment beside its trials.")
    left.append(Problem("", "Kubernetes keeps no curves: each trial has its last values alone."))
    return PastStudy("Katib", whence, name, mode, space, tuple(trials), tuple(left), manifest)


def _strategy(objective: Mapping[str, Any], metric: str, mode: str) -> str:
    """Which of a metric's values is the result: by default the best one."""
    for each in objective.get("metricStrategies") or []:
        if _mapping(each).get("name") == metric and each.get("value") in ("min", "max", "latest"):
            return str(each["value"])
    return "min" if mode == "minimize" else "max"


def _when(trial: Mapping[str, Any]) -> tuple[str, str]:
    metadata, status = _mapping(trial.get("metadata")), _mapping(trial.get("status"))
    started = status.get("startTime") or metadata.get("creationTimestamp") or ""
    return str(started), str(metadata.get("name", ""))


def _trial(
    place: int, trial: Mapping[str, Any], metric: str, strategy: str,
    space: Mapping[str, Any] | None,
) -> PastTrial:  # fmt: skip
    spec, status = _mapping(trial.get("spec")), _mapping(trial.get("status"))
    parameters = {}
    for each in spec.get("parameterAssignments") or []:
        name = str(_mapping(each).get("name", ""))
        parameters[name] = _typed(each.get("value"), (space or {}).get(name))
    state, reason = _state(status)
    metrics = {}
    for each in _mapping(status.get("observation")).get("metrics") or []:
        found = _mapping(each)
        name = str(found.get("name", ""))[:200]
        value = number(found.get(strategy if name == metric else "latest"))
        value = number(found.get("latest")) if value is None else value
        if value is not None:
            metrics[DEFAULT if name == metric else name] = value
    value = metrics.get(DEFAULT)
    if state == TrialState.SUCCEEDED and value is None:
        state, reason = TrialState.FAILED, reasons.NO_RESULT
    elif value is not None and not math.isfinite(value):
        if state == TrialState.SUCCEEDED:
            state, reason = TrialState.FAILED, reasons.not_finite(f"{value}")
        value = None
    own = str(_mapping(trial.get("metadata")).get("name", ""))
    return PastTrial(
        number=place,
        parameters=parameters,
        state=state,
        value=value if state in (TrialState.SUCCEEDED, TrialState.EARLY_STOPPED) else None,
        metrics=metrics,
        started_at=moment(status.get("startTime")),
        finished_at=moment(status.get("completionTime")),
        reason=reason,
        notes=f"Katib: {own}" if own else "",
    )


def _state(status: Mapping[str, Any]) -> tuple[TrialState, str]:
    true = {
        str(c.get("type")): c
        for c in status.get("conditions") or []
        if isinstance(c, Mapping) and str(c.get("status")) == "True"
    }
    for kind, state, reason in _STATES:
        if kind in true:
            if state == TrialState.FAILED and kind == "Failed":
                return state, str(true[kind].get("message") or reason)[:MOST_WORDS]
            return state, reason
    return TrialState.CANCELED, reasons.UNFINISHED


def _typed(text: Any, entry: Any) -> Any:
    """Katib writes all values as text; the space says which are numbers."""
    if not isinstance(text, str):
        return text
    if isinstance(entry, Mapping) and entry.get("_type") == "choice":
        for member in entry["_value"]:
            if member == text or (not isinstance(member, str) and loosely(text) == member):
                return member
        return text
    return loosely(text)


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}
