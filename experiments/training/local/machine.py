"""This machine as the local backend's trials share it: what each asks for, gets and took.

Called by ``backend``. It brings together the inventory (``gpus``), who holds what (``slots``) and
who may have what (``placing``), and measures how much GPU memory trials take.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.manifest.quantity import GPU_RESOURCE, parse_quantity
from experiments.manifest.reading import at
from experiments.training.base import Capacity, Launch, LaunchError, experiment_of_job
from experiments.training.environment import Replica, main_container, replicas_by_rank
from experiments.training.local.capacity import cores, memory_bytes
from experiments.training.local.gpus import FRESH_S, Gpu, Gpus
from experiments.training.local.placing import GIB, Claim, Device, Machine, Request, gpus, place
from experiments.training.local.processes import ancestors, mark_of
from experiments.training.local.slots import Granted, Slots, peak_of, peak_path

MEASURE_EVERY_S = 0.1  # while trials run whose memory is measured
LOOK_EVERY_S = 1.0  # whether there are any
_RESULT = "result.json"


@dataclass(frozen=True)
class Asked:
    """What one replica's container asks for."""

    gpus: int = 0
    cpu: float = 0.0
    memory: int = 0
    path: str = ""  # of its resources, in the manifest


class Sharing:
    """How the trials below ``root`` share this machine with each other and with other servers'."""

    def __init__(self, root: Path, slots: Slots, gpus: Gpus) -> None:
        self.root = root
        self.slots = slots
        self.gpus = gpus
        self._peaks: dict[str, dict[str, int]] = {}  # of running trials: job -> GPU -> bytes
        self._measure_at = 0.0

    # what a trial gets

    def take(self, launch: Launch, directory: Path) -> Granted:
        """A slot for this attempt. Raises NotYet, LaunchError, BackendUnavailable."""
        # As it is this very moment: who has just ended is no stranger who is still there.
        return self.slots.take(self.request(launch, directory), self._machine(max_age_s=0.0))

    def request(self, launch: Launch, directory: Path) -> Request:
        """What an attempt asks for. Raises LaunchError where that is no whole number of GPUs."""
        asked = [_asked(launch, replica) for replica in replicas_by_rank(launch)]
        local = launch.local
        return Request(
            job=str(directory),
            experiment=launch.experiment_id,
            trial=launch.trial_number,
            gpus=tuple(each.gpus for each in asked),
            cpu=sum(each.cpu for each in asked),
            memory=sum(each.memory for each in asked),
            per_gpu=local.trials_per_gpu or (None if local.measures_memory else 1),
            measures=local.measures_memory,
            peak=peak_of(str(directory), launch.experiment_id) if local.measures_memory else None,
            use_active=local.use_active_gpu,
            indices=local.gpu_indices,
            alone=launch.alone,
            priority=int((launch.scheduler.get("t9kScheduler") or {}).get("priority") or 0),
        )

    def environment(self, launch: Launch, claim: Claim | None, rank: int) -> dict[str, str]:
        """Which GPUs a replica sees. Empty: whatever the server sees, shared by all."""
        keys = claim.devices[rank] if claim and claim.devices else ()
        if not keys:
            if claim and claim.keys:
                return _visible(("-1",))  # another replica of it asked, this one did not
            keys = self._shared(launch)
        return _visible(keys) if keys else {}

    def _shared(self, launch: Launch) -> tuple[str, ...]:
        """What trials that ask for no GPU see where some are left out; (): nothing is said."""
        indices = launch.local.gpu_indices
        if not indices and not self.gpus.leaves_some_out:
            return ()
        found = self.gpus.inventory().gpus
        return tuple(gpu.key for gpu in found if not indices or gpu.index in indices) or ("-1",)

    def room(self, launch: Launch, most: int) -> int:
        """How many trials like this one could start now, ``most`` at most."""
        wanted = replace(self.request(launch, self.root / "room"), since=time.time())
        if not (wanted.n_gpus or wanted.cpu or wanted.memory or wanted.alone):
            return most
        machine, claims, waiting = self._machine(), self.slots.claims(), self.slots.queue()
        for number in range(most):
            placed = place(wanted, machine, claims, waiting)
            if placed.why:
                return number
            claims.append(Claim(wanted, placed.devices))
        return most

    # what it cannot get

    def capacity(self, launch: Launch) -> Capacity:
        """What of a launch this machine can never give, and what it gives otherwise than asked."""
        problems: list[tuple[str, str]] = []
        asked = []
        for replica in replicas_by_rank(launch):
            try:
                asked.append(_asked(launch, replica))
            except (LaunchError, LookupError):
                return Capacity()  # other checks say so
        problems += self._too_many_gpus(launch, asked)
        return Capacity(tuple(problems), tuple(_larger_than_here(asked)))

    def _too_many_gpus(self, launch: Launch, asked: Sequence[Asked]) -> list[tuple[str, str]]:
        wanted, indices = sum(each.gpus for each in asked), launch.local.gpu_indices
        inventory = self.gpus.inventory()
        there = {gpu.index for gpu in inventory.gpus}
        shown = ", ".join(map(str, sorted(there)))
        found = []
        if there and wanted:
            found = [
                (f"spec.local.gpuIndices[{number}]",
                 f"GPU {index} is not on this machine, which has: {shown}.")
                for number, index in enumerate(indices) if index not in there
            ]  # fmt: skip
        meant = [gpu for gpu in inventory.gpus if not indices or gpu.index in indices]
        at_once = max((each.gpus for each in asked), default=0)
        usable = [gpu for gpu in meant if at_once <= 1 or not gpu.is_part]
        if wanted > len(usable) and not found:
            path = next(at(f"{each.path}.limits", GPU_RESOURCE) for each in asked if each.gpus)
            has = f"this machine has {len(inventory.gpus)}"
            if len(usable) < len(meant):
                has = "its GPUs are divided (MIG), and a process can use one part only"
            elif indices and there:
                has = f"only {len(usable)} of this machine's may be used"
            words = f"A trial asks for {gpus(wanted)}, but {has}."
            if len(asked) > 1:
                words = f"A trial asks for {gpus(wanted)} over {len(asked)} replicas, but {has}."
            found.append((path, f"{words} {inventory.problem}".rstrip()))
        return found

    # what is taken

    def _machine(self, max_age_s: float = FRESH_S) -> Machine:
        before = self.slots.claims()
        found = self.gpus.inventory(max_age_s).gpus
        # Who began or ended in between is no stranger either.
        claims = [*before, *self.slots.claims()]
        devices = tuple(
            Device(
                gpu.key, gpu.index, gpu.total, gpu.free, len(_strangers(gpu, claims)), gpu.is_part
            )
            for gpu in found
        )
        return Machine(devices, cores(), memory_bytes())

    def gone(self, devices: Sequence[Sequence[str]]) -> list[str]:
        """Which of a running trial's GPUs are not there any more."""
        wanted = [key for keys in devices for key in keys]
        if not wanted:
            return []
        there = {gpu.key for gpu in self.gpus.inventory().gpus}
        return [key for key in wanted if key not in there]

    def describe(self) -> dict[str, Any]:
        """All of it as plain JSON, for people: see ``rest.devices``."""
        inventory, claims = self.gpus.inventory(), self.slots.claims()
        known = {gpu.key for gpu in inventory.gpus}
        lost = sorted({key for claim in claims for key in claim.keys} - known)
        return {
            "problem": inventory.problem,
            "gpus": [
                {
                    "index": gpu.index,
                    "uuid": gpu.uuid,
                    "name": gpu.name,
                    "memory_total": gpu.total or None,
                    "memory_used": gpu.total - gpu.free if gpu.total else None,
                    "load": gpu.load,
                    "other_processes": len(_strangers(gpu, claims)),
                    "gone": False,
                    "trials": _trials_on(gpu, claims),
                }
                for gpu in inventory.gpus
            ]
            + [
                {
                    "index": int(key) if key.isdigit() else None,
                    "uuid": "" if key.isdigit() else key,
                    "name": "",
                    "memory_total": None,
                    "memory_used": None,
                    "load": None,
                    "other_processes": 0,
                    "gone": True,
                    "trials": _trials_on(Gpu(-1, key), claims),
                }
                for key in lost
            ],
            "cpu": {
                "total": cores(),
                "taken": round(sum(claim.request.cpu for claim in claims), 3),
            },
            "memory": {
                "total": memory_bytes(),
                "taken": sum(claim.request.memory for claim in claims),
            },
            "waiting": [
                {**_trial(each), "gpus": each.n_gpus, "since": each.since}
                for each in self.slots.queue()
            ],
        }

    # how much they take

    def measure(self) -> None:
        """Look how much memory trials take now; called often, and costs nothing where none is."""
        now = time.monotonic()
        if now < self._measure_at:
            return
        below = f"{self.root}/"
        claims = [claim for claim in self.slots.claims() if claim.keys]
        measured = [each for each in claims
                    if each.request.measures and each.request.job.startswith(below)]  # fmt: skip
        self._measure_at = now + (MEASURE_EVERY_S if measured else LOOK_EVERY_S)
        if measured:
            self._look(measured, claims)
        running = {claim.request.job for claim in measured}
        for job in [job for job in self._peaks if job not in running]:
            # A failed one may not have come far.
            _keep_peak(job, max(self._peaks.pop(job).values()), is_first=_succeeded(Path(job)))

    def forget(self, name: str) -> None:
        """Drop what is known of the experiment of a job: it is being deleted."""
        peak_path(str(self.root / name), experiment_of_job(name)).unlink(missing_ok=True)

    def _look(self, measured: Sequence[Claim], claims: Sequence[Claim]) -> None:
        for gpu in self.gpus.inventory(MEASURE_EVERY_S / 2).gpus:
            here = [claim for claim in claims if gpu.key in claim.keys]
            for claim in (claim for claim in measured if claim in here):
                job, taken = claim.request.job, _taken(gpu, claim, here)
                peaks = self._peaks.setdefault(job, {})
                if taken > peaks.get(gpu.key, 0):
                    peaks[gpu.key] = taken
                    _keep_peak(job, taken, is_first=False)


