"""Simulated annealing by hyperopt: draw near one of the best trials, ever nearer.

``hyperopt.anneal``: a trial among the best is chosen (geometric, mean rank 2), then each parameter
is drawn from a window around it of width 1 / (1 + 0.1 n), n the trials so far; a category is kept
with growing probability. Running trials count with the constant liar's loss. Cost per proposal:
about 10 ms for ten parameters and a hundred trials, 60 ms for a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from hyperopt import anneal

from experiments.algorithms.arguments import HyperoptArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.hyperopt_bridge import LatentSpace, Liar, suggested
from experiments.algorithms.one_by_one import OneByOneTuner
from experiments.algorithms.space import SearchSpace


class AnnealTuner(OneByOneTuner[HyperoptArgs]):
    """Draws around the best trials."""

    def __init__(self, space: SearchSpace, args: HyperoptArgs, seed: int) -> None:
        super().__init__(space, args, seed)
        self._latent = LatentSpace(space)

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        if not any(o.outcome is Outcome.DONE for o in history):
            return self.space.sample(rng), "start-up"
        trials = self._latent.trials(history, cast(Liar, self.args.constant_liar_type))
        seed = int(rng.integers(2**31))
        docs = anneal.suggest([len(history)], self._latent.domain, trials, seed)
        return self._latent.decode(suggested(docs)), "model"
