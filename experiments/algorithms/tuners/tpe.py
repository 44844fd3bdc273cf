"""Tree-structured Parzen estimator: tries what good trials have more than the others.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011: one density of the good
trials, l(x), one of the others, g(x); of ``n_ei_candidates`` draws from l the one with the largest
l(x) / g(x) is proposed. ``engine`` says whose:

*parzen*, the default, is this project's. Densities are joint over all parameters
(``numerics.parzen``). Good is the best tenth of the results, at most 25, weighted by rank as CMA-ES
weighs parents (Hansen, "The CMA Evolution Strategy: A Tutorial", equation 49). Kernels are as wide
as Scott's rule says for the spread of their trials, n^(-1/(d+4)) standard deviations, so the search
narrows as the good trials draw together; hyperopt and Optuna fix the width by the number of trials.

So that it does not narrow onto a plateau: trials with equal results are one result, whose weight
they share, and all but the first of them count among the others too, which moves the search off
their spot; and while nothing better is found, over ``PATIENCE`` trials, the spread that kernels are
made for grows to Optuna's fixed one. The first trials cover the space evenly (a scrambled Sobol
sequence). A region where trials failed is left by the probability of running (``failures``), which
multiplies the ratio.

A running trial counts among the others, which keeps new ones off its spot. The constant liar says
what it counts as besides: with ``min`` it is a good trial too, with ``mean`` half of one, with
``max`` it is not; together running trials weigh at most half of what the good ones do.

*hyperopt* is hyperopt's, which treats each parameter by itself: the first 20 *finished* trials are
random (hyperopt counts running ones too, and would then model nothing but lies when many trials run
at once), running trials get the liar's loss.

To hyperopt failed trials are bad ones. Cost per proposal in a space of ten parameters with 100 and
1,000 trials: parzen about 2 and 6 ms, hyperopt about 12 and 50 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from experiments.algorithms.arguments import TPEArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.failures import Failures
from experiments.algorithms.numerics.domain import Bools, Floats
from experiments.algorithms.numerics.parzen import Cells, Parzen, scott_scales
from experiments.algorithms.one_by_one import OneByOneTuner, derive_rng
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

N_START_UP = 10  # finished trials before the model starts
N_COVERING = 64  # points of the even covering
LEAST_SPREAD = 0.2  # of a search that finds nothing better any more
PATIENCE = 10  # trials until it is that wide
N_START_UP_HYPEROPT = 20
GAMMA_HYPEROPT = 0.25  # hyperopt's own, as all of its other defaults
GOOD_SHARE = 0.1
MAX_GOOD = 25
MAX_BAD = 500  # kernels of g; of more trials some are taken evenly by rank
MAX_BAD_NUMBERS = 12_000  # in their rows: fewer kernels where there are more than 24 parameters
MAX_READ = 1_000  # trials of a history that are read,
MAX_READ_NUMBERS = 30_000  # and numbers in them: fewer where there are more than 30 parameters
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
        return self._engine.start(len(history), self.seed) or self.space.sample(rng), "start-up"

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        return self._engine.likely(history, params)


class _Parzen:
    """This project's estimator."""

    def __init__(self, space: SearchSpace, args: TPEArgs) -> None:
        self.n_start_up = args.n_startup_jobs or N_START_UP
        self._args = args
        self._good_share = args.gamma or GOOD_SHARE
        self._vectors = VectorSpace(space)
        self._cells = Cells(self._vectors.domain)
        self._failures = Failures(self._vectors)
        n_columns = max(1, self._vectors.domain.n_columns)
        self._max_bad = min(MAX_BAD, MAX_BAD_NUMBERS // n_columns)
        self._max_read = max(200, min(MAX_READ, MAX_READ_NUMBERS // n_columns))
        self._lie = LIES[args.constant_liar_type]

    def start(self, number: int, seed: int) -> dict[str, Any] | None:
        """Return point ``number`` of the even covering, None after its last."""
        if number >= N_COVERING:
            return None
        covering = self._vectors.domain.sobol(N_COVERING, derive_rng(seed))
        return self._vectors.decode(covering[number])

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        row = self._vectors.encode(params)
        return None if row is None else self._failures.likely(history, row)

    def propose(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> dict[str, Any] | None:
        """Return a configuration, or None without a trial to learn from."""
        failures = history
        history = readable(history, self._max_read)
        rows, is_inside = self._vectors.encode_many([o.parameters for o in history])
        is_running = np.array([o.outcome is Outcome.RUNNING for o in history])
        losses = np.array([math.inf if o.loss is None else o.loss for o in history])
        best_first = np.argsort(losses, kind="stable")
        best_first = best_first[is_inside[best_first]]
        done = best_first[np.isfinite(losses[best_first])]
        if not len(done):
            return None
        running = rows[is_running & is_inside]
        is_good, is_again, weights = self._split(losses[done])
        n_since = int((done > done[0]).sum())
        least = LEAST_SPREAD * min(1.0, n_since / PATIENCE)
        best = rows[done[is_good]]
        good = self._good(best, weights, running, least)
        spots = np.concatenate([rows[done[is_again]], running])[-self._max_bad :]
        bad = self._bad(rows[done[~is_good]], spots, scott_scales(self._cells, best, weights))
        candidates = good.sample(self._args.n_ei_candidates, rng)
        gains = good.log_density(candidates) - bad.log_density(candidates)
        known = self._failures.learn(failures)
        if known is not None:
            gains += known(candidates)
        if not self._vectors.is_continuous():
            taken = {row.tobytes() for row in rows}
            gains -= np.array([math.inf if c.tobytes() in taken else 0.0 for c in candidates])
        return self._vectors.decode(candidates[int(np.argmax(gains))])

    def _split(self, losses: Floats) -> tuple[Bools, Bools, Floats]:
        """Say of losses, best first, which are good, which of these repeat one; and good weights.

        Equal losses are one result: they share its weight, and all but the first repeat it.
        """
        results, level = np.unique(losses, return_inverse=True)
        n_good = min(math.ceil(self._good_share * len(results)), MAX_GOOD)
        is_good = level < n_good
        weights = math.log(n_good + 0.5) - np.log(np.arange(1, n_good + 1))
        weights /= weights.mean() * np.bincount(level)[:n_good]
        is_first = np.append(True, level[1:] != level[:-1])
        return is_good, is_good & ~is_first, weights[level[is_good]]

    def _good(self, rows: Floats, weights: Floats, running: Floats, least: float) -> Parzen:
        """Return the density of good trials and of running ones."""
        scales = scott_scales(self._cells, rows, weights, least)
        if self._lie and len(running):
            each = self._lie * min(1.0, 0.5 * float(weights.sum()) / len(running))
            rows = np.concatenate([rows, running])
            weights = np.append(weights, np.full(len(running), each))
        return Parzen(self._cells, rows, weights, scales, self._args.prior_weight)

    def _bad(self, rows: Floats, spots: Floats, narrow: Floats) -> Parzen:
        """Return the density of the other trials and of spots to leave: running, or plateaus.

        Kernels of spots are as narrow as Scott's rule makes those of good trials: wide ones would
        push a new trial from the region, not from the spot.
        """
        if len(rows) > self._max_bad:
            rows = rows[np.arange(self._max_bad) * len(rows) // self._max_bad]
        scales = np.tile(scott_scales(self._cells, rows, np.ones(len(rows))), (len(rows), 1))
        scales = np.concatenate([scales, np.tile(narrow, (len(spots), 1))])
        rows = np.concatenate([rows, spots])
        return Parzen(self._cells, rows, np.ones(len(rows)), scales, self._args.prior_weight)


def readable(history: Sequence[Observation], most: int) -> Sequence[Observation]:
    """Return the trials to learn from: all, or of very many the best, the rest evenly by rank.

    Beside them the newest of those that run; in order, as they were.
    """
    if len(history) <= most:
        return history
    losses = np.array([math.inf if o.loss is None else o.loss for o in history])
    done = np.argsort(losses, kind="stable")[: int(np.isfinite(losses).sum())]
    n_best = most // 4
    rest = done[n_best:]
    n_rest = min(len(rest), most - n_best)
    evenly = rest[np.linspace(0, max(0, len(rest) - 1), n_rest).astype(int)]
    running = [n for n, o in enumerate(history) if o.outcome is Outcome.RUNNING][-(most // 2) :]
    kept = sorted({*done[:n_best].tolist(), *evenly.tolist(), *running})
    return [history[n] for n in kept]


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

    def start(self, number: int, seed: int) -> dict[str, Any] | None:
        """Return None: hyperopt's first trials are random."""
        return None

    def likely(self, history: Sequence[Observation], params: Mapping[str, Any]) -> float | None:
        """Return None: hyperopt does not learn from failures."""
        return None

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
