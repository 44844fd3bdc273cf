"""The manifest's ``tuner``, ``assessor`` and ``advisor`` sections. Called by ``spec``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.algorithms import registry
from experiments.algorithms.settings import parse_settings
from experiments.algorithms.space.search_space import SearchSpace
from experiments.manifest import reading
from experiments.manifest.field_kinds import Section
from experiments.manifest.fields import NAME_FIELDS, SPEC
from experiments.manifest.json_text import duplicate_keys, parse_json, pretty_json
from experiments.manifest.reading import Notes, at
from experiments.problems import Problem, ProblemsError, nearest

OPTIMIZE_MODES = ("maximize", "minimize")
DEFAULT_MODE = "maximize"


@dataclass(frozen=True)
class AlgorithmSpec:
    """A chosen algorithm with its settings."""

    kind: str  # tuner | assessor | advisor
    name: str
    entry: registry.Entry = field(compare=False, repr=False)
    args: Any  # an instance of entry.args
    optimize_mode: str  # maximize | minimize
    raw: Mapping[str, Any]  # classArgs as given

    @property
    def maximizes(self) -> bool:
        return self.optimize_mode == "maximize"

    def as_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = {NAME_FIELDS[self.kind]: self.name}
        if self.raw:
            found["classArgs"] = pretty_json(self.raw)
        return found


def parse_algorithm(
    notes: Notes, raw: Any, path: str, kind: str, space: SearchSpace | None
) -> AlgorithmSpec | None:
    """Read one section; None when it is absent or (with problems noted) cannot be used."""
    if raw is None:
        return None
    name_field, declared = NAME_FIELDS[kind], SPEC.fields[kind]
    assert isinstance(declared, Section)
    section = reading.mapping(notes, raw, path, hint=f"E.g. {name_field}: …, classArgs: …")
    if not isinstance(raw, Mapping):
        return None
    misplaced = {
        key: f"Settings belong in '{path}.classArgs'."
        for key in section
        if nearest(key, declared.keys) is None
    }
    reading.check_keys(notes, section, path, declared.keys, misplaced)
    args_path = at(path, "classArgs")
    args_raw = read_json_mapping(notes, section.get("classArgs"), args_path)
    name_path = at(path, name_field)
    name = reading.text(
        notes, section.get(name_field), name_path, **declared.text(name_field).check
    )
    if not name:
        return None
    entry = registry.find(kind, name, name_path)
    if isinstance(entry, Problem):
        notes.absorb(ProblemsError([entry]))
        return None
    if not entry.available:
        notes.absorb(ProblemsError([registry.not_available(entry, name_path)]))
        return None
    if space is not None:
        notes.absorb(ProblemsError(registry.unsupported(entry, space)))
    if args_raw is None:
        return None
    try:
        args, warnings = parse_settings(entry.args, args_raw, args_path)
    except ProblemsError as error:
        notes.absorb(error)
        return None
    notes.absorb_warnings(warnings)
    mode = str(getattr(args, "optimize_mode", DEFAULT_MODE))
    return AlgorithmSpec(kind, entry.name, entry, args, mode, args_raw)


def read_json_mapping(notes: Notes, raw: Any, path: str) -> dict[str, Any] | None:
    """Read a field that is a mapping, or JSON text of one; {} when absent, None when unusable."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return {}
    if isinstance(raw, str):
        before = len(notes.problems)
        value = parse_json(notes, raw, path)
        if len(notes.problems) > before:
            return None
        for inner, line in duplicate_keys(raw, path):
            message = f"this name is given twice (again on line {line} of the text)."
            notes.error(inner, message, "Keep one of them.")
        if not isinstance(value, dict):
            found = reading.kind_of(value)
            notes.error(path, f"must be a JSON object {{…}}, but the text holds {found}.")
            return None
        problems = reading.plain_problems(value, path)
        if problems:
            notes.absorb(ProblemsError(problems))
        return None if len(notes.problems) > before else value
    if not isinstance(raw, Mapping):
        notes.error(path, f"must be a mapping or JSON text of one, but got {reading.kind_of(raw)}.")
        return None
    return dict(raw)
