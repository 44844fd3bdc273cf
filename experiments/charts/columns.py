"""Trials column by column, as arrays: what a chart of a hundred thousand is worked out from.

Pure; made of a record's trials where nobody gives them, else kept by ``chart_data`` and brought up
to date: a chart's time goes into its picture then, and not into reading the same trials again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from experiments.algorithms.space.parameters import freeze
from experiments.states import TrialState

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
V = TypeVar("V")

STATES = tuple(TrialState)
_CODES = {str(state): code for code, state in enumerate(STATES)}
_UNKNOWN = len(STATES)  # a state of a later release
ABSENT = object()  # the value of a parameter that a trial does not have
LARGEST_EXACT = 2**53  # above it, floats leave integers out


def is_any_of(states: NDArray[np.int8], wanted: frozenset[Any]) -> NDArray[np.bool_]:
    """Where the state is one of those."""
    table = np.array([*(state in wanted for state in STATES), False])
    found: NDArray[np.bool_] = table[states]
    return found


class Columns(NamedTuple):
    """Numbers of trials; NaN where there is none, times in microseconds since 1970: exact ones."""

    number: NDArray[np.int64]
    state: NDArray[np.int8]  # place in STATES; beyond where it is none of them
    value: Floats
    latest: Floats  # the newest value reported
    excluded: NDArray[np.bool_]
    created: Floats
    started: Floats
    finished: Floats

    @classmethod
    def of(cls, trials: Sequence[Any]) -> Columns:
        """Of ``TrialRecord``s."""
        n = len(trials)
        return cls(
            np.fromiter((t.number for t in trials), np.int64, n),
            np.fromiter((_CODES.get(t.state, _UNKNOWN) for t in trials), np.int8, n),
            _floats([t.value for t in trials]),
            _floats([t.latest_value for t in trials]),
            np.fromiter((t.excluded for t in trials), np.bool_, n),
            _micros([t.created_at for t in trials]),
            _micros([t.started_at for t in trials]),
            _micros([t.finished_at for t in trials]),
        )

    def among(self, places: Places) -> Columns:
        found: list[Any] = [column[places] for column in self]
        return Columns(*found)

    def with_changed(self, places: Places, changed: Sequence[Any]) -> Columns:
        """With these trials at their places; new ones come last."""
        fresh = Columns.of(changed)
        n = max(self.number.size, int(places.max()) + 1 if places.size else 0)
        found = [_changed(*pair, places, n) for pair in zip(self, fresh, strict=True)]
        return Columns(*found)


def _changed(column: Any, news: Any, places: Places, n: int) -> Any:
    found = np.empty(n, column.dtype)
    found[: column.size] = column
    found[places] = news
    return found


def _floats(values: list[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _micros(times: list[datetime | None]) -> Floats:
    return np.rint(1e6 * _floats([None if time is None else time.timestamp() for time in times]))


def micros(moment: datetime) -> float:
    return float(np.rint(1e6 * moment.timestamp()))


class Coded(NamedTuple):
    """Things told apart by keys: each key once, by the first that has it, and the key of each."""

    keys: list[Hashable]
    codes: Places  # places in keys

    @classmethod
    def of(cls, keys: Iterable[Hashable]) -> Coded:
        return cls([], np.empty(0, dtype=np.intp)).grown(keys)

    def grown(self, keys: Iterable[Hashable]) -> Coded:
        """With some more after them."""
        code_of = {key: code for code, key in enumerate(self.keys)}
        more = [code_of.setdefault(key, len(code_of)) for key in keys]
        return Coded(list(code_of), np.concatenate([self.codes, np.array(more, dtype=np.intp)]))

    def among(self, places: Places) -> Coded:
        """Of some of them."""
        codes = self.codes[places]
        first = _firsts(codes, len(self.keys))
        there = np.argsort(first, kind="stable")[: int((first < codes.size).sum())]
        code_now = np.full(len(self.keys), -1, dtype=np.intp)
        code_now[there] = np.arange(there.size)
        return Coded([self.keys[code] for code in there.tolist()], code_now[codes])

    def first(self) -> list[int]:
        """Of each key, the place of the first that has it."""
        found: list[int] = _firsts(self.codes, len(self.keys)).tolist()
        return found


def _firsts(codes: Places, n_keys: int) -> Places:
    """Where each code stands first; the number of codes where it does not."""
    found = np.full(n_keys, codes.size, dtype=np.intp)
    found[codes[::-1]] = np.arange(codes.size)[::-1]  # of equal ones the last to be set stays
    return found


class Column:
    """One parameter of every trial, ABSENT where a trial does not have it."""

    def __init__(self, values: list[Any], numbers: Floats | None) -> None:
        self._values = values
        self.numbers = numbers  # NaN for the absent; None where one is no finite number

    @classmethod
    def of_numbers(cls, numbers: Floats) -> Column:
        """NaN where a trial has none."""
        return cls([], numbers)

    def at(self, place: int) -> Any:
        return self._values[place]

    @cached_property
    def coded(self) -> Coded:
        """Its values told apart by ``key_of``."""
        words_only = set(map(type, self._values)) == {str}  # which are their own keys
        return Coded.of(self._values if words_only else map(key_of, self._values))

    def grown(self, added: list[Any]) -> Column | None:
        """With some values more; None where it is to be read anew."""
        values = [*self._values, *added]
        if self.numbers is None:
            return Column(values, as_numbers(values))
        more = as_numbers(added)
        return None if more is None else Column(values, np.concatenate([self.numbers, more]))


class _SomeOfColumn(Column):
    def __init__(self, whole: Column, places: Places) -> None:
        self._whole, self._places = whole, places
        self.numbers = None if whole.numbers is None else whole.numbers[places]
        if self.numbers is None:  # what is no number may be left out
            self.numbers = as_numbers([whole.at(place) for place in places.tolist()])

    def at(self, place: int) -> Any:
        return self._whole.at(int(self._places[place]))

    @cached_property
    def coded(self) -> Coded:
        return self._whole.coded.among(self._places)


def key_of(value: Any) -> Hashable:
    """What tells one choice from another: the ``_name`` of a nested one, else the value itself."""
    if not isinstance(value, dict):
        return freeze(value)
    if isinstance(value.get("_name"), str):
        return ("branch", value["_name"])
    return freeze(value)


class Kept:
    """What is known of the trials of a record column by column, and what charts made of it.

    It lives on as long as the trials do not change: charts may keep what takes them long.
    """

    def __init__(self, columns: Columns, parameters: Parameters, metrics: Parameters) -> None:
        self.columns = columns
        self.parameters = parameters
        self.metrics = metrics  # of the final reports, by name
        self._made: dict[str, tuple[Hashable, Any]] = {}

    @classmethod
    def of(cls, trials: Sequence[Any]) -> Kept:
        parameters = Parameters([t.parameters for t in trials])
        return cls(Columns.of(trials), parameters, Parameters([t.metrics for t in trials]))

    def among(self, places: Places) -> Kept:
        parameters, metrics = (
            SomeParameters(whole, places) for whole in (self.parameters, self.metrics)
        )
        return Kept(self.columns.among(places), parameters, metrics)

    def with_changed(self, trials: Sequence[Any], places: Places) -> Kept:
        """Of these trials, that are as before but at those places; new ones come last."""
        return Kept(
            self.columns.with_changed(places, [trials[place] for place in places.tolist()]),
            self.parameters.with_changed([t.parameters for t in trials], places),
            self.metrics.with_changed([t.metrics for t in trials], places),
        )

    def once(self, name: str, key: Hashable, make: Callable[[], V]) -> V:
        """What is made of these trials; the last one is kept, by what else it depends on."""
        found = self._made.get(name)
        if found is None or found[0] != key:
            found = self._made[name] = (key, make())
        return cast(V, found[1])


class Parameters:
    """What the parameters of trials are: each is read once, however many charts ask for it."""

    def __init__(self, given: Sequence[Mapping[str, Any]]) -> None:
        self._given = given
        self._shapes: Coded | None = None
        self._columns: dict[tuple[str, ...], Column] = {}

    @property
    def shapes(self) -> Coded:
        """Which names stand beside each other: few, however many trials there are."""
        if self._shapes is None:
            self._shapes = Coded.of(map(tuple, self._given))
        return self._shapes

    def names(self) -> list[str]:
        """Of the outermost level, in the order they come in."""
        return list(dict.fromkeys(name for names in self.shapes.keys for name in cast(Any, names)))

    def column(self, path: tuple[str, ...]) -> Column:
        if path not in self._columns:
            values = values_at(self._given, path)
            self._columns[path] = Column(values, as_numbers(values))
        return self._columns[path]

    def with_changed(self, given: Sequence[Mapping[str, Any]], places: Places) -> Parameters:
        """Of these trials, that are as before but at those places; new ones come last."""
        found, n = Parameters(given), len(self._given)
        old = places[places < n].tolist()
        if any(given[place] != self._given[place] for place in old):
            return found
        added = given[n:]
        if self._shapes is not None:
            found._shapes = self._shapes.grown(map(tuple, added))
        for path, column in self._columns.items():
            if (grown := column.grown(values_at(added, path)) if added else column) is not None:
                found._columns[path] = grown
        return found


class SomeParameters(Parameters):
    """Those of some trials out of all."""

    def __init__(self, whole: Parameters, places: Places) -> None:
        super().__init__(())
        self._whole, self._places = whole, places

    @property
    def shapes(self) -> Coded:
        return self._whole.shapes.among(self._places)

    def column(self, path: tuple[str, ...]) -> Column:
        if path not in self._columns:
            self._columns[path] = _SomeOfColumn(self._whole.column(path), self._places)
        return self._columns[path]


def values_at(given: Sequence[Mapping[str, Any]], path: tuple[str, ...]) -> list[Any]:
    """Every trial's value of one parameter, ABSENT where it has none.

    These loops meet a hundred thousand trials times twenty parameters: they are plain on purpose.
    """
    first, *rest = path
    column = [p.get(first, ABSENT) for p in given]
    for name in rest:
        column = [v.get(name, ABSENT) if isinstance(v, dict) else ABSENT for v in column]
    return column


def as_numbers(values: list[Any]) -> Floats | None:
    """The values as floats, NaN for the absent; None where one is no finite number.

    Nor where integers are so large that no axis of floats tells them apart.
    """
    kinds = set(map(type, values))
    if not kinds <= {int, float, object}:  # ABSENT is the only bare object
        return None
    given = values
    if object in kinds:
        given = [math.nan if v is ABSENT else v for v in values]
    try:
        numbers = np.array(given, dtype=np.float64)
    except OverflowError:
        return None
    n_absent = sum(v is ABSENT for v in values) if object in kinds else 0
    present = numbers[np.isfinite(numbers)]
    if present.size + n_absent < numbers.size:  # some are infinite, or no numbers
        return None
    if int in kinds and present.size and np.abs(present).max() >= LARGEST_EXACT:
        exact = all(float(v) == v for v in values if v is not ABSENT)
        return numbers if exact else None
    return numbers
