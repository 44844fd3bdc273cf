"""Why trials fail: failures alike in one group, and the parameter values where they happen. Pure.

Called by ``selectors.triage``. What counts as alike is what the circuit breaker takes for alike.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.algorithms.space.parameters import freeze, is_number
from experiments.engine.breaker import masked

LEAST_FAILED = 3  # before anything is said of their parameters
LEAST_WELL = 5  # trials that did well, the same
N_CUTS = 20  # of a numeric parameter's values
CHANCE = 0.01  # of being told something by chance, over all that is looked at
MOST_TOLD = 3


@dataclass(frozen=True)
class Failure:
    number: int
    exit_code: int | None
    reason: str


@dataclass(frozen=True)
class Group:
    """Failures alike; ``reason`` is the newest one's, ``trials`` newest first."""

    exit_code: int | None
    reason: str
    trials: tuple[int, ...]


@dataclass(frozen=True)
class Where:
    """Values of a parameter at which more trials fail than elsewhere.

    ``values`` of a parameter without order; else those from ``low`` to ``high``, None: no bound.
    """

    parameter: str
    low: float | None
    high: float | None
    values: tuple[Any, ...]
    failed: int
    of: int
    elsewhere_failed: int
    elsewhere_of: int


def groups(failures: Sequence[Failure]) -> list[Group]:
    """The largest first; of two as large the one with the newest failure."""
    found: dict[tuple[int | None, str], list[Failure]] = {}
    for failure in sorted(failures, key=lambda f: -f.number):
        found.setdefault((failure.exit_code, masked(failure.reason)), []).append(failure)
    rows = [
        Group(code, members[0].reason, tuple(m.number for m in members))
        for (code, _), members in found.items()
    ]
    return sorted(rows, key=lambda g: (-len(g.trials), -g.trials[0]))


class Well:
    """Parameters of the trials that did well, by name: looked through once for all groups."""

    def __init__(self, trials: Sequence[Mapping[str, Any]]) -> None:
        self._trials = trials
        self._columns: dict[str, _Column] = {}

    def __len__(self) -> int:
        return len(self._trials)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(name for shape in set(map(tuple, self._trials)) for name in shape)

    def column(self, name: str) -> _Column:
        if name not in self._columns:
            values = [p[name] for p in self._trials if name in p]
            numbers = sorted(values) if _are_numbers(values) else None
            self._columns[name] = _Column(values, numbers)
        return self._columns[name]


class _Column(NamedTuple):
    values: list[Any]
    numbers: list[Any] | None  # in order; None where one is no number


def _are_numbers(values: Sequence[Any]) -> bool:
    if set(map(type, values)) == {float}:  # nearly always
        return all(map(math.isfinite, values))
    return all(map(is_number, values))


def where(
    failed: Sequence[Mapping[str, Any]], well: Sequence[Mapping[str, Any]] | Well
) -> list[Where]:
    """Where failures happen that chance would not put there: at most three, the clearest first.

    Args:
        failed: flat parameters of each trial that failed, by name.
        well: the same of each that did well; as ``Well`` where it is asked for several groups.

    A numeric parameter is cut in two at up to 20 of its values, one without order told apart value
    by value; a conditional one is looked at over the trials that have it. Fisher's exact test, one-
    sided, with Bonferroni's correction for all that is looked at.
    """
    if len(failed) < LEAST_FAILED or len(well) < LEAST_WELL:
        return []
    well = well if isinstance(well, Well) else Well(well)
    found: list[tuple[float, Where]] = []
    n_looked_at = 0
    for name in sorted({name for parameters in failed for name in parameters} | well.names):
        bad = [p[name] for p in failed if name in p]
        good = well.column(name)
        is_numeric = good.numbers is not None and _are_numbers(bad)
        counted = _ranges(bad, good.numbers or []) if is_numeric else _values(bad, good.values)
        n_good = len(good.values)
        n_looked_at += len(counted)
        best = min(
            (_judged(name, look, len(bad), n_good) for look in counted),
            key=lambda judged: judged[0],
            default=None,
        )
        if best is not None:
            found.append(best)
    found.sort(key=lambda judged: judged[0])
    limit = CHANCE / max(1, n_looked_at)
    return [told for chance, told in found if chance <= limit][:MOST_TOLD]


@dataclass(frozen=True)
class _Look:
    """A part of a parameter's values, and how many failed and did well there."""

    n_bad: int
    n_good: int
    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] = ()


def _ranges(bad: Sequence[Any], good: Sequence[Any]) -> list[_Look]:
    """``good`` in order."""
    known = sorted({*bad, *good})
    step = max(1, len(known) // N_CUTS)
    cuts = range(step, len(known), step)
    bad = sorted(bad)

    def below(value: float) -> tuple[int, int]:
        return bisect_left(bad, value), bisect_left(good, value)

    found = []
    for low, high in ((known[i], known[i - 1]) for i in cuts):
        n_bad, n_good = below(low)  # no value lies between the two
        found.append(_Look(len(bad) - n_bad, len(good) - n_good, low=low))
        found.append(_Look(n_bad, n_good, high=high))
    return sorted(found, key=lambda look: look.low is None)


def _values(bad: Sequence[Any], good: Sequence[Any]) -> list[_Look]:
    known = {freeze(value): value for value in (*bad, *good)}
    if not 1 < len(known) <= N_CUTS:
        return []
    n_bad, n_good = (Counter(map(freeze, values)) for values in (bad, good))
    return [_Look(n_bad[key], n_good[key], values=(value,)) for key, value in known.items()]


def _judged(name: str, look: _Look, n_bad: int, n_good: int) -> tuple[float, Where]:
    of, n = look.n_bad + look.n_good, n_bad + n_good
    told = Where(
        parameter=name,
        low=look.low,
        high=look.high,
        values=look.values,
        failed=look.n_bad,
        of=of,
        elsewhere_failed=n_bad - look.n_bad,
        elsewhere_of=n - of,
    )
    return _chance(look.n_bad, of, n_bad, n), told


def _chance(failed: int, of: int, n_failed: int, n: int) -> float:
    """That at least ``failed`` of ``of`` fail, if the ``n_failed`` of ``n`` fell anywhere."""
    most = min(of, n_failed)
    k = np.arange(max(failed, of - (n - n_failed)), most + 1)
    logs = _log_factorials(n)

    def log_choose(n: int, k: Any) -> Any:
        return logs[n] - logs[k] - logs[n - k]

    each = log_choose(n_failed, k) + log_choose(n - n_failed, of - k) - log_choose(n, of)
    return float(np.exp(each).sum())


@lru_cache(8)
def _log_factorials(n: int) -> NDArray[np.float64]:
    """Of 0 to n."""
    found: NDArray[np.float64] = np.cumsum(np.log(np.maximum(np.arange(n + 1), 1)))
    return found
