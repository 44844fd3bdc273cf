"""Metis: a Gaussian process whose next trial is the one that would teach most about the optimum.

Li et al., "Metis: Robustly Optimizing Tail Latencies of Cloud Systems", USENIX ATC 2018, section 4:
from a Gaussian process over the trials so far (``surrogate``), several candidates are found, and of
them the one is tried whose result is expected to improve the predicted optimum most:

- exploration: where the model knows least, and where the lower end of its 95 % interval is lowest;
- exploitation: where a Gaussian mixture of the good trials is denser than one of the others;
- re-sampling: trials whose result the model of the others holds for an outlier (outside its 95 %
  interval), up to three times each; only if ``no_resampling`` is false. What such a trial may teach
  is how far the predicted optimum moves when its result is left out.

With probability 1 - ``exploration_probability``, or always with ``no_candidates``, the predicted
optimum itself is tried. We differ in how improvement is measured: the expected fall of the model's
lowest mean, computed exactly for a set of places (the knowledge gradient of Frazier, Powell and
Dayanik, 2009), where the paper refits the model with each candidate's predicted result. Running
trials count with the result that the model predicts. The probability of running (``failures``)
multiplies what a trial may teach.

``cold_start_num`` counts finished trials; until then trials cover the space evenly. Candidates are
searched among ``selection_num_starting_points`` points (2048 at most), half of them near the best
trials, and the best of these improved by gradient. Cost per proposal: 0.1 s with 100 and 0.4 s with
1,000 trials of ten parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.algorithms import surrogate
from experiments.algorithms.arguments import MetisArgs
from experiments.algorithms.base import Observation
from experiments.algorithms.failures import Failures
from experiments.algorithms.numerics.acquisition import Acquisition, expected_gain
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.feasibility import Feasibility
from experiments.algorithms.numerics.gaussian_process import GaussianProcess
from experiments.algorithms.numerics.mixture import fit_mixture
from experiments.algorithms.numerics.search import Product, best_row, row_keys
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.one_by_one import OneByOneTuner
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

NU = 2.5
LEAST_NOISE = 1e-6
MAX_ENUMERATED = 4096
MAX_POINTS = 2048
N_STARTS = 3
N_REFERENCE = 128  # places at which the optimum is looked for when candidates are compared
INTERVAL = 1.96  # deviations that hold 95 % of a normal distribution
GOOD_SHARE = 1 / 3
N_COMPONENTS = 3
LEAST_FOR_MIXTURES = 12  # finished trials, as NNI
MAX_OUTLIERS = 5  # that are looked at in one proposal
MAX_RESAMPLED = 3  # times that one configuration is tried


class MetisTuner(OneByOneTuner[MetisArgs]):
    """Proposes what teaches most about the optimum."""

    def __init__(self, space: SearchSpace, args: MetisArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self.may_repeat = not args.no_resampling
        self._vectors = VectorSpace(space)
        self._grid = self._vectors.domain.grid(MAX_ENUMERATED)
        self._modeller = surrogate.Modeller(self._vectors, NU, LEAST_NOISE)
        self._failures = Failures(self._vectors)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        data = self._modeller.read(history)
        if not self._modeller.is_ready(data, self.args.cold_start_num):
            return self._modeller.start_up(data, self.seed, len(history), rng), "start-up"
        with one_thread():
            known = self._failures.learn(history)
            return self._vectors.decode(self._next(data, known, rng)), "model"

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        row = self._vectors.encode(params)
        return None if row is None else self._failures.likely(history, row)

    def _next(
        self, data: surrogate.Data, known: Feasibility | None, rng: np.random.Generator
    ) -> Floats:
        process = self._modeller.believer(data)
        pool = self._pool(data, rng)
        optimum = self._best(process, 0.0, pool, data, known)
        if self.args.no_candidates or rng.random() >= self.args.exploration_probability:
            return optimum
        candidates = [optimum, self._best(process, INTERVAL, pool, data, known)]
        untried = np.array([key not in data.taken for key in row_keys(pool)], dtype=bool)
        if known is not None:
            untried &= known.probability(pool) > 0.5
        if untried.any():
            fresh = pool[untried]
            candidates.append(fresh[int(np.argmax(process.predict(fresh)[1]))])
            if len(data.rows) >= LEAST_FOR_MIXTURES:
                candidates.append(self._likeliest_good(data, fresh))
        means = process.predict(pool)[0][:, 0]
        reference = pool[np.argsort(means, kind="stable")[:N_REFERENCE]]
        gains = expected_gain(process, np.array(candidates), reference)
        if known is not None:
            gains = gains * np.exp(known(np.array(candidates)))
        gains = gains.tolist()
        if not self.args.no_resampling:
            for row, gain in self._outliers(process, reference, data):
                candidates.append(row)
                gains.append(gain)
        return candidates[int(np.argmax(gains))]

    def _pool(self, data: surrogate.Data, rng: np.random.Generator) -> Floats:
        if self._grid is not None:
            return self._grid
        domain = self._vectors.domain
        n_points = min(self.args.selection_num_starting_points, MAX_POINTS)
        n_near = n_points // 2
        near = data.around_best(domain, n_near, rng)
        return np.concatenate([domain.sobol(n_points - n_near, rng), near])

    def _best(
        self,
        process: GaussianProcess,
        kappa: float,
        pool: Floats,
        data: surrogate.Data,
        known: Feasibility | None,
    ) -> Floats:
        """Return where the mean less ``kappa`` deviations is lowest, and trials run."""
        acquisition = Acquisition(process, "ucb", np.zeros(1), kappa)
        objective = Product(acquisition, known) if known is not None else acquisition
        n_starts = N_STARTS if self._grid is None else 0
        return best_row(self._vectors.domain, objective, pool, data.taken, n_starts)

    def _likeliest_good(self, data: surrogate.Data, rows: Floats) -> Floats:
        """Return the row where good trials are densest compared with the others."""
        order = np.argsort(data.targets, kind="stable")
        n_good = max(2, round(GOOD_SHARE * len(order)))
        seen = self._vectors.domain.features(data.rows)
        good = fit_mixture(seen[order[:n_good]], N_COMPONENTS)
        others = fit_mixture(seen[order[n_good:]], N_COMPONENTS)
        features = self._vectors.domain.features(rows)
        ratio = good.log_density(features) - others.log_density(features)
        likeliest: Floats = rows[int(np.argmax(ratio))]
        return likeliest

    def _outliers(
        self, process: GaussianProcess, reference: Floats, data: surrogate.Data
    ) -> list[tuple[Floats, float]]:
        """Return the rows of trials that may be tried again, and what each could teach."""
        n_times = Counter(row_keys(data.rows))
        n_times.update(row_keys(data.running))
        means, deviations = process.leave_one_out()
        oddness = np.abs(process.y[:, 0] - means) / deviations
        found = []
        for index in np.argsort(-oddness, kind="stable")[:MAX_OUTLIERS]:
            row = process.x[index]
            if oddness[index] < INTERVAL or n_times[row_keys(row[None, :])[0]] >= MAX_RESAMPLED:
                continue
            without = process.without(int(index))
            lowest = [float(p.predict(reference)[0].min()) for p in (process, without)]
            found.append((row, abs(lowest[0] - lowest[1])))
        return found
