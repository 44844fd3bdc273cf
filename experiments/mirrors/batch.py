"""What is sent in one step: trials and numbers of one experiment, up to a ``seq``. Plain values.

Made by ``passing``, sent by the receivers beside it, which know neither rows nor the web.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol


class NotMirrored(Exception):
    """The receiver did not take it; the text is for the user. The same is sent again later."""


class NothingThere(NotMirrored):
    """What was sent there before is gone: everything is sent again."""


class Number(NamedTuple):
    """One number that a trial reported; what is not finite is NaN or ±inf."""

    name: str
    value: float
    step: float
    time: float  # seconds since 1970
    is_final: bool
    report: int  # numbers of one report have one of these, the final result's beside it


class Sent(NamedTuple):
    """A trial as it stood, with the numbers that are new."""

    key: str  # of this attempt: k3y0a.1
    number: int
    attempt: int
    state: str
    is_ended: bool
    parameters: Mapping[str, Any]
    started: float
    finished: float | None
    numbers: Sequence[Number]


@dataclass(frozen=True)
class Batch:
    """What came of an experiment since the last one."""

    experiment_id: str
    name: str
    trials: Sequence[Sent]
    # Called now and then while it is sent, so that nobody else begins to send it, too.
    going_on: Callable[[], None] = lambda: None


class Receiver(Protocol):
    """Where it goes."""

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """Send it; ``state`` is what was left there before, and is kept with the cursor.

        The same batch may come again, where nobody could keep that it was sent: nothing doubles.

        Raises:
            NotMirrored: it cannot be sent now.
        """


def folder_of(batch: Batch) -> str:
    """A name for the experiment's files: its own may be anybody's, with slashes and dots in it."""
    plain = re.sub(r"[^\w\-. ]", "_", batch.name).lstrip(".")
    return f"{plain}-{batch.experiment_id}"


def not_written(tracker: str, error: OSError) -> NotMirrored:
    return NotMirrored(f"{tracker}'s files: {error.strerror or error}.")


def named(number: Number) -> str:
    return f"final/{number.name}" if number.is_final else number.name


def title(trial: Sent) -> str:
    again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
    return f"trial {trial.number}{again}"


def reports(trial: Sent) -> Iterator[tuple[Number, dict[str, float]]]:
    """Each report that is new: one of its numbers, and all by the names they have in a tracker."""
    for _, found in groupby(trial.numbers, key=lambda number: (number.is_final, number.report)):
        numbers = list(found)
        yield numbers[0], {named(number): number.value for number in numbers}


def spelled(value: float) -> float | str:
    """As trackers write it in JSON, which has no word for what is not finite."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
