"""Is the best trial really the best, or was it lucky? Plain numbers in and out.

Called by ``selectors.winner``. A trial that was chosen because its value was the best of many is
likelier lucky than not (the winner's curse), so its own value tells nothing of that: only what the
same parameters gave when they ran again does. The same runs give the same answer: the draws have a
fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import NamedTuple

import numpy as np

CONTENDERS = 5  # of the best parameters, that are looked at
CONFIDENCE = 0.95  # of intervals; and what a winner's chance must reach to be sure
N_DRAWS = 4000


class Verdict(StrEnum):
    """What can be said of the best parameters."""

    NOTHING = "nothing"  # no trial has a result
    NOT_REPEATED = "not_repeated"  # they ran once: nobody can know
    TOO_FEW = "too_few"  # nothing ran again twice: no spread is known
    IDENTICAL = "identical"  # every run gave the same number to the last digit
    ALONE = "alone"  # only they were repeated
    CONFIRMED = "confirmed"
    LIKELY = "likely"  # likelier than not
    OPEN = "open"  # none is likelier than all others together
    LUCKY = "lucky"  # other parameters are likelier the best


class Run(NamedTuple):
    """A trial that has ended, by its parameters; ``value`` None: without a result."""

    number: int
    key: Hashable
    value: float | None


@dataclass(frozen=True)
class Contender:
    """Parameters that may be the best. ``again`` are the runs after the first with a result."""

    trial: int  # the first run
    value: float  # the best of its runs
    again: tuple[int, ...]
    n_failed: int  # runs without a result
    mean: float | None = None  # of ``again``
    low: float | None = None  # the mean's interval; None where no spread is known
    high: float | None = None
    chance: float | None = None  # that it is the best of those that were repeated


@dataclass(frozen=True)
class Winner:
    verdict: Verdict
    contenders: tuple[Contender, ...]  # the best value first
    likeliest: int | None  # the first run of the likeliest; None where nobody knows
    noise: float | None  # standard deviation of runs with the same parameters
    gap: float | None  # from the best value to that of the next parameters
    n_different: int  # parameters that have a result


class _Group(NamedTuple):
    numbers: tuple[int, ...]  # of the runs with a result, in order
    values: tuple[float, ...]
    n_failed: int

    @property
    def again(self) -> tuple[float, ...]:
        return self.values[1:]


def judge(runs: Sequence[Run], *, maximize: bool) -> Winner:
    """What is known of the best parameters.

    The spread is one for all parameters, pooled over everything that ran again; means have
    Student's t intervals with it, and chances come from draws of their posterior under Jeffreys'
    prior.
    """
    groups = _groups(runs)
    best_of = max if maximize else min
    first_of = nlargest if maximize else nsmallest
    leading = first_of(CONTENDERS, groups, key=lambda g: best_of(g.values))
    noise, freedom = _noise(groups)
    chances = _chances(leading, noise, freedom, maximize=maximize)
    contenders = tuple(
        _contender(group, best_of(group.values), noise, freedom, chance)
        for group, chance in zip(leading, chances, strict=True)
    )
    known = [c for c in contenders if c.chance is not None]
    likeliest = max(known, key=lambda c: c.chance or 0.0).trial if known else None
    return Winner(
        verdict=_verdict(contenders, leading, likeliest),
        contenders=contenders,
        likeliest=likeliest,
        noise=noise,
        gap=abs(contenders[0].value - contenders[1].value) if len(contenders) > 1 else None,
        n_different=len(groups),
    )


def _groups(runs: Sequence[Run]) -> list[_Group]:
    """Runs by their parameters, those without any result left out; the first to have run first."""
    found: dict[Hashable, list[Run]] = {}
    for run in sorted(runs, key=itemgetter(0)):
        found.setdefault(run.key, []).append(run)
    groups = []
    for members in found.values():
        well = [(r.number, r.value) for r in members if r.value is not None]
        if well:
            numbers, values = zip(*well, strict=True)
            groups.append(_Group(numbers, values, len(members) - len(well)))
    return groups


def _noise(groups: Sequence[_Group]) -> tuple[float | None, int]:
    """The pooled standard deviation of what ran again, and its degrees of freedom."""
    freedom, squares = 0, 0.0
    for again in (np.array(g.again) for g in groups if len(g.again) > 1):
        with np.errstate(over="ignore"):
            squares += float(((again - again.mean()) ** 2).sum())
        freedom += again.size - 1
    if not freedom or not math.isfinite(squares):
        return None, 0
    return math.sqrt(squares / freedom), freedom


def _contender(
    group: _Group, value: float, noise: float | None, freedom: int, chance: float | None
) -> Contender:
    again = group.again
    mean = float(np.mean(again)) if again else None
    low = high = None
    if mean is not None and noise is not None:
        from scipy import special  # servers and commands start without it, see the registry

        width = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))
        half = width * noise / math.sqrt(len(again))
        low, high = mean - half, mean + half
    return Contender(
        trial=group.numbers[0], value=value, again=group.numbers[1:], n_failed=group.n_failed,
        mean=mean, low=low, high=high, chance=chance,
    )  # fmt: skip


def _chances(
    groups: Sequence[_Group], noise: float | None, freedom: int, *, maximize: bool
) -> list[float | None]:
    """That each is the best of those that ran again; None for the others, and where only one did.

    Equal ones share.
    """
    places = [place for place, g in enumerate(groups) if g.again]
    chances: list[float | None] = [None] * len(groups)
    if noise is None or len(places) < 2:
        return chances
    draw = np.random.default_rng(0)
    means = np.array([np.mean(groups[place].again) for place in places])
    runs = np.array([len(groups[place].again) for place in places])
    spread = noise * np.sqrt(freedom / draw.chisquare(freedom, size=(N_DRAWS, 1)))
    drawn = means + spread / np.sqrt(runs) * draw.standard_normal((N_DRAWS, len(places)))
    drawn = drawn if maximize else -drawn
    is_best = drawn == drawn.max(axis=1, keepdims=True)
    shares = (is_best / is_best.sum(axis=1, keepdims=True)).mean(axis=0)
    for place, share in zip(places, shares.tolist(), strict=True):
        chances[place] = share
    return chances


def _verdict(
    contenders: Sequence[Contender], groups: Sequence[_Group], likeliest: int | None
) -> Verdict:
    if not contenders:
        return Verdict.NOTHING
    best = contenders[0]
    repeated = [g for g in groups if g.again]
    if not best.again:
        return Verdict.NOT_REPEATED
    if all(len(set(g.values)) == 1 for g in repeated):
        return Verdict.IDENTICAL
    if best.low is None:
        return Verdict.TOO_FEW
    if len(repeated) == 1:
        return Verdict.ALONE
    chance = max(c.chance or 0.0 for c in contenders)
    if likeliest != best.trial:
        return Verdict.LUCKY if chance > 0.5 else Verdict.OPEN
    if chance >= CONFIDENCE:
        return Verdict.CONFIRMED
    return Verdict.LIKELY if chance > 0.5 else Verdict.OPEN
