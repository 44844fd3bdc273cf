"""Random search: every trial is drawn from the search space, whatever came before.

Bergstra & Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13 (2012). Drawn by the
space itself, whose distributions are the specification's; hyperopt's random search does the same,
only with its own rounding. Cost per proposal: microseconds a parameter, plus the look for
duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.algorithms.arguments import HyperoptArgs
from experiments.algorithms.base import Observation
from experiments.algorithms.one_by_one import OneByOneTuner


class RandomTuner(OneByOneTuner[HyperoptArgs]):
    """Draws from the search space."""

    def draw(
        self, history: Sequence[Observation], rng: np.random.Generator
    ) -> tuple[dict[str, Any], str]:
        return self.space.sample(rng), "random"
