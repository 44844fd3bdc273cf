"""Trials of this machine and its GPUs: given by number, or by an NVML that a test plays."""

from __future__ import annotations

import json
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.manifest.local_spec import LocalSpec
from experiments.training.base import Handle, JobState, NotYet
from experiments.training.local import gpus as inventory
from experiments.training.local import wrapper
from experiments.training.local.gpus import Gpu, Gpus, Inventory
from experiments.training.local.machine import _taken
from experiments.training.local.slots import peak_of
from tests.training.conftest import Jobs, task, until

GIB = 1024**3
SAYS = 'echo "[$CUDA_VISIBLE_DEVICES][$NVIDIA_VISIBLE_DEVICES][$CUDA_DEVICE_ORDER]"; '
WAITS = SAYS + "while ! [ -e go ]; do sleep 0.02; done"


def wants(n: Any, *, script: str = WAITS, replicas: int = 1, **amounts: Any) -> Any:
    limits = {"nvidia.com/gpu": n, **amounts}
    return task(["sh", "-c", script], replicas=replicas, resources={"limits": limits})


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Jobs]]:
    """Makes servers of one machine; their trials are gone after the test."""
    servers: list[Jobs] = []

    def make(gpus: Gpus, name: str = "one") -> Jobs:
        servers.append(Jobs(tmp_path / name / "trials", gpus, slots=tmp_path / "slots"))
        return servers[-1]

    yield make
    for jobs in servers:
        for handle in jobs.handles:
            jobs.backend.stop(handle)
    for jobs in servers:
        for handle in jobs.handles:
            jobs.end(handle)


def go(jobs: Jobs, handle: Handle) -> None:
    (jobs.root / handle["name"] / "work" / "go").touch()


def test_each_replica_sees_its_own_gpus_and_waits_where_none_is_left(
    made: Callable[..., Jobs],
) -> None:
    jobs = made(Gpus([0, 1, 3]))
    pair = jobs.launch(jobs.describe(wants(1, replicas=2)))
    jobs.said(pair, "[0][0][PCI_BUS_ID]")
    jobs.said(pair, "[1][1][PCI_BUS_ID]", "worker-1.log")
    one = jobs.launch(jobs.describe(wants(1)))
    jobs.said(one, "[3][3]")
    late = jobs.describe(wants(1))
    with pytest.raises(NotYet, match=r"Waits for a GPU \(3 here\)\. GPU 0: exp1 #1; GPU 1"):
        jobs.launch(late)
    assert jobs.backend.room(late, 5) == 0
    go(jobs, one)
    assert jobs.end(one).state is JobState.SUCCEEDED
    until(lambda: len(jobs.backend.sharing.slots.claims()) == 1, "the slot's return")
    assert jobs.backend.room(late, 5) == 0, "who waits already is served first"
    jobs.said(jobs.launch(late), "[3][3]")


def test_who_asks_for_none_sees_what_is_not_left_out(made: Callable[..., Jobs]) -> None:
    jobs = made(Gpus([0, 2]))
    jobs.said(jobs.shell(SAYS), "[0,2][0,2]")
    alone = jobs.describe(task(["sh", "-c", SAYS]), local=LocalSpec(gpu_indices=(2,)))
    jobs.said(jobs.launch(alone), "[2][2]")
    beside = jobs.describe(wants(1), task(["sh", "-c", SAYS], type="ps"))
    assert "[0][0]" in jobs.said(jobs.launch(beside), "[0]")
    jobs.said(jobs.handles[-1], "[-1][void]", "ps-0.log")
    all_of_them = made(Gpus(environment={}), "two")
    all_of_them.backend.inherited = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "7"}
    all_of_them.said(all_of_them.shell(SAYS), "[7][][]")


def test_the_manifests_own_choice_does_not_win_over_what_it_was_given(
    made: Callable[..., Jobs],
) -> None:
    jobs = made(Gpus([0, 1]))
    own = [{"name": "CUDA_VISIBLE_DEVICES", "value": "1"}]
    limits = {"limits": {"nvidia.com/gpu": 1}}
    command = ["sh", "-c", SAYS + 'echo "$0"', "<$(CUDA_VISIBLE_DEVICES)>"]
    asking = jobs.describe(task(command, env=own, resources=limits))
    assert "[0]" in jobs.said(jobs.launch(asking), "<0>")


