"""Rows as plain JSON: the one shape that REST, websocket, export and pages' scripts share.

Pure reading; times are ISO 8601 with offset, non-finite numbers the strings "NaN", "Infinity",
"-Infinity".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone

from experiments.models import Event, Experiment, Metric, SavedView, Trial, Upload
from experiments.models.uploads import destination
from experiments.selectors.blocked import Blocked, blocked_by_id
from experiments.states import FINISHED, WENT_WRONG, TrialState


def iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def trial_json(trial: Trial) -> dict[str, Any]:
    """One row of the trial table, and one element of a websocket message's ``trials``."""
    return {
        "number": trial.number,
        "id": trial.key,
        "state": trial.state,
        "stopping": bool(trial.stop_as) and trial.state not in FINISHED,
        "origin": trial.origin,
        "reason": trial.reason,
        "parameters": trial.parameters,
        "value": trial.value,
        "metrics": trial.metrics,
        "latest_value": trial.latest_value,
        "latest_sequence": trial.latest_sequence,
        "n_reports": trial.n_reports,
        "has_final": trial.has_final,
        "progress": trial.progress,
        "expected_end": iso(trial.expected_end),
        "excluded": trial.excluded,
        "notes": trial.notes,
        "retriable": trial.is_retriable,
        "attempt": trial.attempt,
        "exit_code": trial.exit_code,
        "created_at": iso(trial.created_at),
        "started_at": iso(trial.started_at),
        "finished_at": iso(trial.finished_at),
        "seq": trial.seq,
    }


def metric_json(metric: Metric, trial_number: int) -> dict[str, Any]:
    """One number of one report, as the websocket and ``metrics/`` send it."""
    return {
        "trial": trial_number,
        "kind": metric.kind,
        "sequence": metric.sequence,
        "step": metric.step,
        "name": metric.name,
        "value": metric.json_value,
        "time": iso(metric.time),
        "seq": metric.seq,
    }


def saved_view_json(view: SavedView) -> dict[str, Any]:
    """A view of the experiment's page that somebody gave a name."""
    return {
        "id": view.pk,
        "name": view.name,
        "query": view.query,
        "author": view.author.get_username() if view.author else None,
        "changed_at": iso(view.changed_at),
    }


def event_json(event: Event, trial_number: int | None) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "trial": trial_number,
        "what": event.what,
        "from": event.from_state,
        "to": event.to_state,
        "reason": event.reason,
        "data": event.data,
        "time": iso(event.time),
    }


@dataclass(frozen=True)
class TrialCounts:
    """How many trials an experiment has."""

    by_state: dict[str, int]
    to_retry: int  # failed or lost, and not retried yet
    finished: int  # of max_trials: neither replaced by a retry nor cut off when the time was up

    def out_of(self, max_trials: int | None) -> int | None:
        """What the finished are told as a part of: the limit may be lowered below them."""
        return None if max_trials is None else max(max_trials, self.finished)


def count_trials(experiments: Iterable[Experiment]) -> dict[str, TrialCounts]:
    """Trials of each experiment id, in one query."""
    ids = [experiment.pk for experiment in experiments]
    by_state = {pk: {state.value: 0 for state in TrialState} for pk in ids}
    to_retry, finished = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    rows = (
        Trial.objects.filter(experiment_id__in=ids)
        .values_list("experiment_id", "state", "retried", "cut_off")  # the index trial_counted
        .annotate(n=Count("*"))
        .order_by()
    )
    for pk, state, retried, cut_off, n in rows:
        by_state[pk][state] += n
        was_cut_off = state == TrialState.CANCELED and cut_off
        if state in FINISHED and not retried and not was_cut_off:
            finished[pk] += n
        if state in WENT_WRONG and not retried:
            to_retry[pk] += n
    return {pk: TrialCounts(by_state[pk], to_retry[pk], finished[pk]) for pk in ids}


def aistore_by_id(experiments: Iterable[Experiment]) -> dict[str, dict[str, Any] | None]:
    """How far the upload to AIStore is, for each experiment id: None where none was asked for."""
    found: dict[str, dict[str, Any] | None] = {}
    wanted: dict[str, dict[str, str]] = {}
    for experiment in experiments:
        found[experiment.pk] = None
        if there := destination(experiment):
            wanted[experiment.pk] = there
    if not wanted:
        return found
    rows = Upload.objects.filter(experiment__in=wanted).order_by()
    runs = Q(kind=Upload.Kind.RUN)
    late = ~Q(state=Upload.State.FAILED) & Q(attempts__gt=0)
    counts = {
        row["experiment_id"]: row
        for row in rows.values("experiment_id").annotate(
            runs=Count("id", filter=runs),
            uploaded=Count("id", filter=runs & Q(state=Upload.State.DONE)),
            waiting=Count("id", filter=Q(state=Upload.State.WAITING)),
            failed=Count("id", filter=Q(state=Upload.State.FAILED)),
            next_try_at=Min("next_try_at", filter=late),
        )
    }
    folders = {row.experiment_id: row for row in rows.filter(kind=Upload.Kind.FOLDER)}
    errors: dict[str, str] = {}
    for row in rows.exclude(error="").order_by("id"):  # the folder's stands for all
        if row.experiment_id not in errors or row.kind == Upload.Kind.FOLDER:
            errors[row.experiment_id] = row.error
    for pk, there in wanted.items():
        found[pk] = _aistore_json(there, counts.get(pk, {}), folders.get(pk), errors.get(pk, ""))
    return found


