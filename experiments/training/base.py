"""The contract between the reconcile loop and whatever runs trials.

Called by ``loop.reconcile``. Every method is idempotent: names derive from the trial, so
launching twice finds the first launch, stopping twice is harmless, polling changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class LaunchError(Exception):
    """This trial cannot be launched; its message is for the user. The trial fails."""


class BackendUnavailable(Exception):
    """The backend cannot be reached now; try again later. No trial fails for it."""


class JobState(StrEnum):
    PENDING = "pending"  # accepted, not running yet
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"  # ended because stop() was called
    LOST = "lost"  # the backend knows nothing of it, or it vanished without a result


ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.LOST})


def name_of_job(experiment_id: str, trial_number: int, attempt: int) -> str:
    """The one rule by which jobs are named."""
    return f"at-{experiment_id}-{trial_number}-{attempt}"


@dataclass(frozen=True)
class Task:
    """One entry of ``trainingConfig.tasks``: replicas of one type from one PodTemplateSpec."""

    type: str
    replicas: int
    template: Mapping[str, Any]
    restart_policy: str = ""


@dataclass(frozen=True)
class Launch:
    """Everything a backend needs to start one trial."""

    experiment_id: str
    experiment_name: str
    trial_key: str  # 5 of [a-z0-9], unique over all experiments
    trial_number: int
    attempt: int  # from 1; a retried or requeued trial is launched again under a new attempt
    framework: str  # trainingConfig.type: tensorflow | pytorch | xgboost
    tasks: tuple[Task, ...]
    parameters: Mapping[str, Any]
    server_url: str  # base URL of the trial API as the trial can reach it, no trailing slash
    token: str  # the trial's signed capability
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    namespace: str = "default"  # on a cluster
    owner: Mapping[str, Any] | None = None  # ownerReference of the object the trial belongs to
    seconds_left: float | None = None  # of the experiment's time; a job is not to outlive it

    @property
    def name(self) -> str:
        """Job name: the same for the same attempt of the same trial, a DNS-1035 label."""
        return name_of_job(self.experiment_id, self.trial_number, self.attempt)


@dataclass(frozen=True)
class JobStatus:
    """What ``poll`` tells of one job."""

    state: JobState
    exit_code: int | None = None  # of the deciding replica
    message: str = ""  # why it failed, or why it waits, for the user
    started_at: float | None = None  # seconds since the epoch
    finished_at: float | None = None


Handle = dict[str, Any]  # plain JSON, stored on the trial's row


class Backend(ABC):
    """Runs trials somewhere. ``name`` is the value of AUTOTUNE_TRAINING_ENGINE that selects it."""

    name: str

    @abstractmethod
    def launch(self, launch: Launch) -> Handle:
        """Start the trial, or find it if it was started before.

        Raises:
            LaunchError: the trial can never start (no such command, no such directory, …).
            BackendUnavailable: try again later.
        """

    def foresee(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """Say what would keep this launch from starting now: (manifest path, message) pairs."""
        return ()

    def find(self, name: str) -> Handle | None:
        """The handle of a job launched under this name, if there is one; starts nothing."""
        return None

    @abstractmethod
    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        """Return one status per handle, in order. Raises BackendUnavailable."""

    def allow(self, handle: Handle, seconds: float) -> None:
        """Let a running job go on for ``seconds`` from now at least, where anything would end it.

        Costs nothing where that is so already. Raises BackendUnavailable.
        """
        return

    @abstractmethod
    def stop(self, handle: Handle) -> None:
        """Ask the whole job to end and return at once; ``poll`` tells when it has ended."""

    @abstractmethod
    def logs(self, handle: Handle) -> list[LogFile]:
        """Name the log files kept for this job, the deciding replica's first."""

    @abstractmethod
    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes of the log from ``offset`` (negative: from its end)."""

    @abstractmethod
    def forget(self, handle: Handle) -> None:
        """Remove everything kept for an ended job (its experiment is being deleted)."""


@dataclass(frozen=True)
class LogFile:
    """One stream kept for a job, e.g. ``worker-0.stdout``."""

    name: str
    size: int  # bytes


def tasks_in_order(tasks: Sequence[Task]) -> Iterator[tuple[str, int, Task]]:
    """Yield (type, index, task) for each replica, in the order of global rank."""
    for task in tasks:
        for index in range(task.replicas):
            yield task.type, index, task
