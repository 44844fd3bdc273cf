"""The manifests of a file with what ``run`` was told beside it: the experiments to learn from
(``--warm-start ID``), and the interpreter of trials (``--python``) where another process runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.manifest.files import GivenManifest
from experiments.manifest.text_edit import edit_text
from experiments.models import Experiment
from experiments.problems import Problem, ProblemsError
from experiments.services.intake import FileIntake, take_in


def learning(found: FileIntake, words: Sequence[str], trials: str | None) -> FileIntake:
    """The file's experiments with ``warmStart`` as given. Raises ProblemsError.

    Args:
        words: ids, names or beginnings of ids; without any nothing changes.
        trials: which of their trials.
    """
    if not words:
        return found
    section = {"experiments": [_id_of(word) for word in words]}
    if trials:
        section["trials"] = trials  # type: ignore[assignment]
    return _changed(found, lambda spec: {**spec, "warmStart": section})


def with_python(found: FileIntake, python: str) -> FileIntake:
    """The file's experiments with this interpreter, where they name none and one is given.

    Raises ProblemsError.
    """
    if not python:
        return found

    def change(spec: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**spec, "local": {"python": python, **(spec.get("local") or {})}}

    return _changed(found, change)


def _changed(
    found: FileIntake, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> FileIntake:
    made = []
    for given, _ in found.experiments:
        data = {**given.data, "spec": change(given.data["spec"])}
        intake = take_in(data)
        if intake.problems:
            raise ProblemsError(intake.problems)
        text = edit_text(given.text, data)
        made.append((GivenManifest(data, text, given.line_of), intake))
    return replace(found, experiments=tuple(made))


def _id_of(word: str) -> str:
    """The one experiment that a word means: an id, a name, or the beginning of an id."""
    there = Experiment.objects.filter(deleting=False)
    for found in (
        there.filter(pk=word),
        there.filter(name=word),
        there.filter(pk__startswith=word),
    ):
        keys = list(found.values_list("pk", flat=True)[:10])
        if len(keys) == 1:
            return str(keys[0])
        if keys:
            words = f"'{word}' fits several experiments: {', '.join(keys)}."
            raise ProblemsError([Problem("", words)])
    raise ProblemsError([Problem("", f"There is no experiment '{word}'.")])
