"""The search algorithm of a foreign file as one of ours, with the settings that it takes.

Called by every reader. What has no counterpart is replaced by the nearest thing there is, and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.algorithms import registry
from experiments.algorithms.settings import parse_settings
from experiments.algorithms.space.search_space import SearchSpace
from experiments.convert.draft import Draft
from experiments.manifest.fields import NAME_FIELDS
from experiments.problems import ProblemsError

FALLBACK = "Auto"


def put_algorithm(
    draft: Draft,
    kind: str,
    name: str,
    args: Mapping[str, Any],
    source: str,
    given: Any,
    paths: Mapping[str, str] | None = None,
) -> None:
    """Set ``spec.KIND``. Settings that it does not take are left; ``paths`` says where they are."""
    entry = registry.KINDS[kind][name]
    kept: dict[str, Any] = {}
    for key, value in args.items():
        where = (paths or {}).get(key, source)
        try:
            _, warnings = parse_settings(entry.args, {key: value}, "")
        except ProblemsError as error:
            draft.leave(where, f"{name} here: {key} {error.problems[0].message}")
            continue
        if warnings:
            draft.leave(where, f"{name} here: {key} {warnings[0].message}")
        else:
            kept[key] = value
    section: dict[str, Any] = {NAME_FIELDS[kind]: name}
    if kept:
        section["classArgs"] = kept
    draft.put(f"spec.{kind}", section)
    draft.note(source, given, f"spec.{kind}", name)


def fit_to_space(draft: Draft, source: str) -> None:
    """Take another algorithm where the chosen one does not search a type that the space has."""
    kind = "tuner" if "tuner" in draft.spec else "advisor"
    section = draft.spec.get(kind)
    try:
        space = SearchSpace.parse(draft.spec.get("searchSpace") or {})
    except ProblemsError:
        return  # the parser says so
    if section is None:
        return
    name = section[NAME_FIELDS[kind]]
    entry = registry.KINDS[kind][name]
    wrong = [p for p in registry.unsupported(entry, space) if p.path.endswith("_type")]
    if not wrong:
        return
    mode = section.get("classArgs", {}).get("optimize_mode")
    del draft.spec[kind]
    args = {"optimize_mode": mode} if mode else {}
    put_algorithm(draft, "tuner", FALLBACK, args, source, name)
    draft.leave(
        source,
        f"{wrong[0].message} The tuner is {FALLBACK} instead.",
        f"For {name} make the space of {', '.join(sorted(entry.types))} alone.",
    )
