"""The configuration that was given beside a file of results: its space, direction and manifest.

Results seldom say what was searched. What ``convert`` makes of the configuration of the same
product does; a search space alone does, too.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.algorithms.space.search_space import SearchSpace
from experiments.convert.conversion import convert, is_known
from experiments.earlier.study import refused
from experiments.manifest.spec import parse_manifest
from experiments.problems import Problem, ProblemsError
from experiments.strict_json import JsonRefused, read_json


@dataclass(frozen=True)
class Beside:
    """What a configuration says; nothing where there is none."""

    space: Mapping[str, Any] | None = None
    mode: str = ""
    objective: str = ""
    manifest: Mapping[str, Any] | None = None
    left: tuple[Problem, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)


def is_configuration(name: str, text: str) -> bool:
    """Whether a file is one that others' results are read by."""
    return is_known(text, name) or _space_of(text) is not None


def beside(files: Mapping[str, str]) -> Beside:
    """What the configuration among these files says. Raises ProblemsError."""
    for name, text in files.items():
        if is_known(text, name):
            return replace(of_configuration(text, name, files), texts=files)
    for text in files.values():
        if (space := _space_of(text)) is not None:
            return Beside(space=space)
    return Beside()


def of_configuration(text: str, name: str, files: Mapping[str, str]) -> Beside:
    """What a configuration says; where it cannot be converted, only that, and why."""

    def read(wanted: str) -> str:
        found = {os.path.basename(n): t for n, t in files.items()}.get(os.path.basename(wanted))
        if found is None:
            raise FileNotFoundError(None, "it was not given with the results")
        return found

    try:
        converted = convert(text, name=name, read=read)
    except ProblemsError as error:
        left = tuple(
            Problem(p.path, p.message, "The search space is read from the values.", p.line)
            for p in error.problems
        )
        return Beside(left=left)
    spec = parse_manifest(converted.manifest).spec
    objective = spec.metrics.objective if spec.metrics else ""
    space = spec.space.as_json()
    return Beside(space, spec.optimize_mode, objective, converted.manifest, ())


def _space_of(text: str) -> Mapping[str, Any] | None:
    """A search space that stands alone in a JSON file."""
    try:
        data = read_json(text)
        if not isinstance(data, Mapping) or not data:
            return None
        SearchSpace.parse(data)
    except (JsonRefused, ProblemsError):
        return None
    return data


def need_objective(metrics: Mapping[str, Any], wanted: str, product: str) -> str:
    """Which of a product's metrics decides. Raises ProblemsError."""
    if wanted in metrics:
        return wanted
    listed = ", ".join(list(metrics)[:30])
    if wanted:
        raise refused(f"No trial reports '{wanted}'. There are: {listed}.")
    if len(metrics) == 1:
        return next(iter(metrics))
    raise refused(f"{product}'s file does not say which of these decides: {listed}.",
                  "Say --objective NAME.")  # fmt: skip
