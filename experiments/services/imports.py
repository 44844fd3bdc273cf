"""Earlier results of other products, stored as finished experiments with trials and curves.

Called by the ``import`` command and REST. What has been read (``earlier``) is written in
transactions of a second or so; until the last one it is a finished experiment without a best trial,
and where it breaks off nothing stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.earlier.reading import Given, read_files
from experiments.earlier.study import PastStudy, PastTrial, Wanted, check_numbers
from experiments.manifest.fields import API_VERSION, KIND, MAX_TRIALS
from experiments.manifest.names import slug
from experiments.manifest.spec import ExperimentSpec, parse_manifest, to_manifest
from experiments.models import Event, Experiment, Metric, Project, Trial, curves
from experiments.problems import Problem, ProblemsError
from experiments.reports.wire import json_number
from experiments.services.generated.rows import free_keys
from experiments.states import EventKind, Phase, TrialState
from experiments.trials.changes import update_best

_BATCH = 500  # rows in one statement
_CHUNK = 20_000  # reports in one transaction
_FIRST_SEQ = 3  # after "created" and the phase
MOST_LEFT = 50  # remarks that are kept


def read(files: Sequence[tuple[str, Path]], wanted: Wanted) -> list[PastStudy]:
    """What some files hold: the results, and the configuration beside them. Raises ProblemsError.

    Args:
        files: what each is called, and where it is.
    """
    try:
        return read_files([Given(name, path) for name, path in files], wanted)
    except OSError as error:
        name = error.filename or "The file"
        raise ProblemsError([Problem("", f"{name}: {error.strerror or error}.")]) from None


def store_all(studies: Sequence[PastStudy], *, owner: Any) -> list[Experiment]:
    """Every experiment of an import, or none. Raises ProblemsError."""
    made: list[Experiment] = []
    try:
        for study in studies:
            made.append(store(study, owner=owner))
    except BaseException:
        for experiment in made:
            experiment.delete()
        raise
    return made


def store(study: PastStudy, *, owner: Any, project: Project | None = None) -> Experiment:
    """Write one experiment. Raises ProblemsError where its manifest cannot be."""
    check_numbers(study.trials)
    spec = _spec(study)
    start, end = _span(study.trials)
    experiment = Experiment.objects.create(
        project=project or Project.default(),
        owner=owner,
        name=study.name.strip()[:63] or spec.name,
        manifest=to_manifest(spec),
        origin=Experiment.Origin.IMPORTED,
        imported={
            "product": study.product,
            "whence": study.whence,
            "left": [problem.as_dict() for problem in study.left[:MOST_LEFT]],
        },
        optimize_mode=spec.optimize_mode,
        max_exec_seconds=spec.max_exec_seconds,
        max_trials=spec.max_trials,
        concurrency=spec.concurrency,
        phase=Phase.DONE,
        created_at=start,
        started_at=start,
        finished_at=end,
        active_seconds=(end - start).total_seconds(),
        last_seq=_FIRST_SEQ - 1 + len(study.trials) + sum(bool(t.excluded) for t in study.trials),
    )
    try:
        _write(experiment, study, start, end)
    except BaseException:
        Metric.objects.filter(experiment=experiment).delete()
        experiment.delete()
        raise
    return experiment


def _spec(study: PastStudy) -> ExperimentSpec:
    """The manifest that it would have had here: what a clone starts from."""
    manifest = study.manifest or _manifest(study)
    data = {**manifest, "spec": {**manifest["spec"]}}
    if study.product != "AutoTune Web" or study.manifest is None:
        data["spec"]["maxTrialNum"] = max(1, min(len(study.trials), MAX_TRIALS))
    data["spec"].pop("warmStart", None)  # it learnt, where it ran, from what is not here
    return parse_manifest(data).spec


def _manifest(study: PastStudy) -> dict[str, Any]:
    words = ["python3", "train.py"]
    container = {"name": "pytorch", "command": words, "workingDir": "."}
    task = {"type": "worker", "replicas": 1, "template": {"spec": {"containers": [container]}}}
    start, end = _span(study.trials)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": slug(study.name) or "imported"},
        "spec": {
            "maxExecSeconds": max(3600, math.ceil((end - start).total_seconds())),
            "maxTrialNum": 1,
            "trialConcurrency": 1,
            "searchSpace": dict(study.space),
            "trainingConfig": {"type": "pytorch", "tasks": [task]},
            "tuner": {
                "builtinTunerName": "Auto",
                "classArgs": {"optimize_mode": study.optimize_mode},
            },
        },
    }


def _span(trials: Sequence[PastTrial]) -> tuple[datetime, datetime]:
    """From the first start to the last end; now where no trial says when it was."""
    times = [t for trial in trials for t in (trial.started_at, trial.finished_at) if t]
    now = timezone.now()
    start, end = min(times, default=now), max(times, default=now)
    return start, max(end, start + timedelta(microseconds=1))


def _write(experiment: Experiment, study: PastStudy, start: datetime, end: datetime) -> None:
    ordered = sorted(study.trials, key=lambda trial: trial.number)
    numbers, keys = iter(ordered), iter(free_keys(len(ordered)))
    rows: list[Trial] = []
    while part := list(islice(numbers, 10 * _BATCH)):
        with transaction.atomic():
            made = [
                _row(experiment, trial, next(keys), _FIRST_SEQ + len(rows) + i, end)
                for i, trial in enumerate(part)
            ]
            rows += Trial.objects.bulk_create(made, batch_size=_BATCH)
    metrics = _metrics(experiment, zip(ordered, rows, strict=True), end)
    while reports := list(islice(metrics, _CHUNK)):
        with transaction.atomic():
            Metric.objects.bulk_create(reports, batch_size=_BATCH)
    curves.keep([row.pk for row in rows])
    with transaction.atomic():
        Event.objects.bulk_create(
            _events(experiment, study, zip(ordered, rows, strict=True), start, end),
            batch_size=_BATCH,
        )
        update_best(experiment)


def _row(experiment: Experiment, trial: PastTrial, key: str, seq: int, end: datetime) -> Trial:
    first = [r for r in trial.reports if r.name == Metric.DEFAULT_NAME]
    latest = first[-1] if first else None
    finished = trial.finished_at or (trial.reports[-1].time if trial.reports else None) or end
    started = trial.started_at
    return Trial(
        experiment=experiment,
        key=key,
        number=trial.number,
        parameters=dict(trial.parameters),
        note={"origin": trial.origin} if trial.origin else {},
        origin="imported",
        excluded=bool(trial.excluded),
        notes=trial.notes,
        state=trial.state,
        reason=trial.reason,
        value=trial.value,
        metrics={name: json_number(value) for name, value in trial.metrics.items()},
        latest_value=latest.value if latest and math.isfinite(latest.value) else None,
        latest_sequence=latest.sequence if latest else None,
        n_reports=len({r.sequence for r in trial.reports}),
        judged_sequence=latest.sequence if latest else -1,
        has_final=bool(trial.metrics),
        created_at=started or finished,
        started_at=started,
        finished_at=finished,
        seq=seq,
    )


def _metrics(
    experiment: Experiment, pairs: Iterator[tuple[PastTrial, Trial]], end: datetime
) -> Iterator[Metric]:
    for trial, row in pairs:
        assert row.finished_at is not None
        begin = row.started_at or row.finished_at
        n_reports = max(1, len(trial.reports))
        step = (row.finished_at - begin) / n_reports
        for place, report in enumerate(trial.reports):
            # What has no time of its own is spread over the trial's.
            time = report.time or begin + step * (place + 1)
            yield _metric(experiment, row, Metric.Kind.PERIODICAL, report.sequence, report.step,
                          report.name, report.value, time)  # fmt: skip
        for name, value in trial.metrics.items():
            yield _metric(experiment, row, Metric.Kind.FINAL, 0, None, name, value,
                          row.finished_at)  # fmt: skip


def _metric(
    experiment: Experiment, row: Trial, kind: str, sequence: int, step: float | None,
    name: str, value: float, time: datetime,
) -> Metric:  # fmt: skip
    is_finite = math.isfinite(value)
    return Metric(
        trial=row,
        experiment=experiment,
        kind=kind,
        sequence=sequence,
        step=step,
        name=name,
        value=value if is_finite else None,
        nonfinite="" if is_finite else str(json_number(value)),
        time=time,
        seq=row.seq,
    )


def _events(
    experiment: Experiment,
    study: PastStudy,
    pairs: Iterator[tuple[PastTrial, Trial]],
    start: datetime,
    end: datetime,
) -> Iterator[Event]:
    reason = f"Imported from {study.product}: {study.whence}."
    yield Event(experiment=experiment, seq=1, what=EventKind.CREATED, to_state=Phase.PENDING,
                reason=reason, data={"warnings": []}, time=start)  # fmt: skip
    yield Event(experiment=experiment, seq=2, what=EventKind.PHASE, from_state=Phase.PENDING,
                to_state=Phase.DONE, reason="It ended elsewhere.", time=end)  # fmt: skip
    excluded: list[tuple[PastTrial, Trial]] = []
    for trial, row in pairs:
        yield Event(experiment=experiment, seq=row.seq, trial=row, what=EventKind.STATE,
                    from_state=TrialState.RUNNING, to_state=row.state, reason=row.reason,
                    time=row.finished_at or end)  # fmt: skip
        if trial.excluded:
            excluded.append((trial, row))
    for place, (trial, row) in enumerate(excluded):
        yield Event(experiment=experiment, seq=_FIRST_SEQ + len(study.trials) + place, trial=row,
                    what=EventKind.EXCLUDED, reason=trial.excluded, time=end)  # fmt: skip
