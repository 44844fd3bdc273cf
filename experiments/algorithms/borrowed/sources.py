"""What an algorithm is told of earlier experiments, and a model of each.

Only the order of a source's results is used: they become normal scores, so that sources whose
losses have other scales, or outliers, count alike. A model of a source is a function of its trials
alone, and kept in the process: tuners are built anew for each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special, stats

from experiments.algorithms import surrogate
from experiments.algorithms.numerics.domain import Floats
from experiments.algorithms.numerics.gaussian_process import Bools, GaussianProcess, Prior, fit
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.space.vectors import VectorSpace

MOST_ROWS = 200  # of a source that are modelled
MOST_FITTED = 100  # of these, that hyper-parameters are fitted to
LEAST_ROWS = 3  # below this an experiment teaches nothing
SMOOTHNESS = 2.5
LEAST_NOISE = 1e-3  # another data set is not this one
_KEPT = 64  # models in the process


@dataclass(frozen=True)
class Source:
    """Trials of one earlier experiment, as this one's space and direction have them."""

    name: str
    parameters: Sequence[Mapping[str, Any]]
    losses: Sequence[float]


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A source's trials as rows with scores (low is good), and the process that they make."""

    name: str
    rows: Floats  # (n, d), best first
    scores: Floats  # (n,)
    process: GaussianProcess


def normal_scores(losses: Sequence[float] | Floats) -> Floats:
    """Ranks as quantiles of a standard normal; equal losses have equal scores."""
    ranks = stats.rankdata(losses)
    found: Floats = special.ndtri((ranks - 0.5) / len(ranks))
    return found


def models_of(sources: Sequence[Source], vectors: VectorSpace) -> list[SourceModel]:
    """A model of each source that has enough trials inside the space."""
    found = []
    for source in sources:
        rows, is_inside = vectors.encode_many(list(source.parameters))
        losses = np.asarray(source.losses, dtype=float)[is_inside]
        rows = rows[is_inside]
        if len(rows) < LEAST_ROWS or not len(rows[0]) or np.ptp(losses) == 0.0:
            continue
        order = np.argsort(losses, kind="stable")
        rows, scores = rows[order], normal_scores(losses[order])
        kept = surrogate.thinned(scores, MOST_ROWS)
        rows, scores = np.ascontiguousarray(rows[kept]), scores[kept]
        process = _process(rows.tobytes(), scores.tobytes(), rows.shape[1],
                           vectors.domain.categorical.tobytes())  # fmt: skip
        found.append(SourceModel(source.name, rows, scores, process))
    return found


@lru_cache(maxsize=_KEPT)
def _process(rows: bytes, scores: bytes, n_columns: int, categorical: bytes) -> GaussianProcess:
    """The same for the same trials, whoever asks."""
    x = np.frombuffer(rows).reshape(-1, n_columns)
    y = np.frombuffer(scores)
    is_category: Bools = np.frombuffer(categorical, dtype=bool)
    with one_thread():
        few = surrogate.thinned(y, MOST_FITTED)
        prior = Prior.of(n_columns, LEAST_NOISE)
        hyper, _ = fit(x[few], y[few], is_category, SMOOTHNESS, prior)
        return GaussianProcess(x, y, is_category, SMOOTHNESS, hyper)
