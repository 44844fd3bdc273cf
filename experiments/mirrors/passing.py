"""Sends to the receivers what came since they were last sent something.

Called by the ticker (``due_ids``) and ``tasks`` (``mirror``), as often as they like. One process
sends for a row at once, a bounded time; where a receiver is dead it is left alone for a while, more
each time. Nothing here touches a trial or the state of an experiment.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from experiments.mirrors.batch import (
    Batch,
    NothingThere,
    NotMirrored,
    Number,
    Receiver,
    Sent,
)
from experiments.mirrors.mlflow import MlflowReceiver
from experiments.mirrors.swanlab import SwanLabReceiver
from experiments.mirrors.tensorboard import TensorBoardReceiver
from experiments.mirrors.trackio import TrackioReceiver
from experiments.mirrors.wandb import WandbReceiver
from experiments.models import Experiment, Metric, Mirror, Trial
from experiments.models.mirrors import begin, due
from experiments.states import FINISHED, EventKind

logger = logging.getLogger(__name__)

MOST_NUMBERS, MOST_TRIALS = 5000, 200  # of a batch
PASS_S = 20.0  # then it is the next one's turn
HELD = timedelta(seconds=120)  # by who sends, who says so again while a slow receiver takes it
HOLD_EVERY_S = 15.0

_slot = threading.Lock()  # a slow receiver takes one of a worker's threads at most


def kinds() -> list[str]:
    """The receivers that the settings name."""
    return list(_named())


def receiver(kind: str) -> Receiver:
    return _named()[kind]()


def _named() -> dict[str, Callable[[], Receiver]]:
    everyone: dict[str, tuple[str, Callable[[], Receiver]]] = {
        "mlflow": (
            settings.MIRROR_MLFLOW,
            lambda: MlflowReceiver(settings.MIRROR_MLFLOW, settings.MIRROR_MLFLOW_TOKEN),
        ),
        "tensorboard": (
            settings.MIRROR_TENSORBOARD,
            lambda: TensorBoardReceiver(settings.MIRROR_TENSORBOARD),
        ),
        "wandb": (settings.MIRROR_WANDB, lambda: WandbReceiver(settings.MIRROR_WANDB)),
        "swanlab": (settings.MIRROR_SWANLAB, lambda: SwanLabReceiver(settings.MIRROR_SWANLAB)),
        "trackio": (settings.MIRROR_TRACKIO, lambda: TrackioReceiver(settings.MIRROR_TRACKIO)),
    }
    return {kind: make for kind, (where, make) in everyone.items() if where}


def due_ids() -> list[str]:
    """Rows to be sent now; new experiments get theirs."""
    wanted = kinds()
    if not wanted:
        return []
    now = timezone.now()
    for kind in wanted:
        begin(kind, now)
    return [str(pk) for pk in due(wanted, now).values_list("pk", flat=True)]


def goes_on(experiment_id: str) -> bool:
    """Whether there is something to wait for: it is yet to be sent, and nothing has gone wrong."""
    wanted = kinds()
    if not wanted:
        return False
    mine = Mirror.objects.filter(experiment=experiment_id, kind__in=wanted)
    behind = mine.filter(attempts=0, cursor__lt=F("experiment__last_seq"))
    return mine.count() < len(wanted) or behind.exists()


def mirror(row_id: str) -> None:
    """Send what is due for one row, unless somebody is at it right now."""
    if not _slot.acquire(blocking=False):
        return  # the ticker comes again
    try:
        now = timezone.now()
        rows = due(kinds(), now).filter(pk=row_id)
        if not Mirror.objects.filter(pk__in=rows.values("pk")).update(next_try_at=now + HELD):
            return
        row = Mirror.objects.select_related("experiment").get(pk=row_id)
        _pass(row)
    finally:
        _slot.release()


def _pass(row: Mirror) -> None:
    before, end = row.error, time.monotonic() + PASS_S
    try:
        there = receiver(row.kind)
        if row.state.setdefault("where", _where(row.kind)) != _where(row.kind):
            row.state, row.cursor = {"where": _where(row.kind)}, 0  # it has none of it
        while time.monotonic() < end and (step := _next(row)) is not None:
            batch, upto = step
            there.send(batch, row.state)
            row.cursor = upto
            row.keep("cursor", "state")
    except NothingThere as trouble:
        row.state, row.cursor = {}, 0
        row.keep("cursor", "state")
        row.put_off(str(trouble))
    except NotMirrored as trouble:
        row.put_off(str(trouble))
    except Exception as defect:  # of ours; not to be met again every two seconds
        logger.exception("Experiment %s: mirror to %s", row.experiment_id, row.kind)
        row.put_off(f"A defect in the mirror ({type(defect).__name__}); the worker's log has it.")
    else:
        row.attempts, row.error, row.next_try_at = 0, "", timezone.now()
        row.keep("attempts", "error", "next_try_at")
    if row.error and row.error != before:
        logger.warning("Experiment %s: %s", row.experiment_id, row.error)
    is_there = Experiment.objects.filter(pk=row.experiment_id, deleting=False).exists()
    if is_there and bool(row.error) != bool(before):
        what = EventKind.UPLOAD_FAILED if row.error else EventKind.UPLOAD_WELL_AGAIN
        row.experiment.record(what, reason=row.error or before)


def _next(row: Mirror) -> tuple[Batch, int] | None:
    """What comes after the cursor, and the seq up to which that is all; None at the end."""
    experiment = Experiment.objects.filter(pk=row.experiment_id, deleting=False).first()
    if experiment is None or experiment.last_seq <= row.cursor:
        return None
    upto = experiment.last_seq
    found = Metric.objects.filter(experiment=experiment, seq__gt=row.cursor, seq__lte=upto)
    # Where the step ends is found out before its rows are read: they may be many.
    places = list(found.order_by("seq", "id").values_list("trial_id", "seq")[:MOST_NUMBERS])
    if len(places) == MOST_NUMBERS:  # up to the last number that is whole
        first, last = places[0][1], places[-1][1]
        upto = last - 1 if last > first else first
    changed = experiment.trials.filter(seq__gt=row.cursor, seq__lte=upto)
    upto = min(upto, _end_of_trials(places, changed))
    metrics = list(found.filter(seq__lte=upto).order_by("seq", "id"))
    changed = changed.filter(seq__lte=upto)
    trials = {trial.pk: trial for trial in changed}
    missing = {metric.trial_id for metric in metrics} - set(trials)
    trials |= experiment.trials.in_bulk(missing)
    numbers: dict[int, list[Metric]] = {}
    for metric in metrics:
        numbers.setdefault(metric.trial_id, []).append(metric)
    objective = (experiment.configuration.get("metrics") or {}).get("objective") or "value"
    ordered = sorted(trials.values(), key=lambda trial: trial.number)
    sent = [_sent(trial, numbers.get(trial.pk, []), objective, upto) for trial in ordered]
    return Batch(experiment.pk, experiment.name, sent, _holding(row)), upto


def _end_of_trials(places: list[tuple[int, int]], changed: QuerySet[Trial]) -> int:
    """The seq up to which there are ``MOST_TRIALS`` trials, or as few as were changed at once."""
    met = dict(reversed(places))  # each trial, where it is met first
    for pk, seq in changed.order_by("seq").values_list("pk", "seq")[: MOST_TRIALS + 1]:
        met[pk] = min(seq, met.get(pk, seq))
    seqs = sorted(met.values())
    if len(seqs) <= MOST_TRIALS:
        return 2**63
    return seqs[MOST_TRIALS] - 1 if seqs[MOST_TRIALS] > seqs[0] else seqs[0]


def _holding(row: Mirror) -> Callable[[], None]:
    """Says, as often as is needed, that this process goes on sending for the row."""
    last = time.monotonic()

    def hold() -> None:
        nonlocal last
        if time.monotonic() - last > HOLD_EVERY_S:
            last = time.monotonic()
            Mirror.objects.filter(pk=row.pk).update(next_try_at=timezone.now() + HELD)

    return hold


def _where(kind: str) -> str:
    """Which server or directory it is, so that another one gets everything; no secret of it."""
    where = str(getattr(settings, f"MIRROR_{kind.upper()}"))
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def _sent(trial: Trial, metrics: list[Metric], objective: str, upto: int) -> Sent:
    # One that has changed since is sent again, with the rest of its numbers: it has not ended yet.
    is_ended = trial.state in FINISHED and trial.seq <= upto
    return Sent(
        key=f"{trial.key}.{trial.attempt}",
        number=trial.number,
        attempt=trial.attempt,
        state=trial.state if is_ended or trial.state not in FINISHED else "RUNNING",
        is_ended=is_ended,
        parameters=trial.parameters,
        started=(trial.started_at or trial.created_at).timestamp(),
        finished=trial.finished_at.timestamp() if trial.finished_at else None,
        numbers=[_number(metric, objective) for metric in metrics],
    )


def _number(metric: Metric, objective: str) -> Number:
    is_default = metric.name == Metric.DEFAULT_NAME
    value: Any = metric.nonfinite if metric.value is None else metric.value
    is_final = metric.kind == Metric.Kind.FINAL
    return Number(
        name=objective if is_default else metric.name,
        value=float(value),
        step=0.0 if is_final else float(metric.sequence if metric.step is None else metric.step),
        time=metric.time.timestamp(),
        is_final=is_final,
        report=metric.sequence,
    )
