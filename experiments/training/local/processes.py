"""What ``/proc`` tells of the processes of this machine: for the local backend and supervisors."""

from __future__ import annotations

import contextlib
import os
import signal
import time

Stat = tuple[int, int, int]

# Marks every process of a job, so that they are found after the death of their supervisor.
JOB_MARK = "AUTOTUNE_JOB_DIR"


def boot_id() -> str:
    """Name this boot of the machine: pids and start ticks mean nothing beyond it."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def slept_s() -> float:
    """How long this machine has slept since it was started: CLOCK_MONOTONIC stands still then."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    awake = time.clock_gettime(time.CLOCK_MONOTONIC)
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - awake)


def read_stat(pid: int) -> Stat | None:
    """Return (parent, session, start ticks) of a process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return None
    fields = data[data.rindex(b")") + 2 :].split()  # the name before it may hold anything
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[1]), int(fields[3]), int(fields[19])


def is_stopped(pid: int) -> bool:
    """Tell whether a process stands still until somebody lets it go on (SIGSTOP, a debugger)."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return False
    return data[data.rindex(b")") + 2 :].split()[0] in (b"T", b"t")


def process_table() -> dict[int, Stat]:
    """Return the living processes that can be seen, by pid."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := read_stat(int(entry))) is not None:
            table[int(entry)] = stat
    return table


def descendants(roots: set[int], table: dict[int, Stat]) -> set[int]:
    """Return the children of ``roots``, their children and so on, without the roots."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _session, _ticks) in table.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found - roots


def ancestors(pid: int) -> list[int]:
    """The parent of a process, its parent and so on, as far as they can be seen."""
    found: list[int] = []
    while len(found) < 64 and (stat := read_stat(pid)) is not None and stat[0] > 1:
        pid = stat[0]
        found.append(pid)
    return found


def mark_of(pid: int) -> str:
    """The directory of the job that a process was started for; "" where that cannot be seen."""
    prefix = f"{JOB_MARK}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return ""  # gone, or somebody else's
    return next((os.fsdecode(w[len(prefix) :]) for w in words if w.startswith(prefix)), "")


def kill_job(directory: str, supervisor: int) -> int:
    """Kill what a dead supervisor's job left; return how many processes that were.

    They are known by the mark in their environment, by the supervisor's session, or as
    descendants of such a process.
    """
    killed: set[int] = set()
    for _ in range(50):
        table = process_table()
        # A living process of that pid is a stranger, and so may be the session of that number.
        session = supervisor if supervisor and supervisor not in table else -1
        roots = {
            pid
            for pid, stat in table.items()
            if pid != os.getpid() and (stat[1] == session or mark_of(pid) == directory)
        }
        if not roots:
            break
        for pid in roots | descendants(roots, table):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.01)
    return len(killed)
