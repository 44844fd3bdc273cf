"""BOHB: Hyperband's brackets, with configurations drawn from a model of the good ones.

Falkner, Klein & Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML
2018, Algorithm 2. The model is made of the results on the largest budget that has enough of them:
the best ``top_n_percent`` and the rest each become a kernel density (``numerics.kde``), and of
``num_samples`` candidates drawn around the good ones, that with the largest ratio of the two is
taken. A share of ``random_fraction`` is drawn at random, so that it is never worse than Hyperband
by more than that.

Budgets are max_budget / eta^s, whole numbers (rounded down) where both bounds are whole. Unlike
NNI, which wants ConfigSpace and statsmodels, nested choices and all types are modelled. Cost per
proposal: num_samples times results times parameters; about a millisecond at 100 trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.algorithms.advisors.brackets import (
    BracketAdvisor,
    Rung,
    bare,
    halving,
    ladder,
)
from experiments.algorithms.arguments import BOHBArgs
from experiments.algorithms.base import Observation
from experiments.algorithms.numerics.kde import KernelDensity
from experiments.algorithms.vectors import VectorSpace

_LEAST = 1e-32  # densities below this count as this


class BOHBAdvisor(BracketAdvisor[BOHBArgs]):
    """Hyperband with a model."""

    def rungs(self, bracket: int) -> Sequence[Rung]:
        args = self.args
        budgets = ladder(args.min_budget, args.max_budget, args.eta)
        s_max = len(budgets) - 1
        s = s_max - bracket % (s_max + 1)
        return [
            Rung(n_configurations, budgets[s_max - s + rung])
            for rung, n_configurations in enumerate(halving(s, s_max, args.eta))
        ]

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        if rng.random() < self.args.random_fraction:
            return self.space.sample(rng), "random"
        vectors = VectorSpace(self.space)
        ranked = self._results(history, vectors)
        if ranked is None or not vectors.domain.n_columns:
            return self.space.sample(rng), "start-up"
        n_results, least = len(ranked), self._n_least(vectors)
        n_good = max(least, self.args.top_n_percent * n_results // 100)
        n_bad = max(least, (100 - self.args.top_n_percent) * n_results // 100)
        good = KernelDensity(vectors.domain, ranked[:n_good], self.args.min_bandwidth)
        bad = KernelDensity(
            vectors.domain, ranked[n_good : n_good + n_bad], self.args.min_bandwidth
        )
        candidates = good.sample(self.args.num_samples, self.args.bandwidth_factor, rng)
        ratio = np.maximum(good.density(candidates), _LEAST) / np.maximum(
            bad.density(candidates), _LEAST
        )
        return vectors.decode(candidates[int(np.argmax(ratio))]), "model"

    def _n_least(self, vectors: VectorSpace) -> int:
        n_columns = vectors.domain.n_columns
        return max(self.args.min_points_in_model or 0, n_columns + 1)

    def _results(
        self, history: Sequence[Observation], vectors: VectorSpace
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]] | None:
        """Return the rows of the largest budget that has enough results, best first."""
        by_budget: dict[float, list[tuple[float, int, Any]]] = {}
        for observation in history:
            budget = observation.note.get("budget")
            if observation.loss is None or not isinstance(budget, int | float):
                continue
            row = vectors.encode(bare(observation.parameters))
            if row is not None:
                found = by_budget.setdefault(float(budget), [])
                found.append((observation.loss, observation.number, row))
        enough = [b for b, found in by_budget.items() if len(found) >= self._n_least(vectors) + 2]
        if not enough:
            return None
        ranked = sorted(by_budget[max(enough)], key=lambda result: result[:2])
        return np.array([row for _, _, row in ranked])
