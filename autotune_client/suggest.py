"""Optuna's way of naming parameters: an objective that suggests them as it goes runs as it is.

    def objective(trial):
        kind = trial.suggest_categorical("kind", ["svc", "forest"])
        if kind == "svc":
            c = trial.suggest_float("c", 1e-3, 1e3, log=True)

Where the study has no space of its own, what is met for the first time is added to it
(``trials/N/grow/``), and the tuner searches it from the next trial on; a parameter that a trial
does not meet is none of its. Where it has one, names are looked up in it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autotune_client import space as spaces
from autotune_client.errors import Stopped

if TYPE_CHECKING:
    from autotune_client.study import Study

__all__ = ["Suggesting"]

MOST_STEPS = 2000  # of a grid that starts beside a multiple of its step
PLAIN = (type(None), bool, int, float, str)


class Suggesting(ABC):
    """What ``study.Trial`` has besides, in Optuna's words."""

    study: Study
    number: int
    attempt: int
    parameters: dict[str, Any]
    stop_reason: str
    _proposed: dict[str, Any]
    _met: dict[str, Any]

    @property
    @abstractmethod
    def path(self) -> str:
        """Of the trial, below ``/api/v1/``."""

    @property
    def _grows(self) -> bool:
        return self.study.grows

    @property
    def params(self) -> dict[str, Any]:
        """Parameters that it has suggested so far; as Optuna has them."""
        return dict(self._met) if self._grows else dict(self.parameters)

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """A number from low to high."""
        if step is not None and log:
            raise ValueError(f"{name}: step and log exclude each other.")
        if low == high:
            return float(low)  # one value is none to search
        if step is not None:
            entry = _stepped(float(low), float(high), float(step))
        elif log:
            entry = spaces.loguniform(float(low), float(high))
        else:
            entry = spaces.uniform(float(low), float(high))
        return float(self._value(name, entry))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from low to high, both included."""
        if step != 1 and log:
            raise ValueError(f"{name}: step and log exclude each other.")
        if low == high:
            return int(low)
        if log:
            entry = spaces.qloguniform(int(low), int(high), 1)
        elif step == 1:
            entry = spaces.randint(int(low), int(high) + 1)
        else:
            entry = _stepped(int(low), int(high), int(step))
        return round(float(self._value(name, entry)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of these; those that are no JSON are told apart by their place."""
        options = list(choices)
        if not options:
            raise ValueError(f"{name}: choices must not be empty.")
        if len(options) == 1:
            return options[0]
        is_plain = all(isinstance(option, PLAIN) for option in options)
        shown = options if is_plain else [f"{i}: {o!r}"[:100] for i, o in enumerate(options)]
        value = self._value(name, spaces.choice(shown))
        for option, words in zip(options, shown, strict=True):
            if type(words) is type(value) and words == value:
                return option
        return options[shown.index(value)]

    # What Optuna called them before.

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        return self.suggest_float(name, low, high, step=q)

    def should_prune(self) -> bool:
        """Whether to go no further; ``report`` has raised ``Stopped`` then already."""
        return bool(self.stop_reason)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Kept for as long as the trial runs: what is to stay is a metric, or a note."""
        self.user_attrs = {**getattr(self, "user_attrs", {}), key: value}

    def _value(self, name: str, entry: spaces.Entry) -> Any:
        if name in self._met:
            return self._met[name]
        if not self._grows:
            if name not in self.parameters:
                known = ", ".join(self.parameters)
                raise KeyError(f"{name!r} is not in the study's space; it has: {known}.")
            return self.parameters[name]
        if self.study.met.get(name) == entry and _holds(entry, self._proposed.get(name)):
            value = self._proposed[name]
        else:
            body = {"attempt": self.attempt, "space": {name: entry}}
            value = self.study.wire.post(f"{self.path}grow/", body)["parameters"][name]
            self.study.met[name] = entry
        self._met[name] = value
        self.parameters = dict(self._met)
        return value


def _holds(entry: spaces.Entry, value: Any) -> bool:
    """Whether a proposed value is one of the entry's; None is what was not proposed."""
    if value is None:
        return False
    if entry["_type"] == "choice":
        return any(type(o) is type(value) and o == value for o in entry["_value"])
    low, high = entry["_value"][:2]
    return bool(low <= value <= high and (entry["_type"] != "randint" or value < high))


def _stepped(low: float, high: float, step: float) -> spaces.Entry:
    """Low, low + step, … up to high."""
    if step <= 0 or high < low:
        raise ValueError(f"low <= high and step > 0 must hold, but got {low}, {high}, {step}.")
    n_steps = math.floor((high - low) / step + 1e-9)
    multiple = low / step
    if math.isclose(multiple, round(multiple), abs_tol=1e-9):
        return spaces.quniform(low, low + n_steps * step, step)
    if n_steps > MOST_STEPS:
        raise ValueError(f"low must be a multiple of step for more than {MOST_STEPS} values.")
    return spaces.choice([low + number * step for number in range(n_steps + 1)])


def is_prune(error: BaseException) -> bool:
    """Whether an objective was left because it was told to: our word for it, or Optuna's."""
    return isinstance(error, Stopped) or type(error).__name__ == "TrialPruned"
