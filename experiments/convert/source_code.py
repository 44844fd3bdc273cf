"""Search spaces in Python files, read as data: nothing is imported and nothing is run.

Called by ``conversion``. Ray Tune: a dictionary whose values are ``tune.uniform(…)`` and the like;
Optuna: calls of ``trial.suggest_…``. Only literal arguments can be read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from experiments.convert.draft import Draft, Row, short
from experiments.convert.optuna import entry_of, put_space
from experiments.convert.source_settings import conditional, settings_of
from experiments.problems import Problem, ProblemsError

_RAY: dict[str, tuple[str, tuple[str, ...]]] = {
    "uniform": ("uniform", ("lower", "upper")),
    "quniform": ("quniform", ("lower", "upper", "q")),
    "loguniform": ("loguniform", ("lower", "upper")),
    "qloguniform": ("qloguniform", ("lower", "upper", "q")),
    "randn": ("normal", ("mean", "sd")),
    "qrandn": ("qnormal", ("mean", "sd", "q")),
    "randint": ("randint", ("lower", "upper")),
    "qrandint": ("quniform", ("lower", "upper", "q")),
    "lograndint": ("qloguniform", ("lower", "upper")),
    "qlograndint": ("qloguniform", ("lower", "upper", "q")),
    "choice": ("choice", ("categories",)),
    "grid_search": ("choice", ("values",)),
}
_SUGGEST = {
    "suggest_float": ("FloatDistribution", ("name", "low", "high")),
    "suggest_uniform": ("FloatDistribution", ("name", "low", "high")),
    "suggest_loguniform": ("FloatDistribution", ("name", "low", "high")),
    "suggest_discrete_uniform": ("FloatDistribution", ("name", "low", "high", "step")),
    "suggest_int": ("IntDistribution", ("name", "low", "high", "step")),
    "suggest_categorical": ("CategoricalDistribution", ("name", "choices")),
}
_MOST_NODES = 200_000


def read_python(text: str, file: str, stem: str) -> tuple[str, Draft]:
    """The search space of a Python file, and whose way of writing it is."""
    draft = Draft(lambda path, within=0: None)
    tree = _parsed(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    optuna = dict(_once(draft, _suggested(draft, calls, conditional(tree))))
    if optuna:
        found = settings_of(draft, calls)
        found.mode = found.mode or "minimize"  # as Optuna does
        put_space(draft, optuna, stem, file, found)
        return "Optuna", draft
    ray = dict(_tuned(draft, tree))
    if not ray:
        hint = "A dictionary of tune.… calls, or calls of trial.suggest_…, with literal arguments."
        raise ProblemsError([Problem("", "There is no search space in this file.", hint)])
    put_space(draft, ray, stem, file, settings_of(draft, calls))
    return "Ray Tune", draft


def _once(
    draft: Draft, found: Iterator[tuple[str, dict[str, Any], ast.Call]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter as it is met first; another space for it is told."""
    first: dict[str, dict[str, Any]] = {}
    for name, entry, call in found:
        if name not in first:
            first[name] = entry
            yield name, entry
        elif first[name] != entry:
            message = f"'{name}' is suggested twice, with another space: the first one is taken."
            _leave(draft, call, message, "Widen it in searchSpace where both are meant.")


def _parsed(text: str) -> ast.AST:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        message = f"This is no Python 3: {getattr(error, 'msg', error)}."
        raise ProblemsError([Problem("", message, "", line)]) from None
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise ProblemsError([Problem("", "The file is too large to be read.")])
    return tree


def _suggested(
    draft: Draft, calls: list[ast.Call], conditional: set[ast.AST]
) -> Iterator[tuple[str, dict[str, Any], ast.Call]]:
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method not in _SUGGEST:
            continue
        kind, names = _SUGGEST[method]
        given = _literal(draft, call, names, method)
        if given is None or not isinstance(given.get("name"), str):
            continue
        if method == "suggest_loguniform":
            given["log"] = True
        entry = entry_of(kind, given)
        if entry is None:
            message = f"{method}: '{given['name']}' has arguments that make no space here."
            _leave(draft, call, message, "Add it to searchSpace by hand.")
            continue
        _note(draft, call, method, given["name"], entry)
        if call in conditional:
            message = f"'{given['name']}' is suggested under a condition; here it is always drawn."
            _leave(draft, call, message, "Or make it a branch of the choice that decides.")
        yield given["name"], entry, call


def _tuned(draft: Draft, tree: ast.AST) -> Iterator[tuple[str, dict[str, Any]]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                continue
            entry = _tune_call(draft, value)
            if entry is not None:
                _note(draft, value, "tune", key.value, entry)
                yield key.value, entry


def _tune_call(draft: Draft, node: ast.expr) -> dict[str, Any] | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    owner, method = node.func.value, node.func.attr
    if not (isinstance(owner, ast.Name) and owner.id == "tune"):
        return None
    if method not in _RAY:
        if method in ("sample_from", "randn"):
            _leave(draft, node, f"tune.{method} is code.", "Write a range or a list.")
        return None
    ours, names = _RAY[method]
    given = _literal(draft, node, names, f"tune.{method}")
    if given is None:
        return None
    values = [given[name] for name in names if name in given]
    if ours == "choice":
        found = values[0] if values else None
        return {"_type": ours, "_value": list(found)} if isinstance(found, list | tuple) else None
    if method == "lograndint":
        values.append(1)
    if method in ("randn", "qrandn") and len(values) < len(names):
        values = [0, 1, *values[2:]]
    return {"_type": ours, "_value": values}


def _literal(
    draft: Draft, call: ast.Call, names: tuple[str, ...], what: str
) -> dict[str, Any] | None:
    """Arguments by name; None, and said, where one is no literal."""
    try:
        given = {name: ast.literal_eval(a) for name, a in zip(names, call.args, strict=False)}
        given |= {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        _leave(draft, call, f"{what} has arguments that only running the file would tell.",
               "Write its values as literals, or add it to searchSpace by hand.")  # fmt: skip
        return None
    return given


def _note(draft: Draft, node: ast.AST, source: str, name: str, entry: dict[str, Any]) -> None:
    line = getattr(node, "lineno", None)
    draft.rows.append(Row(line, name, source, f"spec.searchSpace.{name}", short(entry)))


def _leave(draft: Draft, node: ast.AST, message: str, hint: str) -> None:
    draft.left.append(Problem("", message, hint, getattr(node, "lineno", None)))
