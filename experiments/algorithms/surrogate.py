"""The objective as a Gaussian process over a search space, learnt from a history.

Shared by GPTuner and MetisTuner: what goes into the model (which trials, on which scale) and how
trials that still run count. Everything here is a function of the history alone.

*Scale*: losses become targets with mean 0 and deviation 1, after a Yeo-Johnson power transform
chosen by maximum likelihood, so that a few huge losses do not flatten all others (Cowen-Rivers et
al., "HEBO", JAIR 2022, section 4.2). Failed trials are left to ``failures``.

*Size*: beyond ``MAX_ROWS`` finished trials the model sees the best, the latest and some spread over
the rest; beyond ``MAX_FIT_ROWS`` the hyper-parameters are fitted to fewer still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Domain, Floats
from experiments.algorithms.numerics.gaussian_process import (
    GaussianProcess,
    Hyper,
    Prior,
    fit,
    sample_jointly,
)
from experiments.algorithms.numerics.plateaus import Plateaus, radius_of
from experiments.algorithms.numerics.search import row_keys
from experiments.algorithms.one_by_one import derive_rng
from experiments.algorithms.space.vectors import VectorSpace

Indices = npt.NDArray[np.intp]

MAX_ROWS = 500
MAX_FIT_ROWS = 200
N_FANTASIES = 16
N_BEST = 8
CUT_OFF = 20.0  # deviations above the median from which a loss counts as infinitely bad
N_COVERING = 64  # points of the even covering that are drawn at once


@dataclass(frozen=True)
class Data:
    """What a history says, as numbers."""

    rows: Floats  # of trials that have a loss # (n, d)
    targets: Floats  # their losses on the model's scale # (n,)
    n_finished: int  # those, and the ones that failed
    running: Floats  # rows of trials that still run # (n_running, d)
    taken: frozenset[bytes]  # keys of the rows of all trials

    def around_best(self, domain: Domain, n_rows: int, rng: np.random.Generator) -> Floats:
        """Draw rows near the best trial (half of them) and near the best few."""
        best = self.rows[np.argsort(self.targets, kind="stable")[:N_BEST]]
        which = rng.integers(len(best), size=n_rows)
        which[: n_rows // 2] = 0
        return domain.around(best[which], 10.0 ** rng.uniform(-2.5, -0.5, size=n_rows), rng)


def to_targets(losses: Floats) -> Floats:
    """Put losses on the model's scale; NaN stands for a failed trial."""
    failed = np.isnan(losses)
    if failed.all():
        return np.zeros(len(losses))
    finite = standardised(losses[~failed])
    if len(finite) >= 4:
        finite = yeo_johnson(finite)
    spread = float(finite.std())
    if spread > 0.0:
        finite = (finite - finite.mean()) / spread
    targets = np.full(len(losses), finite.max())
    targets[~failed] = finite
    centred: Floats = targets - targets.mean()
    return centred


def standardised(losses: Floats) -> Floats:
    """Shift and scale losses by their quartiles, and cut off what is absurdly large."""
    quarter = losses / 4.0  # differences of numbers near 1e308 would overflow
    low, middle, high = np.percentile(quarter, [25.0, 50.0, 75.0])
    spread = (high - low) / 1.349  # of a normal distribution with these quartiles: its deviation
    if spread <= 1e-12 * max(abs(low), abs(high)):
        spread = float(np.ptp(quarter)) / 4.0  # most are equal
    if spread <= 1e-12 * max(abs(middle), 1e-290):
        return np.zeros(len(losses))
    with np.errstate(over="ignore"):
        scaled: Floats = np.clip((quarter - middle) / spread, -1e6, CUT_OFF)
    return scaled


def yeo_johnson(values: Floats) -> Floats:
    """Transform towards a normal distribution, by the likeliest of a grid of powers."""
    best, best_likelihood = values, -np.inf
    log_slope = np.sign(values) * np.log1p(np.abs(values))
    for power in np.arange(-2.0, 2.01, 0.125):
        warped = _power(values, float(power))
        variance = float(warped.var())
        if not np.isfinite(variance) or variance < 1e-12:
            continue
        likelihood = -0.5 * len(values) * np.log(variance) + (power - 1.0) * log_slope.sum()
        if likelihood > best_likelihood:
            best, best_likelihood = warped, likelihood
    return best


def _power(values: Floats, power: float) -> Floats:
    """Yeo and Johnson, "A new family of power transformations", 2000, equation 2.1."""
    above = np.maximum(values, 0.0)
    below = np.maximum(-values, 0.0)
    upper: Floats = special.boxcox1p(above, power)
    lower: Floats = special.boxcox1p(below, 2.0 - power)
    return upper - lower


