"""How much each parameter matters: PED-ANOVA (Watanabe, Bansal, Hutter 2023) on histograms.

A parameter matters where the best trials took other values of it than all trials did. Its score is
the Pearson divergence between the two distributions, sum over bins of (best - all)^2 / all, less
what that comes to for best trials drawn at random, so that a parameter without effect scores about
nothing however many values it has. Only the order of the values counts: the answer is the same for
a score and for its negative, and one value of 1e20 changes nothing.

The divergence depends on the trials only through a table (best or not, by bin). To draw trials anew
with replacement is to draw that table from a multinomial: the bootstrap costs the same for 100
trials and for 100,000. Which values count as best stays as it is through it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import Axis
from experiments.charts.base import Floats
from experiments.charts.comparable import goodness

LEAST = 30  # trials; of fewer nothing is said
BEST_SHARE = 0.1
LEAST_BEST = 10  # trials: of a hundred or fewer, more than a tenth count as best
# Where a tuner came near the optimum all trials are alike, and ten of them tell nothing from
# chance: of few trials the best quarter counts, up to so many.
FEW_BEST, FEW_SHARE = 25, 0.25
MOST_BEST_SHARE = 0.8  # where so many share the best value, no one's parameters stand out
N_DRAWS = 200
SEED = 20230625
CONFIDENCE = 0.95
CHANCE_Z = 2.326  # a parameter without effect passes for one with an effect once in a hundred times
LEAST_BINS, MOST_BINS = 4, 20

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Trend:
    """How good trials are along one parameter: places of its bins, and the mean rank in each."""

    places: tuple[float, ...]
    goodness: tuple[float, ...]  # 0 for the worst to 1 for the best
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """One parameter's importance."""

    axis: Axis
    n: int  # trials that have it
    n_best: int  # of them, those that count as best; 0 where nothing can be said
    share: float = 0.0  # of all parameters' scores; they add up to 1
    low: float = 0.0  # of the share's interval
    high: float = 0.0
    is_beyond_chance: bool = False
    direction: float = 0.0  # rank correlation of value and goodness: -1 to 1
    trend: Trend | None = None

    @property
    def is_scored(self) -> bool:
        return self.n_best > 0


@dataclass(frozen=True, eq=False)
class _Table:
    """What the trials of one parameter say, in bins."""

    best: Floats  # (n_bins,) how many of the best trials
    all: Floats  # (n_bins,)
    trend: Trend
    direction: float

    @property
    def n(self) -> float:
        return float(self.all.sum())

    @property
    def n_best(self) -> float:
        return float(self.best.sum())

    @property
    def chance(self) -> float:
        """The divergence to expect of best trials drawn at random from all."""
        n, m = self.n, self.n_best
        return (self.all.size - 1) / m * (n - m) / (n - 1)

    @property
    def chance_limit(self) -> float:
        """What chance stays below 99 times in a hundred (Wilson and Hilferty's cube)."""
        free = self.all.size - 1
        if free < 1:
            return 0.0
        spread = 2.0 / (9.0 * free)
        return self.chance * (1.0 - spread + CHANCE_Z * math.sqrt(spread)) ** 3


def scores(
    axes: Sequence[Axis], losses: Floats, *, n_draws: int = N_DRAWS, seed: int = SEED
) -> list[Score]:
    """Every parameter's importance, in the axes' order. ``n_draws`` = 0 leaves intervals out.

    A nested parameter is judged among the trials that have it, by its own best ones.
    """
    all_ranks = goodness(losses)
    actives = [active_in(axis, np.array(axis.places)) for axis in axes]
    tables = [
        _table(axis, losses, all_ranks, active) for axis, active in zip(axes, actives, strict=True)
    ]
    scored = [i for i, table in enumerate(tables) if table is not None]
    found = [Score(axis, int(a.sum()), 0) for axis, a in zip(axes, actives, strict=True)]
    if not scored:
        return found
    rng = np.random.default_rng(seed)
    raw = np.array([_raw(t) for i in scored if (t := tables[i]) is not None])
    total = float(np.maximum(raw, 0.0).sum())
    draws = np.array(
        [_draws(t, rng, n_draws) for i in scored if (t := tables[i]) is not None]
    )  # (n_scored, n_draws)
    shares = _shares(draws, float(raw.sum()), total)
    tail = 100 * (1 - CONFIDENCE) / 2
    for row, i in enumerate(scored):
        table = tables[i]
        assert table is not None
        share = max(0.0, float(raw[row])) / total if total > 0 else 0.0
        low, high = share, share
        if n_draws:
            low, high = (float(q) for q in np.percentile(shares[row], (tail, 100 - tail)))
        found[i] = Score(
            axis=axes[i],
            n=int(table.n),
            n_best=int(table.n_best),
            share=share,
            low=min(low, share),
            high=max(high, share),
            is_beyond_chance=_divergence(table.best, table.all) > table.chance_limit,
            direction=table.direction,
            trend=table.trend,
        )
    return found


