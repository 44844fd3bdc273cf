"""What is stored of a trial, for answers to MLflow's clients that read.

Called by ``trial_api`` in threads of its own: no connection is kept for them.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from experiments.access.tokens import TrialClaim
from experiments.models import Metric, TrackedTrial, Trial
from experiments.reports.mlflow_api import Kept
from experiments.states import FINISHED

MOST_HISTORY = 25_000  # values of a metric in one answer


def load(claim: TrialClaim) -> Kept | None:
    """What the trial's runs are, and have logged; None where there is no such trial."""
    try:
        trials = Trial.objects.filter(pk=claim.trial_id, key=claim.key)
        trial = trials.select_related("experiment").first()
        if trial is None:
            return None
        row = TrackedTrial.objects.filter(trial=trial).first() or TrackedTrial(trial=trial)
        return Kept(
            name=trial.experiment.name,
            is_ended=trial.state in FINISHED,
            started_ms=int((trial.started_at or trial.created_at).timestamp() * 1000),
            metrics={name: (last, step) for name, (_, step, _, last) in row.series.items()},
            params=row.params,
            tags=row.tags,
            runs=row.runs,
        )
    finally:
        connection.close()


def history(claim: TrialClaim, name: str) -> list[dict[str, Any]]:
    """Every value of one metric, as MLflow has them."""
    try:
        row = TrackedTrial.objects.filter(trial_id=claim.trial_id).first()
        stored = [name, Metric.DEFAULT_NAME] if row and row.objective == name else [name]
        rows = Metric.objects.filter(
            trial_id=claim.trial_id, kind=Metric.Kind.PERIODICAL, name__in=stored
        ).order_by("sequence")[:MOST_HISTORY]
        return [
            {
                "key": name,
                "value": metric.json_value,
                "timestamp": int(metric.time.timestamp() * 1000),
                "step": int(metric.step or 0),
            }
            for metric in rows
        ]
    finally:
        connection.close()
