"""Reads a search space as the user wrote it: to parameters, or to everything that is wrong with it.

Called by ``space.SearchSpace.parse``. Accepts exactly what has one clear meaning; nothing is
adjusted silently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from experiments.algorithms.space.choices import Branch, Choice, Product
from experiments.algorithms.space.layers import InputChoice, LayerChoice
from experiments.algorithms.space.parameters import (
    LogNormal,
    LogUniform,
    Normal,
    Number,
    Parameter,
    RandInt,
    Uniform,
    freeze,
    is_number,
    join,
    show,
)
from experiments.algorithms.space.quantised import QLogNormal, QLogUniform, QNormal, QUniform
from experiments.problems import Problem, nearest

MAX_DEPTH = 16  # nested choices
MAX_CANDIDATES = 64  # inputs of one input_choice
MAX_WHOLE = 2**53  # above this JSON readers disagree on whole numbers
MAX_SIZE = 1e300  # keeps high - low finite
MAX_EXPONENT = 690.0  # exp of this is about 1e299

# The specification's table misspells one type; its manifests must work.
SPELLINGS = {"qlognoraml": "qlognormal"}

MAX_NAME = 200  # characters of a parameter's name, as of a metric's


class _Reader:
    """Collects problems and warnings while reading one space."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def wrong(self, path: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(path, message, hint))

    def warn(self, path: str, message: str, hint: str = "") -> None:
        self.warnings.append(Problem(path, message, hint))

    # -- the shape ------------------------------------------------------------------------------

    def entries(self, raw: Mapping[Any, Any], path: str, depth: int) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {}
        for name, entry in raw.items():
            if not isinstance(name, str):
                self.wrong(path, f"parameter names must be text, but got {show(name)}.")
                continue
            here = join(path, name)
            if not name.strip():
                self.wrong(here, f"a parameter's name must not be empty, but got {show(name)}.")
            elif len(name) > MAX_NAME:
                message = f"a parameter's name must have at most {MAX_NAME} characters"
                self.wrong(join(path, name[:20] + "…"), f"{message}, but this has {len(name)}.")
            elif name == "_name" or (name.startswith("__") and name.endswith("__")):
                self.wrong(here, f"the name {show(name)} is reserved.", "Choose another name.")
            parameter = self.entry(entry, here, depth)
            if parameter is not None:
                parameters[name] = parameter
        return parameters

    def entry(self, entry: Any, path: str, depth: int) -> Parameter | None:
        example = 'Write {"_type": "uniform", "_value": [0, 1]}.'
        if not isinstance(entry, Mapping):
            self.wrong(
                path,
                f'must be an object with "_type" and "_value", but got {show(entry)}.',
                example,
            )
            return None
        for key in entry:
            if key not in ("_type", "_value"):
                close = nearest(str(key), ("_type", "_value"))
                hint = f"Did you mean {close}?" if close else "Only _type and _value belong here."
                self.wrong(join(path, str(key)), "is not a field of a search space entry.", hint)
        if "_type" not in entry:
            self.wrong(f"{path}._type", "is missing.", f"One of {', '.join(TYPES)}.")
            return None
        type_name = entry["_type"]
        read = None
        if isinstance(type_name, str):
            read = READERS.get(SPELLINGS.get(type_name, type_name))
        if read is None:
            close = nearest(str(type_name), TYPES)
            self.wrong(
                f"{path}._type",
                f"must be one of {', '.join(TYPES)}, but got {show(type_name)}.",
                f"Did you mean {close}?" if close else "",
            )
            return None
        if type_name in SPELLINGS:
            self.warn(f"{path}._type", f"{type_name} is read as {SPELLINGS[type_name]}.")
        if "_value" not in entry:
            self.wrong(f"{path}._value", "is missing.")
            return None
        return read(self, entry["_value"], f"{path}._value", depth)

    # -- numbers --------------------------------------------------------------------------------

    def numbers(self, value: Any, path: str, names: tuple[str, ...]) -> list[Number] | None:
        """Read exactly the named numbers; None, with problems noted, if they are not there."""
        wanted = "[" + ", ".join(names) + "]"
        if not isinstance(value, list | tuple):
            self.wrong(path, f"must be {wanted}, but got {show(value)}.")
            return None
        if len(value) != len(names):
            self.wrong(
                path,
                f"must be {wanted}: {len(names)} numbers, but got {len(value)}: {show(value)}.",
            )
            return None
        sound = True
        for place, (name, number) in enumerate(zip(names, value, strict=True)):
            here = f"{path}[{place}]"
            if isinstance(number, float) and not math.isfinite(number):
                self.wrong(here, f"{name} must be a finite number, but got {number}.")
            elif isinstance(number, str):
                hint = f"Write it without quotes: {number}" if _looks_numeric(number) else ""
                self.wrong(here, f"{name} must be a number, but got the text {show(number)}.", hint)
            elif isinstance(number, bool) or not isinstance(number, int | float):
                self.wrong(here, f"{name} must be a number, but got {show(number)}.")
            elif abs(number) > MAX_SIZE:
                self.wrong(here, f"{name} must lie within ±{MAX_SIZE:g}, but got {show(number)}.")
            else:
                continue
            sound = False
        return list(value) if sound else None

    def ordered(self, low: Number, high: Number, path: str) -> bool:
        if low > high:
            self.wrong(
                path,
                f"the lower bound must not exceed the upper one, but got [{low}, {high}].",
                f"Swap them: [{high}, {low}].",
            )
            return False
        if low == high:
            self.warn(path, f"both bounds are {low}, so the value never changes.")
        return True

    def positive(self, number: Number, path: str, what: str, hint: str = "") -> bool:
        if number > 0:
            return True
        self.wrong(path, f"{what} must be above 0, but got {number}.", hint)
        return False

    def fine_enough(self, largest: Number, q: Number, path: str) -> bool:
        if largest / q <= MAX_WHOLE:
            return True
        self.wrong(path, f"q must be large enough to count steps of it, but got {q}.")
        return False


