"""How a made-up experiment went: states, times, values and curves as arrays.

Pure numbers, one generator seeded by the wish; ``rows`` turns them into rows.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.algorithms.space.search_space import SearchSpace
from experiments.services.generated.wish import Wish
from experiments.states import TrialState

N_STARTUP = 20  # trials drawn at random before a "model" chooses
SECOND = 1_000_000  # times are whole microseconds since the experiment was made
_DIVERGED = "diverged"  # ends as FAILED, with a result that is no number

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """Per trial, in order of numbers; ``reports`` are all trials' one after another."""

    parameters: list[dict[str, Any]]
    states: list[TrialState]
    diverged: NDArray[np.bool_]
    excluded: NDArray[np.bool_]
    cut_off: NDArray[np.bool_]
    retry_of: Ints  # number of the trial that it repeats, or -1
    retried: NDArray[np.bool_]
    created: Ints
    started: Ints
    finished: Ints
    n_points: Ints
    first: Ints  # where the trial's reports begin in the arrays below
    report_at: Ints  # (n_reports,)
    values: Floats  # (n_metrics, n_reports)
    finals: Floats  # (n_metrics, n_trials)

    def of(self, trial: int) -> slice:
        """Where this trial's reports are."""
        return slice(int(self.first[trial]), int(self.first[trial] + self.n_points[trial]))


def course(wish: Wish, space: SearchSpace) -> Course:
    rng = np.random.default_rng(wish.seed)
    n = wish.trials
    ends = _ends(wish, rng)
    diverged = np.array([end == _DIVERGED for end in ends], dtype=bool)
    states = [TrialState.FAILED if end == _DIVERGED else TrialState(end) for end in ends]
    cut_off = np.zeros(n, dtype=bool)
    if wish.phase == "timeout":
        for trial in range(max(0, n - wish.concurrency), n):
            states[trial], cut_off[trial], diverged[trial] = TrialState.CANCELED, True, False
    parameters, quality = _parameters(wish, space, rng)
    excluded = np.zeros(n, dtype=bool)
    over = np.array([s != TrialState.RUNNING for s in states], dtype=bool)
    excluded[_some(np.flatnonzero(over), wish.excluded * n, rng)] = True
    n_points = _n_points(wish, states, rng)
    created, started, finished = _times(wish, n_points, rng)
    retry_of, retried = _retries(wish, states, created, finished, rng)
    for later in np.flatnonzero(retry_of >= 0).tolist():  # the same parameters again
        parameters[later], quality[later] = (
            parameters[retry_of[later]],
            quality[retry_of[later]],
        )
    first = np.concatenate([[0], np.cumsum(n_points)[:-1]]).astype(np.int64) if n else n_points
    return Course(
        parameters, states, diverged, excluded, cut_off, retry_of, retried,
        created, started, finished, n_points, first,
        _report_times(started, finished, n_points),
        *_values(wish, quality, diverged, n_points, rng),
    )  # fmt: skip


def _ends(wish: Wish, rng: np.random.Generator) -> list[str]:
    n_over = wish.trials - wish.running
    shares = (
        (TrialState.FAILED, wish.failed), (_DIVERGED, wish.diverged),
        (TrialState.EARLY_STOPPED, wish.stopped), (TrialState.LOST, wish.lost),
        (TrialState.CANCELED, wish.canceled),
    )  # fmt: skip
    ends: list[str] = []
    for end, share in shares:
        ends += [end] * min(round(share * wish.trials), n_over - len(ends))
    ends += [TrialState.SUCCEEDED] * (n_over - len(ends))
    return [*(ends[i] for i in rng.permutation(n_over)), *[TrialState.RUNNING] * wish.running]


def _some(among: Ints, how_many: float, rng: np.random.Generator) -> Ints:
    chosen: Ints = rng.permutation(among)[: min(round(how_many), among.size)]
    return chosen


def _parameters(
    wish: Wish, space: SearchSpace, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], Floats]:
    """Parameters of each trial and how good they are, from 0 to 1; later ones rather better."""
    names = list(space.parameters)
    weights = 0.55 ** np.arange(len(names))
    weights /= weights.sum()
    target = rng.uniform(0.2, 0.8, len(names))

    def quality(parameters: dict[str, Any]) -> float:
        units = [space.parameters[name].to_unit(parameters[name]) for name in names]
        return float(1 - (weights * np.abs(np.array(units) - target)).sum())

    chosen, found = [], np.empty(wish.trials)
    for trial in range(wish.trials):
        tries = 1 if trial < N_STARTUP else 1 + (2 * trial) // wish.trials
        drawn = [space.sample(rng) for _ in range(tries)]
        rated = [quality(parameters) for parameters in drawn]
        best = int(np.argmax(rated))
        chosen.append(drawn[best])
        found[trial] = rated[best]
    noisy: Floats = np.clip(found - 0.15 + rng.normal(0, 0.02, wish.trials), 0.01, 0.999)
    return chosen, noisy


