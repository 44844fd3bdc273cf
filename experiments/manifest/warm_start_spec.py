"""The manifest's ``warmStart`` section: earlier experiments that the tuner learns from.

Called by ``spec``. Whether there are such experiments is for ``services.borrowing`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.manifest import reading
from experiments.manifest.fields import WARM_START
from experiments.manifest.reading import Notes, at, kind_of

ALL = "all"
PATH = "spec.warmStart"


@dataclass(frozen=True)
class WarmStartSpec:
    """Whose trials, and how many of each: the best ``top``, None: all."""

    experiments: tuple[str, ...]
    top: int | None = None

    def as_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {"experiments": list(self.experiments)}
        if self.top is not None:
            found["trials"] = f"top {self.top}"
        return found


def parse_warm_start(notes: Notes, raw: Any) -> WarmStartSpec | None:
    """Read the section; None where it is absent or, with problems noted, cannot be used."""
    if raw is None:
        return None
    hint = "E.g. warmStart: {experiments: [tnpgl7e4]}."
    section = reading.mapping(notes, raw, PATH, required=True, hint=hint)
    if not section:
        return None
    reading.check_keys(notes, section, PATH, WARM_START.keys)
    ids = _ids(notes, section.get("experiments"))
    declared, path = WARM_START.text("trials"), at(PATH, "trials")
    words = reading.text(notes, section.get("trials"), path, **declared.check)
    assert declared.pattern is not None
    if section.get("trials") == "" or (words and not declared.pattern.match(words)):
        shown = kind_of(section["trials"])
        notes.error(path, f"must be 'all' or 'top' and a number, but got {shown}.", declared.hint)
        return None
    top = None if words in ("", ALL) else int(words.removeprefix("top "))
    return WarmStartSpec(ids, top) if ids else None


def _ids(notes: Notes, raw: Any) -> tuple[str, ...]:
    path, declared = at(PATH, "experiments"), WARM_START.rows("experiments")
    if not isinstance(raw, list) or not raw:
        notes.error(path, f"must be a list of ids, but got {kind_of(raw)}.", "E.g. [tnpgl7e4].")
        return ()
    if declared.most is not None and len(raw) > declared.most:
        notes.error(path, f"must name at most {declared.most} experiments, but got {len(raw)}.")
        return ()
    each = WARM_START.text_of("experiments")
    assert each.pattern is not None
    found: list[str] = []
    for place, given in enumerate(raw):
        here = at(path, place)
        key = reading.text(notes, given, here, **each.check)
        if key and not each.pattern.match(key):
            notes.error(here, f"must be the id of an experiment, but got '{key[:60]}'.", each.hint)
        elif key in found:
            notes.error(here, f"'{key}' is named twice.")
        elif key:
            found.append(key)
    return tuple(found) if len(found) == len(raw) else ()
