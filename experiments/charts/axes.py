"""Axes of a search space: from each parameter's ``_type`` to places on a line.

Shared by charts that place parameters. A *place* is a plain float, whatever the parameter: itself
on a linear axis, its decimal logarithm on a log axis, its position among the choices on a choice
axis. Choices are told apart by their values (1 is not "1", null not "null"), never by their labels.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.algorithms.base import LOAD_KEY, SAVE_KEY
from experiments.algorithms.space.parameters import is_number
from experiments.charts import scale, style
from experiments.charts.base import Cell, Floats
from experiments.charts.columns import ABSENT, Column, Parameters, key_of, values_at

MISSING_LABEL = "–"
SIGMAS = 4.0  # a normal parameter's axis covers its mean plus and minus so many
MOST_LABELS = 24  # ticks on a choice axis
LABEL_LENGTH = 22
SLOT = 0.12  # of an axis' length: how far below it the slot of missing ones lies
CHOICE_SLOT = 0.65  # of the way between two choices

LINEAR_TYPES = frozenset({"uniform", "quniform", "randint"})
LOG_TYPES = frozenset({"loguniform", "qloguniform"})
NORMAL_TYPES = frozenset({"normal", "qnormal"})
LOGNORMAL_TYPES = frozenset({"lognormal", "qlognormal", "qlognoraml"})


@dataclass(frozen=True, eq=False)
class Axis:
    """One parameter's axis and the place of every trial on it."""

    label: str
    kind: str  # linear | log | choice
    low: float  # places of the ends, padded
    high: float
    ticks: tuple[tuple[float, str], ...]
    places: Floats  # one for each trial
    is_constant: bool  # the space allows one value only
    has_missing: bool = False
    path: tuple[str, ...] = ()  # through nested choices to the parameter
    can_log: bool = False  # every value is above 0
    choices: tuple[Any, ...] = ()  # of a choice axis: the value at 0, 1, …

    @property
    def slot(self) -> float | None:
        """The place of trials without this parameter; None where all have it."""
        return self.ticks[0][0] if self.has_missing else None

    @property
    def own_low(self) -> float:
        """The low end without the slot of those that lack it."""
        if self.slot is None:
            return self.low
        if self.kind == "choice":
            return self.slot + CHOICE_SLOT
        return (self.slot + SLOT * self.high) / (1 + SLOT)

    @property
    def own_ticks(self) -> tuple[tuple[float, str], ...]:
        return self.ticks[1:] if self.has_missing else self.ticks


@dataclass(frozen=True)
class _Declared:
    """A parameter as the space names it, by its path through nested choices."""

    path: tuple[str, ...]
    type: str
    args: tuple[Any, ...]


def axes(
    space: Mapping[str, Any],
    parameters: Sequence[Mapping[str, Any]] | Parameters,
    scales: Mapping[str, str] | None = None,
) -> list[Axis]:
    """Every parameter's axis in the space's order, branches of nested choices after their choice.

    ``scales``: by label, log or linear where that is not the space's own; log where it can be.
    Parameters that the space does not name come last: an advisor's budget, a custom trial's own.
    Checkpoint directories have no axis: every trial's is another.
    """
    declared = list(_declared(space, ()))
    known = {d.path[0] for d in declared} | ({LOAD_KEY, SAVE_KEY} - set(space))
    given = parameters if isinstance(parameters, Parameters) else Parameters(parameters)
    for name in given.names():
        if name not in known:
            declared.append(_Declared((name,), "", ()))
    wanted = scales or {}
    return [
        replace(_axis(d, given.column(d.path), wanted.get(".".join(d.path), "")), path=d.path)
        for d in declared
    ]


def axis_of(label: str, column: Column) -> Axis | None:
    """The axis of a number that no space names; None where no trial has it."""
    if column.numbers is not None and np.isnan(column.numbers).all():
        return None
    return replace(_axis(_Declared((label,), "", ()), column, ""), path=(label,))


