"""Settings of an algorithm, declared once as a frozen dataclass of ``setting`` fields.

The parser, the form, the REST answers and the docs page all read the same declaration. Called by
``manifest.spec`` (``parse_settings``) and by whatever shows settings (``describe``).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from experiments.algorithms.space.parameters import join, show
from experiments.problems import Problem, ProblemsError, nearest

Bound = int | float
LARGEST_EXACT = 2**53  # of whole numbers in JSON, as most programs read it

# Of the bounds low, above, high and below; who shows them translates.
LIMIT_PHRASES = ("at least %(bound)s", "above %(bound)s", "at most %(bound)s", "below %(bound)s")
AND = " and "

TYPE_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class SettingInfo:
    """One setting as a form or a docs page shows it."""

    name: str
    type: str  # "integer", "number", "text" or "true or false"
    default: Any
    help: str
    low: Bound | None = None
    high: Bound | None = None
    above: Bound | None = None  # exclusive lower bound
    below: Bound | None = None  # exclusive upper bound
    choices: tuple[str, ...] = ()
    optional: bool = False  # null is allowed and means "not given"

    def limits(self, say: Callable[[str], str] = str) -> str:
        """Return the bounds as a phrase, empty if there are none; ``say`` translates."""
        return self._phrase(self.high, say)

    def shown_limits(self, say: Callable[[str], str] = str) -> str:
        """Those that somebody may meet: nobody counts to the largest exact number."""
        return self._phrase(None if self.high == LARGEST_EXACT else self.high, say)

    def _phrase(self, high: Bound | None, say: Callable[[str], str]) -> str:
        bounds = (self.low, self.above, high, self.below)
        parts = [
            say(phrase) % {"bound": int(bound) if bound == int(bound) else bound}
            for phrase, bound in zip(LIMIT_PHRASES, bounds, strict=True)
            if bound is not None
        ]
        return say(AND).join(parts)


@dataclass(frozen=True)
class Args:
    """Base of every algorithm's settings.

    ``ignored`` names arguments that manifests carry for other algorithms of the same kind: given
    here they do nothing and are warned about, not refused. ``unfold`` is asked first.
    """

    ignored: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def unfold(
        cls, raw: Mapping[str, Any], path: str
    ) -> tuple[dict[str, Any], list[Problem], list[Problem]]:
        """Translate another spelling of settings; return them, problems and warnings."""
        return dict(raw), [], []


A = TypeVar("A", bound=Args)


def setting(
    default: Any,
    *,
    help: str,
    low: Bound | None = None,
    high: Bound | None = None,
    above: Bound | None = None,
    below: Bound | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one setting of an Args dataclass: ``name: int = setting(10, low=1, help="…")``."""
    limits = {"low": low, "high": high, "above": above, "below": below}
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, **limits})


def describe(args_class: type[Args]) -> list[SettingInfo]:
    """Return every setting of an Args dataclass, in the order declared."""
    hints = get_type_hints(args_class)
    found = []
    for field in dataclasses.fields(args_class):
        kind, optional = _unwrap(hints[field.name])
        found.append(
            SettingInfo(
                name=field.name,
                type=TYPE_NAMES[kind],
                default=field.default,
                optional=optional,
                **field.metadata,
            )
        )
    return found


def parse_settings(
    args_class: type[A], raw: Mapping[str, Any], path: str
) -> tuple[A, tuple[Problem, ...]]:
    """Read settings as given; return them and warnings about those that do nothing.

    Raises:
        ProblemsError: with every problem found.
    """
    if not isinstance(raw, Mapping):
        raise ProblemsError([Problem(path, f"must be an object of settings, not {show(raw)}.")])
    infos = {info.name: info for info in describe(args_class)}
    values: dict[str, Any] = {}
    raw, problems, warnings = args_class.unfold(raw, path)
    for name, value in raw.items():
        here = join(path, str(name))
        if name in infos:
            problem = _check(infos[name], value, here)
            if problem is None:
                values[name] = _convert(infos[name], value)
            else:
                problems.append(problem)
        elif name in args_class.ignored:
            warnings.append(Problem(here, "is not used by this algorithm and is ignored."))
        else:
            close = nearest(str(name), infos)
            known = ", ".join(infos) or "none"
            problems.append(
                Problem(
                    here,
                    f"is not a setting of this algorithm; it has: {known}.",
                    f"Did you mean {close}?" if close else "",
                )
            )
    if problems:
        raise ProblemsError(problems)
    return args_class(**values), tuple(warnings)


def _unwrap(hint: Any) -> tuple[type, bool]:
    """Return the plain type of an annotation and whether it may be None."""
    if get_origin(hint) in (Union, types.UnionType):
        (kind,) = (arg for arg in get_args(hint) if arg is not type(None))
        return kind, True
    return hint, False


def _check(info: SettingInfo, value: Any, path: str) -> Problem | None:
    if value is None and info.optional:
        return None
    if info.choices:
        if value in info.choices and isinstance(value, str):
            return None
        close = nearest(str(value), info.choices)
        hint = f"Did you mean {close}?" if close else ""
        options = ", ".join(info.choices)
        return Problem(path, f"must be one of {options}, but got {show(value)}.", hint)
    if not _has_type(info, value):
        article = {"integer": "a whole number", "number": "a number", "text": "text"}
        wanted = article.get(info.type, "true or false")
        return Problem(path, f"must be {wanted}, but got {show(value)}.")
    if info.type not in ("integer", "number"):
        return None
    outside = (
        (info.low is not None and value < info.low)
        or (info.high is not None and value > info.high)
        or (info.above is not None and value <= info.above)
        or (info.below is not None and value >= info.below)
    )
    if outside:
        return Problem(path, f"must be {info.limits()}, but got {show(value)}.")
    return None


def _has_type(info: SettingInfo, value: Any) -> bool:
    if info.type == "text":
        return isinstance(value, str)
    if info.type == "true or false":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        if not math.isfinite(value):
            return False
    except OverflowError:
        return False
    return info.type == "number" or value == int(value)


def _convert(info: SettingInfo, value: Any) -> Any:
    """Give a number the declared type: forms and JSON write 20.0 for 20 and 1 for 1.0."""
    if value is None:
        return None
    if info.type == "integer":
        return int(value)
    return float(value) if info.type == "number" else value
