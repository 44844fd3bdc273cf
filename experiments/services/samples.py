"""Manifests that come as files: the examples shown as templates, and what the CLI is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from experiments.manifest.files import read_contents
from experiments.manifest.working_dir import resolved


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
        Sample(path.stem, leading_comment(path.read_text(encoding="utf-8")))
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


def leading_comment(text: str) -> str:
    """What an example says of itself: English, with a translation in the pages' catalogue."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)