def cells(axis: Axis, parameters: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """Every trial's value of the axis' parameter as a table shows it; None where it has none."""
    return [_cell_of(value) for value in values_at(parameters, axis.path)]


def _cell_of(value: Any) -> Cell:
    if value is ABSENT:
        return None
    return value if isinstance(value, (str, int, float, bool)) else _text_of(value)


def _declared(space: Mapping[str, Any], above: tuple[str, ...]) -> list[_Declared]:
    found: dict[tuple[str, ...], _Declared] = {}
    for name, node in space.items():
        if not isinstance(node, Mapping) or "_type" not in node:
            continue
        path = (*above, name)
        value = node.get("_value")
        args = tuple(value) if isinstance(value, (list, tuple)) else ()
        found.setdefault(path, _Declared(path, str(node["_type"]), args))
        for option in args:
            if isinstance(option, Mapping):
                # The same name may stand in several branches: they share an axis.
                for inner in _declared(option, path):
                    found.setdefault(inner.path, inner)
    return list(found.values())


def _text_of(value: Any) -> str:
    if isinstance(value, Mapping) and "_name" in value:
        value = value["_name"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def labels_of(values: Sequence[Any]) -> list[str]:
    """What different choices are called: each another word, short where they can be."""
    texts = [_text_of(value) for value in values]
    count = Counter(texts)
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        # "1" beside 1, "null" beside null; and what would be no word at all
        if isinstance(value, str) and (count[text] > 1 or not text.strip()):
            texts[place] = json.dumps(text, ensure_ascii=False)
    for shorten in (_head, _ends):
        labels = [shorten(text) for text in texts]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{_head(text)} ({place})" for place, text in enumerate(texts, start=1)]


def _head(text: str) -> str:
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"


def _ends(text: str) -> str:
    half = LABEL_LENGTH // 2
    return text if len(text) <= LABEL_LENGTH else text[: half - 1] + "…" + text[-half:]


def _axis(declared: _Declared, column: Column, scale_wanted: str) -> Axis:
    label = ".".join(declared.path)
    numbers = column.numbers
    numeric_type = declared.type in LINEAR_TYPES | LOG_TYPES | NORMAL_TYPES | LOGNORMAL_TYPES
    if numbers is None or not (numeric_type or (declared.type == "" and numbers.size)):
        return _choice_axis(label, declared, column)
    is_of_logs = declared.type in LOG_TYPES | LOGNORMAL_TYPES
    wants_log = scale_wanted == "log" or (is_of_logs and scale_wanted != "linear")
    can_log = not bool((numbers <= 0).any())
    is_log = wants_log and can_log
    places = np.log10(numbers) if is_log else numbers
    ends = _declared_ends(declared)
    if ends is not None and is_log and ends[0] <= 0:
        ends = None  # the axis begins at the smallest value instead
    present = places[~np.isnan(places)]
    seen = [float(present.min()), float(present.max())] if present.size else []
    if ends is not None and is_log:
        ends = math.log10(ends[0]), math.log10(ends[1])
    if ends is not None:
        seen += [*ends]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    is_constant = ends is not None and ends[0] == ends[1] and low == high
    if is_log:
        marks = scale.log_ticks(scale.power_of_ten(low), scale.power_of_ten(high))
        places_of_marks = [math.log10(mark) for mark in marks]
    else:
        low, high = (min(max(end, -scale.DRAWABLE), scale.DRAWABLE) for end in (low, high))
        marks = places_of_marks = scale.linear_ticks(low, high)
    ticks = list(zip(places_of_marks, scale.tick_texts(marks), strict=True))
    if not is_log:
        places = np.clip(places, low, high)  # NaN stays
    low, high = scale.padded(low, high, 0.03)
    rounding = 1e-6 * max(abs(low), abs(high))  # of what is drawn: it must not leave the axis
    if high - low < rounding:
        low, high = low - rounding, high + rounding
    return _with_missing(
        Axis(
            label, "log" if is_log else "linear", low, high, tuple(ticks), places,
            is_constant, can_log=can_log,
        )
    )  # fmt: skip


def _declared_ends(declared: _Declared) -> tuple[float, float] | None:
    """The bounds that the space names, or the part of a normal's range worth showing."""
    args = declared.args
    if len(args) < 2 or not all(is_number(a) for a in args[:2]):
        return None
    first, second = float(args[0]), float(args[1])
    if declared.type == "randint":
        return first, max(first, second - 1)
    if declared.type in NORMAL_TYPES:
        return first - SIGMAS * second, first + SIGMAS * second
    if declared.type in LOGNORMAL_TYPES:
        low, high = first - SIGMAS * second, first + SIGMAS * second
        return math.exp(max(low, -700.0)), math.exp(min(high, 700.0))
    if declared.type in LOG_TYPES and first <= 0:
        return None
    return first, second


def _choice_axis(label: str, declared: _Declared, column: Column) -> Axis:
    """Choices evenly spaced in the space's order; values from outside it follow."""
    known: dict[Hashable, Any] = {}
    for value in declared.args if declared.type == "choice" else ():
        known.setdefault(key_of(value), value)
    is_constant = len(known) == 1
    coded = column.coded
    for key, first in zip(coded.keys, coded.first(), strict=True):
        if key is not ABSENT:
            known.setdefault(key, column.at(first))
    place_of: dict[Hashable, float] = {key: float(i) for i, key in enumerate(known)}
    labels = labels_of(list(known.values()))
    every = max(1, math.ceil(len(labels) / MOST_LABELS))
    ticks = [(float(i), style.plain_text(labels[i])) for i in range(0, len(labels), every)]
    place_of[ABSENT] = math.nan
    places = np.array([place_of[key] for key in coded.keys], dtype=np.float64)[coded.codes]
    return _with_missing(
        Axis(
            label, "choice", -0.35, max(len(known) - 1, 0) + 0.35, tuple(ticks), places,
            is_constant and len(known) == 1, choices=tuple(known.values()),
        )
    )  # fmt: skip


def _with_missing(axis: Axis) -> Axis:
    """Give trials without this parameter a slot of their own below the others."""
    is_missing = np.isnan(axis.places)
    if not is_missing.any():
        return axis
    slot = axis.low - (CHOICE_SLOT if axis.kind == "choice" else SLOT * (axis.high - axis.low))
    room = 0.35 if axis.kind == "choice" else 0.03 * (axis.high - axis.low)
    return replace(
        axis,
        low=slot - room,
        ticks=((slot, MISSING_LABEL), *axis.ticks),
        places=np.where(is_missing, slot, axis.places),
        is_constant=False,
        has_missing=True,
    )
