"""Numbers, times and cells as the files of others write them. Called by the readers."""

from __future__ import annotations

import ast
import csv
import io
import math
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from experiments.earlier.study import MOST_TRIALS, refused
from experiments.strict_json import JsonRefused, read_json

_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\Z")
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "+inf": math.inf,
               "-inf": -math.inf, "-infinity": -math.inf}  # fmt: skip
LONGEST_CELL = 100_000
DEEPEST = 50


def loosely(text: Any) -> Any:
    """A value that was written as text: a number, true, JSON, a Python literal, or the text."""
    if not isinstance(text, str):
        return text
    bare = text.strip()
    if bare.lower() in _WORDS:
        return _WORDS[bare.lower()]
    if _PLAIN.match(bare) and len(bare) < 400:
        whole = bare.lstrip("+-").isdigit()
        return int(bare) if whole else float(bare)
    if bare[:1] in ("{", "[", "(") and len(bare) <= LONGEST_CELL and _depth(bare) <= DEEPEST:
        try:
            return read_json(bare)
        except JsonRefused:
            pass
        try:
            return ast.literal_eval(bare)  # literals alone: nothing is called
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return text
    return text


def _depth(text: str) -> int:
    deepest = depth = 0
    for c in text:
        depth += (c in "{[(") - (c in "}])")
        deepest = max(deepest, depth)
    return deepest


def number(given: Any) -> float | None:
    """A number, maybe not a finite one; None for what is none."""
    if isinstance(given, bool) or given is None:
        return None
    if isinstance(given, str):
        bare = given.strip().lower()
        if bare in _NOT_FINITE:
            return _NOT_FINITE[bare]
        given = loosely(bare)
    try:
        return float(given) if isinstance(given, int | float) else None
    except OverflowError:
        return None


def moment(given: Any) -> datetime | None:
    """Milliseconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given / 1000.0, UTC)
        if isinstance(given, str) and given.strip():
            found = datetime.fromisoformat(given.strip().replace("Z", "+00:00"))
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def table(text: str, *, twice: bool = False) -> tuple[list[str], list[dict[str, str]]]:
    """A CSV's names and rows, empty cells left out. Raises ProblemsError.

    A name that is there ``twice``, where it may be, is ``NAME (2)`` the second time.
    """
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
        names = next(reader, [])
        if twice:
            names = _numbered(names)
        rows = []
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise refused(
                    f"Line {reader.line_num} has {len(cells)} cells, but there are {len(names)} "
                    "names."
                )
            rows.append({n: c for n, c in zip(names, cells, strict=True) if c != ""})
            if len(rows) > MOST_TRIALS:
                raise refused(f"The table has more than {MOST_TRIALS} rows.")
    except csv.Error as error:
        raise refused(f"The file is no CSV: {error}.") from None
    finally:
        csv.field_size_limit(limit)
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise refused(f"The column '{name}' is there twice.")
    return names, rows


def _numbered(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
