"""From a spec and a trial's row to the Launch that a backend starts."""

from __future__ import annotations

from django.conf import settings

from experiments.engine.spec import ExperimentSpec
from experiments.models import Experiment, Trial
from experiments.tokens import trial_token
from experiments.training.base import Launch, Task, name_of_job


def _tasks(spec: ExperimentSpec) -> tuple[Task, ...]:
    return tuple(
        Task(task.type, task.replicas, task.template, task.restart_policy)
        for task in spec.training.tasks
    )


def launch_of(experiment: Experiment, spec: ExperimentSpec, trial: Trial) -> Launch:
    """Everything the backend needs to start this trial."""
    return Launch(
        experiment_id=experiment.pk,
        experiment_name=experiment.name,
        trial_key=trial.key,
        trial_number=trial.number,
        attempt=trial.attempt,
        framework=spec.training.framework,
        tasks=_tasks(spec),
        parameters=trial.parameters,
        server_url=settings.TRIAL_URL,
        token=trial_token(trial),
        scheduler=spec.training.scheduler or {},
    )


def job_name(trial: Trial) -> str:
    """Name of the job of this trial's present attempt, launched or not."""
    return name_of_job(trial.experiment_id, trial.number, trial.attempt)


def rehearsal(spec: ExperimentSpec) -> Launch:
    """A launch of nobody's trial, for a backend to look at and never to start."""
    return Launch(
        experiment_id="x",
        experiment_name=spec.name,
        trial_key="00000",
        trial_number=0,
        attempt=1,
        framework=spec.training.framework,
        tasks=_tasks(spec),
        parameters={},
        server_url=settings.TRIAL_URL,
        token="",
    )
