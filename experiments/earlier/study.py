"""What another product found out: an experiment that has ended, as its file tells it.

Made by every reader of this folder, stored by ``services.imports``. Pure data: nothing of a file is
run or unpickled. Values are the user's own, with the direction that the file gives them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from experiments.problems import Problem, ProblemsError
from experiments.states import TrialState

MOST_BYTES = 1 << 30  # of a file
MOST_TRIALS = 100_000
MOST_REPORTS = 2_000_000
DEFAULT = "default"  # the metric that decides


@dataclass(frozen=True)
class Wanted:
    """What a person says beside the file; empty where the file says it."""

    studies: tuple[str, ...] = ()  # by name
    all_studies: bool = False
    mode: str = ""  # minimize, maximize
    objective: str = ""  # a metric, or the number of an objective from 0
    parameters: tuple[str, ...] = ()  # of a table: which columns they are


@dataclass(frozen=True)
class PastReport:
    """One intermediate number."""

    sequence: int
    value: float  # not finite, maybe
    name: str = DEFAULT
    step: float | None = None
    time: datetime | None = None


@dataclass(frozen=True)
class PastTrial:
    """One trial that has ended."""

    number: int
    parameters: Mapping[str, Any]
    state: TrialState
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)  # finals
    reports: tuple[PastReport, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""
    notes: str = ""
    excluded: str = ""  # why it is left out of the best
    origin: str = ""  # what the file calls its origin


@dataclass(frozen=True)
class PastStudy:
    """One experiment with its trials, by number."""

    product: str
    whence: str  # which study of which file, and of which version
    name: str
    optimize_mode: str
    space: Mapping[str, Any]
    trials: tuple[PastTrial, ...]
    left: tuple[Problem, ...] = ()  # what is not as it was
    manifest: Mapping[str, Any] | None = None  # ours: as it was exported


def refused(message: str, hint: str = "", path: str = "") -> ProblemsError:
    """The error of a file that cannot be imported, with one reason."""
    return ProblemsError([Problem(path, message, hint)])


def check_size(n_trials: int, n_reports: int = 0) -> None:
    """Raises ProblemsError above what is taken in."""
    if n_trials > MOST_TRIALS:
        raise refused(f"Too many trials to import: {n_trials}, of at most {MOST_TRIALS}.")
    if n_reports > MOST_REPORTS:
        raise refused(f"Too many reports to import: {n_reports}, of at most {MOST_REPORTS}.")


def check_numbers(trials: Sequence[PastTrial]) -> None:
    """Raises ProblemsError where two trials have one number."""
    numbers = [trial.number for trial in trials]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise refused(f"Two trials have the number {twice}.")
    if any(not 0 <= number < 2**31 for number in numbers):
        raise refused(f"Numbers of trials must be from 0, but one is {min(numbers)}.")


def mode_of(wanted: Wanted, left: list[Problem]) -> str:
    """The direction where a file does not say it."""
    if wanted.mode:
        return wanted.mode
    left.append(
        Problem("", "The file does not say which way is better: the largest value counts as best.",
                "Say --mode minimize where the smallest is.")
    )  # fmt: skip
    return "maximize"
