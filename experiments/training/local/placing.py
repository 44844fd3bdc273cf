"""Who gets which GPUs, cores and memory of this machine, and who waits for whom. Pure.

Called by ``slots`` under its lock, with every claim that lives. A request that does not fit waits;
what those who wait before it could use is not given to it, so nobody starves: higher priority goes
first, then who began to wait earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

GIB = 1024**3
SPARE = 1.1  # times the peak that was measured: the next trial may need a little more


@dataclass(frozen=True)
class Request:
    """What one attempt of a trial asks of the machine.

    Attributes:
        job: names it among all of this machine: its directory.
        gpus: how many each replica asks for, by rank.
        per_gpu: trials that may share a GPU with it, itself included; None: as many as fit.
        peak: bytes of GPU memory that its experiment's trials took at most; None: not known yet.
        alone: on a GPU without any other trial, whatever else is allowed ("gpu"), or on the whole
            machine ("machine"): for who ran out of memory beside others.
    """

    job: str
    experiment: str
    trial: int
    gpus: tuple[int, ...] = ()
    cpu: float = 0.0  # cores
    memory: int = 0  # bytes
    per_gpu: int | None = 1
    measures: bool = False
    peak: int | None = None
    use_active: bool = False
    indices: tuple[int, ...] = ()
    alone: str = ""
    priority: int = 0
    since: float = 0.0  # when it began to wait

    @property
    def n_gpus(self) -> int:
        return sum(self.gpus)

    @property
    def who(self) -> str:
        return f"{self.experiment} #{self.trial}"


@dataclass(frozen=True)
class Claim:
    """A request that was granted; ``devices`` by rank."""

    request: Request
    devices: tuple[tuple[str, ...], ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(key for keys in self.devices for key in keys)


@dataclass(frozen=True)
class Device:
    """A GPU as far as placing minds it. ``strangers``: processes on it that are no trials."""

    key: str
    index: int
    total: int = 0
    free: int = 0
    strangers: int = 0
    is_part: bool = False  # of one that is divided: a process can use one such part only

    @property
    def label(self) -> str:
        return f"{self.index} ({self.key})" if self.is_part else str(self.index)


@dataclass(frozen=True)
class Machine:
    devices: tuple[Device, ...] = ()
    cpu: float = 1.0
    memory: int = GIB


@dataclass(frozen=True)
class Placed:
    """Devices by rank; or, where ``why`` is not empty, what it waits for and who holds that."""

    devices: tuple[tuple[str, ...], ...] = ()
    why: str = ""


@dataclass
class _Room:
    """What is taken, while those who are before are thought to have been served."""

    machine: Machine
    by_device: dict[str, list[Request]] = field(default_factory=dict)
    kept: dict[str, Request] = field(default_factory=dict)  # for who waits before
    held: list[Request] = field(default_factory=list)

    def take(self, request: Request, keys: Sequence[str]) -> None:
        for key in keys:
            self.by_device.setdefault(key, []).append(request)
        self.held.append(request)

    def cores(self, request: Request) -> float:
        """Its cores: never more than there are, so that it runs alone rather than never."""
        return min(request.cpu, self.machine.cpu)

    def bytes(self, request: Request) -> int:
        return min(request.memory, self.machine.memory)


def place(
    request: Request, machine: Machine, claims: Sequence[Claim], waiting: Sequence[Request] = ()
) -> Placed:
    """Find room for a request.

    Args:
        claims: all that live, except the request's own.
        waiting: everybody else who waits; those behind it do not count.
    """
    room = _Room(machine)
    for claim in claims:
        room.take(claim.request, sorted(claim.keys))
    mine = _rank(request)
    for other in sorted((each for each in waiting if _rank(each) < mine), key=_rank):
        _serve_first(other, room)
    if why := _why_not_here(request, room):
        return Placed(why=why)
    chosen, whys = _fitting(request, room)
    if len(chosen) < request.n_gpus:
        return Placed(why=_words(request, room, len(chosen), whys))
    keys = [device.key for device in chosen[: request.n_gpus]]
    parts, at = [], 0
    for count in request.gpus:
        parts.append(tuple(keys[at : at + count]))
        at += count
    return Placed(tuple(parts))


def may_share(request: Request) -> bool:
    """Whether others could be beside it on its GPUs: then memory may suffice once it is alone."""
    if request.alone or not request.n_gpus:
        return False
    return request.use_active or request.measures or request.per_gpu != 1


def _rank(request: Request) -> tuple[float, float, str]:
    return (-request.priority, request.since, request.job)


def _serve_first(other: Request, room: _Room) -> None:
    """Take for one who is before what it would take now, or keep for it what it could use."""
    chosen, _ = _fitting(other, room)
    lacks_gpus = len(chosen) < other.n_gpus
    if lacks_gpus and sum(_is_for(each, other) for each in room.machine.devices) < other.n_gpus:
        return  # no trial's end helps it: what it waits for is no reason to let others idle
    if lacks_gpus or _why_not_here(other, room):
        for device in chosen[: other.n_gpus]:
            room.kept.setdefault(device.key, other)
        if not lacks_gpus:  # else nobody knows for how long its cores would lie idle
            room.held.append(other)
        return
    room.take(other, [device.key for device in chosen[: other.n_gpus]])


def _why_not_here(request: Request, room: _Room) -> str:
    """Why cores and memory do not suffice; "" where they do."""
    lone = next((each for each in room.held if each.alone == "machine"), None)
    if lone is not None:
        return f"Waits until {lone.who}, which ran out of memory, has run alone."
    if request.alone == "machine" and room.held:
        return f"Waits to run alone, as it ran out of memory; {_names(room.held)} run."
    for wanted, there, take, unit in (
        (room.cores(request), room.machine.cpu, room.cores, "cores"),
        (room.bytes(request) / GIB, room.machine.memory / GIB, _gibibytes(room), "GiB of memory"),
    ):
        holders = [each for each in room.held if take(each)]
        taken = sum(take(each) for each in holders)
        if wanted and wanted > there - taken + 1e-9:
            return (
                f"Waits for {wanted:.6g} {unit}: of {there:.6g} here {taken:.6g} "
                f"are taken by {_names(holders)}."
            )
    return ""


def _gibibytes(room: _Room) -> Callable[[Request], float]:
    return lambda request: room.bytes(request) / GIB


def _fitting(request: Request, room: _Room) -> tuple[list[Device], dict[str, str]]:
    """Devices it may have now, the least used first; and why the others are none, by label."""
    found, whys = [], {}
    if not request.n_gpus:
        return [], {}
    for device in sorted(room.machine.devices, key=lambda each: each.index):
        if why := _why_not_on(device, request, room):
            whys[device.label] = why
        else:
            found.append(device)
    found.sort(key=lambda device: (len(room.by_device.get(device.key, ())), -device.free,
                                   device.index))  # fmt: skip
    return found, whys


def _is_for(device: Device, request: Request) -> bool:
    """Whether a request could have this GPU if no trial had it."""
    is_meant = not request.indices or device.index in request.indices
    if device.is_part and max(request.gpus) > 1:
        return False
    return is_meant and (request.use_active or not device.strangers)


def _why_not_on(device: Device, request: Request, room: _Room) -> str:
    """Why a request cannot have this GPU now; "" where it can."""
    on_it = room.by_device.get(device.key, [])
    if request.indices and device.index not in request.indices:
        return "not among spec.local.gpuIndices"
    if device.is_part and max(request.gpus) > 1:
        return "a part of a divided GPU, of which a process can use one only"
    if device.strangers and not request.use_active:
        if device.strangers == 1:
            return "used by a process that is no trial"
        return f"used by {device.strangers} processes that are no trials"
    if (before := room.kept.get(device.key)) is not None:
        return f"kept for {before.who}, which waits longer"
    if not on_it:
        return _why_no_room(device, request, on_it) if request.measures else ""
    if request.alone or any(each.alone for each in on_it):
        return f"{_names(on_it)}, and one of them runs alone"
    limits = [each.per_gpu for each in (request, *on_it) if each.per_gpu is not None]
    if limits and len(on_it) + 1 > min(limits):
        return _names(on_it)
    if any(each.measures for each in (request, *on_it)):
        return _why_no_room(device, request, on_it)
    return ""


def _why_no_room(device: Device, request: Request, on_it: Sequence[Request]) -> str:
    """By measured memory: a GPU is shared once it is known how much each takes."""
    if on_it and not device.total:
        return f"{_names(on_it)}, and its memory cannot be measured"
    unknown = [each for each in (*on_it, request) if each.peak is None]
    if on_it and unknown:
        return f"{_names(on_it)}, and how much memory {unknown[0].who} takes is not known yet"
    if request.peak is None:
        return ""
    need = int(request.peak * SPARE)
    taken = sum(int((each.peak or 0) * SPARE) for each in on_it)
    left = min(device.total - taken, device.free)
    if on_it and need > left:
        return f"{_names(on_it)}, and {left / GIB:.1f} of the {need / GIB:.1f} GiB needed are left"
    return ""


def _words(request: Request, room: _Room, n_free: int, whys: dict[str, str]) -> str:
    """What it waits for, and who has it."""
    asked, there = gpus(request.n_gpus), len(room.machine.devices)
    if there < request.n_gpus:
        return f"Waits for {asked}: this machine has {there} now; one may have gone away."
    said = "; ".join(f"GPU {index}: {why}" for index, why in whys.items())
    if request.alone:
        return f"Ran out of memory, waits for {asked} of its own ({there} here). {said}."
    free = f", {n_free} free" if request.n_gpus > 1 else ""
    return f"Waits for {asked} ({there} here{free}). {said}."


def gpus(count: int) -> str:
    """So many of them, in words."""
    return "a GPU" if count == 1 else f"{count} GPUs"


def _names(requests: Sequence[Request]) -> str:
    names = [each.who for each in requests]
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"
