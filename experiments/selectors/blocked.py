"""Whether anything of an experiment can run on its cluster now, what keeps it, and what to do.

Pure reading, for the object's status, REST and pages. Guarantees one query for any number of
experiments, none where nothing runs, and a few more for those that are blocked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max, Q

from experiments.models import Event, Experiment, Trial
from experiments.states import EventKind, Phase, TrialState
from experiments.training.kubernetes.blocked import SAID_BY, obstacle

# Of each obstacle: what it is, and what to do.
WORDS = {
    "PodSecurity": (
        "The namespace's Pod Security level refuses its pods.",
        "Clone it with a template that asks for less, or have the administrator change the level "
        "of the namespace; then it goes on by itself.",
    ),
    "Quota": (
        "A quota of its namespace is used up.",
        "It goes on as soon as enough of it is free: end something else there, or have it raised.",
    ),
    "Queued": (
        "Its jobs are held, by a queue or by hand.",
        "They go on by themselves when the queue has room, or when somebody resumes them.",
    ),
    "ImagePull": (
        "Its image cannot be pulled.",
        "See that the image is there and that the cluster may pull it (imagePullSecrets); then it "
        "goes on by itself. A wrong name takes a clone with the right one.",
    ),
    "Configuration": (
        "A Secret, ConfigMap or volume that its pods name is not there.",
        "Create it in the namespace and they start by themselves, or clone the experiment with "
        "the right name.",
    ),
    "Unschedulable": (
        "No node takes its pods.",
        "It goes on as soon as one has room. If none ever will, clone it with smaller requests, "
        "or with another nodeSelector, affinity or tolerations.",
    ),
    "Forbidden": (
        "The cluster refuses its jobs or pods.",
        "Have the administrator look at what refuses them; then it goes on by itself.",
    ),
}
_EVENTS_READ = 500  # of one experiment's waiting trials, to tell since when


@dataclass(frozen=True)
class Blocked:
    """Every trial that was given to the cluster stands before an obstacle."""

    reason: str  # a key of WORDS
    words: str  # the cluster's
    trial: int | None  # whose they are; None: not even a job could be made
    n_trials: int
    since: datetime | None

    @property
    def message(self) -> str:
        """All of it, for the object's status."""
        if self.trial is None:
            return f"No trial can run. {self.words}"
        if self.n_trials > 1:
            return f"No trial can run ({self.n_trials} wait). Trial {self.trial}: {self.words}"
        return f"No trial can run. Trial {self.trial}: {self.words}"

    @property
    def why(self) -> str:
        return WORDS[self.reason][0]

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "why": self.why,
            "advice": WORDS[self.reason][1],
            "words": self.words,
            "trial": self.trial,
            "n_trials": self.n_trials,
            "since": self.since.isoformat() if self.since else None,
        }


def blocked(experiment: Experiment) -> Blocked | None:
    """None where something runs, may run any moment, or is not meant to run."""
    return blocked_by_id([experiment]).get(experiment.pk)


def blocked_by_id(experiments: Iterable[Experiment]) -> dict[str, Blocked]:
    """Of these the blocked ones, by their id."""
    meant_to_run = [e for e in experiments if e.phase == Phase.RUNNING and not e.suspended]
    if not meant_to_run:
        return {}
    given: dict[str, list[Trial]] = defaultdict(list)
    may_run = Q(state=TrialState.RUNNING) | Q(state=TrialState.WAITING, handle__isnull=False)
    for trial in (
        Trial.objects.filter(may_run, experiment__in=meant_to_run)
        .order_by("number")
        .only("id", "experiment_id", "number", "reason", "n_reports", "has_final")
    ):
        given[trial.experiment_id].append(trial)
    found = ((e.pk, _look(e, given[e.pk])) for e in meant_to_run)
    return {pk: held for pk, held in found if held is not None}


def _look(experiment: Experiment, given: list[Trial]) -> Blocked | None:
    if not given:
        reason = obstacle(experiment.message)
        if not reason or SAID_BY not in experiment.message:  # a trial's own words, maybe
            return None
        troubles = experiment.events.filter(what=EventKind.TROUBLE)
        since = troubles.aggregate(time=Max("time"))["time"]
        return Blocked(reason, experiment.message, None, 0, since)
    if any(trial.n_reports or trial.has_final for trial in given):
        return None
    reasons = [obstacle(trial.reason) for trial in given]
    if not all(reasons):
        return None
    since = _since(experiment, {trial.pk for trial in given})
    return Blocked(reasons[0], given[0].reason, given[0].number, len(given), since)


def _since(experiment: Experiment, trials: Collection[int]) -> datetime | None:
    """When the last of these trials met its obstacle, which may have changed its name since."""
    told = experiment.events.filter(trial__in=trials).exclude(what=EventKind.STOPPING)
    rows = told.order_by("-seq").values_list("trial", "reason", "time")[:_EVENTS_READ]
    met: dict[int, datetime] = {}
    open_ = set(trials)
    for trial, reason, time in rows:
        if trial not in open_:
            continue
        if obstacle(reason):
            met[trial] = time
        else:
            open_.discard(trial)
        if not open_:
            return max(met.values(), default=None)
    launched = Event.objects.filter(trial__in=trials, what=EventKind.STATE)
    latest: datetime | None = launched.aggregate(time=Max("time"))["time"]
    return latest
