"""CMA-ES: a normal distribution over the search space that moves and narrows to the best trials.

Hansen, "The CMA Evolution Strategy: A Tutorial" (``numerics.cma_es``), rebuilt from the history on
every call: the finished trials, by number, are its generations, ``population_size`` each. Where a
hyper-parameter search differs from the tutorial:

- The first ten trials cover the space evenly (a scrambled Sobol sequence); the best of them is the
  first mean, the first deviation 0.15 of every range.
- A draw outside the space is drawn again; whole numbers and other levels keep a deviation of half
  a level, so that no column gets stuck (cf. Hamano et al., "CMA-ES with margin", GECCO 2022).
- Categories have probabilities, which move towards those of the better half of each generation but
  never below 0.3 of an even share (cf. Hamano et al., "CatCMA", GECCO 2024). A column that does not
  count (a branch not taken) learns nothing from that trial.
- Once it has narrowed to a thousandth of the space, it starts again elsewhere with twice the
  population (Auger and Hansen, "A restart CMA evolution strategy", CEC 2005).

Running and failed trials are passed over; as no two draws are alike, running ones need no care.
Cost per proposal: about 3 ms for ten parameters and a hundred trials, 9 ms for a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.algorithms.arguments import CMAESArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.cma_es import CMA, default_population
from experiments.algorithms.numerics.domain import Bools, Domain, Floats
from experiments.algorithms.one_by_one import OneByOneTuner, derive_rng
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

N_START_UP = 10
N_COVERING = 64
FIRST_DEVIATION = 0.15
RESTART_DEVIATION = 0.3
CONVERGED = 1e-3
MAX_POPULATION = 128
LEVEL_DEVIATION = 0.5  # of the mean distance of two levels
CATEGORY_RATE = 0.5
N_REMEMBERED = 10  # generations; at that rate older ones do not count
LEAST_SHARE = 0.3  # of a category, in even shares
N_DRAWS = 16


class CMAESTuner(OneByOneTuner[CMAESArgs]):
    """Draws from a distribution that follows the best trials."""

    def __init__(self, space: SearchSpace, args: CMAESArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._vectors = VectorSpace(space)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        rows, is_inside = self._vectors.encode_many([o.parameters for o in history])
        is_done = is_inside & np.array([o.outcome is Outcome.DONE for o in history], dtype=bool)
        taken = {row.tobytes() for row in rows}
        domain = self._vectors.domain
        if len(history) < N_START_UP or not is_done.any():
            (row,) = domain.snap(rng.random((1, domain.n_columns)))
            if len(history) < N_START_UP:
                point = self._covering()[len(history)]
                row = row if point.tobytes() in taken else point
            return self._vectors.decode(row), "start-up"
        losses = np.array([o.loss for o in history if o.outcome is Outcome.DONE])
        losses = losses[is_inside[[o.outcome is Outcome.DONE for o in history]]]
        search = self._replay(rows[is_done], losses)
        return self._vectors.decode(search.draw(taken, rng)), "model"

    def _covering(self) -> Floats:
        return self._vectors.domain.sobol(N_COVERING, derive_rng(self.seed))

    def _replay(self, rows: Floats, losses: Floats) -> _Distribution:
        """Return the distribution that finished trials, by number, lead to."""
        domain = self._vectors.domain
        n_numeric = int((~domain.categorical).sum())
        population = self.args.population_size or default_population(n_numeric)
        best = np.argsort(losses[:N_START_UP], kind="stable")
        search = _Distribution(domain, rows[best[0]], FIRST_DEVIATION, population)
        search.learn_categories(rows[best[: max(1, len(best) // 4)]])
        candidates = np.arange(N_START_UP, len(rows))
        n_restarts = 0
        while len(candidates) >= population:
            generations = candidates[: len(candidates) // population * population]
            generations = generations.reshape(-1, population)
            ranks = np.argsort(losses[generations], axis=1, kind="stable")
            best_first = rows[np.take_along_axis(generations, ranks, axis=1)]
            n_learnt = search.learn(best_first)
            candidates = candidates[n_learnt * population :]
            if not search.has_converged():
                break
            n_restarts += 1
            population = min(2 * population, max(population, MAX_POPULATION))
            # trials drawn before the restart was known would pull the next search back
            stale = search.holds(rows[candidates[:population]])
            candidates = np.delete(candidates, np.flatnonzero(stale))
            centre = self._covering()[(N_START_UP + n_restarts) % N_COVERING]
            search = _Distribution(domain, centre, RESTART_DEVIATION, population)
        return search


class _Distribution:
    """Normal over the numeric columns, probabilities for each categorical one."""

    def __init__(self, domain: Domain, centre: Floats, deviation: float, population: int) -> None:
        self._domain = domain
        self._numeric = np.flatnonzero(~domain.categorical)
        self._categorical = np.flatnonzero(domain.categorical)
        self._n_levels = [_n_levels(domain, index) for index in range(domain.n_columns)]
        self._least = np.array(
            [LEVEL_DEVIATION / self._n_levels[i] if self._n_levels[i] else 0 for i in self._numeric]
        )
        self._converged = np.maximum(CONVERGED, 0.2 * self._least)
        self._loosest = float(self._converged.max(initial=0.0))
        self._normal: CMA | None = None
        if len(self._numeric):
            self._normal = CMA(centre[self._numeric], deviation, population)
        self._shares = {
            int(i): np.full(self._n_levels[i], 1.0 / self._n_levels[i]) for i in self._categorical
        }

    def learn(self, best_first: Floats) -> int:
        """Move to the better half of one generation after another until converged; return when.

        Args:
            best_first: # (n_generations, population, n_columns)
        """
        n_generations, population, n_columns = best_first.shape
        n_learnt = int(n_generations)
        if self._normal is not None:
            points = np.ascontiguousarray(best_first[:, :, self._numeric])
            counts = self._domain.counting(best_first.reshape(-1, n_columns))
            counts = counts.reshape(best_first.shape)[:, :, self._numeric]
            is_conditional = not counts.all()
            for number in range(n_generations):
                generation = points[number]
                if is_conditional:
                    generation = np.where(counts[number], generation, self._normal.mean)
                self._normal.update(generation)
                if self.has_converged():
                    n_learnt = number + 1
                    break
        for generation in best_first[max(0, n_learnt - N_REMEMBERED) : n_learnt]:
            self.learn_categories(generation[: max(1, population // 2)])
        return n_learnt

    def learn_categories(self, rows: Floats) -> None:
        """Move the categories' probabilities to their shares among rows, best first."""
        weights = math.log(len(rows) + 0.5) - np.log(np.arange(1, len(rows) + 1))
        for index, old in self._shares.items():
            counts = rows[:, index] >= 0.0
            total = weights[counts].sum()
            if total <= 0.0:
                continue
            found = np.bincount(
                rows[counts, index].astype(int), weights[counts] / total, minlength=len(old)
            )
            new = (1.0 - CATEGORY_RATE) * old + CATEGORY_RATE * found
            new = np.maximum(new, LEAST_SHARE / len(new))
            self._shares[index] = new / new.sum()

    def has_converged(self) -> bool:
        """Say whether nothing numeric moves any more."""
        if self._normal is None or self._normal.least_deviation() >= self._loosest:
            return False
        deviations = self._normal.deviations()
        return bool((deviations < self._converged).all())

    def holds(self, rows: Floats) -> Bools:
        """Say which rows lie where this distribution does."""
        assert self._normal is not None
        reach = 10.0 * np.maximum(self._normal.deviations(), self._least)
        distances = np.abs(rows[:, self._numeric] - self._normal.mean)
        return np.array([bool((each <= reach).all()) for each in distances], dtype=bool)

    def draw(self, taken: set[bytes], rng: np.random.Generator) -> Floats:
        """Return a row that is not taken, if a few draws find one."""
        domain = self._domain
        units = np.zeros((N_DRAWS, domain.n_columns))
        is_inside = np.ones(N_DRAWS, dtype=bool)
        if self._normal is not None:
            shape = (N_DRAWS, len(self._numeric))
            points = self._normal.points(rng.normal(size=shape))
            lacking = np.maximum(self._least**2 - self._normal.deviations() ** 2, 0.0)
            points += np.sqrt(lacking) * rng.normal(size=shape)
            is_inside[:] = ((points >= 0.0) & (points <= 1.0)).all(axis=1)
            units[:, self._numeric] = np.clip(points, 0.0, 1.0)
        rows = domain.snap_each(units)
        for index, shares in self._shares.items():
            rows[:, index] = rng.choice(len(shares), size=N_DRAWS, p=shares)
        rows = domain.tidy(rows)
        is_new = np.array([row.tobytes() not in taken for row in rows])
        # the first that is new and inside; or new; or any
        chosen: Floats = rows[int(np.argmax(2 * is_new + is_inside))]
        return chosen


def _n_levels(domain: Domain, index: int) -> int:
    levels = domain.columns[index].levels
    return 0 if levels is None else len(levels)
