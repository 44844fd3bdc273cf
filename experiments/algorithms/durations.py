"""How long trials of a search space take: what a gain costs, for Auto's ``costAware``.

A Gaussian process on the logarithm of the seconds that finished trials took. Expected improvement
per second (Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning
Algorithms", 2012, section 3.2) is, on a logarithmic scale, the acquisition less the predicted
logarithm. Hyper-parameters are fitted at certain numbers of trials only and kept for the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.failures import FITTED_AT, MAX_ROWS
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.gaussian_process import GaussianProcess, Hyper, Prior, fit
from experiments.algorithms.numerics.search import Objective, Product
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.space.vectors import VectorSpace

LEAST_TRIALS = 8
LEAST_SPREAD = 0.05  # of the logarithms; below it all trials take equally long
LEAST_SECONDS = 0.1
NU = 1.5


@dataclass(frozen=True)
class Quickness:
    """Minus the logarithm of the seconds that a row takes, up to a constant."""

    process: GaussianProcess
    spread: float  # of the logarithms that the process was given standardised

    def __call__(self, rows: Floats) -> Floats:
        value: Floats = -self.spread * self.process.predict(rows)[0][:, 0]
        return value

    def with_gradient(self, row: Floats) -> tuple[float, Floats]:
        mu, _, d_mu, _ = self.process.predict_with_gradient(row)
        return -self.spread * float(mu[0]), -self.spread * d_mu[:, 0]


class Durations:
    """Reads histories of one search space for how long trials took."""

    def __init__(self, vectors: VectorSpace) -> None:
        self._vectors = vectors

    def per_second(self, objective: Objective, history: Sequence[Observation]) -> Objective:
        """Return the objective per second, or itself where too little is known of seconds."""
        timed = [o for o in history if o.outcome is Outcome.DONE and o.seconds is not None]
        rows, is_inside = self._vectors.encode_many([o.parameters for o in timed])
        rows = rows[is_inside]
        seconds = np.array([o.seconds for o in timed], dtype=float)[is_inside]
        logs = np.log(np.maximum(seconds, LEAST_SECONDS))
        if len(logs) < LEAST_TRIALS or not rows.shape[1] or logs.std() < LEAST_SPREAD:
            return objective
        size = max(n for n in FITTED_AT if n <= len(rows))
        spread = float(logs.std())
        targets = (logs - logs.mean()) / spread
        categorical = self._vectors.domain.categorical
        with one_thread():
            hyper = _hyper(
                rows[:size].tobytes(), targets[:size].tobytes(), categorical.tobytes(), len(rows.T)
            )
            newest = slice(-MAX_ROWS, None)
            process = GaussianProcess(rows[newest], targets[newest], categorical, NU, hyper)
        return Product(objective, Quickness(process, spread))


@lru_cache(maxsize=64)
def _hyper(rows: bytes, targets: bytes, categorical: bytes, n_columns: int) -> Hyper:
    found, _ = fit(
        np.frombuffer(rows).reshape(-1, n_columns),
        np.frombuffer(targets),
        np.frombuffer(categorical, dtype=bool),
        NU,
        Prior.of(n_columns, 1e-3),
        max_steps=25,
        starts=(0.5,),
    )
    return found
