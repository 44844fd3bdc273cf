"""One class per ``_type``: what its values are and how to move among them. Numbers live here.

Those on a grid live in ``quantised``, choices in ``choices``. Made by ``reading`` from what
the user wrote, used by ``space.SearchSpace`` and, through it, by every tuner. Values are plain
Python (int, float, str, bool, None, list, dict), ready for JSON.

*Unit*: each parameter maps its values onto [0, 1] so that a uniform draw there is a draw from the
parameter's own distribution; log types are straight lines in their logarithm. A finite parameter
also numbers its distinct values: ``at(index)`` and ``index_of(value)``, in grid order.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from experiments.problems import Problem

Number = int | float
Floats = npt.NDArray[np.float64]

# Draws closer to 0 or 1 than this would put a normal value at more than 7 sigma, or at infinity.
UNIT_EDGE = 1e-12
_STANDARD = NormalDist()
_PLAIN = frozenset({str, int, float, type(None)})


def is_number(value: object) -> bool:
    """Say whether a value is a finite number; True and False are not numbers here."""
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int | float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond what a float can hold
        return False


def freeze(value: Any) -> Hashable:
    """Return a hashable stand-in: equal for equal JSON values, so 1 and 1.0 but not 1 and true."""
    if type(value) in _PLAIN:  # as nearly all are, of a hundred thousand trials
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Mapping):
        return ("dict", frozenset((str(k), freeze(v)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(freeze(v) for v in value))
    return value if isinstance(value, Hashable) else ("other", repr(value))


def show(value: object) -> str:
    """Return a value as the user would write it in JSON, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        try:
            text = repr(value)
        except ValueError:  # an int that Python refuses to write out
            text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def join(path: str, name: str) -> str:
    """Extend a dotted path by a name, quoting names that would be mistaken for several."""
    if name and all(c.isalnum() or c in "_-" for c in name):
        return f"{path}.{name}"
    return f"{path}[{json.dumps(name, ensure_ascii=False)}]"


class Parameter(ABC):
    """One entry of a search space."""

    type: ClassVar[str]
    is_log: ClassVar[bool] = False

    @abstractmethod
    def from_unit(self, unit: float) -> Any:
        """Return the value at ``unit`` in [0, 1]."""

    @abstractmethod
    def to_unit(self, value: Any) -> float:
        """Return the unit position of a value of this parameter; from_unit gives it back."""

    @abstractmethod
    def problems(self, value: Any, path: str) -> list[Problem]:
        """Say why ``value`` is not one of this parameter's; empty if it is."""

    @abstractmethod
    def n_distinct(self) -> int | None:
        """Count the distinct values; None if there is no end of them."""

    @abstractmethod
    def json_value(self) -> Any:
        """Return ``_value`` as the user would write it."""

    @abstractmethod
    def perturb(self, value: Any, rng: np.random.Generator, scale: float = 0.1) -> Any:
        """Return a neighbour about ``scale`` of the range away; another value if there is one."""

    def at(self, index: int) -> Any:
        """Return the distinct value number ``index`` of a finite parameter."""
        raise ValueError(f"A {self.type} parameter has no grid: its values cannot be counted.")

    def index_of(self, value: Any) -> int:
        """Return the number of a value of a finite parameter."""
        raise ValueError(f"A {self.type} parameter has no grid: its values cannot be counted.")

    def to_units(self, values: Sequence[Any]) -> Floats:
        """Return the unit positions of many values at once, NaN for those of another parameter."""
        return np.array([self.to_unit(v) if self.contains(v) else math.nan for v in values])

    def indices_of(self, values: Sequence[Any]) -> Floats:
        """Return the numbers of many values of a finite parameter, NaN for those of another."""
        return np.array([self.index_of(v) if self.contains(v) else math.nan for v in values])

    def nearest(self, number: float) -> Any:
        """Return the value nearest to a number, for parameters whose values are numbers."""
        raise ValueError(f"The values of a {self.type} parameter are not numbers on a line.")

    def sample(self, rng: np.random.Generator) -> Any:
        """Draw one value."""
        return self.from_unit(float(rng.random()))

    def contains(self, value: Any) -> bool:
        """Say whether ``value`` is one of this parameter's."""
        return not self.problems(value, "")

    def grid(self) -> Iterator[Any]:
        """Yield every distinct value of a finite parameter, in order."""
        n_values = self.n_distinct()
        if n_values is None:
            raise ValueError(f"A {self.type} parameter has no grid: its values cannot be counted.")
        return (self.at(index) for index in range(n_values))

    def key(self, value: Any) -> Hashable:
        """Return a hashable that two values share exactly when they are the same value."""
        if self.n_distinct() is not None and self.contains(value):
            return ("#", self.index_of(value))
        return freeze(value)

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the user would write it."""
        return {"_type": self.type, "_value": self.json_value()}

    def children(self) -> Iterator[tuple[str, Parameter]]:
        """Yield nested parameters with their path below this one; only choice has any."""
        return iter(())

    @property
    def n_categories(self) -> int | None:
        """Count the unordered alternatives; None for parameters whose values have an order."""
        return None


def _as_numbers(values: Sequence[Any]) -> Floats | None:
    """Return values as an array if each is a float or an int that a float holds exactly."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        numbers = np.array(values, dtype=float)
    except OverflowError:
        return None
    return numbers if bool((np.abs(numbers) < 2**53).all()) else None


