"""What failed trials teach: where trials of a search space are likely to run.

Used by GPTuner, MetisTuner and TPE, and through them by Auto. A failed trial (crashed, out of
memory, out of time) is a constraint and no bad number, so it does not enter the model of the
objective; the probability of running multiplies what the model promises instead. Trials that ended
for reasons outside their parameters (stopped by the user, lost, excluded) teach nothing here; where
one configuration failed and ran, the newest counts.

Hyper-parameters are fitted at certain numbers of trials only (``FITTED_AT``) and kept for the
process, so that a proposal of TPE stays quick; the rest is computed anew for each proposal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from experiments.algorithms.base import Observation, Outcome
from experiments.algorithms.numerics.domain import Bools, Floats
from experiments.algorithms.numerics.feasibility import Feasibility, fit_labels, learn
from experiments.algorithms.numerics.gaussian_process import Hyper
from experiments.algorithms.numerics.search import row_keys
from experiments.algorithms.numerics.threads import one_thread
from experiments.algorithms.space.vectors import VectorSpace

FITTED_AT = (4, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50, 60, 75, 90, 110, 130, 160, 200)
MAX_ROWS = 300  # that the model sees: the newest


class Failures:
    """Reads histories of one search space for what fails."""

    def __init__(self, vectors: VectorSpace) -> None:
        self._vectors = vectors
        self._last: tuple[bytes, Feasibility] | None = None

    def learn(self, history: Sequence[Observation]) -> Feasibility | None:
        """Return what is known of failures; None while nothing failed, or nothing ran."""
        if not any(_failed(o) for o in history):
            return None
        rows, ran = self._read(history)
        if ran.all() or not ran.any() or not rows.shape[1] or len(rows) < FITTED_AT[0]:
            return None
        key = rows.tobytes() + ran.tobytes()
        if self._last is None or self._last[0] != key:
            with one_thread():
                self._last = key, self._learn(rows, ran)
        return self._last[1]

    def _learn(self, rows: Floats, ran: Bools) -> Feasibility:
        categorical = self._vectors.domain.categorical
        size = max(n for n in FITTED_AT if n <= len(rows))
        hyper = _hyper(
            rows[:size].tobytes(), ran[:size].tobytes(), categorical.tobytes(), rows.shape[1]
        )
        return learn(rows[-MAX_ROWS:], ran[-MAX_ROWS:], categorical, hyper)

    def _read(self, history: Sequence[Observation]) -> tuple[Floats, Bools]:
        """Return distinct rows, oldest first, and which of them ran."""
        telling = [o for o in history if o.outcome is Outcome.DONE or _failed(o)]
        if len(telling) > FITTED_AT[-1] + MAX_ROWS:  # what is fitted, and what the model sees
            telling = telling[: FITTED_AT[-1]] + telling[-MAX_ROWS:]
        rows, is_inside = self._vectors.encode_many([o.parameters for o in telling])
        ran = np.array([o.outcome is Outcome.DONE for o in telling], dtype=bool)
        rows, ran = rows[is_inside], ran[is_inside]
        newest = {key: place for place, key in enumerate(row_keys(rows))}
        kept = np.array(sorted(newest.values()), dtype=int)
        return rows[kept], ran[kept]

    def likely(self, history: Sequence[Observation], row: Floats) -> float | None:
        """Return how likely a row is to run, to two digits; None where nothing failed."""
        known = self.learn(history)
        return None if known is None else known.likely(row)


def _failed(observation: Observation) -> bool:
    return observation.outcome is Outcome.FAILED and not observation.blameless


@lru_cache(maxsize=64)
def _hyper(rows: bytes, ran: bytes, categorical: bytes, n_columns: int) -> Hyper:
    return fit_labels(
        np.frombuffer(rows).reshape(-1, n_columns),
        np.frombuffer(ran, dtype=bool),
        np.frombuffer(categorical, dtype=bool),
    )
