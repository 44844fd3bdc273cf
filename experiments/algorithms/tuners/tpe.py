"""Tree-structured Parzen estimator: tries what good trials have more than the others.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011: one density of the good
trials, l(x), one of the others, g(x); of ``n_ei_candidates`` draws from l the one with the largest
l(x) / g(x) is proposed. ``engine`` says whose:

*parzen*, the default, is this project's. Densities are joint over all parameters
(``numerics.parzen``). Good are the best tenth, at most 25, weighted by rank as CMA-ES weighs
parents (Hansen, "The CMA Evolution Strategy: A Tutorial", equation 49). Kernels are as wide as
Scott's rule says for the spread of their trials, n^(-1/(d+4)) standard deviations, so the search
narrows as the good trials draw together; hyperopt and Optuna fix the width by the number of trials.

A running trial counts among the others, which keeps new ones off its spot. The constant liar says
what it counts as besides: with ``min`` it is a good trial too, with ``mean`` half of one, with
``max`` it is not; together running trials weigh at most half of what the good ones do.

*hyperopt* is hyperopt's, which treats each parameter by itself: the first 20 *finished* trials are
random (hyperopt counts running ones too, and would then model nothing but lies when many trials run
at once), running trials get the liar's loss.

Failed trials count as bad with either. Cost per proposal in a space of ten parameters with 100 and
1,000 trials: parzen about 2 and 6 ms, hyperopt about 12 and 50 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from experiments.algorithms.arguments import TPEArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.parzen import Cells, Parzen, scott_scales
from experiments.algorithms.one_by_one import OneByOneTuner
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

N_START_UP = 10  # finished trials before the model starts
N_START_UP_HYPEROPT = 20
GAMMA_HYPEROPT = 0.25  # hyperopt's own, as all of its other defaults
GOOD_SHARE = 0.1
MAX_GOOD = 25
MAX_BAD = 500  # kernels of g; of more trials some are taken evenly by rank
LIES = {"min": 1.0, "mean": 0.5, "max": 0.0}  # how much of a good trial a running one is


class TPETuner(OneByOneTuner[TPEArgs]):
    """Draws what good trials have more than bad ones."""

    def __init__(self, space: SearchSpace, args: TPEArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._engine = _Hyperopt(space, args) if args.engine == "hyperopt" else _Parzen(space, args)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        n_finished = sum(o.outcome is not Outcome.RUNNING for o in history)
        if n_finished >= self._engine.n_start_up:
            params = self._engine.propose(history, rng)
            if params is not None:
                return params, "model"
        return self.space.sample(rng), "start-up"


class _Parzen:
    """This project's estimator."""

    def __init__(self, space: SearchSpace, args: TPEArgs) -> None:
        self.n_start_up = args.n_startup_jobs or N_START_UP
        self._args = args
        self._good_share = args.gamma or GOOD_SHARE
        self._vectors = VectorSpace(space)
        self._cells = Cells(self._vectors.domain)
        self._lie = LIES[args.constant_liar_type]

    def propose(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> dict[str, Any] | None:
        """Return a configuration, or None without a trial to learn from."""
        rows, is_inside = self._vectors.encode_many([o.parameters for o in history])
        is_running = np.array([o.outcome is Outcome.RUNNING for o in history])
        losses = np.array([math.inf if o.loss is None else o.loss for o in history])
        order = np.argsort(losses, kind="stable")  # failed trials are the worst
        order = order[(is_inside & ~is_running)[order]]
        n_done = int(np.isfinite(losses[order]).sum())
        if not n_done:
            return None
        n_good = min(math.ceil(self._good_share * n_done), MAX_GOOD)
        running = rows[is_running & is_inside]
        good, narrow = self._good(rows[order[:n_good]], running)
        bad = self._bad(rows[order[n_good:]], running[-MAX_BAD:], narrow)
        candidates = good.sample(self._args.n_ei_candidates, rng)
        gains = good.log_density(candidates) - bad.log_density(candidates)
        if not self._vectors.is_continuous():
            taken = {row.tobytes() for row in rows}
            gains -= np.array([math.inf if c.tobytes() in taken else 0.0 for c in candidates])
        return self._vectors.decode(candidates[int(np.argmax(gains))])

    def _good(self, rows: Floats, running: Floats) -> tuple[Parzen, Floats]:
        """Return the density of good trials (best first) and of running ones; kernel widths."""
        n_good = len(rows)
        weights = math.log(n_good + 0.5) - np.log(np.arange(1, n_good + 1))
        weights /= weights.mean()
        scales = scott_scales(self._cells, rows, weights)
        if self._lie and len(running):
            each = self._lie * min(1.0, 0.5 * n_good / len(running))
            rows = np.concatenate([rows, running])
            weights = np.append(weights, np.full(len(running), each))
        return Parzen(self._cells, rows, weights, scales, self._args.prior_weight), scales

    def _bad(self, rows: Floats, running: Floats, narrow: Floats) -> Parzen:
        """Return the density of the other trials and of running ones.

        Kernels of running trials are as narrow as those of good ones: wide ones would push a new
        trial from the region, not from the spot.
        """
        if len(rows) > MAX_BAD:
            rows = rows[np.arange(MAX_BAD) * len(rows) // MAX_BAD]
        scales = np.tile(scott_scales(self._cells, rows, np.ones(len(rows))), (len(rows), 1))
        scales = np.concatenate([scales, np.tile(narrow, (len(running), 1))])
        rows = np.concatenate([rows, running])
        return Parzen(self._cells, rows, np.ones(len(rows)), scales, self._args.prior_weight)


class _Hyperopt:
    """hyperopt's estimator, with its own defaults."""

    def __init__(self, space: SearchSpace, args: TPEArgs) -> None:
        self.n_start_up = args.n_startup_jobs or N_START_UP_HYPEROPT
        self._args = args
        # a second to import, which nobody else needs to wait for
        from hyperopt import tpe

        from experiments.algorithms import hyperopt_bridge

        self._bridge = hyperopt_bridge
        self._suggest = tpe.suggest
        self._latent = hyperopt_bridge.LatentSpace(space)
        self._liar = cast(hyperopt_bridge.Liar, args.constant_liar_type)

    def propose(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> dict[str, Any] | None:
        """Return a configuration, or None without a trial to learn from."""
        if not any(o.outcome is Outcome.DONE for o in history):
            return None
        docs = self._suggest(
            [len(history)],
            self._latent.domain,
            self._latent.trials(history, self._liar),
            int(rng.integers(2**31)),
            n_startup_jobs=0,  # counted by the tuner
            n_EI_candidates=self._args.n_ei_candidates,
            prior_weight=self._args.prior_weight,
            gamma=self._args.gamma or GAMMA_HYPEROPT,
            verbose=False,
        )
        return self._latent.decode(self._bridge.suggested(docs))