def test_two_servers_never_give_one_gpu_twice_and_serve_in_order(
    made: Callable[..., Jobs],
) -> None:
    one, two = made(Gpus([0])), made(Gpus([0]), "two")
    held = one.launch(one.describe(wants(1)))
    theirs = two.describe(wants(1), experiment_id="exp2")
    with pytest.raises(NotYet, match="exp1 #1"):
        two.launch(theirs)
    own = one.describe(wants(1))
    with pytest.raises(NotYet):
        one.launch(own)
    assert one.backend.room(own, 3) == 0
    go(one, held)
    one.end(held)
    until(lambda: not one.backend.sharing.slots.claims(), "the slot's return")
    assert one.backend.room(one.describe(wants(1)), 3) == 0, "others are before it"
    with pytest.raises(NotYet, match="GPU 0: exp2 #1"):
        one.launch(own)  # who came first is served first
    two.launch(theirs)


def test_a_killed_supervisor_keeps_the_gpu_until_what_it_left_is_gone(
    made: Callable[..., Jobs],
) -> None:
    jobs = made(Gpus([0]))
    handle = jobs.start(["sh", "-c", WAITS], resources={"limits": {"nvidia.com/gpu": 1}})
    jobs.said(handle, "[0]")
    os.kill(handle["pid"], signal.SIGKILL)
    late = jobs.describe(wants(1))
    for _ in range(5):  # its replica computes on
        with pytest.raises(NotYet):
            jobs.launch(late)
    assert jobs.end(handle).state is JobState.LOST
    until(lambda: not jobs.backend.sharing.slots.claims(), "the slot's return")
    jobs.launch(late)


def test_more_than_there_are_is_refused_with_the_numbers(made: Callable[..., Jobs]) -> None:
    jobs = made(Gpus([0, 1]))
    container = "spec.trainingConfig.tasks[0].template.spec.containers[0].resources.limits"
    ((path, words),) = jobs.backend.capacity(jobs.describe(wants(1, replicas=3))).problems
    assert path == f'{container}["nvidia.com/gpu"]'
    assert words == "A trial asks for 3 GPUs over 3 replicas, but this machine has 2."
    local = LocalSpec(gpu_indices=(1,))
    ((_, words),) = jobs.backend.capacity(jobs.describe(wants(2), local=local)).problems
    assert words == "A trial asks for 2 GPUs, but only 1 of this machine's may be used."
    local = LocalSpec(gpu_indices=(1, 5))
    ((path, words),) = jobs.backend.capacity(jobs.describe(wants(1), local=local)).problems
    assert path == "spec.local.gpuIndices[1]"
    assert words == "GPU 5 is not on this machine, which has: 0, 1."
    assert jobs.backend.capacity(jobs.describe(wants(2))).problems == ()


