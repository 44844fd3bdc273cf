"""The contract between the reconcile loop and whatever runs trials.

Called by ``loop.reconcile``. Every method is idempotent: names derive from the trial, so
launching twice finds the first launch, stopping twice is harmless, polling changes nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from experiments.manifest.local_spec import LocalSpec


class LaunchError(Exception):
    """This trial cannot be launched; its message is for the user. The trial fails."""


class BackendUnavailable(Exception):
    """The backend cannot be reached now; try again later. No trial fails for it."""


class BackendRefused(BackendUnavailable):
    """The backend answers, and will not do it as things stand: a right or a place is missing."""


class NotYet(Exception):
    """This trial cannot start at this moment, and goes on waiting; its message says for what.

    Nothing was started, and nothing is wrong: asked again, it goes when its turn has come.
    """


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


def experiment_of_job(name: str) -> str:
    """``name_of_job`` read backwards: whose job this is."""
    return name.split("-")[1]


@dataclass(frozen=True)
class Task:
    """One entry of ``trainingConfig.tasks``: replicas of one type from one PodTemplateSpec."""

    type: str
    replicas: int
    template: Mapping[str, Any]
    restart_policy: str = ""


@dataclass(frozen=True)
class Collected:
    """What is found in what a trial prints and writes; see ``manifest.metrics_spec``."""

    objective: str
    pattern: str = ""
    file: str = ""
    stdout: bool = False
    tensorboard: str = ""


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
    runtime: Mapping[str, str] = field(default_factory=dict)  # trainingConfig.runtimeRef
    runtime_spec: Mapping[str, Any] | None = None  # of it as its cluster has it: the backend's part
    namespace: str = "default"  # on a cluster
    queue: Mapping[str, str] = field(default_factory=dict)  # labels by which a queue takes its jobs
    owner: Mapping[str, Any] | None = None  # ownerReference of the object the trial belongs to
    seconds_left: float | None = None  # of the experiment's time; a job is not to outlive it
    alone: str = ""  # it ran out of memory beside others: "gpu" (one of its own), or "machine"
    local: LocalSpec = field(default_factory=LocalSpec)  # nothing but the local backend reads it
    # Nobody starts it: a program elsewhere takes it, and it is lost after so much silence.
    lost_after_s: int | None = None
    metrics: Collected | None = None  # to be collected; None: the trial reports by itself

    @property
    def name(self) -> str:
        """Job name: the same for the same attempt of the same trial, a DNS-1035 label."""
        return name_of_job(self.experiment_id, self.trial_number, self.attempt)


@dataclass(frozen=True)
class Program:
    """What a word of a manifest's command means where its trials will run."""

    path: str  # of the word, in the manifest
    word: str  # as it stands there: python3
    executable: str  # the file that it names
    version: str = ""  # of a Python, where it could be asked
    environment: str = ""  # that a Python belongs to (sys.prefix)
    missing: tuple[str, ...] = ()  # modules that the script imports and a Python does not have
    is_ours: bool = False  # AutoTune's own, for an example of its own

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON as the REST API sends it, with a sentence for people."""
        return {**asdict(self), "missing": list(self.missing), "sentence": self.sentence()}

    def sentence(self) -> str:
        """``python3 is /home/u/venv/bin/python3 (Python 3.11.2)``, for people."""
        if not self.version:
            return f"{self.word} is the program {self.executable}"
        python = f"{self.word} is {self.executable} (Python {self.version})"
        if self.is_ours:
            return f"{python}: AutoTune's own, as yours lacks what this example imports"
        return python


@dataclass(frozen=True)
class Capacity:
    """What a backend cannot give to a launch, as (manifest path, message) pairs.

    With ``problems`` no such trial can ever run here; ``warnings`` say what it gets instead.
    """

    problems: tuple[tuple[str, str], ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class JobStatus:
    """What ``poll`` tells of one job."""

    state: JobState
    exit_code: int | None = None  # of the deciding replica
    message: str = ""  # why it failed, or why it waits, for the user
    started_at: float | None = None  # seconds since the epoch
    finished_at: float | None = None
    out_of_memory: str = ""  # "gpu", or the "machine"'s, where it failed for that
    # With LOST: its place was taken from it, which is nobody's failure. With ``queued``: whatever
    # ran of it was ended by its queue, which may start it anew.
    disrupted: bool = False
    queued: bool = False  # nothing of it runs: it waits for a place, as the message says
    incomplete: bool = False  # some of its replicas run, others wait for a place


Handle = dict[str, Any]  # plain JSON, stored on the trial's row
QUEUED = "queued"  # in a handle: launched, but nothing runs before a queue lets it, as it says


class Backend(ABC):
    """Runs trials somewhere. ``name`` is the value of AUTOTUNE_TRAINING_ENGINE that selects it.

    What its callers must know of where that is, it says of itself: they ask these four, never
    which backend it is.
    """

    name: str
    # Trials are processes of this very host: who may start one may run commands here, they end
    # with an orderly shutdown, and image, volumes and scheduler mean nothing.
    runs_here: ClassVar[bool] = False
    # Trials see this server's files under the same paths: what is made here is there for them.
    shares_files: ClassVar[bool] = False
    # API keys that manifests name are Secrets of the cluster it runs on, not rows of ours.
    has_cluster_secrets: ClassVar[bool] = False
    # ``take_exits`` tells of ended jobs at once, and is worth a call every few milliseconds.
    tells_exits: ClassVar[bool] = False

    @abstractmethod
    def launch(self, launch: Launch) -> Handle:
        """Start the trial, or find it if it was started before.

        Raises:
            LaunchError: the trial can never start (no such command, no such directory, …).
            NotYet: this one must wait; try again later.
            BackendUnavailable: try again later.
        """

    def room(self, launch: Launch, most: int) -> int:
        """About how many launches like this one would not have to wait now, ``most`` at most."""
        return most

    def capacity(self, launch: Launch) -> Capacity:
        """Say what of a launch can never be had here; asks nothing that takes long."""
        return Capacity()

    def devices(self) -> dict[str, Any] | None:
        """What trials share and who has what, as JSON for people; None where others see to it."""
        return None

    def measure(self) -> None:
        """Look what running trials take, where that is asked for. Called every few moments."""
        return

    def refusals(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """Say what of a launch an administrator forbids: (manifest path, message) pairs.

        Asks nobody and starts nothing. ``launch`` refuses the same.
        """
        return ()

    def forecast(self, launch: Launch) -> Sequence[tuple[str, str]]:
        """Say what would keep this launch from starting now: (manifest path, message) pairs."""
        return ()

    def programs(self, launch: Launch) -> Sequence[Program]:
        """Say which programs of this machine the commands of a launch would run."""
        return ()

    def documents(self, launch: Launch) -> list[dict[str, Any]]:
        """What ``launch`` would start, as plain documents to read or take away; starts nothing.

        Raises LaunchError and BackendUnavailable as ``launch`` does.
        """
        return []

    @abstractmethod
    def find(self, launch: Launch) -> Handle | None:
        """The handle of the job that was launched so, if there is one; starts nothing.

        Raises BackendUnavailable.
        """

    @abstractmethod
    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        """Return one status per handle, in order. Raises BackendUnavailable."""

    def allow(self, handle: Handle, seconds: float) -> None:
        """Let a running job go on for ``seconds`` from now at least, where anything would end it.

        Costs nothing where that is so already. Raises BackendUnavailable.
        """
        return

    def take_exits(self) -> Sequence[str]:
        """Jobs that ended since the last call, where it ``tells_exits``: a hint to poll now."""
        return ()

    def leave(self, experiment_id: str) -> None:
        """The experiment has ended: nothing more of it will be launched."""
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
        """Remove everything kept for an ended job (its experiment is being deleted).

        ``handle`` has the job's name alone where nobody knows whether it was ever started.
        """

    def abandon(self, handle: Handle) -> None:
        """Remove what we keep for a job that can be reached no more, whatever it does."""
        self.forget(handle)


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
