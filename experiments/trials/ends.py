"""How a trial ends: its job's end becomes the state that its reports and its exit earn it.

Called by ``reconcile`` for what the backend says, and by ``shutdown`` when this machine is to stop.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from experiments.models import Event, Metric, TrackedTrial, Trial
from experiments.models.tracked import settle
from experiments.redaction import redact
from experiments.states import EventKind, TrialState
from experiments.training.base import JobState, JobStatus
from experiments.trials import launching

MOST_LOST = 2  # times that a trial starts anew; then something is wrong with it after all
MOST_DISRUPTED = 20  # times that its place may be taken from it
WAS_DISRUPTED = "was_disrupted"
WAS_LOST = "was_lost"  # in the data of the event that tells of it

# What reports and people may change in a trial's row while it runs.
_JUDGED_BY = [
    *("state", "stop_as", "stop_reason", "has_final", "value", "latest_value", "metrics"),
    "logged_by",
]


def end_trial(trial: Trial, status: JobStatus) -> bool:
    """Move a trial whose job has ended to the state that its reports and exit earn it."""
    trial.refresh_from_db(fields=_JUDGED_BY)  # its final report may have come a moment ago
    if status.state is JobState.STOPPED and not trial.stop_as and not trial.has_final:
        # Nobody decided to stop it: the server was shut down around it.
        return requeue(trial, "The server was shut down; it starts anew.")
    if status.state is JobState.SUCCEEDED:
        settle(trial)
    state, reason = _verdict_on_end(trial, status)
    if state is TrialState.FAILED and status.out_of_memory and not trial.stop_as:
        if _may_suffice_alone(trial, status.out_of_memory):
            return _requeue_alone(trial, status.out_of_memory, reason)
        reason += _nothing_more_to_give(trial, status.out_of_memory)
    if state is TrialState.LOST and status.disrupted:
        if _times(trial, WAS_DISRUPTED) < MOST_DISRUPTED:
            return requeue(trial, redact(f"It starts anew. {reason}"), {WAS_DISRUPTED: True})
    elif state is TrialState.LOST and _times(trial, WAS_LOST) < MOST_LOST:
        return requeue(trial, redact(f"It was lost and starts anew. {reason}"), {WAS_LOST: True})
    columns: dict[str, Any] = {
        "finished_at": timezone.now(),
        "exit_code": status.exit_code,
    }
    if state is TrialState.EARLY_STOPPED and trial.value is None:
        columns["value"] = trial.latest_value
    return trial.move(state, reason=redact(reason), **columns)  # it may quote the log


def _verdict_on_end(trial: Trial, status: JobStatus) -> tuple[TrialState, str]:
    """State and reason of an ended trial; a stop that came too late does not undo a success."""
    if status.state is JobState.SUCCEEDED and trial.has_final:
        if trial.value is None:
            shown = trial.metrics.get(Metric.DEFAULT_NAME)
            return TrialState.FAILED, f"The final result is {shown}, not a finite number."
        return TrialState.SUCCEEDED, ""
    if trial.stop_as:
        return TrialState(trial.stop_as), trial.stop_reason
    if status.state is JobState.SUCCEEDED:
        refused = _refused_final(trial)
        none = "It exited with code 0, but no final result was reported."
        words = " ".join(part for part in (none, status.message, _logged(trial)) if part)
        return TrialState.FAILED, refused or words
    if status.state is JobState.STOPPED and trial.value is not None:
        return TrialState.SUCCEEDED, "Stopped after its final result."
    if status.state is JobState.LOST and trial.value is not None and trial.has_final:
        return TrialState.SUCCEEDED, "Lost after its final result."
    if status.state is JobState.LOST:
        return TrialState.LOST, status.message or "The backend lost it."
    reason = status.message or f"It exited with code {status.exit_code}."
    refused = "" if trial.has_final else _refused_final(trial)
    return TrialState.FAILED, f"{reason}; {refused[0].lower()}{refused[1:]}" if refused else reason


def _logged(trial: Trial) -> str:
    """What it logged to a tracker, where the metric that decides was not among it."""
    tracked = TrackedTrial.objects.filter(trial=trial).first()
    if tracked is None or not tracked.series:
        return ""
    if not tracked.objective:
        return f"It logged {tracked.names()}: name one as spec.metrics.objective."
    return f"It logged {tracked.names()}, but not '{tracked.objective}'."


def _refused_final(trial: Trial) -> str:
    """Why this attempt's newest final report was refused; "" where none came."""
    events = Event.objects.filter(trial=trial, what=EventKind.BAD_REPORT, data__has_key="final")
    if trial.started_at is not None:
        events = events.filter(time__gte=trial.started_at)
    newest = events.order_by("seq").last()
    if newest is None:
        return ""
    return f"A final result was sent and refused: {newest.reason.removeprefix('not stored: ')}."


def _times(trial: Trial, what: str) -> int:
    """How often it was lost or disrupted, through no fault of its own, and started anew."""
    return Event.objects.filter(trial=trial, data__has_key=what).count()


def _may_suffice_alone(trial: Trial, whose: str) -> bool:
    """Whether memory ran out that others may have had: its machine's, or of a GPU it shared."""
    if launching.alone(trial):
        return False
    return whose == "machine" or bool(_slot(trial).get("shares"))


def _slot(trial: Trial) -> dict[str, Any]:
    return (trial.handle or {}).get("slot") or {}


def _requeue_alone(trial: Trial, whose: str, reason: str) -> bool:
    on = "on a GPU" if whose == "gpu" else "on this machine"
    words = f"It ran out of memory and starts anew, alone {on}. {reason}"
    return requeue(trial, redact(words), {launching.RAN_OUT: whose})


def _nothing_more_to_give(trial: Trial, whose: str) -> str:
    if whose == "machine":
        return "; it ran alone on this machine"
    if any(_slot(trial).get("devices") or ()):
        return "; no other trial was on its GPU"
    return "; it asked for no GPU of its own (resources.limits, nvidia.com/gpu)"


def requeue(trial: Trial, reason: str, data: dict[str, Any] | None = None) -> bool:
    """RUNNING → WAITING for another attempt, without the reports and files of this one."""
    with transaction.atomic():
        won = trial.move(
            TrialState.WAITING,
            reason=reason,
            data={"requeued": True, **(data or {})},
            attempt=trial.attempt + 1,
            handle=None,
            started_at=None,
            latest_value=None,
            latest_sequence=None,
            judged_sequence=-1,
            n_reports=0,
            value=None,
            has_final=False,
            metrics={},
            logged_by="",
            progress=None,
            expected_end=None,
        )
        if won:
            trial.metric_set.all().delete()
            trial.artifacts.all().delete()
            TrackedTrial.objects.filter(trial=trial).delete()
    return won
