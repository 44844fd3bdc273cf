"""A relative ``workingDir`` in a file means "relative to this file": it is made absolute here.

A manifest that lives in the database has no place of its own. Called by ``services`` for examples
and for files that the command line is given.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.manifest.comparing import same
from experiments.manifest.files import GivenManifest
from experiments.manifest.text_edit import edit_json, edit_text


def resolved(given: GivenManifest, directory: Path) -> GivenManifest:
    """The manifest with working directories relative to ``directory`` made absolute.

    ``~`` stays as it is: the forecast says that nobody expands it.
    """
    data = copy.deepcopy(given.data)
    for container in _containers(data):
        place = container.get("workingDir")
        if isinstance(place, str) and place and not place.startswith(("/", "~")):
            container["workingDir"] = str((directory.resolve() / place).resolve())
    if same(data, given.data):
        return given
    if given.text.lstrip("\ufeff \t\r\n").startswith("{"):
        text = edit_json(given.text, data) or json.dumps(data, ensure_ascii=False, indent=2)
    else:
        text = edit_text(given.text, data)
    return replace(given, data=data, text=text)


def _containers(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Containers of every task, whatever else is wrong with the manifest."""

    def inside(value: Any, *names: str) -> Any:
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, list) else []

    for task in inside(data, "spec", "trainingConfig", "tasks"):
        for kind in ("containers", "initContainers"):
            for container in inside(task, "template", "spec", kind):
                if isinstance(container, dict):
                    yield container