def test_without_nvml_there_are_none_and_it_is_said_why(
    made: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as where it is not installed
    jobs = made(Gpus(environment={}))
    ((_, words),) = jobs.backend.capacity(jobs.describe(wants(1))).problems
    assert words == (
        "A trial asks for a GPU, but this machine has 0. The package nvidia-ml-py is not installed."
    )
    assert jobs.backend.devices()["gpus"] == []


def test_more_cores_or_memory_than_there_are_is_warned_of(made: Callable[..., Jobs]) -> None:
    jobs = made(Gpus([0]))
    found = jobs.backend.capacity(jobs.describe(wants(1, cpu=5000, memory="900Ti")))
    assert found.problems == ()
    assert ["cores" in found.warnings[0][1], "GiB" in found.warnings[1][1]] == [True, True]


# -- by NVML ------------------------------------------------------------------------------------


class Nvml(types.ModuleType):
    """The library as far as it is used, for GPUs that a test makes up."""

    class NVMLError(Exception):
        pass

    def __init__(self, *gpus: dict[str, Any]) -> None:
        super().__init__("pynvml")
        self.gpus = list(gpus)
        self.broken = ""

    def nvmlInit(self) -> None:
        if self.broken:
            raise self.NVMLError(self.broken)

    def nvmlShutdown(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        self.nvmlInit()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        if self.gpus[index].get("lost"):
            raise self.NVMLError("GPU is lost")
        return self.gpus[index]

    NVML_DEVICE_MIG_ENABLE = 1

    def nvmlDeviceGetMigMode(self, gpu: dict[str, Any]) -> list[int]:
        if "mig" not in gpu:
            raise self.NVMLError("Not Supported")
        return [gpu["mig"], gpu["mig"]]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: dict[str, Any], place: int) -> Any:
        if place >= len(gpu["parts"]):
            raise self.NVMLError("Not Found")
        return gpu["parts"][place]

    def nvmlDeviceGetUUID(self, gpu: dict[str, Any]) -> str:
        return str(gpu["uuid"])

    def nvmlDeviceGetName(self, gpu: dict[str, Any]) -> bytes:
        return b"Made up"

    def nvmlDeviceGetMemoryInfo(self, gpu: dict[str, Any]) -> Any:
        used = gpu.get("used", 0)
        return types.SimpleNamespace(total=80 * GIB, free=80 * GIB - used, used=used)

    def nvmlDeviceGetUtilizationRates(self, gpu: dict[str, Any]) -> Any:
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: dict[str, Any]) -> list[Any]:
        return [
            types.SimpleNamespace(pid=pid, usedGpuMemory=used)
            for pid, used in gpu.get("processes", {}).items()
        ]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    made_up = Nvml({"uuid": "GPU-aa"}, {"uuid": "GPU-bb"})
    monkeypatch.setitem(sys.modules, "pynvml", made_up)
    monkeypatch.setattr(inventory, "_nvml", inventory._Nvml())
    monkeypatch.setattr(inventory, "FRESH_S", 0.0)
    monkeypatch.setattr(Gpus.inventory, "__defaults__", (0.0,))
    return made_up


def keys(gpus: Gpus) -> list[str]:
    return [gpu.key for gpu in gpus.inventory().gpus]


def test_gpus_are_those_of_nvml_that_are_given_and_visible(nvml: Nvml) -> None:
    assert keys(Gpus(environment={})) == ["GPU-aa", "GPU-bb"]
    assert keys(Gpus([1])) == ["GPU-bb"]
    assert keys(Gpus(environment={"CUDA_VISIBLE_DEVICES": "1"})) == ["GPU-bb"]
    assert keys(Gpus(environment={"CUDA_VISIBLE_DEVICES": "GPU-b,0,7,1"})) == ["GPU-bb", "GPU-aa"]
    none = Gpus(environment={"CUDA_VISIBLE_DEVICES": "-1"}).inventory()
    assert (none.gpus, "leaves none" in none.problem) == ((), True)
    lacking = Gpus([0, 9]).inventory()
    assert (len(lacking.gpus), lacking.problem) == (
        1,
        "AUTOTUNE_GPUS names 9, which NVML does not find.",
    )


def test_an_nvml_that_fails_is_asked_again(nvml: Nvml) -> None:
    gpus = Gpus(environment={})
    nvml.broken = "Driver/library version mismatch"
    assert gpus.inventory() == Inventory((), "NVML: Driver/library version mismatch.")
    nvml.broken = ""
    assert keys(gpus) == ["GPU-aa", "GPU-bb"]


def test_a_gpu_that_goes_away_is_said_where_it_matters(
    nvml: Nvml, made: Callable[..., Jobs]
) -> None:
    jobs = made(Gpus(environment={}))
    handle = jobs.launch(jobs.describe(wants(2)))
    jobs.said(handle, "[GPU-aa,GPU-bb][GPU-aa,GPU-bb][]")
    assert jobs.status(handle).message == ""
    nvml.gpus[1]["lost"] = True
    assert jobs.status(handle).message == "Its GPU is gone from this machine: GPU-bb."
    (there, gone) = jobs.backend.devices()["gpus"]
    assert (there["gone"], gone["gone"], gone["uuid"]) == (False, True, "GPU-bb")
    assert gone["trials"] == [{"experiment": "exp1", "trial": 1, "memory_used": None}]
    assert jobs.backend.devices()["problem"] == "1 of 2 GPUs do not answer NVML."
    go(jobs, handle)
    jobs.end(handle)
    with pytest.raises(NotYet, match="Waits for 2 GPUs: this machine has 1 now"):
        jobs.launch(jobs.describe(wants(2)))


