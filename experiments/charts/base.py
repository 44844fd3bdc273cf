"""What every chart is given and what it gives: records in, a Plotly figure out.

A chart is two steps, so that its numbers are tested without Plotly: ``info(record, options)`` works
out what is to be seen, ``figure(info)`` draws it as a plain dict that pages, REST and exported
reports share. Called by ``chart_data``; nothing here knows the database or the web.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.charts.columns import Columns, Kept, Parameters
from experiments.problems import Problem, ProblemsError
from experiments.states import FINISHED, MOVES, TrialState

Figure = dict[str, Any]
Floats = NDArray[np.float64]
Options = Mapping[str, str]

DEFAULT_METRIC = "default"
FAILED_STATES = frozenset({TrialState.FAILED, TrialState.LOST, TrialState.CANCELED})
VALUED_STATES = frozenset({TrialState.SUCCEEDED, TrialState.EARLY_STOPPED})

Moves = frozenset[tuple[str, str]]  # (from, to); from is "" for a new trial
STOPS: Moves = frozenset((TrialState.RUNNING, to) for to in MOVES[TrialState.RUNNING])
NEVER_RAN: Moves = frozenset(
    (TrialState.WAITING, to) for to in MOVES[TrialState.WAITING] & FINISHED
)


class TrialRecord(NamedTuple):
    """One trial as a chart sees it; a tuple, as a chart may see a hundred thousand."""

    number: int
    state: str
    value: float | None = None  # finite final value, or the last one of a stopped trial
    latest_value: float | None = None
    latest_sequence: int | None = None  # of the report with the latest value
    parameters: Mapping[str, Any] = MappingProxyType({})
    metrics: Mapping[str, Any] = MappingProxyType({})  # of its final report
    excluded: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def has_value(self) -> bool:
        """Ended with a number that may be compared."""
        return self.state in VALUED_STATES and self.value is not None

    @property
    def may_be_best(self) -> bool:
        """It succeeded with a value, and is not excluded: an experiment's best is among these."""
        is_well = self.state == TrialState.SUCCEEDED and self.value is not None
        return is_well and not self.excluded

    @property
    def shown_value(self) -> float | None:
        """The final value, or the newest one while it runs."""
        return self.value if self.value is not None else self.latest_value


@dataclass(frozen=True, eq=False)
class ReportedCurve:
    """The intermediate values of one metric of one trial, by sequence; NaN where none is finite."""

    trial: int
    sequence: Floats  # (n_points,)
    step: Floats  # (n_points,); NaN where the report named none
    value: Floats  # (n_points,)
    time: Floats  # (n_points,) seconds since 1970, or empty where not asked for


@dataclass(frozen=True, eq=False)
class Crowd:
    """Curves too many to be drawn one by one, thinned, one after another in the same arrays."""

    trial: NDArray[np.int64]  # (n_curves,) numbers, ascending
    length: NDArray[np.int64]  # (n_curves,) points of each, at least one
    sequence: Floats  # (n_points,), and so on as of ReportedCurve
    step: Floats
    value: Floats
    time: Floats
    n_all: int = 0  # of how many these are some, evenly taken; 0: these are all

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """Where each curve begins."""
        begins: NDArray[np.int64] = np.cumsum(self.length) - self.length
        return begins

    def curve(self, place: int) -> ReportedCurve:
        start = int(self.start[place])
        part = slice(start, start + int(self.length[place]))
        return ReportedCurve(
            int(self.trial[place]), self.sequence[part], self.step[part], self.value[part],
            self.time[part] if self.time.size else self.time,
        )  # fmt: skip


@dataclass(frozen=True)
class StopReceipt:
    """The numbers by which an assessor stopped a trial early."""

    sequence: float | None  # of the report it was judged at
    threshold: float | None  # what it had to reach there
    line: tuple[tuple[float, float], ...] = ()  # (sequence, threshold) at the earlier reports
    # of its end, where the assessor forecasts: (sequence, value, best case, worst case)
    forecast: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Record:
    """One experiment as the charts see it; ``curves`` only where the chart asked for them."""

    optimize_mode: str
    space: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    now: datetime
    curves: tuple[ReportedCurve, ...] = ()
    crowd: Crowd | None = None  # the curves that are not in ``curves``, where they are many
    n_unread: int = 0  # curves that could not be read in time
    receipts: Mapping[int, StopReceipt] = field(default_factory=dict)
    last_stopped: int | None = None  # the trial whose receipt is the newest, if it was asked for
    ended: bool = False  # nothing will come any more
    first_reports: Mapping[int, datetime] = field(default_factory=dict)  # see Chart
    # the same trials column by column, where whoever made the record has kept them
    kept: Kept | None = None

    @cached_property
    def facts(self) -> Kept:
        return self.kept or Kept.of(self.trials)

    @property
    def columns(self) -> Columns:
        return self.facts.columns

    @property
    def parameters(self) -> Parameters:
        return self.facts.parameters

    @property
    def maximize(self) -> bool:
        return self.optimize_mode != "minimize"


Cell = str | float | bool | None


@dataclass(frozen=True)
class Table:
    """A figure's numbers for who reads them, or cannot see it: named columns, a row a thing."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]] = ()


@dataclass(frozen=True)
class Chart:
    """One entry of the registry."""

    kind: str
    draw: Callable[[Record, Options], Figure]
    tabulate: Callable[[Record, Options], Table]  # what ``draw`` draws
    redrawn_at: Moves  # of a trial; at others the drawn figure stays true
    needs_curves: bool = False
    # the numbers of the trials whose first report's time it wants in ``first_reports``
    needs_first_reports: Callable[[Record, Options], Sequence[int]] | None = None


def choice_option(options: Options, name: str, allowed: tuple[str, ...]) -> str:
    """The option's value, the first of ``allowed`` where it is not given.

    Raises ProblemsError for any other value.
    """
    given = options.get(name) or allowed[0]
    if given not in allowed:
        words = ", ".join(repr(a) for a in allowed)
        raise ProblemsError([Problem(name, f"must be one of {words}, but got {given!r}.")])
    return given


def flag_option(options: Options, name: str, *, default: bool = False) -> bool:
    given = options.get(name)
    if given is None or given == "":
        return default
    if given not in ("0", "1", "false", "true"):
        raise ProblemsError([Problem(name, f"must be 0 or 1, but got {given!r}.")])
    return given in ("1", "true")


def number_option(options: Options, name: str, *, low: float, high: float) -> float | None:
    """A number between ``low`` and ``high``, or None where it is not given."""
    given = options.get(name)
    if given is None or given == "":
        return None
    try:
        number = float(given)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        words = f"must be a number from {low:g} to {high:g}, but got {given!r}."
        raise ProblemsError([Problem(name, words)])
    return number


def names_option(options: Options, name: str) -> list[str]:
    """A JSON list of parameters, none twice; empty where it is not given."""
    text = options.get(name)
    if not text:
        return []
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, list) or not all(isinstance(label, str) for label in asked):
        words = f'must be a JSON list of parameters, as ["lr", "units"], but got {text[:80]!r}.'
        raise ProblemsError([Problem(name, words)])
    return list(dict.fromkeys(asked))
