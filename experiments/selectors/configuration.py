"""How an experiment is configured, in rows that a page or a report can show. Pure reading."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from experiments.models import Experiment
from experiments.selectors.borrowed import borrowed_json
from experiments.strict_json import unmistakable


@dataclass(frozen=True)
class SpaceRow:
    """One parameter of the search space; ``depth`` counts the nested choices above it."""

    name: str
    type: str
    value: str
    depth: int


@dataclass(frozen=True)
class TaskRow:
    type: str
    replicas: int
    image: str
    command: str
    working_dir: str


@dataclass(frozen=True)
class AlgorithmRow:
    role: str
    name: str
    args: tuple[tuple[str, str], ...]


def configuration(experiment: Experiment) -> dict[str, Any]:
    """What pages and reports tell of the manifest."""
    spec = experiment.configuration
    training = spec.get("trainingConfig") or {}
    return {
        "algorithms": _algorithms(spec),
        "borrowed": _borrowed(experiment) if spec.get("warmStart") else [],
        "space": _space_rows(spec["searchSpace"], 0),
        "training_type": training.get("type", ""),
        "is_elsewhere": "elsewhere" in spec,
        "tasks": [_task(task) for task in training.get("tasks") or []],
    }


def _borrowed(experiment: Experiment) -> list[dict[str, Any]]:
    """What it learns from, with what does not fit in words."""
    return [
        {
            **each,
            "reasons": ", ".join(f"{row['reason']} ({row['trials']})" for row in each["outside"]),
        }
        for each in borrowed_json(experiment)["experiments"]
    ]


def _algorithms(spec: dict[str, Any]) -> list[AlgorithmRow]:
    found = []
    roles = (
        ("advisor", "builtinAdvisorName", _("Advisor")),
        ("tuner", "builtinTunerName", _("Tuner")),
        ("assessor", "builtinAssessorName", _("Assessor")),
    )
    for field, name_field, role in roles:
        node = spec.get(field)
        if not node:
            continue
        pairs = tuple((name, _plain(value)) for name, value in node["classArgs"].items())
        found.append(AlgorithmRow(role, node.get(name_field, ""), pairs))
    return found


def _plain(value: Any) -> str:
    return unmistakable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _space_rows(space: dict[str, Any], depth: int) -> list[SpaceRow]:
    rows = []
    for name, node in space.items():
        if not isinstance(node, dict) or "_type" not in node:
            continue
        value = node.get("_value")
        branches: list[SpaceRow] = []
        shown = []
        for option in value if isinstance(value, list) else []:
            if isinstance(option, dict):
                shown.append(option.get("_name", option))
                branches += _space_rows(option, depth + 1)
            else:
                shown.append(option)
        words = ", ".join(_plain(v) for v in shown) if isinstance(value, list) else _plain(value)
        rows.append(SpaceRow(name, node["_type"], words, depth))
        rows += branches
    return rows


def _task(task: dict[str, Any]) -> TaskRow:
    containers = task.get("template", {}).get("spec", {}).get("containers") or [{}]
    main = containers[0]
    command = [*(main.get("command") or []), *(main.get("args") or [])]
    return TaskRow(
        type=task.get("type", ""),
        replicas=task.get("replicas", 1),
        image=main.get("image", ""),
        command=" ".join(str(word) for word in command),
        working_dir=main.get("workingDir", ""),
    )