def test_a_gpu_with_other_processes_is_not_used(nvml: Nvml, made: Callable[..., Jobs]) -> None:
    jobs = made(Gpus(environment={}))
    nvml.gpus[0]["processes"] = {os.getpid(): GIB}
    held = jobs.launch(jobs.describe(wants(1)))
    jobs.said(held, "[GPU-bb]")
    with pytest.raises(NotYet, match="GPU 0: used by a process that is no trial; GPU 1: exp1 #1"):
        jobs.launch(jobs.describe(wants(1)))
    anyway = jobs.describe(wants(1), local=LocalSpec(use_active_gpu=True))
    jobs.said(jobs.launch(anyway), "[GPU-aa]")
    # what a trial runs on its own GPU is no stranger there, but one elsewhere
    pid = handle_pid(jobs, held)
    nvml.gpus[1]["processes"] = {pid: GIB, 2**22 + 1: GIB}  # and one that cannot be seen
    assert [gpu["other_processes"] for gpu in jobs.backend.devices()["gpus"]] == [1, 0]


def handle_pid(jobs: Jobs, handle: Handle) -> int:
    """A process of a trial, not its supervisor."""
    mark = f"AUTOTUNE_JOB_DIR={jobs.root / handle['name']}\0".encode()
    return next(
        pid
        for pid in jobs.marked()
        if mark in Path(f"/proc/{pid}/environ").read_bytes() and pid != handle["pid"]
    )


def test_by_measured_memory_a_second_trial_joins_once_one_has_succeeded(
    nvml: Nvml, made: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.training.local.machine.MEASURE_EVERY_S", 0.0)
    monkeypatch.setattr("experiments.training.local.machine.LOOK_EVERY_S", 0.0)
    nvml.gpus[1:] = []
    jobs = made(Gpus(environment={}))
    local = LocalSpec(measures_memory=True)

    def another() -> Handle:
        return jobs.launch(jobs.describe(wants(1), local=local))

    first = another()
    jobs.said(first, "[GPU-aa]")
    pid = handle_pid(jobs, first)
    for used in (2 * GIB, 30 * GIB, 4 * GIB):
        nvml.gpus[0] |= {"processes": {pid: used}, "used": used}
        jobs.backend.measure()
    second = jobs.describe(wants(1), local=local)
    with pytest.raises(NotYet, match="how much memory exp1 #1 takes is not known yet"):
        jobs.launch(second)
    go(jobs, first)
    jobs.end(first)
    nvml.gpus[0] |= {"processes": {}, "used": 0}
    until(lambda: not jobs.backend.sharing.slots.claims(), "the slot's return")
    jobs.backend.measure()
    assert peak_of(str(jobs.root / "at-exp1-1-1"), "exp1") == 30 * GIB
    jobs.launch(second)
    another()
    jobs.backend.forget(first)
    assert peak_of(str(jobs.root / "at-exp1-1-1"), "exp1") is None
    (jobs.root / "peaks" / "exp1").write_text(str(30 * GIB))
    with pytest.raises(NotYet, match=r"14\.0 of the 33\.0 GiB needed are left"):
        another()


def test_where_nvml_tells_no_process_a_trial_took_its_part_of_all(
    nvml: Nvml, made: Callable[..., Jobs]
) -> None:
    gpu = Gpu(0, "GPU-aa", total=80 * GIB, free=50 * GIB, processes=((2**22 + 1, None),))
    jobs = made(Gpus(environment={}))
    jobs.launch(jobs.describe(wants(1)))
    (claim,) = jobs.backend.sharing.slots.claims()
    assert _taken(gpu, claim, [claim, claim]) == 15 * GIB


# -- out of memory ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "whose"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB.", 1, "gpu"),
        ("RuntimeError: CUDA error: out of memory", 1, "gpu"),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.", 1, "gpu"),
        ("CUDA out of memory. Tried again with less.", 0, ""),
        ("ValueError: memory", 1, ""),
    ],
)
def test_running_out_of_gpu_memory_is_recognised(
    jobs: Jobs, said: str, code: int, whose: str
) -> None:
    status = jobs.end(jobs.shell(f"echo '{said}'; echo bye; exit {code}"))
    assert status.out_of_memory == whose
    assert status.state is (JobState.FAILED if code else JobState.SUCCEEDED)


