"""Which field of the new-experiment form a path of the manifest means, and problems only it has.

Field ids are what the page's script puts into ``data-field``: ``name``, ``space.2.value.0``,
``tuner.args.constant_liar_type``, ``tasks.0.command`` … Called by ``new_page``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from experiments.manifest.quantity import GPU_RESOURCE
from experiments.said import said
from experiments.strict_json import read_json
from experiments.web.form_values import as_text
from experiments.web.local_form import LOCAL_FIELDS
from experiments.web.manifest_form import ARGUMENTS, OPTION_TYPES, rows_of
from experiments.web.metrics_form import METRICS_FIELDS

_STEP = re.compile(r'\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\.?([^.\[\]]+)')
_SPEC_FIELDS = {
    "maxTrialNum": "max_trials",
    "trialConcurrency": "concurrency",
    "maxExecSeconds": "time",
    "maxTrialSeconds": "trial_time",
    "breaker": "alike",
    "initial": "initial",
}
_CONTAINER_FIELDS = frozenset({"image", "command", "args", "workingDir", "env"})

# What each _type means, in a line, for the form's select.
EXPLANATIONS = {
    "choice": _("One of a list of values."),
    "randint": _("A whole number from low up to, but not including, high."),
    "uniform": _("Any number between low and high, all equally likely."),
    "quniform": _("Between low and high in steps of q, all equally likely."),
    "loguniform": _("Logarithmic between low and high: for rates."),
    "qloguniform": _("Logarithmic between low and high, in steps of q."),
    "normal": _("Bell curve around mu with spread sigma."),
    "qnormal": _("Bell curve around mu with spread sigma, rounded to steps of q."),
    "lognormal": _("exp of a bell curve: mu and sigma are those of the logarithm."),
    "qlognormal": _("exp of a bell curve, rounded to steps of q."),
    "layer_choice": _("One of several layers, for architecture search (PPO only)."),
    "input_choice": _("Some of several inputs, for architecture search (PPO only)."),
}


def parameter_types() -> list[dict[str, Any]]:
    """The rows of the form's type select."""
    return [
        {
            "name": name,
            "arguments": list(arguments),
            "options": name in OPTION_TYPES,
            "help": gettext(EXPLANATIONS[name]),
        }
        for name, arguments in ARGUMENTS.items()
    ]


def steps(path: str) -> list[str | int]:
    """A problem's path taken apart: ``spec.tasks[0]["a.b"]`` is spec, tasks, 0, a.b."""
    found: list[str | int] = []
    for index, quoted, plain in _STEP.findall(path):
        if index:
            found.append(int(index))
        else:
            found.append(plain or read_json(f'"{quoted}"'))
    return found


def field_of(path: str, form: Mapping[str, Any] | None) -> str:
    """The id of the field to mark for a problem at ``path``; empty where the form has none."""
    if form is None:
        return ""
    at = [*steps(path), "", "", "", "", ""]
    if at[:2] == ["metadata", "name"]:
        return "name"
    if at[0] != "spec":
        return ""
    section = at[1]
    if section in _SPEC_FIELDS:
        return _SPEC_FIELDS[str(section)]
    if section == "searchSpace":
        return _space_field(at[2:], form.get("space") or [])
    if section in ("tuner", "assessor", "advisor"):
        if section == "tuner" and at[2:4] == ["classArgs", "optimize_mode"]:
            return "optimize_mode"
        args = at[2] == "classArgs" and at[3] != ""
        return f"{section}.args.{at[3]}" if args else f"{section}.name"
    if section == "trainingConfig":
        return _training_field(at[2:], form.get("training") or {})
    if section == "local":
        return f"local.{LOCAL_FIELDS.get(str(at[2]), 'trials_per_gpu')}"
    if section == "warmStart":
        return "warm_start.trials" if at[2] == "trials" else "warm_start.experiments"
    if section == "metrics":
        return f"metrics.{METRICS_FIELDS.get(str(at[2]), 'objective')}"
    if section in ("aistore", "aimd", "em"):
        return f"aistore.{at[2] or 'folder'}"
    return ""


def _space_field(at: list[str | int], rows: list[Mapping[str, Any]]) -> str:
    index = next((i for i, row in enumerate(rows) if row.get("name") == at[0]), None)
    if index is None or at[0] == "":
        return "space"
    row = rows[index]
    if at[1] == "_type":
        return f"space.{index}.type"
    if at[1] != "_value":
        return f"space.{index}.name"
    if row.get("json") is not None:
        return f"space.{index}.json"
    if row.get("type") in OPTION_TYPES:
        return f"space.{index}.options"
    return f"space.{index}.value.{at[2]}" if isinstance(at[2], int) else f"space.{index}.value"


def _training_field(at: list[str | int], training: Mapping[str, Any]) -> str:
    if at[0] != "tasks":
        return "training.type" if at[0] == "type" else ""
    tasks = training.get("tasks") or []
    if not isinstance(at[1], int) or at[1] >= len(tasks):
        return "tasks"
    task = f"tasks.{at[1]}"
    if at[2] in ("type", "replicas"):
        return f"{task}.{at[2]}"
    rest = [*at[3:], ""]
    main = tasks[at[1]].get("container")
    if rest[:3] == ["spec", "containers", main] and rest[3] in _CONTAINER_FIELDS:
        row = rest[4] if rest[3] == "env" else ""
        return f"{task}.env.{row}" if isinstance(row, int) else f"{task}.{rest[3]}"
    if rest[:3] == ["spec", "containers", main] and GPU_RESOURCE in rest:
        return f"{task}.gpus"
    return task


def form_problems(form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a manifest could not even hold: rows without a name, names twice, broken JSON."""
    found: list[dict[str, Any]] = []

    def wrong(field: str, message: str, hint: str = "") -> None:
        found.append({"path": "", "message": said(message), "hint": said(hint), "field": field})

    seen: dict[str, int] = {}
    for index, row in enumerate(rows_of(form) or []):
        name = as_text(row.get("name"))
        if not name.strip():
            wrong(f"space.{index}.name", "Give this parameter a name, or remove it.")
        elif name in seen:
            message = f"'{name}' is the name of row {seen[name] + 1} already."
            wrong(f"space.{index}.name", message, "Rename one of them.")
        seen.setdefault(name, index)
        text = row.get("json")
        if isinstance(text, str):
            try:
                read_json(text)
            except ValueError as error:
                wrong(f"space.{index}.json", f"Is not valid JSON: {error}.")
    return found