def _aistore_json(
    there: dict[str, str], counts: Mapping[str, Any], folder: Upload | None, error: str
) -> dict[str, Any]:
    runs, uploaded = counts.get("runs", 0), counts.get("uploaded", 0)
    if not settings.AISTORE_HOST:
        state, error = "off", "AISTORE_HOST is not set on this server: nothing is uploaded."
    elif counts.get("failed"):
        state = "failed"
    elif counts.get("next_try_at"):
        state = "retrying"
    elif counts.get("waiting") or folder is None:
        state = "waiting"
    else:
        state = "done"
    next_try_at = counts.get("next_try_at")
    if folder is not None and folder.attempts:  # then nothing is tried before the folder
        is_stuck = folder.state == Upload.State.FAILED
        next_try_at = None if is_stuck else folder.next_try_at
    return {
        "state": state,
        "folder": there["folder"],
        "secret": there["secret"],
        "runs": runs,
        "uploaded": uploaded,
        "failed": counts.get("failed", 0),
        "error": error,
        "next_try_at": iso(next_try_at),
        "url": _console_url(folder),
    }


def _console_url(folder: Upload | None) -> str | None:
    """The folder's page in the platform's console: two parts of AIStore's address lie before it."""
    if folder is None or not folder.node_id or not settings.AISTORE_HOST:
        return None
    parts = urlsplit(settings.AISTORE_HOST)
    above = "/".join(parts.path.rstrip("/").split("/")[:-2])
    home = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{above}"
    return f"{home}/em/web/#/folders/{folder.node_id}/"


def server_note(experiment: Experiment) -> str:
    """The message, and what is wrong with the upload: ``status.serverNote`` of the object."""
    upload = aistore_by_id([experiment])[experiment.pk]
    words = [experiment.message]
    if experiment.suspended and experiment.breaker and not experiment.is_ended:
        words.append(f"Suspended: {experiment.breaker['reason']}")
    if upload and upload["error"]:
        words.append(f"AIStore: {upload['error']}")
    return " ".join(word for word in words if word)


def cluster_object_json(experiment: Experiment) -> dict[str, Any] | None:
    """The experiment's AutoTuneExperiment in the cluster; None where there is none yet."""
    link = experiment.link
    if link is None:
        return None
    return {"namespace": link.namespace, "name": link.name, "trouble": link.trouble}


def experiment_json(
    experiment: Experiment,
    counts: TrialCounts | None = None,
    aistore: dict[str, dict[str, Any] | None] | None = None,
    blocked: dict[str, Blocked] | None = None,
) -> dict[str, Any]:
    """Head of an experiment: everything but its manifest and trials.

    Lists give ``counts`` (``count_trials``), ``aistore`` (``aistore_by_id``) and ``blocked``
    (``blocked_by_id``) of all at once.
    """
    if counts is None:
        counts = count_trials([experiment])[experiment.pk]
    if aistore is None:
        aistore = aistore_by_id([experiment])
    if blocked is None:
        blocked = blocked_by_id([experiment])
    by_state = counts.by_state
    best = experiment.best_trial
    held = blocked.get(experiment.pk)
    return {
        "id": experiment.pk,
        "name": experiment.name,
        "project": experiment.project.name,
        "notes": experiment.notes,
        "tags": experiment.tag_list,
        "origin": experiment.origin,
        "optimize_mode": experiment.optimize_mode,
        "phase": experiment.phase,
        "suspended": experiment.suspended,
        "finishing": experiment.finish_requested and not experiment.is_ended,
        "message": experiment.message,
        "breaker": experiment.breaker if experiment.suspended else None,
        "blocked": held.as_json if held else None,
        "max_exec_seconds": experiment.max_exec_seconds,
        "max_trials": experiment.max_trials,
        "concurrency": experiment.concurrency,
        "active_seconds": round(experiment.active_seconds_at(timezone.now()), 3),
        "clock_running": experiment.clock_at is not None,
        "counts": by_state,
        "n_trials": sum(by_state.values()),
        "n_finished": counts.finished,
        "n_to_retry": counts.to_retry,
        "best": trial_json(best) if best else None,
        "aistore": aistore[experiment.pk],
        "cluster_object": cluster_object_json(experiment),
        "seed": experiment.seed,
        "created_at": iso(experiment.created_at),
        "started_at": iso(experiment.started_at),
        "finished_at": iso(experiment.finished_at),
        "seq": experiment.last_seq,
    }