def test_only_what_the_kernel_killed_ran_out_of_the_machines_memory(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert jobs.end(jobs.shell("kill -KILL $$$$")).out_of_memory == ""
    counted = iter([4, 5])
    monkeypatch.setattr(wrapper, "kernel_kills", lambda: next(counted))
    supervisor = wrapper.Supervisor({"directory": str(jobs.root)}, -1)
    dead = types.SimpleNamespace(code=-signal.SIGKILL, log=types.SimpleNamespace(last=b""))
    supervisor.replicas = [dead]  # type: ignore[list-item]
    assert supervisor._out_of_memory() == "machine"


def test_a_trial_that_had_a_gpu_to_itself_says_so(made: Callable[..., Jobs]) -> None:
    jobs = made(Gpus([0]))
    shared = jobs.describe(wants(1, script="exit 0"), local=LocalSpec(trials_per_gpu=2))
    assert jobs.launch(shared)["slot"]["shares"] is True
    jobs.end(jobs.handles[-1])
    until(lambda: not jobs.backend.sharing.slots.claims(), "the slot's return")
    handle = jobs.launch(jobs.describe(wants(1, script="exit 0")))
    assert (handle["slot"]["shares"], handle["slot"]["devices"]) == (False, [["0"]])
    json.dumps(handle)  # it is stored on a row


def test_a_divided_gpu_is_given_in_its_parts_and_never_whole(
    made: Callable[..., Jobs], nvml: Nvml
) -> None:
    parts = [{"uuid": "MIG-a", "used": GIB}, {"uuid": "MIG-b", "processes": {1: None}}]
    nvml.gpus = [
        {"uuid": "GPU-aa", "mig": 1, "parts": parts},
        {"uuid": "GPU-bb", "mig": 0, "parts": []},
        {"uuid": "GPU-cc", "mig": 1, "parts": []},
    ]
    found = Gpus(environment={}).inventory()
    assert [(gpu.key, gpu.index, gpu.is_part) for gpu in found.gpus] == [
        ("MIG-a", 0, True), ("MIG-b", 0, True), ("GPU-bb", 1, False),
    ]  # fmt: skip
    assert found.problem == "MIG is on, but no part is made, on GPU 2."
    seen = [gpu.key for gpu in Gpus([0], {}).inventory().gpus]
    assert seen == ["MIG-a", "MIG-b"], "AUTOTUNE_GPUS names a whole one"
    visible = Gpus(environment={"CUDA_VISIBLE_DEVICES": "MIG-b"})
    assert [gpu.key for gpu in visible.inventory().gpus] == ["MIG-b"]

    jobs = made(Gpus([0], {}))
    jobs.said(jobs.launch(jobs.describe(wants(1))), "[MIG-a][MIG-a]")
    with pytest.raises(NotYet, match=r"GPU 0 \(MIG-a\): exp1 #1; GPU 0 \(MIG-b\): used by a proc"):
        jobs.launch(jobs.describe(wants(1)))
    ((_, words),) = jobs.backend.capacity(jobs.describe(wants(2))).problems
    assert "its GPUs are divided (MIG), and a process can use one part only" in words
    assert jobs.backend.capacity(jobs.describe(wants(1, replicas=2))).problems == ()
    nvml.gpus[0]["mig"] = 0
    assert [gpu.key for gpu in Gpus([0], {}).inventory().gpus] == ["GPU-aa"]
