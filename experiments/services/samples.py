"""Manifests that come as files: the examples shown as templates, and what the CLI is given.

A relative ``workingDir`` in a file means "relative to this file"; it is made absolute here, since a
manifest that lives in the database has no place of its own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from experiments.manifest.comparing import same
from experiments.manifest.files import GivenManifest, read_contents
from experiments.manifest.text_edit import edit_json, edit_text


@dataclass(frozen=True)
class Sample:
    """A template of the new-experiment page."""

    name: str  # file name without ending
    summary: str  # its leading comment, in one line


READ_AT_MOST = 16 * 1024 * 1024  # bytes: /dev/zero has no end; a manifest has 1 MiB


def directory() -> Path:
    return Path(settings.BASE_DIR) / "examples"


def all_samples() -> list[Sample]:
    """The examples, by name."""
    return [
        Sample(path.stem, _leading_comment(path.read_text(encoding="utf-8")))
        for path in sorted(directory().glob("*.yaml"))
    ]


def load(name: str) -> str:
    """Text of an example, ready to be submitted. Raises KeyError for an unknown name."""
    path = directory() / f"{name}.yaml"
    if path.stem != name or not path.is_file():
        raise KeyError(name)
    text = path.read_text(encoding="utf-8")
    (given,) = read_contents(text).manifests
    return resolved(given, path.parent).text


def read_file(file: str) -> bytes:
    """What a manifest file holds, as far as anybody reads. Raises OSError."""
    with Path(file).open("rb") as stream:
        return stream.read(READ_AT_MOST)


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


def _leading_comment(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)
