"""Our annealing rule against hyperopt's own answers, and by hand."""

from __future__ import annotations

from typing import Any

import hyperopt
import numpy as np
import pytest
from scipy import stats

from experiments.algorithms.arguments import HyperoptArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.hyperopt_bridge import LatentSpace, suggested
from experiments.algorithms.numerics.domain import Column, Domain
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.anneal import AnnealTuner, anneal

SPACE = SearchSpace.parse(
    {
        "x": {"_type": "uniform", "_value": [0, 1]},
        "n": {"_type": "randint", "_value": [0, 12]},
        "net": {
            "_type": "choice",
            "_value": [
                {"_name": "a", "drop": {"_type": "uniform", "_value": [0, 1]}},
                {"_name": "b", "k": {"_type": "choice", "_value": ["p", "q", "r"]}},
                "c",
            ],
        },
    }
)


def history(n_trials: int) -> list[Observation]:
    rng = np.random.default_rng(3)
    found = []
    for number in range(n_trials):
        params = SPACE.sample(rng)
        loss = abs(params["x"] - 0.9) + abs(params["n"] - 3) / 12
        failed = number % 6 == 5
        outcome = Outcome.FAILED if failed else Outcome.DONE
        found.append(Observation(number, params, outcome, None if failed else loss))
    return found


def answers_of_hyperopt(trials: list[Observation], n_draws: int) -> list[dict[str, Any]]:
    latent = LatentSpace(SPACE)
    docs = latent.trials(trials, "min")
    return [
        latent.decode(suggested(hyperopt.anneal.suggest([999], latent.domain, docs, seed)))
        for seed in range(n_draws)
    ]


@pytest.mark.long
def test_draws_are_distributed_as_hyperopts() -> None:
    trials = history(20)
    n_draws = 500
    theirs = answers_of_hyperopt(trials, n_draws)
    ours = [
        AnnealTuner(SPACE, HyperoptArgs(), seed).propose(trials, 1).suggestions[0].parameters
        for seed in range(n_draws)
    ]
    # p below 1e-4 would be one test in ten thousand; the seeds are fixed
    for name in ("x", "n"):
        assert stats.ks_2samp([p[name] for p in ours], [p[name] for p in theirs]).pvalue > 1e-4
    for branch, name in (("a", "drop"), ("b", "k")):
        of_ours, of_theirs = (
            [p["net"][name] for p in side if p["net"] != "c" and p["net"]["_name"] == branch]
            for side in (ours, theirs)
        )
        share = stats.fisher_exact(
            [[len(of_ours), len(of_theirs)], [n_draws - len(of_ours), n_draws - len(of_theirs)]]
        )
        assert share.pvalue > 1e-4
        if name == "drop":
            assert stats.ks_2samp(of_ours, of_theirs).pvalue > 1e-4
        else:
            counts = [[side.count(k) for k in "pqr"] for side in (of_ours, of_theirs)]
            assert stats.chi2_contingency(counts).pvalue > 1e-4


def test_the_window_shrinks_and_stays_inside() -> None:
    domain = Domain([Column()])
    rows = np.full((40, 1), 0.97)
    draws = [anneal(domain, rows, np.random.default_rng(seed))[0] for seed in range(300)]
    assert 0.8 <= min(draws) < 0.81  # width 1 / (1 + 0.1 * 40) below the bound
    assert 0.99 < max(draws) <= 1.0


def test_the_window_stays_wide_on_a_plateau() -> None:
    line = SearchSpace.parse({"x": {"_type": "uniform", "_value": [0, 1]}})

    def spread(n_results: int) -> float:
        history = [
            Observation(n, {"x": 0.5}, Outcome.DONE, float(n % n_results)) for n in range(40)
        ]
        drawn = [
            AnnealTuner(line, HyperoptArgs(), seed).propose(history, 1).suggestions[0]
            for seed in range(200)
        ]
        return max(abs(s.parameters["x"] - 0.5) for s in drawn if s.origin == "model")

    # the window is 1 / (1 + 0.1 n) wide, n the different results
    assert 0.09 < spread(40) <= 0.1
    assert 0.24 < spread(10) <= 0.25
    assert 0.44 < spread(1) <= 0.5 / 1.1


@pytest.mark.parametrize(("liar", "near"), [("min", 0.1), ("max", 0.9), ("mean", 0.9)])
def test_the_liar_decides_whether_a_running_trial_is_a_base(liar: str, near: float) -> None:
    line = SearchSpace.parse({"x": {"_type": "uniform", "_value": [0, 1]}})
    trials = [Observation(n, {"x": 0.9}, Outcome.DONE, 1.0 + n / 100) for n in range(30)]
    trials += [Observation(30 + n, {"x": 0.5}, Outcome.DONE, 2.0 + n / 100) for n in range(30)]
    # the best trial alone, then the running ones
    trials[0] = Observation(0, {"x": 0.1}, Outcome.DONE, 0.0)
    trials += [Observation(60 + n, {"x": 0.1}, Outcome.RUNNING) for n in range(30)]
    args = HyperoptArgs(constant_liar_type=liar)
    draws = [
        AnnealTuner(line, args, seed).propose(trials, 1).suggestions[0].parameters["x"]
        for seed in range(60)
    ]
    share = float(np.mean(np.abs(np.array(draws) - near) < 0.06))
    # nine in ten are drawn by the rule, and rank 1 is half of all bases
    assert share > 0.8 if near == 0.1 else 0.3 < share < 0.7
