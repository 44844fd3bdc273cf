"""Numbers on a grid of ``q``: the quantised types of the specification's table.

Each rounds the draws of its plain type in ``parameters``, as that module's head explains.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from experiments.algorithms.space.parameters import (
    Floats,
    LogNormal,
    LogUniform,
    Normal,
    Number,
    Uniform,
    freeze,
    is_number,
    show,
)
from experiments.problems import Problem


class _Steps:
    """Whole multiples of ``q`` as people write them: 3 * 0.1 is 0.3 and 2 * 5 is the int 10."""

    def __init__(self, q: Number, as_int: bool) -> None:
        self.q = q
        self.as_int = as_int
        self._exact = Decimal(repr(q))

    def value(self, steps: int) -> Number:
        return steps * int(self.q) if self.as_int else float(steps * self._exact)

    def nearest(self, value: Number) -> int:
        ratio = value / self.q
        return round(ratio) if math.isfinite(ratio) else round(math.copysign(1e300, ratio))


def _off_grid(path: str, value: Any, near: Number, q: Number) -> list[Problem]:
    # imported values may carry the dust of float arithmetic, such as 0.30000000000000004
    if abs(value - near) <= 1e-9 * max(abs(value), abs(q)):
        return []
    return [
        Problem(path, f"must be on the grid of q = {q}, but got {value!r}.", f"Nearest: {near}")
    ]


@dataclass(frozen=True)
class QUniform(Uniform):
    """``clip(round(uniform(low, high) / q) * q, low, high)``."""

    q: Number
    type: ClassVar[str] = "quniform"

    @cached_property
    def _steps(self) -> _Steps:
        return _Steps(self.q, all(isinstance(v, int) for v in (self.low, self.high, self.q)))

    @cached_property
    def _range(self) -> tuple[int, int]:
        return self._steps.nearest(self.low), self._steps.nearest(self.high)

    def _snap(self, value: Number) -> Any:
        return self.at(self._index(value))

    def _index(self, value: Number) -> int:
        first, last = self._range
        return min(max(self._steps.nearest(value), first), last) - first

    def at(self, index: int) -> Any:
        value = self._steps.value(self._range[0] + index)
        clipped = min(max(value, self.low), self.high)
        return clipped if self._steps.as_int else float(clipped)

    def index_of(self, value: Any) -> int:
        return self._index(value)

    def from_unit(self, unit: float) -> Any:
        return self._snap(super().from_unit(unit))

    def problems(self, value: Any, path: str) -> list[Problem]:
        return super().problems(value, path) or _off_grid(path, value, self._snap(value), self.q)

    def _indices(self, numbers: Floats) -> Floats:
        first, last = self._range
        steps = np.clip(np.rint(numbers / self.q), first, last)
        near = np.clip(steps * self.q, self.low, self.high)
        is_near = np.abs(numbers - near) <= 1e-9 * np.maximum(np.abs(numbers), abs(self.q))
        is_inside = is_near & (numbers >= self.low) & (numbers <= self.high)
        return np.where(is_inside, steps - first, math.nan)

    def _units(self, numbers: Floats) -> Floats | None:
        is_inside = ~np.isnan(self._indices(numbers))
        return super()._units(np.where(is_inside, numbers, math.nan))

    def n_distinct(self) -> int:
        first, last = self._range
        return last - first + 1

    def json_value(self) -> list[Number]:
        return [self.low, self.high, self.q]


@dataclass(frozen=True)
class QLogUniform(QUniform, LogUniform):
    """``clip(round(loguniform(low, high) / q) * q, low, high)``."""

    type: ClassVar[str] = "qloguniform"
    is_log: ClassVar[bool] = True


@dataclass(frozen=True)
class QNormal(Normal):
    """``round(normal(mu, sigma) / q) * q``."""

    q: Number
    type: ClassVar[str] = "qnormal"
    least: ClassVar[int | None] = None  # fewest steps of q that can come up

    @cached_property
    def _steps(self) -> _Steps:
        return _Steps(self.q, isinstance(self.q, int))

    def from_unit(self, unit: float) -> Any:
        return self._steps.value(self._steps.nearest(super().from_unit(unit)))

    def problems(self, value: Any, path: str) -> list[Problem]:
        if not is_number(value):
            return [Problem(path, f"must be a number, but got {show(value)}.")]
        return _off_grid(path, value, self._steps.value(self._steps.nearest(value)), self.q)

    def key(self, value: Any) -> Hashable:
        return ("#", self._steps.nearest(value)) if self.contains(value) else freeze(value)

    def _step(self, value: Any, direction: int) -> Any:
        steps = self._steps.nearest(value) + direction
        if self.least is not None and steps < self.least:
            steps = self.least + 1
        return self._steps.value(steps)

    def json_value(self) -> list[Number]:
        return [self.mu, self.sigma, self.q]


@dataclass(frozen=True)
class QLogNormal(QNormal, LogNormal):
    """``round(exp(normal(mu, sigma)) / q) * q``; 0 is one of its values."""

    type: ClassVar[str] = "qlognormal"
    is_log: ClassVar[bool] = True
    least: ClassVar[int | None] = 0

    def to_unit(self, value: Any) -> float:
        return super().to_unit(value if value > 0 else self.q / 4)  # 0 stands for all below q / 2

    def problems(self, value: Any, path: str) -> list[Problem]:
        if is_number(value) and value < 0:
            return [Problem(path, f"must not be negative, but got {show(value)}.")]
        return super().problems(value, path)
