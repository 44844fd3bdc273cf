"""An experiment's row as the status of its AutoTuneExperiment object, and as Kubernetes Events.

Pure reading; called by ``sync``. The shape is declared in ``manifest/crd.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from experiments.looks import EVENTS
from experiments.manifest.crd import ACCEPTED, BLOCKED, FINISHED, SUSPENDED, SYNCED, count_key
from experiments.models import ClusterObject, Event, Experiment
from experiments.problems import Problem
from experiments.selectors.blocked import Blocked, blocked
from experiments.selectors.present import TrialCounts, server_note
from experiments.states import EventKind, Phase, TrialState

CHECK_AGAIN = timedelta(minutes=5)  # an unfinished experiment's status is written by then
_MOST_WORDS = 32_768  # characters of a condition's message

# Events of ours that the cluster is told of, by the reason it shows; phases have their own.
REASONS = {
    EventKind.CREATED: "Created",
    EventKind.BORROWED: "Borrowed",
    EventKind.LIMITS: "LimitsChanged",
    EventKind.DETAILS: "DetailsChanged",
    EventKind.SUSPENDED: "Suspended",
    EventKind.RESUMED: "Resumed",
    EventKind.FINISH: "Finishing",
    EventKind.EXHAUSTED: "Exhausted",
    EventKind.RETRIED: "TrialRetried",
    EventKind.EXCLUDED: "TrialExcluded",
    EventKind.RESTORED: "TrialRestored",
    EventKind.NOT_JUDGED: "NotJudged",
    EventKind.BAD_REPORT: "BadReport",
    EventKind.LATE_FINAL: "LateFinal",
    EventKind.TROUBLE: "Trouble",
    EventKind.WELL_AGAIN: "WellAgain",
    EventKind.SLEPT: "Slept",
    EventKind.UPLOAD_FAILED: "UploadFailed",
    EventKind.UPLOAD_WELL_AGAIN: "UploadWellAgain",
    EventKind.UPLOADED: "Uploaded",
}
# What happens to each trial in the ordinary course: its jobs and pods tell of that themselves.
UNTOLD = frozenset(
    {
        EventKind.STATE,
        EventKind.STOPPING,
        EventKind.REMARK,
        EventKind.LET_FINISH,
        EventKind.ATTACHED,
        EventKind.DETACHED,
        EventKind.FIGURE_KEPT,
        EventKind.FIGURE_DELETED,
    }
)
_WARNINGS = frozenset({EventKind.TROUBLE, EventKind.UPLOAD_FAILED, EventKind.BAD_REPORT})
_PHASE_REASONS = {
    Phase.PENDING: "Pending",
    Phase.RUNNING: "Running",
    Phase.DONE: "Done",
    Phase.TIMEOUT: "Timeout",
    Phase.ERROR: "Error",
}


def status_of(
    link: ClusterObject, counts: TrialCounts, generation: int, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole status of a live object. Absent values are None, for a merge to remove them."""
    experiment = link.experiment
    assert experiment is not None
    best = experiment.best_trial
    now = timezone.now()
    held = blocked(experiment)
    return {
        "phase": experiment.phase,
        "serverNote": _note(experiment, link, held),
        "nextCheckedTime": None if experiment.is_ended else _iso(now + CHECK_AGAIN),
        "observedGeneration": generation,
        "experiment": experiment.pk,
        "url": f"{settings.PUBLIC_URL}/experiments/{experiment.pk}/",
        "startTime": _iso(experiment.started_at),
        "completionTime": _iso(experiment.finished_at),
        "activeSeconds": int(experiment.active_seconds_at(now)),
        "progress": f"{counts.finished}/{counts.out_of(experiment.max_trials) or '-'}",
        "trials": {count_key(TrialState(state)): n for state, n in counts.by_state.items()},
        "best": None
        if best is None
        else {
            "trial": best.number,
            "id": best.key,
            "value": best.value,
            "parameters": best.parameters,
        },
        "conditions": _timed(_conditions(experiment, link.trouble, held), generation, before, now),
    }


