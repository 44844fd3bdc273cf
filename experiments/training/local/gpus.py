"""The GPUs of this machine: which there are, and what runs on them now.

Called by ``machine``. They are found by NVML, or given (``AUTOTUNE_GPUS=0,1,3``): then only these
are used, and where there is no NVML their numbers are all that is known of them. Whatever NVML
cannot do means "no GPUs" with the reason in words, never an exception: its absence is the rule.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FRESH_S = 1.0  # an inventory is asked for at every launch and poll; the driver is not
_GIVEN = "AUTOTUNE_GPUS"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """One GPU, as it is now, or a part of one that is divided (MIG)."""

    index: int  # as nvidia-smi shows it; of a part that of the whole
    uuid: str = ""  # "": given by its number, on a machine without NVML
    name: str = ""
    total: int = 0  # bytes of memory; 0: not known
    free: int = 0
    load: int | None = None  # percent of the last second
    processes: tuple[tuple[int, int | None], ...] = ()  # that compute on it: pid, bytes if told
    is_part: bool = False  # a process can use one such part only

    @property
    def key(self) -> str:
        """What names it among all, through restarts where NVML gives it a name."""
        return self.uuid or str(self.index)


@dataclass(frozen=True)
class Inventory:
    """``problem``: why there are none, or not all that were given; "" where all is well."""

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


class Gpus:
    """The machine's GPUs, looked at again when what is known is older than ``FRESH_S``.

    Threads may share it. ``given`` are the numbers of AUTOTUNE_GPUS, None where it is not set;
    ``environment`` may hold a CUDA_VISIBLE_DEVICES, which leaves out all others as it does for any
    program.
    """

    def __init__(
        self, given: Sequence[int] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.given = None if given is None else tuple(given)
        source = os.environ if environment is None else environment
        self._visible = source.get(_VISIBLE) if given is None else None
        self._known = Inventory()
        self._looked_at = -1e9
        self._lock = threading.Lock()

    @property
    def leaves_some_out(self) -> bool:
        """Whether trials that ask for none must be told which they may see."""
        return self.given is not None

    def inventory(self, max_age_s: float = FRESH_S) -> Inventory:
        """What there is now."""
        with self._lock:
            if time.monotonic() - self._looked_at >= max_age_s:
                self._known = self._look()
                self._looked_at = time.monotonic()
            return self._known

    def _look(self) -> Inventory:
        found = _nvml.ask()
        if self.given is None:
            return _visible(found, self._visible)
        if not found.gpus:
            return Inventory(tuple(Gpu(index) for index in self.given))
        known: dict[int, list[Gpu]] = {}
        for gpu in found.gpus:
            known.setdefault(gpu.index, []).append(gpu)
        lacking = [str(index) for index in self.given if index not in known]
        problem = (
            f"{_GIVEN} names {', '.join(lacking)}, which NVML does not find." if lacking else ""
        )
        return Inventory(tuple(gpu for i in self.given for gpu in known.get(i, ())), problem)


def _visible(found: Inventory, visible: str | None) -> Inventory:
    """Those that the server's own CUDA_VISIBLE_DEVICES lets programs see."""
    if visible is None or not found.gpus:
        return found
    kept = []
    for word in (word.strip() for word in visible.split(",")):
        gpu = next(
            (gpu for gpu in found.gpus
             if (word == str(gpu.index) and not gpu.is_part)
             or (word.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(word))),
            None,
        )  # fmt: skip
        if gpu is None:  # CUDA, too, takes what stands before the first one that is not there
            break
        kept.append(gpu)
    problem = "" if kept else f"{_VISIBLE} is '{visible}', which leaves none."
    return Inventory(tuple(kept), problem)


class _Nvml:
    """The driver's library, begun once a process and anew after whatever went wrong."""

    def __init__(self) -> None:
        self._library: Any = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self) -> Inventory:
        with self._lock:
            try:
                nvml = importlib.import_module("pynvml")  # 25 ms that most processes never need
            except ImportError:
                return Inventory(problem="The package nvidia-ml-py is not installed.")
            try:
                if self._library is None or self._owner != os.getpid():
                    nvml.nvmlInit()
                    self._library, self._owner = nvml, os.getpid()
                return _all_of(nvml)
            except nvml.NVMLError as error:
                if self._library is not None:
                    self._library = None
                    with contextlib.suppress(nvml.NVMLError):
                        nvml.nvmlShutdown()
                return Inventory(problem=f"NVML: {error}.")


_nvml = _Nvml()


def _all_of(nvml: Any) -> Inventory:
    count = nvml.nvmlDeviceGetCount()
    if not count:
        return Inventory(problem="NVML finds no GPU.")
    found, lost, empty = [], 0, []
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            parts = _parts(nvml, handle)
        except nvml.NVMLError:
            lost += 1
            continue
        there = [_gpu(nvml, index, part, is_part=True) for part in parts or ()]
        if parts is None:
            there = [_gpu(nvml, index, handle)]
            lost += there == [None]
        elif not parts:
            empty.append(str(index))
        found += [gpu for gpu in there if gpu is not None]
    problems = [f"{lost} of {count} GPUs do not answer NVML."] if lost else []
    if empty:  # nothing can run on it, and who is given it finds no GPU
        problems.append(f"MIG is on, but no part is made, on GPU {', '.join(empty)}.")
    return Inventory(tuple(found), " ".join(problems))


def _parts(nvml: Any, handle: Any) -> list[Any] | None:
    """The parts of a GPU that is divided (MIG); None where it is whole."""
    try:
        is_divided = nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    except nvml.NVMLError:  # it cannot be divided
        return None
    if not is_divided:
        return None
    found = []
    for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(nvml.NVMLError):  # fewer were made than there may be
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place))
    return found


def _gpu(nvml: Any, index: int, handle: Any, *, is_part: bool = False) -> Gpu | None:
    """One GPU; None where it does not answer (it fell off the bus)."""
    try:
        uuid, name = (
            _text(ask(handle)) for ask in (nvml.nvmlDeviceGetUUID, nvml.nvmlDeviceGetName)
        )
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:
        return None
    return Gpu(
        index, uuid, name, int(memory.total), int(memory.free),
        load=_load(nvml, handle), processes=_processes(nvml, handle), is_part=is_part,
    )  # fmt: skip


def _load(nvml: Any, handle: Any) -> int | None:
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:  # not every GPU tells, one that is divided does not
        return None


def _processes(nvml: Any, handle: Any) -> tuple[tuple[int, int | None], ...]:
    try:
        found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return ()
    return tuple(sorted((int(each.pid), each.usedGpuMemory) for each in found))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
