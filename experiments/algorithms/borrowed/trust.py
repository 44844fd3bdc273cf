"""How much each earlier experiment is believed, by how well it ranks this one's own trials.

Feurer, Letham and Bakshy, "Scalable Meta-Learning for Bayesian Optimization using
Ranking-Weighted Gaussian Process Ensembles", 2018: draws of every source's posterior at the own
trials are compared with what came; a source's weight is how often it misranks the fewest pairs. One
that misranks as many pairs as chance would, or more, is dropped; it comes back when later trials
speak for it. The own model is no member: it corrects the others (``ensemble``).

Symbols: n own trials with a loss, S draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.algorithms.borrowed.sources import SourceModel
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.gaussian_process import GaussianProcess, sample_jointly

N_DRAWS = 128
LEAST_TO_JUDGE = 2  # own trials
CHANCE = 0.5  # of pairs misranked: what is no better is dropped


@dataclass(frozen=True)
class Trust:
    """Weights of the sources, together 1, or all 0 where none is believed."""

    weights: Floats  # (n_sources,)
    misranked: float = 0.0  # the share of pairs that they put the wrong way round, by weight

    @property
    def is_none(self) -> bool:
        return not self.weights.any()


def trust(
    models: Sequence[SourceModel], rows: Floats, losses: Floats, rng: np.random.Generator
) -> Trust:
    """
    Args:
        models: of the sources.
        rows: own trials with a loss. # (n, d)
        losses: theirs. # (n,)
    """
    n_sources = len(models)
    if len(rows) < LEAST_TO_JUDGE:
        return Trust(np.full(n_sources, 1.0 / max(1, n_sources)))
    wrong = np.array([_misranked(model.process.predict(rows)[0], losses)[0] for model in models])
    is_dropped = wrong >= CHANCE
    if is_dropped.all():
        return Trust(np.zeros(n_sources), 1.0)
    table = np.array([_misranked(_draws(model.process, rows, rng), losses) for model in models])
    table[is_dropped] = np.inf
    is_best = table == table.min(axis=0)  # (n_sources, S)
    weights = (is_best / is_best.sum(axis=0)).mean(axis=1)
    return Trust(weights, float(weights @ wrong))


def _draws(process: GaussianProcess, rows: Floats, rng: np.random.Generator) -> Floats:
    """Draws of a model's posterior at some rows. # (n, S)"""
    mean, covariance = process.joint(rows)
    normals = rng.normal(size=(len(rows), N_DRAWS))
    return sample_jointly(mean[:, 0], covariance, normals)


def _misranked(guesses: Floats, losses: Floats) -> Floats:
    """The share of pairs of different losses that each column puts the wrong way round.

    Args:
        guesses: # (n, S)
        losses: # (n,)
    """
    first, second = np.triu_indices(len(losses), 1)
    differ = losses[first] != losses[second]
    first, second = first[differ], second[differ]
    if not len(first):
        return np.zeros(guesses.shape[1])
    said = guesses[first] - guesses[second]
    came = (losses[first] - losses[second])[:, None]
    wrong = (said * came < 0.0) + 0.5 * (said == 0.0)
    found: Floats = wrong.mean(axis=0)
    return found
