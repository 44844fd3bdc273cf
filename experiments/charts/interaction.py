"""Which two parameters act together: the best value of one depends on the other's.

Called by ``pair``. What every parameter gives by itself is fitted first (a cubic along a number, a
mean for each choice); of what is left, an F test asks whether the products of two parameters
explain more than chance. Where the values need another scale for parameters to add up (a rate that
halves the loss whatever else is chosen), that scale is taken: an effect that a scale makes or
unmakes is not one of two parameters. Bonferroni's correction is for all pairs, at one in a hundred
of experiments without any; measured, it errs more often (why is not known): of
fifty to a hundred trials, a pair was named in 3 to 14 % of additive runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.charts.axes import Axis
from experiments.charts.base import Floats
from experiments.charts.comparable import goodness
from experiments.charts.ped_anova import LEAST, active_in

LEAST_CELL = 5  # trials: choices, and pairs of choices, of fewer are left out
CHANCE = 0.01
MOST_TOLD = 3
MOST_AXES = 25  # the first ones given: their pairs are looked at
MOST_CHOICES = 12  # the most frequent ones of a parameter are told apart
MOST_TRIALS = 1000  # evenly out of all
LEAST_SHARE = 0.02  # of the spread of values: less is of no use to anybody
FEW = 3  # trials for each thing that is fitted; of fewer, only the two parameters' own are
FAR = 3.0  # usual deviations: what is farther from what was fitted counts as so far
_NOTHING = 1e-9  # of its length: less of a column is left by rounding


@dataclass(frozen=True)
class Together:
    """Two parameters, and the share of the values' spread that they explain only together."""

    first: Axis
    second: Axis
    share: float
    chance: float  # that so much comes by chance, before the correction


@dataclass(frozen=True, eq=False)
class _Coded:
    """One parameter's columns: what it may give by itself, and what it is multiplied by."""

    active: NDArray[np.bool_]
    own: Floats  # (n_trials, k)
    factors: Floats  # (n_trials, m)


@dataclass(frozen=True, eq=False)
class _Fit:
    """What the parameters give by themselves."""

    basis: Floats  # (n_trials, k): columns of length one, at right angles to each other
    rest: Floats  # (n_trials,) of the values
    whole: float  # the values' spread

    @staticmethod
    def of(values: Floats, basis: Floats) -> _Fit:
        rest = _without(basis, _cut(_without(basis, values)))
        return _Fit(basis, rest, float(values @ values))


def acting_together(axes: Sequence[Axis], losses: Floats) -> list[Together]:
    """The pairs that act together beyond chance, the strongest first; at most three.

    A nested parameter is set against its own choice where several branches have it.
    """
    if losses.size < LEAST:
        return []
    chosen = np.unique(np.linspace(0, losses.size - 1, min(losses.size, MOST_TRIALS)).astype(int))
    losses = losses[chosen]
    shown = axes[:MOST_AXES]
    coded = [_coded(axis, chosen) for axis in shown]
    every = _basis_of(losses.size, *(c.own for c in coded))
    values = _added_up(losses, every)
    has_room = losses.size >= FEW * every.shape[1]
    told: list[tuple[int, int, Together]] = []
    while len(told) < MOST_TOLD:
        alone = _Fit.of(values, every)
        known = [_products(coded[i], coded[j]) for i, j, _ in told]
        found = []
        for i, j in itertools.combinations(range(len(shown)), 2):
            a, b = coded[i], coded[j]
            if (a.active & b.active).sum() < LEAST:
                continue
            of_both = None if has_room else _basis_of(losses.size, a.own, b.own, *known)
            fit = alone if of_both is None else _Fit.of(values, of_both)
            tested = _tested(fit, _products(a, b))
            if tested is not None:
                found.append((i, j, Together(shown[i], shown[j], *tested)))
        limit = CHANCE / max(1, len(found))
        beyond = [f for f in found if f[2].chance <= limit and f[2].share >= LEAST_SHARE]
        if not beyond:
            break
        # the next ones are looked for beside it: what it does must not pass for theirs
        told.append(max(beyond, key=lambda f: f[2].share))
        every = _basis_of(losses.size, every, _products(*(coded[i] for i in told[-1][:2])))
    return [together for _, _, together in told]


