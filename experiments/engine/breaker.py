"""The circuit breaker: when failures alike mean that something is wrong with all trials. Pure.

``loop.reconcile`` gives it, in a Snapshot, how the last trials ended; ``plan`` asks it. A hundred
trials that die of the same missing module within seconds tell no more than the first three.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

QUICK_S = 30.0  # a trial that fails later in a row has cost something, and may have tried something

_QUOTED = re.compile(r"(\B'[^']*'|\"[^\"]*\"|`[^`]*`)")
_VARYING = re.compile(r"0x[0-9a-fA-F]+|/\S+|[-+]?\d[\d.,:eE+-]*")
_NAME = re.compile(r"[^\W\d]")


@dataclass(frozen=True)
class Ended:
    """How a trial ended that nobody stopped."""

    number: int
    failed: bool
    seconds: float  # that it ran; 0 where it could not even be launched
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Tripped:
    """Why the experiment is to be suspended."""

    trials: tuple[int, ...]
    reason: str


def masked(reason: str) -> str:
    """A reason without what differs from trial to trial: numbers, addresses, paths.

    Words in quotes stay, unless they are numbers or paths: the name of a missing module tells one
    failure from another.
    """
    parts = _QUOTED.split(reason)  # plain, quoted, plain, …
    quoted = (part if _NAME.match(part, 1) and "/" not in part else "#" for part in parts[1::2])
    plain = (_VARYING.sub("#", part) for part in parts[::2])
    text = "".join(
        f"{before}{between}" for before, between in zip_longest(plain, quoted, fillvalue="")
    )
    return " ".join(text.split())


def look(ended: Sequence[Ended], alike: int, *, from_start: bool) -> Tripped | None:
    """Decide.

    Args:
        ended: how trials ended, in that order: the last ``alike`` of them, and with
            ``from_start`` the first ``alike`` before them.
        alike: how many failures alike trip the breaker; 0: none ever do.
        from_start: whether it has never tripped and no trial of the experiment has done well yet.
    """
    for group in _groups(ended, alike, from_start):
        if len({(each.exit_code, masked(each.reason)) for each in group}) == 1:
            return Tripped(tuple(each.number for each in group), _words(group, ended, from_start))
    return None


def _groups(ended: Sequence[Ended], alike: int, from_start: bool) -> list[Sequence[Ended]]:
    """Failures that trip it if alike: the first of all, or the last where all were quick."""
    if not alike or len(ended) < alike:
        return []
    found: list[Sequence[Ended]] = []
    if from_start and all(each.failed for each in ended[:alike]):
        found.append(ended[:alike])
    last = ended[-alike:]
    if all(each.failed and each.seconds <= QUICK_S for each in last):
        found.append(last)
    return found


def _words(group: Sequence[Ended], ended: Sequence[Ended], from_start: bool) -> str:
    why = (group[-1].reason or f"exit code {group[-1].exit_code}").rstrip(".")
    n = len(group)
    if from_start and group[0] is ended[0]:
        first = f"The first {n} trials failed alike: {why}."
        return first if n > 1 else f"The first trial failed: {why}."
    last = f"The last {n} trials failed alike: {why}."
    return last if n > 1 else f"The last trial failed: {why}."
