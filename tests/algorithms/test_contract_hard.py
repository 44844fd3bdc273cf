"""Every algorithm that models is no worse than Random: on steps, choices, and where much fails."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.algorithms.registry import TUNERS, Entry
from experiments.algorithms.space.search_space import SearchSpace
from tests.algorithms.contract import EXPENSIVE, every_model, run

pytestmark = pytest.mark.long

NUMBERS: dict[str, Any] = {
    "x": {"_type": "uniform", "_value": [0, 1]},
    "lr": {"_type": "loguniform", "_value": [1e-4, 1]},
    "n": {"_type": "randint", "_value": [0, 9]},
}
CHOICES: dict[str, Any] = {f"c{i}": {"_type": "choice", "_value": list("abcde")} for i in range(5)}
_RNG = np.random.default_rng(0)
_MAIN, _PAIR = _RNG.normal(size=(5, 5)), _RNG.normal(size=(5, 5, 5)) / 2


def steps(params: dict[str, Any]) -> float:
    """Four parts of one, so that many trials are equal, the best ones too."""
    distance = (
        abs(params["x"] - 0.3) + abs(math.log10(params["lr"]) + 1) / 4 + abs(params["n"] - 2) / 9
    )
    return math.ceil(10 * distance) / 10


def chosen(params: dict[str, Any]) -> float:
    """What each choice does, and what each does to the next."""
    places = ["abcde".index(params[f"c{i}"]) for i in range(5)]
    pairs = sum(_PAIR[i, a, b] for i, (a, b) in enumerate(itertools.pairwise(places)))
    return float(sum(_MAIN[i, place] for i, place in enumerate(places)) + pairs)


def where_it_runs(params: dict[str, Any]) -> float | None:
    """The same steps, of which half of all trials do not come to an end."""
    return None if params["n"] > 4 or params["x"] > 0.9 else steps(params)


@every_model
@pytest.mark.parametrize(
    ("raw", "loss"),
    [(NUMBERS, steps), (CHOICES, chosen), (NUMBERS, where_it_runs)],
    ids=["steps", "choices", "failing"],
)
def test_a_model_is_no_worse_than_random(
    entry: Entry, raw: dict[str, Any], loss: Callable[[dict[str, Any]], float | None]
) -> None:
    space = SearchSpace.parse(raw)

    def best(tuner: Entry, n_trials: int, seed: int) -> float:
        history = run(tuner, space, n_trials, seed, loss, rebuild=False)
        return min(o.loss for o in history if o.loss is not None)

    n_seeds, n_trials = (2, 25) if entry in EXPENSIVE else (12, 40)
    found = np.mean([best(entry, n_trials, seed) for seed in range(n_seeds)])
    randoms = np.mean([best(TUNERS["Random"], 40, seed) for seed in range(40)])
    assert found <= randoms
