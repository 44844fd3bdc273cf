"""A file of NNI, Katib, W&B or Optuna as a manifest that our own parser takes: the way in.

Called by the ``convert`` command and the new-experiment page. Pure: files beside the given one come
through ``read``, nothing is run and nothing is written.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.convert import katib, nni, wandb
from experiments.convert.draft import Draft, Row
from experiments.convert.optuna import convert_optuna
from experiments.convert.recognise import KATIB, NNI, OPTUNA, OURS, WANDB, WHAT, origin_of
from experiments.convert.source_code import read_python
from experiments.manifest.files import Document, documents_of
from experiments.manifest.json_text import is_json, pretty_json
from experiments.manifest.spec import parse_manifest
from experiments.manifest.yaml_text import dump_yaml
from experiments.problems import Problem, ProblemsError

ReadFile = Callable[[str], str]  # of a name relative to the file; raises OSError
_HINT = (
    "NNI's config.yml, Katib's Experiment, W&B's sweep.yaml, Optuna's distributions as JSON, and "
    "Python files with a search space of Ray Tune or Optuna can be converted."
)


@dataclass(frozen=True)
class Converted:
    """A manifest that the parser takes, with where its fields came from and what is missing."""

    origin: str  # NNI, Katib, W&B, Optuna, Ray Tune
    text: str
    manifest: dict[str, Any]
    rows: tuple[Row, ...]
    left: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "text": self.text,
            "rows": [row.as_dict() for row in self.rows],
            "left": [problem.as_dict() for problem in self.left],
        }


def convert(
    text: str,
    *,
    name: str = "",
    read: ReadFile,
    locate: Callable[[str], str] = str,
) -> Converted:
    """Convert a file's text.

    Args:
        name: of the file; its stem names an experiment that has no name.
        read: the text of a file that this one names.
        locate: a directory that the file names, as the manifest is to have it.

    Raises:
        ProblemsError: what cannot be converted and why, each with its line.
    """
    stem = os.path.basename(name).partition(".")[0] or "converted"
    if name.endswith(".py"):
        origin, draft = read_python(text, os.path.basename(name), stem)
    else:
        document = _the_document(text, name)
        found = origin_of(document.data)
        if found is None or found == OURS:
            raise ProblemsError([_no_foreign(found, document)])
        origin, draft = found, Draft(document.line_of)
        _fill(draft, origin, document.data, read, stem)
    draft.raise_if_any()
    for container in _containers(draft.spec):
        if isinstance(container.get("workingDir"), str):
            container["workingDir"] = locate(container["workingDir"])
    return _checked(origin, draft, os.path.basename(name))


def is_known(text: str, name: str) -> bool:
    """Whether a file is one that ``convert`` would know, whatever comes of it."""
    if name.endswith(".py"):
        return True
    try:
        return origin_of(_the_document(text, name).data) not in (None, OURS)
    except ProblemsError:
        return False


def _fill(draft: Draft, origin: str, data: Mapping[str, Any], read: ReadFile, stem: str) -> None:
    if origin == NNI:
        nni.convert_nni(draft, data, read, stem)
    elif origin == KATIB:
        katib.convert_katib(draft, data, stem)
    elif origin == WANDB:
        wandb.convert_wandb(draft, data, stem)
    else:
        assert origin == OPTUNA
        convert_optuna(draft, data, stem)


def _the_document(text: str, name: str) -> Document:
    """The first document of a file that we know; the first of all where none is."""
    try:
        documents = documents_of(text, is_json=name.endswith(".json") or is_json(text))
    except ProblemsError as error:  # said of a manifest, where there is none yet
        hint = "" if "'" in error.problems[0].message else _HINT
        raise ProblemsError(
            [
                Problem(p.path, p.message.replace("The manifest", "The file"), hint, p.line)
                for p in error.problems
            ]
        ) from None
    if not documents:
        raise ProblemsError([Problem("", "The file is empty.")])
    known = [d for d in documents if origin_of(d.data) not in (None, OURS)]
    if len(known) > 1:
        message = f"The file holds {len(known)} experiments."
        raise ProblemsError([Problem("", message, "Give each a file of its own.")])
    return known[0] if known else documents[0]


def _no_foreign(found: str | None, document: Document) -> Problem:
    line = document.line_of("")
    if found == OURS:
        return Problem("", f"This is {WHAT[OURS]} already.", "It needs no conversion.", line)
    return Problem("", "This is no configuration that is known here.", _HINT, line)


def _checked(origin: str, draft: Draft, name: str) -> Converted:
    manifest = draft.manifest()
    try:
        parse_manifest(manifest)
    except ProblemsError as error:
        raise ProblemsError([_placed(p, draft) for p in error.problems]) from None
    for kind in ("tuner", "assessor", "advisor"):
        section = draft.spec.get(kind)
        if section and "classArgs" in section:
            section["classArgs"] = pretty_json(section["classArgs"])
    draft.spec["searchSpace"] = pretty_json(draft.spec["searchSpace"])
    left = tuple(sorted(draft.left, key=lambda p: p.line or 0))
    text = _heading(origin, name, left) + dump_yaml(manifest)
    rows = tuple(sorted(draft.rows, key=lambda row: row.line or 0))
    return Converted(origin, text, manifest, rows, left)


def _placed(problem: Problem, draft: Draft) -> Problem:
    """A problem of the manifest, with the line of the file that its field came from."""
    best: Row | None = None
    for row in draft.rows:
        if problem.path.startswith(row.target) and (
            best is None or len(row.target) > len(best.target)
        ):
            best = row
    return Problem(problem.path, problem.message, problem.hint, best.line if best else None)


def _heading(origin: str, name: str, left: tuple[Problem, ...]) -> str:
    lines = [f"Converted from {WHAT.get(origin, origin)}{f' ({name})' if name else ''}."]
    if left:
        lines.append("Not as it was:")
    for problem in left:
        place = f"line {problem.line}: " if problem.line else ""
        path = f"{problem.path}: " if problem.path else ""
        hint = f" {problem.hint}" if problem.hint else ""
        lines.append(f"- {place}{path}{problem.message}{hint}")
    return "".join(f"# {_printable(line)}\n" for line in lines)


def _printable(line: str) -> str:
    """Safe in a comment and on a terminal: names and values in it are somebody else's."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(line.split()))


def _containers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for task in spec.get("trainingConfig", {}).get("tasks", []):
        yield from task["template"]["spec"]["containers"]
