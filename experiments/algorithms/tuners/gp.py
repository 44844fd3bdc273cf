"""Bayesian optimisation with a Gaussian process.

Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning Algorithms",
NeurIPS 2012: a Matérn process with one length scale per parameter models the loss (``surrogate``,
``numerics.gaussian_process``), and the trial proposed is where the utility is largest
(``numerics.acquisition``). Running trials count by fantasies (their section 3.2), drawn from the
model. A region where trials failed is left by the probability of running (``failures``), which
multiplies the utility; so does, where results of neighbours are equal, the probability of saying
something new (``numerics.plateaus``): objectives with steps are not tried twice on one step.

The settings are NNI's, with these meanings: ``kappa`` weighs the deviation in ucb; ``xi`` is what
ei and poi want to gain at least, in standard deviations of the transformed losses; ``alpha`` is the
least noise variance in the same unit, on top of which noise is fitted; ``cold_start_num`` counts
finished trials, and the trials until then cover the space evenly (a scrambled Sobol sequence). The
utility is searched by gradient and by neighbours of discrete values, which needs far fewer points
than drawing blindly, so ``selection_num_warm_up`` and ``selection_num_starting_points`` count up to
2048 and 5 only; 512 more points are drawn around the best trials. A finite space of up to 4096
configurations is searched completely.

Cost per proposal: about 30 ms with 50 trials of six parameters; 0.12 s with 100 and 0.4 s with
1,000 trials of ten. Beyond 500 trials the model sees a choice of them (``surrogate``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.algorithms import surrogate
from experiments.algorithms.arguments import GPArgs
from experiments.algorithms.base import Observation
from experiments.algorithms.durations import Durations
from experiments.algorithms.failures import Failures
from experiments.algorithms.numerics.acquisition import Acquisition
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.search import Objective, Product, best_row
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.one_by_one import OneByOneTuner
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

MAX_ENUMERATED = 4096
MAX_WARM_UP = 2048
MAX_STARTS = 5
N_AROUND = 512


class GPTuner(OneByOneTuner[GPArgs]):
    """Proposes what promises most by the model."""

    per_second = False  # whether what a trial promises is divided by what it takes; set by Auto

    def __init__(self, space: SearchSpace, args: GPArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._vectors = VectorSpace(space)
        self._grid = self._vectors.domain.grid(MAX_ENUMERATED)
        self._modeller = surrogate.Modeller(self._vectors, args.nu, args.alpha)
        self._failures = Failures(self._vectors)
        self._durations = Durations(self._vectors)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        data = self._modeller.read(history)
        if not self._modeller.is_ready(data, self.args.cold_start_num):
            return self._modeller.start_up(data, self.seed, len(history), rng), "start-up"
        with one_thread():
            model = self._modeller.model(data, rng)
            acquisition = Acquisition(
                model.process, self.args.utility, model.thresholds - self.args.xi, self.args.kappa
            )
            known = self._failures.learn(history)
            objective: Objective = acquisition
            steps = self._modeller.plateaus(data)
            if steps is not None:
                objective = Product(objective, steps)
            if self.per_second:
                objective = self._durations.per_second(objective, history)
            if known is not None:
                objective = Product(objective, known)
            return self._vectors.decode(self._search(objective, data, rng)), "model"

    def trust(self, history: Sequence[Observation]) -> float | None:
        """Return how well the model predicts (``surrogate``); None before it has begun."""
        data = self._modeller.read(history)
        if not self._modeller.is_ready(data, self.args.cold_start_num):
            return None
        with one_thread():
            return self._modeller.trust(data)

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        row = self._vectors.encode(params)
        return None if row is None else self._failures.likely(history, row)

    def _search(
        self, acquisition: Objective, data: surrogate.Data, rng: np.random.Generator
    ) -> Floats:
        domain = self._vectors.domain
        if self._grid is not None:
            return best_row(domain, acquisition, self._grid, data.taken, n_starts=0)
        n_warm_up = min(self.args.selection_num_warm_up, MAX_WARM_UP)
        pool = np.concatenate(
            [domain.sobol(n_warm_up, rng), data.around_best(domain, N_AROUND, rng)]
        )
        n_starts = min(self.args.selection_num_starting_points, MAX_STARTS)
        return best_row(domain, acquisition, pool, data.taken, n_starts)