class _Numeric(Parameter):
    """A parameter whose values are numbers on a line."""

    def nearest(self, number: float) -> Any:
        low, high = self.ends()
        return self.from_unit(self.to_unit(min(max(number, low), high)))

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest value, infinite where there is none."""
        return -math.inf, math.inf

    def to_units(self, values: Sequence[Any]) -> Floats:
        numbers = _as_numbers(values)
        units = None if numbers is None else self._units(numbers)
        return super().to_units(values) if units is None else units

    def indices_of(self, values: Sequence[Any]) -> Floats:
        numbers = _as_numbers(values)
        indices = None if numbers is None else self._indices(numbers)
        return super().indices_of(values) if indices is None else indices

    def _units(self, numbers: Floats) -> Floats | None:
        """Return ``to_units`` if it can be computed for all at once."""
        return None

    def _indices(self, numbers: Floats) -> Floats | None:
        """Return ``indices_of`` if it can be computed for all at once."""
        return None

    def perturb(self, value: Any, rng: np.random.Generator, scale: float = 0.1) -> Any:
        unit = self.to_unit(value) + float(rng.normal()) * scale
        unit = abs(unit) % 2.0  # reflected at both ends: no pile-up on the bounds
        moved = self.from_unit(2.0 - unit if unit > 1.0 else unit)
        if moved != value:
            return moved
        return self._step(value, 1 if rng.random() < 0.5 else -1)

    def _step(self, value: Any, direction: int) -> Any:
        """Return the next discrete value, turning round at an end; continuous ones stay."""
        n_values = self.n_distinct()
        if n_values is None or n_values == 1:
            return value
        index = self.index_of(value) + direction
        return self.at(index if 0 <= index < n_values else index - 2 * direction)


@dataclass(frozen=True)
class RandInt(_Numeric):
    """Whole numbers from ``low``, excluding ``high``."""

    low: int
    high: int
    type: ClassVar[str] = "randint"

    def ends(self) -> tuple[float, float]:
        return self.low, self.high - 1

    def nearest(self, number: float) -> int:
        return int(min(max(round(number), self.low), self.high - 1))

    def from_unit(self, unit: float) -> int:
        n_values = self.high - self.low
        return self.low + min(int(unit * n_values), n_values - 1)

    def to_unit(self, value: Any) -> float:
        return float((value - self.low + 0.5) / (self.high - self.low))

    def problems(self, value: Any, path: str) -> list[Problem]:
        if not is_number(value) or value != int(value):
            return [Problem(path, f"must be a whole number, but got {show(value)}.")]
        if not self.low <= value < self.high:
            return [
                Problem(
                    path,
                    f"must be from {self.low} to {self.high - 1} (randint excludes its upper "
                    f"bound {self.high}), but got {show(value)}.",
                )
            ]
        return []

    def _indices(self, numbers: Floats) -> Floats:
        is_inside = (numbers >= self.low) & (numbers < self.high) & (numbers == np.floor(numbers))
        return np.where(is_inside, numbers - self.low, math.nan)

    def _units(self, numbers: Floats) -> Floats:
        return (self._indices(numbers) + 0.5) / (self.high - self.low)

    def n_distinct(self) -> int:
        return self.high - self.low

    def at(self, index: int) -> int:
        return self.low + index

    def index_of(self, value: Any) -> int:
        return int(value) - self.low

    def json_value(self) -> list[Number]:
        return [self.low, self.high]


@dataclass(frozen=True)
class Uniform(_Numeric):
    """Any number between two bounds."""

    low: Number
    high: Number
    type: ClassVar[str] = "uniform"

    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def from_unit(self, unit: float) -> float:
        value = self.low + unit * (self.high - self.low)
        return float(min(max(value, self.low), self.high))

    def to_unit(self, value: Any) -> float:
        width = self.high - self.low
        return float((value - self.low) / width) if width else 0.5

    def problems(self, value: Any, path: str) -> list[Problem]:
        if not is_number(value):
            return [Problem(path, f"must be a number, but got {show(value)}.")]
        if not self.low <= value <= self.high:
            return [Problem(path, f"must be from {self.low} to {self.high}, but got {value!r}.")]
        return []

    def _units(self, numbers: Floats) -> Floats | None:
        if self.low == self.high:
            return None
        is_inside = (numbers >= self.low) & (numbers <= self.high)
        return (np.where(is_inside, numbers, math.nan) - self.low) / (self.high - self.low)

    def n_distinct(self) -> int | None:
        return 1 if self.low == self.high else None

    def at(self, index: int) -> float:
        if self.low != self.high:
            return float(super().at(index))
        return float(self.low)

    def index_of(self, value: Any) -> int:
        return 0 if self.low == self.high else super().index_of(value)

    def json_value(self) -> list[Number]:
        return [self.low, self.high]


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Any number between two positive bounds, even in the logarithm."""

    type: ClassVar[str] = "loguniform"
    is_log: ClassVar[bool] = True

    def from_unit(self, unit: float) -> float:
        low, high = math.log(self.low), math.log(self.high)
        value = math.exp(low + unit * (high - low))
        return float(min(max(value, self.low), self.high))  # exp(log(x)) may miss x by a bit

    def to_unit(self, value: Any) -> float:
        width = math.log(self.high) - math.log(self.low)
        return (math.log(value) - math.log(self.low)) / width if width else 0.5

    def _units(self, numbers: Floats) -> Floats | None:
        if self.low == self.high:
            return None
        is_inside = (numbers >= self.low) & (numbers <= self.high)
        low, high = math.log(self.low), math.log(self.high)
        return (np.log(np.where(is_inside, numbers, math.nan)) - low) / (high - low)


