"""Manifests that come as files: the examples shown as templates, and what the CLI is given.

A relative ``workingDir`` in a file means "relative to this file"; it is made absolute here, since a
manifest that lives in the database has no place of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

_WORKING_DIR = re.compile(r"^(?P<key>\s*(?:-\s+)?workingDir:\s*)(?P<dir>\.[^\s#]*)", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """A template of the new-experiment page."""

    name: str  # file name without ending
    summary: str  # its leading comment, in one line


READ_AT_MOST = 16 * 1024 * 1024  # characters: /dev/zero has no end; a manifest has 1 MiB


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
    return read_file(str(path))


def read_file(file: str) -> str:
    """Text of a manifest file with its relative working directories made absolute.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    path = Path(file)
    with path.open(encoding="utf-8") as stream:
        text = stream.read(READ_AT_MOST)
    base = path.resolve().parent
    return _WORKING_DIR.sub(lambda found: found["key"] + str((base / found["dir"]).resolve()), text)


def _leading_comment(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)