def _looks_numeric(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _randint(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
    bounds = reader.numbers(value, path, ("lower", "upper"))
    if bounds is None:
        return None
    sound = True
    for place, (name, bound) in enumerate(zip(("lower", "upper"), bounds, strict=True)):
        if bound != int(bound):
            hint = "Use uniform or quniform for fractions."
            reader.wrong(f"{path}[{place}]", f"{name} must be whole, but got {bound}.", hint)
            sound = False
        elif abs(bound) > MAX_WHOLE:
            reader.wrong(f"{path}[{place}]", f"{name} must lie within ±2**53, but got {bound}.")
            sound = False
    if not sound:
        return None
    low, high = int(bounds[0]), int(bounds[1])
    if low < high:
        return RandInt(low, high)
    reader.wrong(
        path,
        f"lower must be below upper, which randint excludes, but got [{low}, {high}].",
        f"For {low} alone write [{low}, {low + 1}]."
        if low == high
        else f"Swap them: [{high}, {low}].",
    )
    return None


def _bounded(kind: type[Uniform]) -> Callable[[_Reader, Any, str, int], Parameter | None]:
    names = ("low", "high", "q") if issubclass(kind, QUniform) else ("low", "high")

    def read(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
        numbers = reader.numbers(value, path, names)
        if numbers is None:
            return None
        low, high = numbers[:2]
        sound = reader.ordered(low, high, path)
        if kind.is_log:
            hint = "A logarithm needs positive bounds; for 0 use uniform."
            sound &= reader.positive(low, f"{path}[0]", f"the lower bound of {kind.type}", hint)
            if low > 0:
                sound &= reader.positive(high, f"{path}[1]", f"the upper bound of {kind.type}")
        if len(numbers) == 3:
            q = numbers[2]
            sound &= reader.positive(q, f"{path}[2]", "q") and reader.fine_enough(
                max(abs(low), abs(high)), q, f"{path}[2]"
            )
            if sound and low < high and q > high - low:
                n_values = kind(*numbers).n_distinct()
                left = "1 value remains" if n_values == 1 else f"{n_values} values remain"
                reader.warn(
                    f"{path}[2]",
                    f"q = {q} is wider than the range from {low} to {high}: {left}.",
                )
        return kind(*numbers) if sound else None

    return read


def _bell(kind: type[Normal]) -> Callable[[_Reader, Any, str, int], Parameter | None]:
    names = ("mu", "sigma", "q") if issubclass(kind, QNormal) else ("mu", "sigma")

    def read(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
        numbers = reader.numbers(value, path, names)
        if numbers is None:
            return None
        mu, sigma = numbers[:2]
        sound = reader.positive(sigma, f"{path}[1]", "sigma")
        largest = abs(mu) + 8 * sigma
        if kind.is_log and largest > MAX_EXPONENT:
            reader.wrong(
                path,
                f"exp of the values must stay finite: |mu| + 8 sigma at most {MAX_EXPONENT:g}, "
                f"but got {show([mu, sigma])}.",
                "mu and sigma belong to the logarithm of the value.",
            )
            sound = False
        if len(numbers) == 3:
            q = numbers[2]
            sound &= reader.positive(q, f"{path}[2]", "q")
            if sound:
                reach = math.exp(mu + 8 * sigma) if kind.is_log else largest
                sound &= reader.fine_enough(reach, q, f"{path}[2]")
        return kind(*numbers) if sound else None

    return read


# -- choices ------------------------------------------------------------------------------------


def _choice(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
    if not isinstance(value, list | tuple):
        reader.wrong(path, f"must be a list of choices, but got {show(value)}.", "Write [1, 2, 3].")
        return None
    if not value:
        reader.wrong(path, "must hold at least one choice, but got [].")
        return None
    members: list[Any] = []
    seen: dict[Any, int] = {}
    names: dict[str, int] = {}
    n_problems = len(reader.problems)
    for place, raw in enumerate(value):
        here = f"{path}[{place}]"
        member = _member(reader, raw, here, depth)
        members.append(member)
        if isinstance(member, Branch):
            if member.name in names:
                first = names[member.name]
                reader.wrong(f"{here}._name", f"{show(member.name)} already names [{first}].")
            names.setdefault(member.name, place)
            continue
        if member is _UNNAMED:
            continue
        frozen = freeze(member)
        if frozen in seen:
            reader.warn(
                here,
                f"{show(member)} is listed already as [{seen[frozen]}].",
                "Random draws take it more often; a grid takes it once.",
            )
        seen.setdefault(frozen, place)
    return Choice(members) if len(reader.problems) == n_problems else None


_UNNAMED = object()  # stands for a branch that has no name: a problem that was noted


def _member(reader: _Reader, raw: Any, path: str, depth: int) -> Any:
    if not isinstance(raw, Mapping) or not _is_branch(raw):
        _constant(reader, raw, path, depth)
        return raw
    name = raw.get("_name")
    if name is None:
        hint = 'Nested choices look like {"_name": "conv", "size": {"_type": …, "_value": …}}.'
        reader.wrong(f"{path}._name", "is missing: a nested search space needs a name.", hint)
        return _UNNAMED  # what else is said of it would be said of something else
    if not isinstance(name, str) or not name.strip():
        reader.wrong(f"{path}._name", f"must be text that is not empty, but got {show(name)}.")
        return _UNNAMED
    if depth >= MAX_DEPTH:
        reader.wrong(path, f"choices must not nest deeper than {MAX_DEPTH} levels.")
        return None
    below = {key: entry for key, entry in raw.items() if key != "_name"}
    return Branch(name, Product(reader.entries(below, path, depth + 1)))


def _is_branch(raw: Mapping[Any, Any]) -> bool:
    return "_name" in raw or any(isinstance(v, Mapping) and "_type" in v for v in raw.values())


def _constant(reader: _Reader, value: Any, path: str, depth: int) -> None:
    """Check a plain member: any JSON value, of finite numbers."""
    if depth > MAX_DEPTH:
        reader.wrong(path, f"choices must not nest deeper than {MAX_DEPTH} levels.")
    elif value is None or isinstance(value, bool | str):
        return
    elif isinstance(value, int | float):
        if not is_number(value):
            text = str(value) if isinstance(value, float) else "a number of too many digits"
            reader.wrong(path, f"must be a finite number, but got {text}.")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _constant(reader, item, f"{path}[{place}]", depth + 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                reader.wrong(path, f"keys must be text, but got {show(key)}.")
            elif key.startswith("__") and key.endswith("__"):
                # NNI's client runs code for some keys of this shape
                reader.wrong(join(path, key), f"the key {show(key)} is reserved.")
            else:
                _constant(reader, item, join(path, key), depth + 1)
    else:
        reader.wrong(path, f"must be a JSON value, but got {show(value)}.")


def _names(reader: _Reader, value: Any, path: str, what: str) -> list[Any] | None:
    if not isinstance(value, list | tuple) or not value:
        reader.wrong(path, f"must be a list of at least one {what}, but got {show(value)}.")
        return None
    sound = True
    for place, name in enumerate(value):
        if not isinstance(name, str) and not is_number(name):
            reader.wrong(f"{path}[{place}]", f"must be a name (text), but got {show(name)}.")
            sound = False
    return list(value) if sound else None


def _layer_choice(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
    names = _names(reader, value, path, "layer")
    return LayerChoice(names) if names else None


def _input_choice(reader: _Reader, value: Any, path: str, depth: int) -> Parameter | None:
    fields = ("candidates", "n_chosen")
    if not isinstance(value, Mapping):
        hint = 'Write {"candidates": ["a", "b"], "n_chosen": 1}.'
        reader.wrong(path, f"must be an object, but got {show(value)}.", hint)
        return None
    n_problems = len(reader.problems)
    for key in value:
        if key not in fields:
            close = nearest(str(key), fields)
            hint = (
                f"Did you mean {close}?" if close else "Only candidates and n_chosen belong here."
            )
            reader.wrong(join(path, str(key)), "is not a field of an input_choice.", hint)
    for key in fields:
        if key not in value:
            reader.wrong(f"{path}.{key}", "is missing.")
    if len(reader.problems) > n_problems:
        return None
    candidates = _names(reader, value["candidates"], f"{path}.candidates", "input")
    if candidates is None:
        return None
    if len(candidates) > MAX_CANDIDATES:
        reader.wrong(
            f"{path}.candidates",
            f"must be at most {MAX_CANDIDATES} inputs, but got {len(candidates)}.",
        )
        return None
    n_chosen = value["n_chosen"]
    counts = [0, len(candidates)] if n_chosen is None else n_chosen
    counts = counts if isinstance(counts, list | tuple) else [counts, counts]
    if (
        len(counts) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) for n in counts)
        and 0 <= counts[0] <= counts[1] <= len(candidates)
    ):
        return InputChoice(candidates, n_chosen, counts[0], counts[1])
    reader.wrong(
        f"{path}.n_chosen",
        f"must be a whole number from 0 to {len(candidates)} (the number of candidates), or "
        f"[fewest, most], but got {show(n_chosen)}.",
    )
    return None


READERS: dict[str, Callable[[_Reader, Any, str, int], Parameter | None]] = {
    "choice": _choice,
    "randint": _randint,
    "uniform": _bounded(Uniform),
    "quniform": _bounded(QUniform),
    "loguniform": _bounded(LogUniform),
    "qloguniform": _bounded(QLogUniform),
    "normal": _bell(Normal),
    "qnormal": _bell(QNormal),
    "lognormal": _bell(LogNormal),
    "qlognormal": _bell(QLogNormal),
    "layer_choice": _layer_choice,
    "input_choice": _input_choice,
}
TYPES = tuple(READERS)


def read_space(raw: Any, path: str) -> tuple[dict[str, Parameter], list[Problem], list[Problem]]:
    """Return the parameters, the problems and the warnings of a search space as written."""
    reader = _Reader()
    if not isinstance(raw, Mapping):
        reader.wrong(path, f"must be an object of parameters, but got {show(raw)}.")
        return {}, reader.problems, reader.warnings
    if not raw:
        reader.wrong(path, "must hold at least one parameter, but got {}.")
    parameters = reader.entries(raw, path, 0)
    return parameters, reader.problems, reader.warnings
