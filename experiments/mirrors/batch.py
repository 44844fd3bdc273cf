"""What is sent in one step: trials and numbers of one experiment, up to a ``seq``. Plain values.

Made by ``passing``, sent by ``mlflow`` and ``tensorboard``, which know neither rows nor the web.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class NotMirrored(Exception):
    """The receiver did not take it; the text is for the user. The same is sent again later."""


class Number(NamedTuple):
    """One number that a trial reported; what is not finite is NaN or ±inf."""

    name: str
    value: float
    step: float
    time: float  # seconds since 1970
    is_final: bool


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


class Receiver(Protocol):
    """Where it goes."""

    def send(self, batch: Batch, state: dict[str, Any]) -> None:
        """Send it; ``state`` is what was left there before, and is kept with the cursor.

        The same batch may come again, where nobody could keep that it was sent: nothing doubles.

        Raises:
            NotMirrored: it cannot be sent now.
        """


def named(name: str, *, is_final: bool) -> str:
    return f"final/{name}" if is_final else name
