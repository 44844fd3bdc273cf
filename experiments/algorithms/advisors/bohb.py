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
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.kde import KernelDensity
from experiments.algorithms.space.vectors import VectorSpace

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

    def _results(self, history: Sequence[Observation], vectors: VectorSpace) -> Floats | None:
        """Return the rows of the largest budget that has enough results, best first."""
        found = [
            (float(budget), o.loss, bare(o.parameters))
            for o in history
            if o.loss is not None and isinstance(budget := o.note.get("budget"), int | float)
        ]
        rows, is_inside = vectors.encode_many([params for _, _, params in found])
        budgets = np.array([budget for budget, _, _ in found])[is_inside]
        enough = [
            b for b in np.unique(budgets) if (budgets == b).sum() >= self._n_least(vectors) + 2
        ]
        if not enough:
            return None
        here = np.flatnonzero(is_inside)[budgets == enough[-1]]
        losses = np.array([loss for _, loss, _ in found])[here]
        ranked: Floats = rows[here[np.argsort(losses, kind="stable")]]  # ties: the earlier first
        return ranked