@dataclass(frozen=True)
class Normal(_Numeric):
    """A normal distribution."""

    mu: Number
    sigma: Number
    type: ClassVar[str] = "normal"

    def from_unit(self, unit: float) -> float:
        unit = min(max(unit, UNIT_EDGE), 1.0 - UNIT_EDGE)
        return float(self.mu + self.sigma * _STANDARD.inv_cdf(unit))

    def to_unit(self, value: Any) -> float:
        unit = _STANDARD.cdf((value - self.mu) / self.sigma)
        return min(max(unit, UNIT_EDGE), 1.0 - UNIT_EDGE)

    def problems(self, value: Any, path: str) -> list[Problem]:
        if not is_number(value):
            return [Problem(path, f"must be a number, but got {show(value)}.")]
        return []

    def n_distinct(self) -> None:
        return None

    def json_value(self) -> list[Number]:
        return [self.mu, self.sigma]


@dataclass(frozen=True)
class LogNormal(Normal):
    """A number whose logarithm is normal."""

    type: ClassVar[str] = "lognormal"
    is_log: ClassVar[bool] = True

    def ends(self) -> tuple[float, float]:
        return 5e-324, math.inf

    def from_unit(self, unit: float) -> float:
        return math.exp(super().from_unit(unit))

    def to_unit(self, value: Any) -> float:
        return super().to_unit(math.log(value)) if value > 0 else UNIT_EDGE

    def problems(self, value: Any, path: str) -> list[Problem]:
        if not is_number(value) or value <= 0:
            return [Problem(path, f"must be a number above 0, but got {show(value)}.")]
        return []