def thinned(targets: Floats, n_kept: int) -> Indices:
    """Return the indices of ``n_kept`` trials: the best, the latest and some of the others."""
    n_rows = len(targets)
    if n_rows <= n_kept:
        return np.arange(n_rows)
    kept = np.zeros(n_rows, dtype=bool)
    kept[np.argsort(targets, kind="stable")[: n_kept // 2]] = True
    kept[n_rows - n_kept // 4 :] = True
    rest = np.flatnonzero(~kept)
    n_more = n_kept - int(kept.sum())
    kept[rest[(np.arange(n_more) * len(rest)) // n_more]] = True
    return np.flatnonzero(kept)


@dataclass(frozen=True)
class Model:
    """What is believed at one moment."""

    process: GaussianProcess  # of the finished trials and, by fantasies, the running ones
    thresholds: Floats  # the best level reached, of every fantasy # (n_fantasies,)


class Modeller:
    """Reads histories of one search space and models them."""

    def __init__(self, vectors: VectorSpace, nu: float, least_noise: float) -> None:
        self._vectors = vectors
        self._domain = vectors.domain
        self._nu = nu
        self._prior = Prior.of(self._domain.n_columns, least_noise)
        self._fitted: tuple[tuple[bytes, bytes], Hyper] | None = None

    def read(self, history: Sequence[Observation]) -> Data:
        """Turn a history into numbers; trials outside the space are left out."""
        rows, is_inside = self._vectors.encode_many([o.parameters for o in history])
        is_running = np.array([o.outcome is Outcome.RUNNING for o in history], dtype=bool)
        losses = np.array([np.nan if o.loss is None else o.loss for o in history], dtype=float)
        is_done = is_inside & np.isfinite(losses)
        finished, unfinished = rows[is_done], rows[is_inside & is_running]
        n_finished = int((is_inside & ~is_running).sum())
        taken = frozenset(row_keys(rows[is_inside]))
        targets = to_targets(losses[is_done]) if is_done.any() else np.zeros(0)
        return Data(finished, targets, n_finished, unfinished, taken)

    def is_ready(self, data: Data, n_start: int) -> bool:
        """Say whether there is enough to model: ``n_start`` finished trials, not all failed."""
        return bool(data.n_finished >= n_start and len(data.rows) and self._domain.n_columns)

    def start_up(
        self, data: Data, seed: int, number: int, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Return point ``number`` of an even covering of the space; if it is taken, any point."""
        points = self._domain.sobol(max(number + 1, N_COVERING), derive_rng(seed))
        point = points[number : number + 1]
        if row_keys(point)[0] in data.taken:
            return self._vectors.space.sample(rng)
        return self._vectors.decode(point[0])

    def hyper(self, data: Data) -> Hyper:
        """Fit the hyper-parameters to the finished trials; the last answer is remembered."""
        key = data.rows.tobytes(), data.targets.tobytes()
        if self._fitted is None or self._fitted[0] != key:
            kept = thinned(data.targets, MAX_FIT_ROWS)
            rows, targets = data.rows[kept], data.targets[kept]
            found, _ = fit(rows, targets, self._domain.categorical, self._nu, self._prior)
            self._fitted = key, found
        return self._fitted[1]

    def model(self, data: Data, rng: np.random.Generator) -> Model:
        """Return what is believed, given what running trials may reach."""
        process, running = self._process(data)
        # the model's own view of the best trial: with noise, a lucky result is no level to beat
        best = process.predict(process.x)[0].min(axis=0)
        if not len(running):
            return Model(process, best)
        mean, covariance = process.joint(running)
        covariance[np.diag_indices(len(running))] += process.hyper.noise
        half = rng.normal(size=(len(running), N_FANTASIES // 2))
        normals = np.concatenate([half, -half], axis=1)
        process = process.extended(running, sample_jointly(mean[:, 0], covariance, normals))
        return Model(process, np.minimum(best, process.predict(running)[0].min(axis=0)))

    def trust(self, data: Data) -> float:
        """Return how well the model predicts each trial from the others: a rank correlation.

        Nought is no better than a guess; below it the mean of all would be the better model.
        """
        if len(data.rows) < 3 or not np.ptp(data.targets):
            return 0.0
        process, _ = self._process(data)
        predicted = process.leave_one_out()[0]
        if not np.ptp(predicted):
            return 0.0
        ranks = [stats.rankdata(numbers) for numbers in (predicted, process.y[:, 0])]
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])

    def plateaus(self, data: Data) -> Plateaus | None:
        """Return where a trial would repeat another one; None where results differ anywhere."""
        weights, categorical = self.hyper(data).weights, self._domain.categorical
        newest = slice(-MAX_ROWS, None)
        rows = data.rows[newest]
        radius = radius_of(rows, data.targets[newest], weights, categorical)
        if radius is None:
            return None
        return Plateaus(np.concatenate([rows, data.running]), weights, categorical, radius)

    def believer(self, data: Data) -> GaussianProcess:
        """Return what is believed if running trials reach exactly what the model predicts."""
        process, running = self._process(data)
        return process.extended(running, process.predict(running)[0]) if len(running) else process

    def _process(self, data: Data) -> tuple[GaussianProcess, Floats]:
        """Return the model of the finished trials, and the distinct rows that run."""
        kept = thinned(data.targets, MAX_ROWS)
        rows, targets = data.rows[kept], data.targets[kept]
        categorical = self._domain.categorical
        process = GaussianProcess(rows, targets, categorical, self._nu, self.hyper(data))
        return process, np.unique(data.running, axis=0)[-MAX_ROWS:]
