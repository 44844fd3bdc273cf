"""A problem with something the user wrote: where, what must hold and what came, and a way out.

Made by every parser (search space, settings, manifest) and shown by every mouth (form field, REST
error, CLI line, operator condition), so all of them say the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """``path`` is dotted from the manifest's root: ``spec.searchSpace.lr._value[0]``."""

    path: str
    message: str
    hint: str = ""
    line: int | None = None  # 1-based line of the YAML text, where known

    def as_dict(self) -> dict[str, object]:
        """Plain JSON as the REST API sends it."""
        found: dict[str, object] = {"path": self.path, "message": self.message, "hint": self.hint}
        if self.line is not None:
            found["line"] = self.line
        return found


class ProblemsError(ValueError):
    """Raised with every problem found, never only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in self.problems))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``word`` was probably meant to be, or None."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
