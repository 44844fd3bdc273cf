"""Simulated annealing, by hyperopt's rule: draw near one of the best trials, ever nearer.

``hyperopt.anneal``: a trial among the best is chosen (its rank is geometric with mean 2), then each
parameter is drawn from a window around it of width 1 / (1 + 0.1 n), n the trials so far, moved
inwards at the bounds; a category is drawn anew with that same, falling probability. Where the
chosen trial lacks a parameter (a branch not taken) another one is chosen for it in the same way.

It differs in its start: the first ten trials cover the space evenly (a scrambled Sobol sequence),
where hyperopt stays around the first trial from the second on; one draw in ten is from the whole
space for ever; and n counts the different results, so that windows do not narrow on a plateau.

The rule is computed here on rows of numbers, because rebuilding hyperopt's own records took ten
times as long as the rule; a test holds it against hyperopt's answers. A choice of numbers is a
scale with an order here, not a set of categories.

Running trials count with the constant liar's loss. Cost per proposal: about 1 ms for ten parameters
and a hundred trials, 3 ms for a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.algorithms.arguments import HyperoptArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Bools, Domain, Floats
from experiments.algorithms.one_by_one import OneByOneTuner, derive_rng
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

N_START_UP = 10
N_COVERING = 64  # points of the even covering
EXPLORED = 0.1  # share of the draws from the whole space
MEAN_RANK = 2.0
SHRINKING = 0.1


class AnnealTuner(OneByOneTuner[HyperoptArgs]):
    """Draws around the best trials."""

    def __init__(self, space: SearchSpace, args: HyperoptArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._vectors = VectorSpace(space)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        if len(history) < N_START_UP:
            covering = self._vectors.domain.sobol(N_COVERING, derive_rng(self.seed))
            return self._vectors.decode(covering[len(history)]), "start-up"
        if rng.random() < EXPLORED:
            return self.space.sample(rng), "random"
        rows, is_inside = self._vectors.encode_many([o.parameters for o in history])
        losses = np.array([self._lost(o) for o in history])[is_inside]
        is_running = np.array([o.outcome is Outcome.RUNNING for o in history])[is_inside]
        if not np.isfinite(losses).any():
            return self.space.sample(rng), "start-up"
        told = losses[np.isfinite(losses)]
        losses[is_running] = self._lie(told)
        best_first = rows[is_inside][np.argsort(losses, kind="stable")]
        news = len(np.unique(told)) / len(told)
        return self._vectors.decode(anneal(self._vectors.domain, best_first, rng, news)), "model"

    @staticmethod
    def _lost(observation: Observation) -> float:
        return math.inf if observation.loss is None else observation.loss

    def _lie(self, losses: Floats) -> float:
        if self.args.constant_liar_type == "mean":
            return float((losses / len(losses)).sum())  # divided first: cannot overflow
        if self.args.constant_liar_type == "max":
            return float(losses.max())
        # a hair above: a trial that has the result ranks before those that might get it
        return math.nextafter(float(losses.min()), math.inf)


def anneal(
    domain: Domain, best_first: Floats, rng: np.random.Generator, news: float = 1.0
) -> Floats:
    """Return a row near one of ``best_first``, which is # (n_rows, n_columns).

    ``news`` is the number of different results among those told, as a share of these.
    """
    counts = domain.counting(best_first)
    chosen: list[int] = []
    row = np.empty(domain.n_columns)
    for index, column in enumerate(domain.columns):
        row[index] = column.inactive
        if column.parent is not None and row[column.parent] != column.branch:
            continue
        n_seen = int(counts[:, index].sum())
        width = 1.0 / (1.0 + SHRINKING * news * n_seen)
        centre = best_first[_base(counts[:, index], chosen, rng), index] if n_seen else 0.5
        if column.categorical and rng.random() >= width and n_seen:
            row[index] = centre
            continue
        low = min(max(centre - width / 2.0, 0.0), 1.0 - width)
        unit = rng.random() if column.categorical else rng.uniform(low, low + width)
        row[index] = domain.snap_column(index, np.array([unit]))[0]
    return row


def _base(counts: Bools, chosen: list[int], rng: np.random.Generator) -> int:
    """Return the trial to stay near: one chosen before if it has the column, or a new one."""
    for before in chosen:
        if counts[before]:
            return before
    rank = min(int(rng.geometric(1.0 / MEAN_RANK)) - 1, int(counts.sum()) - 1)
    chosen.append(int(np.flatnonzero(counts)[rank]))
    return chosen[-1]
