"""Passes of the loop over a scripted far side: call one, see what stands, let a trial report."""

from __future__ import annotations

from django.utils import timezone

from experiments.loop import reconcile
from experiments.models import Experiment, Metric, Trial
from tests.loop.scripted import ScriptedBackend


def look(experiment: Experiment) -> Experiment:
    """One call of the loop, then the row as it stands."""
    reconcile.reconcile(experiment.pk)
    return Experiment.objects.get(pk=experiment.pk)


def states(experiment: Experiment) -> list[str]:
    return list(experiment.trials.order_by("number").values_list("state", flat=True))


def report_final(trial: Trial, value: float) -> None:
    Trial.objects.filter(pk=trial.pk).update(
        has_final=True, value=value, metrics={"default": value}
    )


def report_curve(trial: Trial, values: list[float]) -> None:
    """These values as its reports; those that it has sent already stay."""
    sent = trial.metric_set.filter(kind=Metric.Kind.PERIODICAL).count()
    for sequence, value in list(enumerate(values))[sent:]:
        Metric.objects.create(
            trial=trial,
            experiment=trial.experiment,
            kind=Metric.Kind.PERIODICAL,
            sequence=sequence,
            value=value,
            time=timezone.now(),
            seq=trial.experiment.next_seq(),
        )
    Trial.objects.filter(pk=trial.pk).update(
        latest_value=values[-1], latest_sequence=len(values) - 1, n_reports=len(values)
    )


def succeed(backend: ScriptedBackend, trial: Trial, value: float) -> None:
    report_final(trial, value)
    backend.end(trial.number)
