"""Problems of the optimiser benchmark with three tenths of their space failing.

    PYTHONPATH=.:benchmarks:HARNESS python benchmarks/infeasible.py autotune_tpe [--tables]

HARNESS holds ``problems.py`` (and ``tables.py``) of the side-by-side benchmark. Each problem is run
as it is and with three shapes of failing region, which the optimum does not lie in, as far as a
climb from the best of many random points finds it:

- corner: two parameters, both beyond a value;
- stripe: some values of one choice (of a number: its upper or lower end);
- band: a range of one number.

Printed for each shape: the share of proposals after the first 20 that fail (of random ones three in
ten do), the geometric mean of the regret after 50, and its ratio to that of the whole problems; and
once the regret of the optima found, which no tuner can be asked to fall below.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any

import hpo_adapter
import numpy as np
import problems

from experiments.algorithms.space.search_space import SearchSpace
from experiments.algorithms.space.vectors import VectorSpace

SHARE = 0.3
N_SAMPLES = 4000
N_FIRST, N_TRIALS = 20, 50
N_CLIMBERS, N_STEPS, N_TRIES = 8, 40, 16  # of the search for the optimum
SHAPES = ("corner", "stripe", "band")

Fails = Callable[[Mapping[str, Any]], bool]


def optimum(problem: Any, vectors: VectorSpace, rows: Any, losses: Any) -> tuple[Any, float]:
    """Return the best row found from random ones, and its loss (values are turned to losses)."""
    sign = 1.0 if problem.mode == "minimize" else -1.0
    rng = np.random.default_rng(8)
    order = np.argsort(losses)[:N_CLIMBERS]
    best, reached = rows[order].copy(), losses[order].copy()
    for scale in np.geomspace(0.3, 0.001, N_STEPS):
        tries = np.repeat(best, N_TRIES, axis=0)
        tries = vectors.domain.around(tries, np.full(len(tries), scale), rng)
        found = np.array([sign * problem.fn(vectors.decode(row)) for row in tries])
        found = found.reshape(len(best), N_TRIES)
        for climber, place in enumerate(found.argmin(axis=1)):
            if found[climber, place] < reached[climber]:
                reached[climber] = found[climber, place]
                best[climber] = tries[climber * N_TRIES + place]
    return best[int(reached.argmin())], float(reached.min())


def region(problem: Any, shape: str) -> tuple[Fails, float]:
    """Return which parameters fail, about three tenths of random ones, and the least regret left.

    The best parameters known are not among them.
    """
    vectors = VectorSpace(SearchSpace.parse(problem.space))
    rng = np.random.default_rng(7)
    samples = [problems.sample_space(problem.space, rng) for _ in range(N_SAMPLES)]
    values = np.array([problem.fn(sample) for sample in samples])
    rows, _ = vectors.encode_many(samples)
    sign = 1.0 if problem.mode == "minimize" else -1.0
    best, loss = optimum(problem, vectors, rows, sign * values)
    choices = np.flatnonzero(vectors.domain.categorical)
    numbers = np.flatnonzero(~vectors.domain.categorical)
    if shape == "corner":
        columns = list(rng.permutation(vectors.domain.n_columns)[:2])
        share = math.sqrt(SHARE) if len(columns) > 1 else SHARE
        ends = [_end(rows[:, c], best[c], share) for c in columns]
        if len(columns) > 1 and all(
            low <= best[c] <= high for c, (low, high) in zip(columns, ends, strict=True)
        ):
            raise AssertionError("the best point lies in the corner")
    elif shape == "stripe":
        columns = [int(rng.choice(choices if len(choices) else numbers))]
        ends = [_end(rows[:, columns[0]], best[columns[0]], SHARE)]
    else:
        columns = [int(rng.choice(numbers if len(numbers) else choices))]
        ends = [_band(rows[:, columns[0]], best[columns[0]])]

    def fails(params: Mapping[str, Any]) -> bool:
        row = vectors.encode(params)
        assert row is not None
        return all(low <= row[c] <= high for c, (low, high) in zip(columns, ends, strict=True))

    return fails, problem.regret(sign * loss)


def _end(values: Any, best: float, share: float) -> tuple[float, float]:
    """Return the end of a column that holds about ``share`` of the values, away from the best."""
    edges = np.unique(values)
    ranges = [(edges[0], e) for e in edges[:: max(1, len(edges) // 200)]]
    ranges += [(e, edges[-1]) for e in edges[:: max(1, len(edges) // 200)]]
    return _nearest(ranges, values, best, share)


def _band(values: Any, best: float) -> tuple[float, float]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 41), method="nearest"))
    return _nearest(
        [(a, b) for a in edges[1:-1] for b in edges[1:-1] if a <= b], values, best, SHARE
    )


def _nearest(
    ranges: list[tuple[float, float]], values: Any, best: float, share: float
) -> tuple[float, float]:
    """Return the range without the best whose share of the values is nearest to that wanted."""
    away = [(a, b) for a, b in ranges if not a <= best <= b] or ranges
    return min(away, key=lambda r: abs(np.mean((values >= r[0]) & (values <= r[1])) - share))


def run(name: str, problem: Any, fails: Fails | None, seed: int) -> tuple[float, float]:
    """Return the regret after all trials, and the share of late ones that failed."""
    noise = np.random.default_rng([seed, len(problem.name)])
    optimizer = hpo_adapter.make(name, problem.space, problem.mode, seed)
    best, regret, n_failed = None, problem.regret(problem.f_opt) + 1.0, 0
    for number in range(N_TRIALS):
        params = optimizer.ask()
        if fails is not None and fails(params):
            n_failed += number >= N_FIRST
            optimizer.tell(params, math.nan)
            continue
        value = problem.fn(params)
        seen = value + problem.noise_sd * float(noise.standard_normal())
        if problem.observe is not None:
            seen = problem.observe(params, noise)
        optimizer.tell(params, seen)
        if best is None or problem.better(seen, best):
            best, regret = seen, problem.regret(value)
    return max(regret, 1e-4), n_failed / (N_TRIALS - N_FIRST)


def _mean(regrets: list[float]) -> float:
    return math.exp(float(np.mean(np.log(regrets))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(hpo_adapter.OPTIMIZERS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="take every nth problem only")
    parser.add_argument("--tables", action="store_true", help="every other one of the tables")
    given = parser.parse_args()
    if given.tables:
        import tables

        every = list(tables.build().values())[:: 2 * given.every]
    else:
        every = list(problems.build().values())[:: given.every]
    for name in given.names:
        whole = [run(name, p, None, s)[0] for p in every for s in range(given.seeds)]
        base = _mean(whole)
        print(f"{name}: whole {base:.4f} ({len(every)} problems, {given.seeds} seeds)", flush=True)
        for shape in SHAPES:
            regions = [(p, *region(p, shape)) for p in every]
            found = [run(name, p, fails, s) for p, fails, _ in regions for s in range(given.seeds)]
            regret = _mean([r for r, _ in found])
            share = float(np.mean([f for _, f in found]))
            least = _mean([max(left, 1e-4) for *_, left in regions])
            print(
                f"{name}: {shape:6s} failing {share:.3f}, regret {regret:.4f}, "
                f"ratio {regret / base:.2f} (least possible {least:.4f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