def _shares(draws: Floats, raw_total: float, total: float) -> Floats:
    """The draws' scores as shares of the whole, on the scale of the shares that are drawn.

    They are not cut at 0 before they are added up: so the noise of twenty parameters cancels out.
    """
    if total <= 0:
        return np.zeros_like(draws)
    if raw_total <= 0:  # nothing but noise
        return np.clip(draws / total, 0.0, 1.0)
    sums = draws.sum(axis=0)
    shares: Floats = draws / np.where(sums > 0, sums, np.inf) * (raw_total / total)
    return np.clip(shares, 0.0, 1.0)


def active_in(axis: Axis, places: Floats) -> NDArray[np.bool_]:
    """Which trials have this parameter."""
    return np.full(places.size, True) if axis.slot is None else places != axis.slot


def best_of(losses: Floats) -> NDArray[np.bool_] | None:
    """Which losses count as best; None where that can't be told. Equal ones are judged alike."""
    n = losses.size
    few = min(FEW_BEST, math.ceil(FEW_SHARE * n))
    n_wanted = max(LEAST_BEST, few, math.ceil(BEST_SHARE * n))
    limit = np.partition(losses, n_wanted - 1)[n_wanted - 1]
    best: NDArray[np.bool_] = losses <= limit
    if best.sum() <= MOST_BEST_SHARE * n:
        return best
    best = losses < limit  # most are equal: those before them
    return best if best.sum() >= LEAST_BEST else None


def _table(axis: Axis, losses: Floats, ranks: Floats, active: NDArray[np.bool_]) -> _Table | None:
    places = np.array(axis.places)
    if not active.all():
        places, losses = places[active], losses[active]
        ranks = goodness(losses)
    if losses.size < LEAST:
        return None
    best = best_of(losses)
    if best is None:
        return None
    codes = bins(places, int(best.sum()), is_choice=axis.kind == "choice")
    count = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, weights=ranks) / count
    return _Table(
        best=np.bincount(codes, weights=best, minlength=count.size).astype(np.float64),
        all=count,
        trend=Trend(
            tuple((np.bincount(codes, weights=places / count[codes])).tolist()),
            tuple(means.tolist()),
            tuple(int(c) for c in count),
        ),
        direction=0.0 if axis.kind == "choice" else _correlation(goodness(-places), ranks),
    )


def bins(places: Floats, n_best: int, *, is_choice: bool) -> Codes:
    """A bin for each trial: one a value where they are few, else as many trials in each."""
    found, codes = np.unique(places, return_inverse=True)
    most = min(max(int(math.sqrt(n_best)), LEAST_BINS), MOST_BINS)
    if is_choice or found.size <= most:
        return codes
    edges = np.unique(np.quantile(places, np.linspace(0, 1, most + 1)[1:-1]))
    _, codes = np.unique(np.searchsorted(edges, places, side="left"), return_inverse=True)
    return codes


def _divergence(best: Floats, every: Floats) -> float:
    p, q = best / best.sum(), every / every.sum()
    return float(((p - q) ** 2 / q).sum())


def _raw(table: _Table) -> float:
    return _divergence(table.best, table.all) - table.chance


def _draws(table: _Table, rng: np.random.Generator, n_draws: int) -> Floats:
    """The score of trials drawn anew, so many times."""
    n = int(table.n)
    cells = np.concatenate([table.best, table.all - table.best]) / n  # (2 * n_bins,)
    counts = rng.multinomial(n, cells, size=n_draws)
    counts = counts.reshape(n_draws, 2, table.all.size).astype(np.float64)
    best, every = counts[:, 0], counts.sum(axis=1)  # (n_draws, n_bins)
    p = best / np.maximum(best.sum(axis=1, keepdims=True), 1.0)
    q = every / n
    terms = np.divide((p - q) ** 2, q, out=np.zeros_like(q), where=q > 0)
    # Chance enters twice: in the trials there are, and in drawing from them.
    score: Floats = terms.sum(axis=1) - 2.0 * table.chance
    return score


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / length) if length > 0 else 0.0


def order(axes: Sequence[Axis], losses: Floats, *, settled: bool) -> list[tuple[int, float]]:
    """Places of the axes with their shares, the most important first.

    Of a running experiment (not ``settled``) in the order of its first 32, 64, 96, 128, 192 …
    trials only: panels change places a few times in all, not with every trial that ends. The shares
    are those of all trials, as everywhere.
    """
    n = losses.size if settled else _milestone(losses.size)
    if n < LEAST:
        return [(i, 0.0) for i in range(len(axes))]
    found = first = scores(axes, losses, n_draws=0)
    if n < losses.size:
        first = scores([first_trials(axis, n) for axis in axes], losses[:n], n_draws=0)
    places = sorted(range(len(axes)), key=lambda i: (not first[i].is_scored, -first[i].share, i))
    return [(i, found[i].share) for i in places]


def _milestone(n: int) -> int:
    """The largest of 32, 64, 96, 128, 192, 256, 384 … that is not above n."""
    if n < 64:
        return min(n, 32)
    power = 1 << (n.bit_length() - 1)
    return power + power // 2 if n >= power + power // 2 else power


def first_trials(axis: Axis, n: int) -> Axis:
    """The axis with the places of the first n trials only."""
    return Axis(
        axis.label, axis.kind, axis.low, axis.high, axis.ticks, axis.places[:n],
        axis.is_constant, axis.has_missing,
    )  # fmt: skip
