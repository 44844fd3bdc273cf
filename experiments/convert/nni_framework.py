"""FrameworkController's own template, which an NNI configuration may name instead of a command.

Called by ``nni_trial``. As NNI does, a role's command, image, resources and number are taken of the
first container of its pod; the rest belongs to FrameworkController.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.convert.draft import Draft, Section
from experiments.convert.nni_space import ReadFile
from experiments.manifest.reading import at, kind_of
from experiments.manifest.yaml_text import load_yaml
from experiments.problems import ProblemsError


def template_roles(draft: Draft, place: Section, read: ReadFile) -> list[tuple[str, Section]]:
    """The roles of the template that ``configPath`` names, as NNI's ``taskRoles`` write them."""
    path = place.where("configPath")
    file = place.text("configPath")
    if not file:
        return []
    try:
        data = load_yaml(read(file)).data
    except (OSError, ValueError, ProblemsError) as error:
        why = getattr(error, "strerror", None) or str(error)
        hint = "Give it beside the configuration, or write trial.taskRoles with a command."
        draft.refuse(path, f"The template '{file}' cannot be read: {why}.", hint)
        return []
    found = _inside(data, "spec", "taskRoles")
    if not isinstance(found, list) or not found:
        draft.refuse(path, f"The template '{file}' has no spec.taskRoles.")
        return []
    draft.leave(
        path,
        f"Of '{file}' each role's command, image, resources and number are taken, as NNI does.",
        "Volumes and the like can be added to the task's template.",
    )
    return [_role(draft, row, at(path, number)) for number, row in enumerate(found)]


def _role(draft: Draft, row: Any, path: str) -> tuple[str, Section]:
    containers = _inside(row, "task", "pod", "spec", "containers")
    first = containers[0] if isinstance(containers, list) and containers else None
    if not isinstance(row, Mapping) or not isinstance(first, Mapping):
        message = f"A role must have a task with a pod's containers, but got {kind_of(row)}."
        draft.refuse(path, message)
        return "", Section(draft, {}, path, loose=True)
    words = [*_words(first.get("command")), *_words(first.get("args"))]
    limits = _inside(first, "resources", "limits")
    limits = limits if isinstance(limits, Mapping) else {}
    given = {
        "command": " ".join(words),
        "taskNum": row.get("taskNumber"),
        "image": first.get("image"),
        "cpuNum": limits.get("cpu"),
        "memorySize": limits.get("memory"),
        "gpuNum": limits.get("nvidia.com/gpu"),
    }
    name = str(row.get("name") or "")
    return name, Section(draft, {k: v for k, v in given.items() if v}, path, loose=True)


def _words(value: Any) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _inside(data: Any, *names: str) -> Any:
    for name in names:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
