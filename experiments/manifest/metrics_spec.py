"""The manifest's ``metrics`` section: where metrics come from besides the trial API.

Called by ``spec``; ``training`` hands it to whatever collects them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from experiments.manifest import reading
from experiments.manifest.field_kinds import Section
from experiments.manifest.fields import METRICS
from experiments.manifest.reading import Notes, at


@dataclass(frozen=True)
class MetricsSpec:
    """What is collected: of event files or a file's lines, or without one of what is printed."""

    objective: str
    pattern: str = ""
    file: str = ""
    stdout: bool = False  # named in the manifest
    tensorboard: str = ""  # directory of event files

    def as_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {"objective": self.objective}
        if self.stdout:
            found["stdout"] = {"pattern": self.pattern} if self.pattern else {}
        if self.file:
            found["file"] = self.file
        if self.tensorboard:
            found["tensorboard"] = self.tensorboard
        return found


def parse_metrics(notes: Notes, raw: Any, path: str) -> MetricsSpec | None:
    """Read the section; None where it is absent or, with problems noted, cannot be used."""
    if raw is None:
        return None
    section = reading.mapping(notes, raw, path, required=True, hint="E.g. {objective: loss}.")
    if not section:
        return None
    reading.check_keys(notes, section, path, METRICS.keys)
    objective, file, tensorboard = (
        reading.text(notes, section.get(name), at(path, name), **METRICS.text(name).check)
        for name in ("objective", "file", "tensorboard")
    )
    inner, declared = at(path, "stdout"), METRICS.fields["stdout"]
    assert isinstance(declared, Section)
    given = section.get("stdout")
    stdout = reading.mapping(notes, given, inner, hint="E.g. {pattern: '…'}.")
    reading.check_keys(notes, stdout, inner, declared.keys)
    pattern = reading.text(
        notes, stdout.get("pattern"), at(inner, "pattern"), **declared.text("pattern").check
    )
    _check_pattern(notes, pattern, at(inner, "pattern"))
    if tensorboard and (file or given is not None):
        words = "must stand alone: event files are read in place of what is printed, or of a file."
        notes.error(at(path, "tensorboard"), words, "Leave out 'file' and 'stdout', or this one.")
    if not objective:
        return None
    return MetricsSpec(objective, pattern, file, given is not None, tensorboard)


def _check_pattern(notes: Notes, pattern: str, path: str) -> None:
    if not pattern:
        return
    hint = r"E.g. '(?P<name>\w+): (?P<value>[-+.\deE]+)'."
    try:
        found = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        notes.error(path, f"must be a regular expression of Python, but: {error}.", hint)
        return
    if not found.groups:
        notes.error(path, "must have a group for the value: (…).", hint)
    elif "name" in found.groupindex and "value" not in found.groupindex:
        notes.error(path, "has a group 'name', so it must have a group 'value' too.", hint)
