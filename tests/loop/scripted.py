"""A training backend whose jobs do what the test says: the far side of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from experiments.training.base import (
    Backend,
    BackendUnavailable,
    Handle,
    JobState,
    JobStatus,
    Launch,
    LaunchError,
    LogFile,
    NotYet,
)


class ScriptedBackend(Backend):
    name = "scripted"
    runs_here = True

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.jobs: dict[str, JobStatus] = {}
        self.stopped: list[str] = []
        self.allowed: dict[str, float] = {}  # job name -> seconds from when it was said
        self.forgotten: list[str] = []
        self.left: list[str] = []  # experiments of which nothing more comes
        self.refuse = ""  # launches fail with this message
        self.unreachable = ""  # nothing works, with this message
        self.slots: int | None = None  # jobs that may run at once; further ones must wait

    def launch(self, launch: Launch) -> Handle:
        self._reach()
        if self.refuse:
            raise LaunchError(self.refuse)
        if launch.name not in self.jobs and not self.room(launch, 1):
            raise NotYet(f"Waits for a GPU: {len(self._running())} run.")
        self.launches.append(launch)
        self.jobs.setdefault(launch.name, JobStatus(JobState.RUNNING))
        return {"name": launch.name, "slot": {"shares": not launch.alone, "devices": [["0"]]}}

    def room(self, launch: Launch, most: int) -> int:
        return most if self.slots is None else max(0, min(most, self.slots - len(self._running())))

    def _running(self) -> list[str]:
        return [name for name, job in self.jobs.items() if job.state is JobState.RUNNING]

    def find(self, launch: Launch) -> Handle | None:
        self._reach()
        return {"name": launch.name} if launch.name in self.jobs else None

    def poll(self, handles: Sequence[Handle]) -> list[JobStatus]:
        self._reach()
        return [self.jobs.get(handle["name"], JobStatus(JobState.LOST)) for handle in handles]

    def allow(self, handle: Handle, seconds: float) -> None:
        self.allowed[handle["name"]] = seconds

    def stop(self, handle: Handle) -> None:
        self._reach()
        self.stopped.append(handle["name"])
        if self.jobs[handle["name"]].state is JobState.RUNNING:
            self.jobs[handle["name"]] = JobStatus(JobState.STOPPED, exit_code=143)

    def logs(self, handle: Handle) -> list[LogFile]:
        return []

    def read_log(self, handle: Handle, log: str, offset: int, limit: int) -> bytes:
        return b""

    def leave(self, experiment_id: str) -> None:
        self.left.append(experiment_id)

    def forget(self, handle: Handle) -> None:
        self.forgotten.append(handle["name"])

    def end(self, number: int, exit_code: int = 0, message: str = "") -> None:
        """Let the newest job of a trial end by itself."""
        name = [launch.name for launch in self.launches if launch.trial_number == number][-1]
        state = JobState.SUCCEEDED if exit_code == 0 else JobState.FAILED
        self.jobs[name] = JobStatus(state, exit_code=exit_code, message=message)

    def run_out(self, number: int, whose: str = "gpu") -> None:
        """Let a trial's newest job fail for want of memory."""
        self.end(number, 1, "exit code 1: CUDA out of memory.")
        name = [launch.name for launch in self.launches if launch.trial_number == number][-1]
        self.jobs[name] = replace(self.jobs[name], out_of_memory=whose)

    def lose(self, number: int) -> None:
        name = [launch.name for launch in self.launches if launch.trial_number == number][-1]
        self.jobs[name] = JobStatus(JobState.LOST, message="The node is gone.")

    def _reach(self) -> None:
        if self.unreachable:
            raise BackendUnavailable(self.unreachable)
