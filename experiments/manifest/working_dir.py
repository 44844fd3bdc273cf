"""A relative ``workingDir`` in a file means "relative to this file": it is made absolute here.

A manifest that lives in the database has no place of its own. Called by ``services`` for examples
and for files that the command line is given.
"""

from __future__ import annotations

import copy
import json
import os.path
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.manifest.comparing import same
from experiments.manifest.files import GivenManifest
from experiments.manifest.json_text import is_json
from experiments.manifest.text_edit import edit_json, edit_text


def resolved(given: GivenManifest, directory: Path) -> GivenManifest:
    """The manifest with working directories relative to ``directory`` made absolute.

    ``~`` stays as it is: the forecast says that nobody expands it.
    """
    data = copy.deepcopy(given.data)
    for container in _containers(data):
        place = container.get("workingDir")
        if isinstance(place, str) and place and not place.startswith(("/", "~")):
            with suppress(ValueError):  # what no path can hold (NUL) is refused with its field
                container["workingDir"] = os.path.realpath(directory / place)
    if same(data, given.data):
        return given
    return replace(given, data=data, text=_edited(given.text, data))


def _edited(text: str, data: dict[str, Any]) -> str:
    """The text as it is written, JSON or YAML (in braces too), with other data in it."""
    if not is_json(text):
        return edit_text(text, data)
    return edit_json(text, data) or json.dumps(data, ensure_ascii=False, indent=2)


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
