"""Reading what a user wrote: collect every problem, never only the first.

Used by all parsers of the manifest (``spec`` and its sections). A check that fails notes a Problem
and answers a harmless stand-in (None, "" or an empty mapping), so reading goes on and the user sees
all mistakes at once. Nothing is guessed or repaired silently.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from experiments.algorithms.space.parameters import join
from experiments.problems import Problem, ProblemsError, nearest

MAX_DEPTH = 40
MAX_NODES = 100_000


class LineOf(Protocol):
    """Finds the line of a path; ``within`` counts lines (from 1) inside a text block there."""

    def __call__(self, path: str, within: int = 0) -> int | None: ...


def at(path: str, key: str | int) -> str:
    """Extend a dotted path by a key or an index."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return join(path, key) if path else key


class Notes:
    """Problems (errors) and warnings found so far, with their lines where known."""

    def __init__(self, line_of: LineOf | None = None) -> None:
        self._line_of = line_of
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, path: str, message: str, hint: str = "", *, within: int = 0) -> None:
        self.problems.append(Problem(path, message, hint, self._line(path, within)))

    def warn(self, path: str, message: str, hint: str = "") -> None:
        self.warnings.append(Problem(path, message, hint, self._line(path, 0)))

    def absorb(self, error: ProblemsError) -> None:
        """Take over the problems another parser raised."""
        self.problems.extend(self._with_line(problem) for problem in error.problems)

    def absorb_warnings(self, warnings: Iterable[Problem]) -> None:
        self.warnings.extend(self._with_line(problem) for problem in warnings)

    def raise_if_any(self) -> None:
        """Raises ProblemsError with all errors, in the order of the text where lines are known."""
        if self.problems:
            raise ProblemsError(sorted(self.problems, key=lambda p: p.line or 0))

    def _line(self, path: str, within: int) -> int | None:
        return self._line_of(path, within) if self._line_of else None

    def _with_line(self, problem: Problem) -> Problem:
        if problem.line is not None:
            return problem
        line = self._line(problem.path, 0)
        return Problem(problem.path, problem.message, problem.hint, line)


def kind_of(value: object) -> str:
    """Name a value's type in words a manifest's author uses."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()}"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:37] + "…"
        return f"the text {shown!r}"
    if isinstance(value, int | float):
        return f"{value!r}"[:60]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence):
        return "a list"
    return type(value).__name__


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return a hint for an unknown name: the nearest one, else the whole list."""
    found = nearest(word, known)
    return f"Did you mean '{found}'?" if found else f"Known here: {', '.join(known)}."


def check_keys(
    notes: Notes,
    raw: Mapping[str, Any],
    path: str,
    known: Sequence[str],
    hints: Mapping[str, str] | None = None,
) -> None:
    """Note every key that is not known, with the nearest known name."""
    for key in raw:
        if key not in known:
            hint = (hints or {}).get(key) or suggestion(key, known)
            notes.error(at(path, key), f"There is no field '{key}' here.", hint)


def mapping(
    notes: Notes, raw: Any, path: str, *, required: bool = False, hint: str = ""
) -> dict[str, Any]:
    """Return the mapping at ``path``; null counts as absent, with ``required`` an empty one too."""
    if raw is None or (required and raw == {}):
        if required:
            notes.error(path, "is required.", hint)
        return {}
    if not isinstance(raw, Mapping):
        notes.error(path, f"must be a mapping (name: value), but got {kind_of(raw)}.", hint)
        return {}
    return dict(raw)


def listing(
    notes: Notes,
    raw: Any,
    path: str,
    *,
    required: bool = False,
    hint: str = "",
    most: int | None = None,
) -> list[Any]:
    """Return the list at ``path``; with ``required`` it must not be empty."""
    if raw is None or (required and raw == []):
        if required:
            notes.error(path, "must be a list with at least one entry.", hint)
        return []
    if not isinstance(raw, list | tuple):
        notes.error(path, f"must be a list, but got {kind_of(raw)}.", hint)
        return []
    if most is not None and len(raw) > most:
        notes.error(path, f"must have at most {most} entries, but has {len(raw)}.")
        return []
    return list(raw)