# -- parts --------------------------------------------------------------------------------------


def _asked(launch: Launch, replica: Replica) -> Asked:
    """What a replica's container asks for: requests, else limits, as Kubernetes counts."""
    position, container = main_container(launch.framework, replica.task.template)
    path = f"spec.trainingConfig.tasks[{replica.task_number}].template.spec.containers"
    path += f"[{position}].resources"
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    amounts = {name: parse_quantity(raw) or 0 for name, raw in {**limits, **requests}.items()}
    gpus = parse_quantity(limits.get(GPU_RESOURCE, requests.get(GPU_RESOURCE, 0))) or 0
    if gpus != int(gpus):
        raise LaunchError(f"{path}: {GPU_RESOURCE} must be a whole number, but got {gpus}")
    return Asked(int(gpus), float(amounts.get("cpu", 0)), int(amounts.get("memory", 0)), path)


def _larger_than_here(asked: Sequence[Asked]) -> list[tuple[str, str]]:
    """Words where a trial asks for more cores or memory than there are: it gets all, alone."""
    found = []
    cpu, memory = sum(each.cpu for each in asked), sum(each.memory for each in asked)
    path = asked[0].path if asked else ""
    if cpu > cores():
        found.append((path, f"A trial asks for {cpu:.6g} cores, but this machine has "
                      f"{cores():.6g}: trials run one at a time."))  # fmt: skip
    if memory > memory_bytes():
        found.append((path, f"A trial asks for {memory / GIB:.3g} GiB of memory, but this machine "
                      f"has {memory_bytes() / GIB:.3g}: trials run one at a time."))  # fmt: skip
    return found


