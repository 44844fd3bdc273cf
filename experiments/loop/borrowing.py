"""What an experiment borrowed, as its tuner is told it. Called by ``reconcile`` for every proposal.

It never changes, so it is read once a process.
"""

from __future__ import annotations

from functools import lru_cache

from experiments.algorithms.borrowed.sources import Source
from experiments.engine import session
from experiments.manifest.spec import ExperimentSpec
from experiments.models import Experiment, WarmStart


def borrowed_by(experiment: Experiment, spec: ExperimentSpec) -> tuple[Source, ...]:
    """The trials of earlier experiments that were kept for it; none without ``warmStart``."""
    chooser = spec.tuner or spec.advisor
    if spec.warm_start is None or chooser is None:
        return ()
    return _read(experiment.pk, chooser.maximizes)


@lru_cache(maxsize=32)
def _read(experiment_id: str, maximizes: bool) -> tuple[Source, ...]:
    rows = WarmStart.objects.filter(experiment=experiment_id).order_by("place")
    return tuple(
        session.source(row.label, row.trials, maximizes=maximizes) for row in rows if row.trials
    )


def forget() -> None:
    """Drop what is kept: for tests that compare with a fresh process."""
    _read.cache_clear()