def _retries(
    wish: Wish, states: list[TrialState], created: Ints, finished: Ints, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_]]:
    """Some trials that went wrong are tried again by a later one, made after their end."""
    n = wish.trials
    retry_of, retried = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=bool)
    wrong = [i for i, s in enumerate(states) if s in (TrialState.FAILED, TrialState.LOST)]
    again = [i for i, s in enumerate(states) if s == TrialState.SUCCEEDED]
    chosen = _some(np.array(wrong, dtype=np.int64), wish.retried * len(wrong), rng)
    place = 0
    for trial in sorted(chosen.tolist(), key=lambda i: int(finished[i])):
        while place < len(again) and created[again[place]] <= finished[trial]:
            place += 1
        if place == len(again):
            break
        retry_of[again[place]], retried[trial] = trial, True
        place += 1
    return retry_of, retried


def _n_points(wish: Wish, states: list[TrialState], rng: np.random.Generator) -> Ints:
    """How often each trial reported: all of it, or as far as it came."""
    part = rng.uniform(0.1, 0.9, wish.trials)
    least = np.array([int(s == TrialState.EARLY_STOPPED) for s in states], dtype=np.int64)
    whole = np.array([s == TrialState.SUCCEEDED for s in states], dtype=bool)
    points = np.where(whole, wish.points, (part * wish.points).astype(np.int64))
    counted: Ints = np.maximum(points, least).astype(np.int64)
    return counted


def _times(wish: Wish, n_points: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """When each trial was created, started and finished, in the slots that there are."""
    n = wish.trials
    queue = (rng.uniform(0.05, 0.4, n) * SECOND).astype(np.int64)
    pace = rng.lognormal(0, 0.3, n)
    work = ((2 + 0.6 * (n_points + 1)) * pace * SECOND).astype(np.int64)
    created, finished = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    slots = [2 * SECOND + slot for slot in range(wish.concurrency)]
    for trial in range(n):
        created[trial] = heapq.heappop(slots)
        finished[trial] = created[trial] + queue[trial] + work[trial]
        heapq.heappush(slots, int(finished[trial]) + 1000)
    return created, created + queue, finished


def _report_times(started: Ints, finished: Ints, n_points: Ints) -> Ints:
    """Evenly between start and end of each trial."""
    trial = np.repeat(np.arange(n_points.size), n_points)
    nth = np.arange(n_points.sum()) - np.repeat(np.cumsum(n_points) - n_points, n_points) + 1
    at: Ints = started[trial] + (finished - started)[trial] * nth // (n_points[trial] + 2)
    return at


def _values(
    wish: Wish,
    quality: Floats,
    diverged: NDArray[np.bool_],
    n_points: Ints,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Curves that climb to what the parameters are worth, and the results they end with."""
    trial = np.repeat(np.arange(n_points.size), n_points)
    nth = np.arange(n_points.sum()) - np.repeat(np.cumsum(n_points) - n_points, n_points) + 1
    speed = rng.uniform(3, 9, wish.trials) / max(1, wish.points)
    values = np.empty((wish.metrics, trial.size))
    finals = np.empty((wish.metrics, wish.trials))
    for metric in range(wish.metrics):
        goal = quality if metric == 0 else np.clip(quality + rng.normal(0, 0.05), 0.01, 0.999)
        climbed = goal[trial] * (1 - 0.9 * np.exp(-nth * speed[trial]))
        noise = rng.normal(0, 0.008, trial.size)
        falls = wish.minimize if metric == 0 else metric % 2 == 1
        climbed = np.clip(climbed + noise, 1e-6, 0.9999)
        values[metric] = 1 - climbed if falls else climbed
        end = np.clip(goal + rng.normal(0, 0.004, wish.trials), 1e-6, 0.9999)
        finals[metric] = 1 - end if falls else end
    # from half-way on nothing but what is no number
    off = diverged[trial] & (2 * nth > n_points[trial])
    values[:, off] = np.where(trial[off] % 3 == 0, np.inf, np.nan)
    finals[:, diverged] = np.where(np.flatnonzero(diverged) % 3 == 0, np.inf, np.nan)
    return values, finals