def _visible(keys: Sequence[str]) -> dict[str, str]:
    """What CUDA, and containers' runtimes, take for all GPUs there are."""
    text = ",".join(keys)
    found = {"CUDA_VISIBLE_DEVICES": text, "NVIDIA_VISIBLE_DEVICES": text}
    if text == "-1":
        return {"CUDA_VISIBLE_DEVICES": "-1", "NVIDIA_VISIBLE_DEVICES": "void"}
    if all(key.isdigit() for key in keys):  # else CUDA counts the fastest first
        found["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return found


def _strangers(gpu: Gpu, claims: Sequence[Claim]) -> list[int]:
    """Processes on a GPU that belong to no trial which holds it.

    Those that cannot be seen (another container's, or ours where NVML tells pids of the host) are
    taken for strangers only where no trial holds the GPU.
    """
    holders = {claim.request.job for claim in claims if gpu.key in claim.keys}
    found = []
    for pid, _memory in gpu.processes:
        if not os.path.exists(f"/proc/{pid}"):
            if not holders:
                found.append(pid)
        elif _job_of(pid) not in holders:
            found.append(pid)
    return found


def _job_of(pid: int) -> str:
    """The job that a process belongs to, by its own mark or that of one it descends from."""
    return next((mark for each in (pid, *ancestors(pid)) if (mark := mark_of(each))), "")


def _taken(gpu: Gpu, claim: Claim, here: Sequence[Claim]) -> int:
    """Bytes that a trial takes on a GPU: its own where NVML tells, else its part of all."""
    own = _own_bytes(gpu, claim)
    return (gpu.total - gpu.free) // len(here) if own is None else own


def _own_bytes(gpu: Gpu, claim: Claim) -> int | None:
    """Bytes that the processes of a trial take on a GPU; None where NVML does not tell."""
    own = [memory for pid, memory in gpu.processes if _job_of(pid) == claim.request.job]
    if not own or any(memory is None for memory in own):
        return None
    return sum(memory or 0 for memory in own)


def _keep_peak(job: str, peak: int, *, is_first: bool) -> None:
    """Keep what a trial took, if it is more than what is known; or the first that is known."""
    experiment = experiment_of_job(os.path.basename(job))
    known = peak_of(job, experiment)
    if peak <= (known or 0) or (known is None and not is_first):
        return
    path = peak_path(job, experiment)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(str(peak))
    draft.rename(path)


def _succeeded(job: Path) -> bool:
    try:
        return bool(json.loads((job / _RESULT).read_bytes())["state"] == "succeeded")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _trials_on(gpu: Gpu, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    found = [
        {**_trial(claim.request), "memory_used": _own_bytes(gpu, claim)}
        for claim in claims if gpu.key in claim.keys
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each["experiment"], each["trial"]))


def _trial(request: Request) -> dict[str, Any]:
    return {"experiment": request.experiment, "trial": request.trial}
