"""What a trial logged to a tracker that AutoTune answers for: MLflow's, Kubeflow Trainer's.

``Trial.logged_by`` is the door by which the objective of ``spec.metrics`` comes, "" where no
tracker brings it. ``reports.tracked_rows`` writes both in the transaction that stores the numbers;
``trials.ends`` takes the result from them, and the trial's page shows parameters, tags and runs.
The numbers themselves are ``Metric`` rows like all others.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import connection, models, transaction
from django.utils import timezone

from experiments.models.state import Metric, Trial, raise_seq


class TrackedTrial(models.Model):
    """One row for each trial that logged anything, of its present attempt."""

    MOST_NAMED: ClassVar[int] = 12  # metrics that a reason lists

    trial = models.OneToOneField(
        Trial, on_delete=models.CASCADE, primary_key=True, related_name="tracked"
    )
    objective = models.CharField(max_length=200, blank=True, default="")  # spec.metrics.objective
    # by name: [how many, the last one's step, the door, the last value as JSON has it]
    series = models.JSONField(default=dict)
    params = models.JSONField(default=dict)
    tags = models.JSONField(default=dict)
    runs = models.JSONField(default=dict)  # by id: name, status, parent, start in ms
    recent = models.JSONField(default=list)  # digests of requests: one that comes again is known
    files = models.PositiveIntegerField(default=0)  # that were sent, and are not kept

    def __str__(self) -> str:
        return f"tracked: {self.trial_id}"

    def last_values(self) -> dict[str, float | str]:
        """The newest value of each metric; the objective's is the default one."""
        return {
            Metric.DEFAULT_NAME if name == self.objective else name: last
            for name, (_, _, _, last) in self.series.items()
        }

    def names(self) -> str:
        """What was logged, for a sentence."""
        names = list(self.series)
        more = ", …" if len(names) > self.MOST_NAMED else ""
        return ", ".join(name[:60] for name in names[: self.MOST_NAMED]) + more


def settle(trial: Any) -> bool:
    """Take the objective's last value as the final result of a trial that ended well.

    Only where a tracker brought the objective and no final result was reported.
    """
    if not trial.logged_by or trial.has_final:
        return False
    tracked = TrackedTrial.objects.filter(trial=trial).first()
    values = tracked.last_values() if tracked else {}
    if Metric.DEFAULT_NAME not in values:
        return False
    value = values[Metric.DEFAULT_NAME]
    with transaction.atomic():
        columns = {
            "has_final": True,
            "value": None if isinstance(value, str) else value,
            "metrics": values,
        }
        won = Trial.objects.filter(pk=trial.pk, has_final=False, attempt=trial.attempt)
        if not won.update(**columns):
            return False
        with connection.cursor() as cursor:
            seq = raise_seq(cursor, trial.experiment_id)
        Metric.objects.bulk_create(_final_rows(trial, values, seq), ignore_conflicts=True)
        Trial.objects.filter(pk=trial.pk).update(seq=seq)
    for name, given in columns.items():
        setattr(trial, name, given)
    return True


def _final_rows(trial: Trial, values: dict[str, float | str], seq: int) -> list[Metric]:
    now = timezone.now()
    return [
        Metric(
            trial=trial, experiment_id=trial.experiment_id, kind=Metric.Kind.FINAL, sequence=0,
            name=name, value=None if isinstance(value, str) else value,
            nonfinite=value if isinstance(value, str) else "", time=now, seq=seq,
        )
        for name, value in values.items()
    ]  # fmt: skip