def text(
    notes: Notes,
    raw: Any,
    path: str,
    *,
    required: bool = False,
    hint: str = "",
    max_length: int = 4096,
) -> str:
    """Return the text at ``path``, "" when absent."""
    if raw is None or (required and raw == ""):
        if required:
            notes.error(path, "is required.", hint)
        return ""
    if not isinstance(raw, str):
        quoted = f'"{str(raw).lower() if isinstance(raw, bool) else raw}"'
        scalar = isinstance(raw, bool | int | float)
        fallback = f"Put it in quotes: {quoted}." if scalar else ""
        notes.error(path, f"must be text, but got {kind_of(raw)}.", fallback or hint)
        return ""
    if len(raw) > max_length:
        notes.error(path, f"must be at most {max_length} characters, but has {len(raw)}.")
        return ""
    return raw


def whole_number(
    notes: Notes,
    raw: Any,
    path: str,
    *,
    low: int,
    high: int,
    required: bool = False,
    hint: str = "",
) -> int | None:
    """Return the whole number at ``path``; null counts as absent, booleans are no numbers."""
    if raw is None:
        if required:
            notes.error(path, f"is required: a whole number from {low}.", hint)
        return None
    if isinstance(raw, str):
        try:
            int(raw)
            unquoted = f"Drop the quotes: {path.rpartition('.')[2]}: {int(raw)}"
        except ValueError:
            unquoted = ""
        notes.error(path, f"must be a whole number, but got {kind_of(raw)}.", unquoted or hint)
        return None
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if not is_number or (isinstance(raw, float) and not raw.is_integer()):
        notes.error(path, f"must be a whole number, but got {kind_of(raw)}.", hint)
        return None
    number = int(raw)
    if number < low:
        notes.error(path, f"must be at least {low}, but got {kind_of(raw)}.", hint)
        return None
    if number > high:
        notes.error(path, f"must be at most {high}, but got {kind_of(raw)}.", hint)
        return None
    return number


def flag(notes: Notes, raw: Any, path: str, *, hint: str = "Write true or false.") -> bool:
    """Return the boolean at ``path``, False when absent; no other value stands for one."""
    if raw is None:
        return False
    if not isinstance(raw, bool):
        notes.error(path, f"must be true or false, but got {kind_of(raw)}.", hint)
        return False
    return raw


def one_of(
    notes: Notes,
    raw: Any,
    path: str,
    known: Sequence[str],
    *,
    required: bool = False,
    is_given: bool = False,
) -> str:
    """Return the text at ``path`` if it is one of the known ones, else "".

    ``is_given``: it may be absent, but "" is none of them.
    """
    hint = f"One of: {', '.join(known)}."
    value = text(notes, raw, path, required=required, hint=hint)
    if value in known or (not value and not (is_given and raw == "")):
        return value
    notes.error(path, f"'{value[:60]}' is not known.", suggestion(value, known) + " " + hint)
    return ""


def plain_problems(data: Any, root: str = "") -> list[Problem]:
    """Say what keeps ``data`` from being stored as JSON everywhere: depth, size, odd characters."""
    problems: list[Problem] = []
    stack: list[tuple[str, Any, int]] = [(root, data, 0)]
    seen = 0
    while stack:
        path, value, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES:
            return [*problems, Problem(root, f"must hold at most {MAX_NODES} values.")]
        if depth > MAX_DEPTH:
            problems.append(Problem(path[:200], f"must be nested at most {MAX_DEPTH} deep."))
        elif isinstance(value, Mapping):
            for key, inner in reversed([*value.items()]):
                if isinstance(key, str) and not _odd(key):
                    stack.append((at(path, key), inner, depth + 1))
                else:
                    problems.append(Problem(path, f"Names must be plain text, but got {key!r}."))
        elif isinstance(value, list | tuple):
            children = enumerate(value)
            stack.extend((at(path, i), inner, depth + 1) for i, inner in reversed([*children]))
        elif isinstance(value, str):
            if _odd(value):
                problems.append(
                    Problem(path, "must not hold NUL characters or half characters (surrogates).")
                )
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(Problem(path, f"must be a finite number, but got {value}."))
        elif isinstance(value, int) and abs(value) > 10**300:
            problems.append(Problem(path, "must be a number below 1e300."))
        elif value is not None and not isinstance(value, bool | int | float):
            problems.append(Problem(path, f"must be plain JSON, but got {type(value).__name__}."))
    return problems


def _odd(value: str) -> bool:
    if "\x00" in value:
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