def _note(experiment: Experiment, link: ClusterObject, held: Blocked | None) -> str:
    """What is wrong with all of it, else what keeps its trials from running."""
    words = server_note(experiment)
    if held is not None and experiment.message not in held.message:
        words = f"{words} {held.message}".strip()
    elif held is not None:  # it says that too
        words = held.message if words == experiment.message else words
    return words or link.trouble


def refused_status(
    problems: tuple[Problem, ...], generation: int, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The status of an object whose manifest cannot run: all problems at once."""
    lines = [f"{p.path}: {p.message}" + (f" {p.hint}" if p.hint else "") for p in problems]
    note = "\n".join(lines)
    conditions = [(ACCEPTED, False, "InvalidManifest", note)]
    return {
        "phase": Phase.ERROR.value,
        "serverNote": note,
        "nextCheckedTime": None,
        "observedGeneration": generation,
        "conditions": _timed(conditions, generation, before, timezone.now()),
    }


_Condition = tuple[str, bool, str, str]


def _conditions(experiment: Experiment, trouble: str, held: Blocked | None) -> list[_Condition]:
    ended = experiment.is_ended
    reason = _PHASE_REASONS[Phase(experiment.phase)]
    return [
        (ACCEPTED, True, "Accepted", ""),
        (SYNCED, not trouble, "EditRefused" if trouble else "Synced", trouble),
        (SUSPENDED, experiment.suspended, "Suspended" if experiment.suspended else "Active", ""),
        _blocked(held),
        (FINISHED, ended, reason, experiment.message if ended else ""),
    ]


def _blocked(held: Blocked | None) -> _Condition:
    if held is None:
        return (BLOCKED, False, "NotBlocked", "")
    return (BLOCKED, True, held.reason, held.message)


def _timed(
    conditions: list[_Condition], generation: int, before: Mapping[str, Any], now: datetime
) -> list[dict[str, Any]]:
    """Conditions as the API writes them; one that did not turn keeps its time."""
    earlier = {row["type"]: row for row in before.get("conditions") or []}
    found = []
    for kind, holds, reason, message in conditions:
        status, old = str(holds), earlier.get(kind, {})
        turned = old.get("status") != status
        found.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message[:_MOST_WORDS],
                "observedGeneration": generation,
                "lastTransitionTime": _iso(now) if turned else old["lastTransitionTime"],
            }
        )
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) from one status to the other; what only time moves is no change.

    Fields that ``after`` does not name are somebody else's and stay.
    """
    found = _merge(before, after)
    if found.keys() <= {"nextCheckedTime", "activeSeconds"} and not _is_due(before):
        return {}
    return found


def _merge(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = _merge(old, {**dict.fromkeys(old), **value})
            if inner:
                found[key] = inner
        elif value != old:
            found[key] = value
    return found


def _is_due(before: Mapping[str, Any]) -> bool:
    """Whether the time has come by which the status was promised to be written again."""
    promised = before.get("nextCheckedTime")
    if not promised:
        return True
    return datetime.fromisoformat(promised) - timezone.now() < CHECK_AGAIN / 10


def _iso(time: datetime | None) -> str | None:
    """RFC 3339 in whole seconds, as Kubernetes writes times."""
    if time is None:
        return None
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(event: Event) -> tuple[str, str, bool] | None:
    """Reason, message and whether it is a warning, of an event that the cluster is told of."""
    if event.what == EventKind.PHASE:
        phase = Phase(event.to_state)
        words = f"{event.from_state} → {event.to_state}. {event.reason}".strip()
        return _PHASE_REASONS[phase], words, phase is Phase.ERROR
    if event.what not in REASONS:
        return None
    what = EventKind(event.what)
    words = EVENTS[what].label
    if event.reason:
        words = f"{words}: {event.reason}"
    if event.trial is not None:
        words = f"Trial {event.trial.number}: {words[0].lower()}{words[1:]}"
    if who := event.data.get("user"):
        words = f"{words} (by {who})"
    return REASONS[what], words, what in _WARNINGS
