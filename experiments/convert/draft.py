"""A conversion while it is made: what was taken from where, what becomes of it, what is left over.

Used by every reader of a foreign file (``nni``, ``katib``, ``wandb``, ``spaces``). A field that no
reader takes is told as left over, so nothing is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.algorithms.space.parameters import show
from experiments.manifest.fields import API_VERSION, KIND, SPEC
from experiments.manifest.names import MAX_NAME, SUBDOMAIN, slug
from experiments.manifest.reading import LineOf, at, kind_of
from experiments.problems import Problem, ProblemsError

MANY_TRIALS = 1000  # where the file sets no end


@dataclass(frozen=True)
class Row:
    """A field of the file, and the manifest's field that it became."""

    line: int | None
    source: str
    given: str
    target: str
    becomes: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "line": self.line, "source": self.source, "given": self.given,
            "target": self.target, "becomes": self.becomes,
        }  # fmt: skip


@dataclass
class Draft:
    """The manifest in the making. ``left`` is not carried over; ``problems`` forbid the whole."""

    line_of: LineOf
    name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def put(self, target: str, value: Any, source: str = "", given: Any = None) -> None:
        """Set a field of ``spec`` and note where it came from."""
        self.spec[target.removeprefix("spec.")] = value
        if source:
            self.note(source, given, target, value)

    def note(self, source: str, given: Any, target: str, value: Any) -> None:
        """Note that ``source`` became ``target``."""
        self.rows.append(Row(self.line_of(source), source, short(given), target, short(value)))

    def leave(self, path: str, message: str, hint: str = "") -> None:
        """Note what is not carried over, and what to do about it."""
        self.left.append(Problem(path, message, hint, self.line_of(path) if path else None))

    def refuse(self, path: str, message: str, hint: str = "") -> None:
        """Note why the file cannot be converted."""
        self.problems.append(Problem(path, message, hint, self.line_of(path)))

    def raise_if_any(self) -> None:
        if self.problems:
            raise ProblemsError(self.problems)

    def manifest(self) -> dict[str, Any]:
        metadata = {"name": self.name, **self.metadata}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": self.spec}

    def knows(self, name: str) -> bool:
        """Whether a manifest of this version has a field of ``spec``."""
        return name in SPEC.keys

    def name_it(self, given: Any, source: str, otherwise: str) -> None:
        """Choose ``metadata.name``: what the file says, as Kubernetes spells names."""
        wanted = str(given) if given else otherwise
        fits = len(wanted) <= MAX_NAME and SUBDOMAIN.match(wanted)
        self.name = wanted if fits else slug(wanted) or "converted"
        if given:
            self.note(source, given, "metadata.name", self.name)


class Section:
    """A mapping of the file whose names are taken one by one; ``rest`` are those nobody took."""

    def __init__(self, draft: Draft, data: Any, path: str, *, loose: bool = False) -> None:
        """``loose``: names are compared without case and underscores, as NNI does."""
        self.draft, self.path = draft, path
        self._fold = (lambda name: name.lower().replace("_", "")) if loose else str
        self.loose = loose
        if data is not None and not isinstance(data, Mapping):
            draft.refuse(path, f"must be a mapping, but got {kind_of(data)}.")
        self.data: dict[str, Any] = dict(data) if isinstance(data, Mapping) else {}
        self._names = {self._fold(name): name for name in self.data}
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._fold(name) in self._names

    def where(self, name: str) -> str:
        """The path of a field as the file writes it."""
        written = self._names.get(self._fold(name), name)
        return at(self.path, written) if self.path else at("", written)

    def take(self, *names: str) -> Any:
        """The value of the first of the names that is given, None where none is; all are taken."""
        found = None
        for name in names:
            written = self._names.get(self._fold(name))
            if written is not None:
                self._taken.add(written)
                found = self.data[written] if found is None else found
        return found

    def named(self, *names: str) -> str:
        """Which of the names is given, the first where none is."""
        return next((name for name in names if name in self), names[0])

    def section(self, *names: str) -> Section:
        """The mapping at the first of the names that is given, an empty one where none is."""
        name = self.named(*names)
        return Section(self.draft, self.take(name), self.where(name), loose=self.loose)

    def text(self, *names: str) -> str:
        """A text; numbers and booleans as the file writes them."""
        value = self.take(*names)
        if value is None:
            return ""
        if isinstance(value, str | int | float):
            return value if isinstance(value, str) else json.dumps(value)
        message = f"must be text, but got {kind_of(value)}."
        self.draft.refuse(self.where(self.named(*names)), message)
        return ""

    def whole(self, *names: str, low: int = 0) -> int | None:
        """A whole number, also written as text; anything else is refused."""
        value = self.take(*names)
        if value is None:
            return None
        try:
            number = int(str(value))  # "5" counts, true and 5.5 do not
        except ValueError:
            number = low - 1
        if number < low:
            where = self.where(self.named(*names))
            message = f"must be a whole number from {low}, but got {kind_of(value)}."
            self.draft.refuse(where, message)
            return None
        return number

    def rest(self) -> Iterator[tuple[str, Any]]:
        for name, value in self.data.items():
            if name not in self._taken:
                yield name, value

    def leave(self, name: str, message: str, hint: str = "") -> None:
        self.take(name)
        self.draft.leave(self.where(name), message, hint)

    def leave_rest(self, message: str = "has no counterpart here.", hint: str = "") -> None:
        for name, value in list(self.rest()):
            if value not in (None, False, "", [], {}):
                self.leave(name, message, hint)


def short(value: Any) -> str:
    """A value on one line of a report."""
    if isinstance(value, str):
        text = " ".join(value.split())
        return text if len(text) <= 60 else text[:57] + "..."
    return show(value)


def limits(
    draft: Draft, *, trials: tuple[int | None, str], at_once: tuple[int | None, str],
    seconds: tuple[int | None, str], duration: Any = None,
) -> None:  # fmt: skip
    """The three limits, each a value and its path in the file; a manifest needs one that ends it.

    ``duration``: the seconds as the file writes them.
    """
    if seconds[0]:
        draft.put("spec.maxExecSeconds", seconds[0], seconds[1], duration or seconds[0])
    if trials[0] or not seconds[0]:
        draft.put("spec.maxTrialNum", trials[0] or MANY_TRIALS, trials[1] if trials[0] else "",
                  trials[0])  # fmt: skip
    draft.put("spec.trialConcurrency", at_once[0] or 1, at_once[1] if at_once[0] else "",
              at_once[0])  # fmt: skip
    if not (trials[0] or seconds[0]):
        message = f"The file sets no end: maxTrialNum is {MANY_TRIALS} trials."
        draft.leave("", message, "Set spec.maxTrialNum, or spec.maxExecSeconds, to what you want.")


def shell_line(line: str) -> list[str]:
    """A line for a shell, with what only the shell may replace kept from us."""
    kept = "".join(
        f"${c}" if c == "$" and line[i + 1 : i + 2] in ("$", "(") else c for i, c in enumerate(line)
    )
    return ["sh", "-c", kept]