def _coded(axis: Axis, chosen: NDArray[np.intp]) -> _Coded:
    places = np.array(axis.places)[chosen]
    active = active_in(axis, places)
    has_it = active[:, None].astype(np.float64)
    if axis.kind == "choice":
        values, counts = np.unique(places[active], return_counts=True)
        often = values[np.argsort(-counts, kind="stable")][:MOST_CHOICES]
        often = often[[counts[values == v][0] >= LEAST_CELL for v in often]]
        factors = (places[:, None] == often[None, :]) * has_it
        return _Coded(active, factors, factors)
    own = places[active]
    if not own.size:
        return _Coded(active, np.empty((places.size, 0)), np.empty((places.size, 0)))
    middle, half = (own.max() + own.min()) / 2, (own.max() - own.min()) / 2
    u = np.where(active, (places - middle) / (half or 1.0), 0.0)[:, None]
    return _Coded(
        active,
        np.concatenate([has_it, u, u**2, u**3], axis=1),
        np.concatenate([u, u**2 * has_it], axis=1),
    )


def _products(a: _Coded, b: _Coded) -> Floats:
    """Each factor of one with each of the other, but the squares of both."""
    columns = []
    for i, j in itertools.product(range(a.factors.shape[1]), range(b.factors.shape[1])):
        is_steep = i and j and a.own.shape[1] == b.own.shape[1] == 4
        column = a.factors[:, i] * b.factors[:, j]
        if not is_steep and np.count_nonzero(column) >= LEAST_CELL:
            columns.append(column)
    return np.stack(columns, axis=1) if columns else np.empty((a.active.size, 0))


def _basis_of(n_trials: int, *parts: Floats) -> Floats:
    """A basis of a mean and all these columns."""
    return _basis(np.concatenate([np.ones((n_trials, 1)), *parts], axis=1))


def _basis(columns: Floats) -> Floats:
    """Columns of length one, at right angles to each other, that span the same."""
    left, singular, _right = np.linalg.svd(columns, full_matrices=False)
    spanned: Floats = left[:, singular > 1e-8 * singular[0]]
    return spanned


def _added_up(losses: Floats, basis: Floats) -> Floats:
    """The values on the scale on which most of them is what the parameters give by themselves."""
    ranks = goodness(losses)
    if largest := float(np.abs(losses).max()):
        losses = losses / largest  # no sum of two overflows
    low, high = np.quantile(losses, (0.0, 0.9))
    cut = np.minimum(losses, high)
    floor = 0.05 * (high - low) or 1.0
    scales = [ranks, -cut, -np.log(cut - low + floor)]
    rest = [scale - scale.mean() for scale in scales]

    def explained(scale: Floats) -> float:
        whole = float(scale @ scale)
        return float(((basis.T @ scale) ** 2).sum()) / whole if whole > 0 else 0.0

    return max(rest, key=explained)


def _tested(fit: _Fit, products: Floats) -> tuple[float, float] | None:
    """The share that only both explain, and its chance; None where nothing can be told."""
    beyond = _without(fit.basis, products)
    length = np.sqrt((beyond**2).sum(axis=0))
    is_new = length > 1e-6 * np.maximum(np.sqrt((products**2).sum(axis=0)), _NOTHING)
    if not is_new.any() or fit.whole <= 0:
        return None
    beyond = beyond[:, is_new] / length[is_new]
    spread, directions = np.linalg.eigh(beyond.T @ beyond)
    is_free = spread > 1e-8 * spread[-1]
    along = directions[:, is_free].T @ (beyond.T @ fit.rest)
    explained = float((along**2 / spread[is_free]).sum())
    n_together = int(is_free.sum())
    n_free = fit.rest.size - fit.basis.shape[1] - n_together
    if n_free < 1:
        return None
    left = max(0.0, float(fit.rest @ fit.rest) - explained)
    if left <= 1e-12 * fit.whole:
        return explained / fit.whole, 0.0 if explained > 1e-12 * fit.whole else 1.0
    by_chance = left / n_free  # of each column that means nothing
    from scipy import special  # servers and commands start without it, see the registry

    chance = special.fdtrc(n_together, n_free, explained / n_together / by_chance)
    return max(0.0, explained - n_together * by_chance) / fit.whole, float(chance)


def _without(basis: Floats, columns: Floats) -> Floats:
    """What is left of the columns beside what the basis spans."""
    rest: Floats = columns - basis @ (basis.T @ columns)
    return rest


def _cut(rest: Floats) -> Floats:
    """A few trials that ran away must not pass for an effect."""
    most = FAR * 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    return np.clip(rest, -most, most) if most > 0 else rest
