"""Rows as the facts that the pure file builders work from."""

from __future__ import annotations

import platform
import shlex
from typing import Any

from django.db.models import Count
from django.utils import timezone

from experiments.aistore.run_files import ExperimentFacts, Report, RunFacts
from experiments.models import Experiment, Metric, Trial
from experiments.training.base import BackendUnavailable
from experiments.trials.backends import backend
from experiments.trials.elsewhere import is_elsewhere
from experiments.trials.logs import log_files, read_log

LOG_TAIL = 256 * 1024  # bytes of a trial's log that go along
_CUT = b"[earlier output is left out]\n"


def experiment_facts(experiment: Experiment) -> ExperimentFacts:
    """What is told of the experiment now; of its best trial only once it has ended."""
    best = experiment.best_trial if experiment.is_ended else None
    words = ""
    if best is not None:
        words = f"Best: trial {best.number} ({best.key}) with {best.value!r}."
    counts: dict[str, int] = {}
    if experiment.is_ended:
        rows = experiment.trials.values_list("state").annotate(n=Count("id")).order_by("state")
        counts = dict(rows)
    return ExperimentFacts(
        id=experiment.pk,
        name=experiment.name,
        phase=experiment.phase,
        started_at=experiment.started_at or experiment.created_at,
        optimize_mode=experiment.optimize_mode,
        best=words,
        counts=counts,
    )


def run_facts(experiment: Experiment, trial: Trial, *, log: bytes = b"") -> RunFacts:
    finished = trial.finished_at or timezone.now()
    is_here = backend().runs_here and not is_elsewhere(trial.handle)
    training = experiment.configuration.get("trainingConfig") or {}
    return RunFacts(
        experiment_id=experiment.pk,
        experiment_name=experiment.name,
        key=trial.key,
        number=trial.number,
        state=trial.state,
        reason=trial.reason,
        parameters=trial.parameters,
        started_at=trial.started_at or finished,
        finished_at=finished,
        intermediate=_reports(trial, Metric.Kind.PERIODICAL),
        final=_reports(trial, Metric.Kind.FINAL),
        log=log,
        attempt=trial.attempt,
        framework=training.get("type", ""),
        command=_command(training),
        hostname=platform.node() if is_here else "",
        os=platform.platform() if is_here else "",
    )


def _reports(trial: Trial, kind: str) -> tuple[Report, ...]:
    rows = Metric.objects.filter(trial=trial, kind=kind).order_by("sequence", "id")
    return tuple(Report(m.name, m.json_value, m.sequence, m.step, m.time) for m in rows)


def _command(training: dict[str, Any]) -> str:
    """The command of the first task's first container."""
    for task in training.get("tasks") or []:
        for container in task.get("template", {}).get("spec", {}).get("containers") or []:
            words = [*(container.get("command") or []), *(container.get("args") or [])]
            return shlex.join(str(word) for word in words)
    return ""


def log_tail(trial: Trial, *, patient: bool) -> bytes:
    """The end of the deciding replica's log, without tokens; empty where there is none.

    Raises:
        BackendUnavailable: it cannot be read now; not raised where ``patient`` is False.
    """
    try:
        logs = log_files(trial)
        if not logs:
            return b""
        tail = read_log(trial, logs[0], -LOG_TAIL, LOG_TAIL)
    except BackendUnavailable:
        if patient:
            raise
        return b""
    if logs[0].size <= LOG_TAIL:
        return tail
    return _CUT + tail.partition(b"\n")[2]
