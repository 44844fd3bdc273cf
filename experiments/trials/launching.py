"""From a spec and a trial's row to the Launch that a backend starts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from experiments.access.tokens import trial_token
from experiments.manifest.fields import API_VERSION, KIND
from experiments.manifest.forecast import SAMPLE_SEED
from experiments.manifest.spec import ExperimentSpec
from experiments.manifest.yaml_text import dump_yaml
from experiments.models import ClusterObject, Event, Experiment, Trial
from experiments.problems import ProblemsError
from experiments.training.base import Backend, Collected, Handle, Launch, Task

# Of an experiment's labels those that its jobs have too: Kueue's, for its queue and priority.
QUEUE_LABELS = ("kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class")
RAN_OUT = "out_of_memory"  # in the data of an event: whose memory a trial ran out of


def alone(trial: Trial) -> str:
    """ "gpu" or "machine" where this attempt is the one that has it alone, else ""."""
    if trial.attempt == 1:
        return ""
    events = Event.objects.filter(trial=trial, data__has_key=RAN_OUT).order_by("seq")
    last = events.last()
    return str(last.data[RAN_OUT]) if last else ""


def _tasks(spec: ExperimentSpec) -> tuple[Task, ...]:
    return tuple(
        Task(task.type, task.replicas, task.template, task.restart_policy)
        for task in spec.training.tasks
    )


def _owner(link: ClusterObject) -> dict[str, Any]:
    """The experiment's AutoTuneExperiment object: when that goes, the cluster removes its jobs."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": link.name, "uid": link.uid}


def launch_of(experiment: Experiment, spec: ExperimentSpec, trial: Trial) -> Launch:
    """Everything the backend needs to start this trial."""
    link = experiment.link if experiment.link and experiment.link.uid else None
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
        runtime=spec.training.runtime,
        namespace=link.namespace if link else experiment.project.namespace,
        owner=_owner(link) if link else None,
        queue=_queue(spec),
        metrics=_collected(spec),
        seconds_left=experiment.seconds_left_at(timezone.now()),
        local=spec.local,
        lost_after_s=_lost_after_s(spec),
        alone=alone(trial),
    )


TOKEN = "TOKEN-OF-THE-TRIAL"  # stands for the capability, which nobody is to take away


def job_text(trial: Trial, backend: Backend) -> str:
    """What was, or would be, started for this trial, as YAML to read or take away.

    By today's settings of the server and the manifest as it is now. Raises ProblemsError,
    LaunchError and BackendUnavailable.
    """
    experiment = trial.experiment
    launch = replace(
        launch_of(experiment, experiment.spec, trial), token=TOKEN, owner=None, seconds_left=None
    )
    documents = backend.documents(launch)
    words = json.dumps(trial.parameters, ensure_ascii=False)
    # What YAML takes for the end of a line would end the comment, and the rest be a document.
    words = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in words)
    head = f"# Trial {trial.number} of {experiment.pk}, attempt {trial.attempt}\n# {words}\n"
    return head + "---\n".join(dump_yaml(document) for document in documents)


def launched(trial: Trial, backend: Backend) -> Handle | None:
    """The job of a waiting trial that somebody launched and died before saying so.

    Raises BackendUnavailable.
    """
    try:
        return backend.find(launch_of(trial.experiment, trial.experiment.spec, trial))
    except ProblemsError:
        return None  # nobody can have launched it


def _queue(spec: ExperimentSpec) -> dict[str, str]:
    return {key: value for key, value in spec.labels.items() if key in QUEUE_LABELS}


def _lost_after_s(spec: ExperimentSpec) -> int | None:
    return None if spec.elsewhere is None else spec.elsewhere.lost_after_s


def _collected(spec: ExperimentSpec) -> Collected | None:
    return None if spec.metrics is None else Collected(**asdict(spec.metrics))


def _sample_parameters(spec: ExperimentSpec) -> dict[str, Any]:
    """Parameters as a trial may get them, for what its command refers to."""
    sample = spec.space.sample(np.random.default_rng(SAMPLE_SEED))
    return {**dict.fromkeys(spec.adds, ""), **sample}


def sample_launch(spec: ExperimentSpec, experiment_id: str = "x", namespace: str = "") -> Launch:
    """A launch of nobody's trial, for a backend to look at and never to start."""
    return Launch(
        experiment_id=experiment_id,
        experiment_name=spec.name,
        trial_key="00000",
        trial_number=0,
        attempt=1,
        framework=spec.training.framework,
        tasks=_tasks(spec),
        parameters=_sample_parameters(spec),
        server_url=settings.TRIAL_URL,
        token="",
        scheduler=spec.training.scheduler or {},
        runtime=spec.training.runtime,
        namespace=namespace or settings.NAMESPACE,
        queue=_queue(spec),
        local=spec.local,
        lost_after_s=_lost_after_s(spec),
        metrics=_collected(spec),
    )
